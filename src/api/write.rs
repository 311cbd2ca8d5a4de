use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::Method;

use super::{gate::Gate, input, problem::Problem, repeat};
use crate::observe;

/// Middleware around every route: it rejects writes that are not JSON, and lets a write that has begun run to its end.
pub(super) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let method = request.method();
    if method.is_safe() {
        return next.run(request).await;
    }
    // A DELETE has no body, and no page of another site can make one without asking first.
    if *method != Method::DELETE && !input::is_json(request.headers()) {
        return Problem::content_type().into_response();
    }
    // If the client disconnects, the server drops this future, but the task continues.
    let task = tokio::spawn(async move {
        match repeat::key(&request) {
            Ok(Some(key)) => repeat::once(gate.repeats.as_ref(), key, request, next).await,
            Ok(None) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    });
    task.await.unwrap_or_else(|error| {
        observe::api_panicked(&error);
        Problem::internal().into_response()
    })
}
