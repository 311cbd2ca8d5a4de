//! What stands in front of every route.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{access::Authorize, limits::Limits, repeat::Repeats};

/// Who may come in, how often, and what is remembered of requests.
pub(super) struct Gate {
    pub(super) authorize: Box<dyn Authorize>,
    pub(super) repeats: Option<Repeats>,
    pub(super) limits: Option<Limits>,
}

/// Lets through what the application allows, and notes who it is.
pub(super) async fn authorize(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match gate.authorize.authorize(parts.clone()).await {
        Ok(access) => {
            if let Some(limits) = &gate.limits
                && let Err(problem) = limits.check(&access)
            {
                return problem.into_response();
            }
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(access);
            next.run(request).await
        }
        Err(response) => response,
    }
}
