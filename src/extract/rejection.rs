use std::{error::Error, fmt, sync::Arc};

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

use crate::{
    answers::Line,
    observe::Outcome,
    verify::{Acknowledged, Undecoded},
};

/// Why an extractor failed. Cheap to clone.
///
/// The sender only sees a status and one fixed line.
///
/// # Examples
/// A handler that takes the result answers a payload that does not fit by itself:
///
/// ```
/// use axum::http::StatusCode;
/// use tower_webhooks::{EventRejection, VerifiedEvent, extract::EventRejectionKind};
///
/// #[derive(serde::Deserialize)]
/// struct Invoice {
///     amount_paid: u64,
/// }
///
/// async fn on_invoice(event: Result<VerifiedEvent<Invoice>, EventRejection>) -> Result<(), EventRejection> {
///     match event {
///         Ok(invoice) => println!("{} cents", invoice.amount_paid),
///         // The first version of the API had no amounts.
///         Err(rejection) if rejection.kind() == EventRejectionKind::Mismatch && rejection.path() == "/data/object" => {}
///         Err(rejection) => return Err(rejection),
///     }
///     Ok(())
/// }
/// # let _ = on_invoice;
/// ```
#[derive(Clone)]
pub struct EventRejection(Arc<Inner>);

struct Inner {
    kind: EventRejectionKind,
    path: String,
    message: String,
    source: Option<serde_json::Error>,
}

/// What an [`EventRejection`] means.
///
/// ```
/// use axum::http::StatusCode;
/// use tower_webhooks::{EventRejection, VerifiedEvent, extract::EventRejectionKind};
///
/// #[derive(serde::Deserialize)]
/// struct Invoice {
///     amount_paid: u64,
/// }
///
/// async fn on_invoice(event: Result<VerifiedEvent<Invoice>, EventRejection>) -> StatusCode {
///     match event {
///         Ok(invoice) => println!("paid {}", invoice.amount_paid),
///         Err(rejection) if rejection.kind() == EventRejectionKind::Unhandled => println!("no variant for it"),
///         Err(rejection) => println!("not handled: {rejection}"),
///     }
///     StatusCode::OK
/// }
/// # let _ = on_invoice;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventRejectionKind {
    /// The body is verified, but is not UTF-8 JSON, repeats a key on the path to a requested value, or is a form
    /// without the field that contains the event: 400.
    Malformed,
    /// The body is verified JSON, but does not fit the type: 422.
    Mismatch,
    /// There is no [`WebhookLayer`](crate::WebhookLayer) on the route, or it lacks something that the extractor needs:
    /// 500.
    NoLayer,
    /// No variant of the enum matches the event type: a success, 200 or the status that the provider requires.
    Unhandled,
    /// The body is a verified form, but the scheme does not declare forms: 415. A genuine event is lost until the
    /// scheme declares [`form`](crate::scheme::SchemeBuilder::form), or the sender sends JSON.
    UnsupportedForm,
}

impl EventRejection {
    pub(super) fn no_layer(extractor: &'static str) -> Self {
        crate::observe::no_layer(extractor);
        Self(Arc::new(Inner {
            kind: EventRejectionKind::NoLayer,
            path: String::new(),
            message: "no `WebhookLayer` on this route; add `.layer(WebhookLayer::…)`".into(),
            source: None,
        }))
    }

    pub(super) fn no_claim() -> Self {
        crate::observe::no_claim();
        Self(Arc::new(Inner {
            kind: EventRejectionKind::NoLayer,
            path: String::new(),
            message: "no idempotency on this route, or a delivery without an id that runs without a claim; add \
                      `.with_idempotency(store)` to its `WebhookLayer`, or take `Option<Claim>`"
                .into(),
            source: None,
        }))
    }

    pub(super) fn unhandled() -> Self {
        Self(Arc::new(Inner {
            kind: EventRejectionKind::Unhandled,
            path: String::new(),
            message: "no variant matches this event type".into(),
            source: None,
        }))
    }

    pub(super) fn parse(
        kind: EventRejectionKind,
        path: String,
        message: String,
        source: Option<serde_json::Error>,
    ) -> Self {
        Self(Arc::new(Inner { kind, path, message, source }))
    }

    /// Returns what the rejection means.
    pub fn kind(&self) -> EventRejectionKind {
        self.0.kind
    }

    /// Returns the status that it is answered with.
    pub fn status(&self) -> StatusCode {
        match self.0.kind {
            EventRejectionKind::Malformed => StatusCode::BAD_REQUEST,
            EventRejectionKind::Mismatch => StatusCode::UNPROCESSABLE_ENTITY,
            EventRejectionKind::NoLayer => StatusCode::INTERNAL_SERVER_ERROR,
            EventRejectionKind::Unhandled => StatusCode::OK,
            EventRejectionKind::UnsupportedForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// Message and place, on one line. The message quotes no values.
    fn reason(&self) -> String {
        let Inner { path, message, .. } = &*self.0;
        crate::observe::line(&if path.is_empty() { message.clone() } else { format!("{message} (at `{path}`)") })
    }

    /// Returns where in the body the type does not fit, as a JSON pointer. It is empty if that is not known.
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

impl IntoResponse for EventRejection {
    fn into_response(self) -> Response {
        let line = match self.0.kind {
            EventRejectionKind::Malformed => Line::MALFORMED_BODY,
            EventRejectionKind::Mismatch => Line::UNEXPECTED_PAYLOAD,
            EventRejectionKind::NoLayer => Line::INTERNAL,
            EventRejectionKind::Unhandled => Line::UNHANDLED,
            EventRejectionKind::UnsupportedForm => Line::UNSUPPORTED_FORM,
        };
        let mut response: Response = line.response(self.status());
        if self.0.kind == EventRejectionKind::Unhandled {
            response.extensions_mut().insert(Acknowledged);
            response.extensions_mut().insert(Outcome::Unhandled);
        }
        if matches!(
            self.0.kind,
            EventRejectionKind::Malformed | EventRejectionKind::Mismatch | EventRejectionKind::UnsupportedForm
        ) {
            response.extensions_mut().insert(Undecoded { reason: self.reason().into() });
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for EventRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for EventRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the source, which quotes the payload.
        f.debug_struct("EventRejection")
            .field("kind", &self.0.kind)
            .field("path", &self.0.path)
            .field("message", &self.0.message)
            .finish_non_exhaustive()
    }
}

impl Error for EventRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}
