use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;

use super::outcome::{Said, Worked};
use crate::{boxed::BoxFuture, delivery::Delivery, mutex::Mutex, panics::caught};

/// The service that handles events, whose type has been forgotten.
#[derive(Clone)]
pub(crate) struct Handler {
    call: Arc<dyn Fn(Request<Full<Bytes>>) -> BoxFuture<'static, Worked> + Send + Sync>,
    /// Returns whether the service would handle a delivery. Returns `true` if this is unknown before the service runs.
    handles: Arc<dyn Fn(&Delivery) -> bool + Send + Sync>,
}

impl Handler {
    pub(crate) fn new<S, R>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send,
        R: Send + 'static,
    {
        let handles = handles(&service);
        // Locked only to be cloned, so that the service need not be `Sync`.
        let service = Mutex::new(service);
        let call = move |request| -> BoxFuture<'static, Worked> {
            let Ok(mut service) = caught(|| service.lock().clone()) else {
                return Box::pin(std::future::ready(Worked::Panicked));
            };
            Box::pin(async move {
                if poll_fn(|cx| service.poll_ready(cx)).await.is_err() {
                    return Worked::Failed;
                }
                match service.call(request).await {
                    Ok(response) => {
                        let said = Said::of(response.headers(), response.extensions());
                        Worked::Responded { status: response.status(), said }
                    }
                    Err(_) => Worked::Failed,
                }
            })
        };
        Self { call: Arc::new(call), handles }
    }

    pub(crate) fn call(&self, request: Request<Full<Bytes>>) -> BoxFuture<'static, Worked> {
        (self.call)(request)
    }

    pub(crate) fn handles(&self, delivery: &Delivery) -> bool {
        (self.handles)(delivery)
    }
}

/// Only an event router knows this in advance.
#[cfg(feature = "axum")]
fn handles<S: 'static>(service: &S) -> Arc<dyn Fn(&Delivery) -> bool + Send + Sync> {
    let service: &dyn std::any::Any = service;
    match service.downcast_ref::<crate::route::EventRouter>() {
        Some(router) => {
            let router = router.clone();
            Arc::new(move |delivery| router.handles(delivery))
        }
        None => Arc::new(|_| true),
    }
}

#[cfg(not(feature = "axum"))]
fn handles<S: 'static>(_service: &S) -> Arc<dyn Fn(&Delivery) -> bool + Send + Sync> {
    Arc::new(|_| true)
}
