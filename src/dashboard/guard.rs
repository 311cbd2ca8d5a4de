use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, OriginalUri, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};

use super::{
    Gate, Offers,
    page::{Fault, Frame},
};
use crate::{
    api::{Access, Role, inboxes::Whose},
    observe,
    send::{Dispatcher, Endpoint, EndpointId, Scope, Tenant},
};

/// The reader of a page, and the path at which the application has nested the dashboard.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) access: Access,
    pub(super) base: Arc<str>,
    pub(super) offers: Offers,
}

/// Middleware around every page: it lets a request through if the application allows it and, for a change, if one of
/// our pages has sent it. It renders the pages of errors.
pub(super) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let access = match gate.authorize.authorize(parts.clone()).await {
        Ok(access) => access,
        Err(response) => return response,
    };
    let reader = Reader { access, base: base(&parts).into(), offers: gate.offers };
    let is_safe = parts.method.is_safe();
    let refused = match () {
        () if is_safe => None,
        () if !reader.may_change() => Some(Fault::forbidden("Only an operator may change something here.")),
        // Every browser sends one of them with a form, and the layer outside has compared it.
        () if !parts.headers.contains_key("sec-fetch-site") && !parts.headers.contains_key(header::ORIGIN) => {
            Some(Fault::forbidden("A change is made by a form of these pages."))
        }
        () => None,
    };
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(reader.clone());
    let mut response = match refused {
        Some(fault) => fault.into_response(),
        None if is_safe => next.run(request).await,
        // A change that has begun runs to its end, also when the browser has gone.
        None => tokio::spawn(next.run(request)).await.unwrap_or_else(|error| {
            observe::api_panicked(&error);
            Fault::internal().into_response()
        }),
    };
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        response = fault.show(Frame::new(&reader, fault.title(), ""));
    }
    protected(response)
}

/// Adds the headers that protect every page.
fn protected(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer to a change that a page of another site sends. It is given before the authorization.
pub(super) fn cross_site() -> Response {
    let text = "a page of another site must not make changes";
    protected((StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Returns the path at which the application has nested the router: the part of the original path before the router's
/// own.
fn base(parts: &Parts) -> String {
    let whole = parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |uri| uri.path());
    match parts.uri.path() {
        "/" => whole.trim_end_matches('/').to_owned(),
        inner => whole.strip_suffix(inner).unwrap_or_default().to_owned(),
    }
}

impl Reader {
    pub(super) fn may_change(&self) -> bool {
        self.access.role() == Role::Operator
    }

    /// Whether it sees what all tenants have.
    pub(super) fn sees_all(&self) -> bool {
        self.access.tenant().is_none()
    }

    /// The tenant that a list is about: the reader's own, or the one that an operator of all names.
    pub(super) fn tenant(&self, webhooks: &Dispatcher, named: Option<&str>) -> Result<Tenant, Fault> {
        let name = match (self.access.tenant(), named) {
            (Some(own), None) => own,
            (Some(own), Some(named)) if own == named => own,
            (Some(_), Some(_)) => return Err(Fault::not_found("tenant")),
            (None, named) => named.unwrap_or_default(),
        };
        webhooks.tenant(name).map_err(|_| Fault::not_found("tenant"))
    }

    /// Whose events of an inbox it sees: its own, those of the tenant that an operator of all names, or all.
    pub(super) fn whose(&self, named: Option<&str>) -> Result<Whose, Fault> {
        match (self.access.tenant(), named) {
            (Some(own), None) => Ok(Whose::Tenant(own.into())),
            (Some(own), Some(named)) if own == named => Ok(Whose::Tenant(own.into())),
            (Some(_), Some(_)) => Err(Fault::not_found("tenant")),
            // An empty field selects no tenant.
            (None, None | Some("")) => Ok(Whose::All),
            (None, Some(named)) => Ok(Whose::Tenant(named.into())),
        }
    }

    /// Whose attempts the overview counts.
    pub(super) fn scope(&self) -> Scope {
        self.access.tenant().map_or_else(Scope::all, Scope::tenant)
    }

    /// The tenant that something is of, if the reader may see it.
    pub(super) fn of(&self, webhooks: &Dispatcher, tenant: &str) -> Option<Tenant> {
        let is_seen = self.access.tenant().is_none_or(|own| own == tenant);
        if is_seen { webhooks.tenant(tenant).ok() } else { None }
    }

    /// An endpoint and its tenant, if the reader may see it.
    pub(super) async fn endpoint(&self, webhooks: &Dispatcher, id: &str) -> Result<(Tenant, Endpoint), Fault> {
        let missing = || Fault::not_found("endpoint");
        let id: EndpointId = id.parse().map_err(|_| missing())?;
        let endpoint = webhooks.endpoints().get(id).await?.ok_or_else(missing)?;
        let tenant = self.of(webhooks, endpoint.tenant().unwrap_or_default()).ok_or_else(missing)?;
        Ok((tenant, endpoint))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        // If it is missing, the reader was not authorized, for whatever reason.
        parts.extensions.get().cloned().ok_or_else(Fault::internal)
    }
}

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    // With `no-referrer` a browser would send `Origin: null` with our own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];
