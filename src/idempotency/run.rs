use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    context::Context,
    desk::{Claimed, Desk},
    introduction::introduce,
    key::{ClaimKey, Fingerprint},
    later::after,
    purge,
    settle::{Ran, Reply, send},
    subject::{Kind, Subject, consumer},
};
use crate::{
    boxed::BoxError,
    claim::{Claim, ClaimHandle},
    panics::{Stopped, caught, supervise},
    verify::Verified,
};

/// One request from its claim through the handler to its record. It continues if the client has disconnected.
pub(super) struct Job<S> {
    pub(super) context: Arc<Context>,
    pub(super) verified: Verified,
    pub(super) subject: Subject,
    pub(super) inner: S,
    pub(super) request: Request<Full<Bytes>>,
}

impl<S, R> Job<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    R: Body<Data = Bytes, Error: Into<BoxError>>,
{
    pub(super) async fn run(self, reply: Reply<R, S::Error>) {
        let context = Arc::clone(&self.context);
        let introduced = self.introduced();
        // This frees the request and its body before the store is called for upkeep.
        self.deliver(reply).await;
        if let Some((key, consumer, provider)) = introduced {
            introduce(&context.store, key, &consumer, &provider).await;
        }
        if context.purge.is_due() {
            // A failure is not logged here: the next call of the store will report it.
            if let Ok(removed) = context.store.purge(purge::STEP).await {
                context.purge.removed(removed);
            }
        }
    }

    /// Returns what to write into the store about the program that claims here, if that is due and the application has
    /// no name.
    fn introduced(&self) -> Option<(ClaimKey, String, String)> {
        let Self { context, verified, subject, request, .. } = self;
        if subject.key.is_none() || context.store.application().is_some() {
            return None;
        }
        let (consumer, provider) = (consumer(context, request)?, verified.delivery.provider());
        if !context.introductions.are_due(&consumer, provider) {
            return None;
        }
        let key = ClaimKey::of_kind(None, &consumer, provider, None, Kind::Program as u8, b"");
        Some((key, consumer.into_owned(), provider.to_owned()))
    }

    async fn deliver(self, reply: Reply<R, S::Error>) {
        let Self { context, verified, subject, mut inner, mut request } = self;
        let fingerprint = Fingerprint::of(verified.delivery.body());
        let desk = Desk { context: &context, verified: &verified, subject: &subject, fingerprint };
        let held = match subject.key {
            None => {
                desk.suspect_replay_without_id();
                None
            }
            Some(key) => match desk.claim(key, &request).await {
                Claimed::Answer(answer) => return send(reply, answer),
                Claimed::Held(held) => Some(Arc::new(held)),
                Claimed::Unclaimed => None,
            },
        };
        if let Some(held) = &held {
            let handle: Arc<dyn ClaimHandle> = Arc::clone(held) as _;
            request.extensions_mut().insert(Claim::new(handle));
        }
        let unclaimed = after(Instant::now(), context.handler_timeout);
        let deadline = || held.as_ref().map_or(unclaimed, |held| held.handler_deadline());
        let ran = handle(&mut inner, request, deadline).await;
        desk.settle(held.as_deref(), ran, reply).await;
    }
}

async fn handle<S, R>(inner: &mut S, request: Request<Full<Bytes>>, deadline: impl Fn() -> Instant) -> Ran<R, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
{
    let Ok(future) = caught(|| inner.call(request)) else { return Ran::Panicked };
    match supervise(future, deadline).await {
        Ok(Ok(response)) => Ran::Responded(response),
        Ok(Err(error)) => Ran::Failed(error),
        Err(Stopped::Panicked) => Ran::Panicked,
        Err(Stopped::TimedOut) => Ran::TimedOut,
    }
}
