use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::fault::Fault;
use crate::api::input::BODY_TIME;

/// The fields of a form. A change runs to its end when the browser has gone, so its body has a time as well as a size: a client that
/// stalls would otherwise keep the task.
pub(super) struct Form<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let read = timeout(BODY_TIME, Limited::new(request.into_body(), FORM_LIMIT).collect()).await;
        let body = match read.map_err(|_| Fault::too_slow())? {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Fault::too_large()),
            Err(_) => return Err(Fault::invalid("The form did not arrive whole.")),
        };
        serde_html_form::from_bytes(&body)
            .map(Self)
            .map_err(|_| Fault::invalid("A field of the form is missing or wrong."))
    }
}

/// In bytes: forms have one or two fields, or the ids of the events of a page.
const FORM_LIMIT: usize = 4096;
