use std::{marker::PhantomData, sync::Arc};

use axum::handler::Handler;
use axum_core::{extract::Request, response::Response};

use crate::boxed::BoxFuture;

/// A handler whose type has been forgotten.
pub(super) type DynHandler<S> = Arc<dyn AnyHandler<S>>;

pub(super) trait AnyHandler<S>: Send + Sync {
    fn call(&self, request: Request, state: S) -> BoxFuture<'static, Response>;
}

pub(super) fn erase<H, T, S>(handler: H) -> DynHandler<S>
where
    H: Handler<T, S> + Sync,
    T: 'static,
    S: 'static,
{
    Arc::new(Erased { handler, arguments: PhantomData })
}

/// A handler with its state, which can be used where another state is expected.
pub(super) fn with_state<S, S2>(handler: DynHandler<S>, state: S) -> DynHandler<S2>
where
    S: Clone + Send + Sync + 'static,
    S2: 'static,
{
    Arc::new(Stateful { handler, state })
}

struct Erased<H, T> {
    handler: H,
    /// A function, so that `T` decides neither about `Send` nor about `Sync`.
    arguments: PhantomData<fn() -> T>,
}

impl<H, T, S> AnyHandler<S> for Erased<H, T>
where
    H: Handler<T, S> + Sync,
{
    fn call(&self, request: Request, state: S) -> BoxFuture<'static, Response> {
        Box::pin(self.handler.clone().call(request, state))
    }
}

struct Stateful<S> {
    handler: DynHandler<S>,
    state: S,
}

impl<S: Clone + Send + Sync, S2> AnyHandler<S2> for Stateful<S> {
    fn call(&self, request: Request, _state: S2) -> BoxFuture<'static, Response> {
        self.handler.call(request, self.state.clone())
    }
}
