//! One consumer with a name of its own, and the calls on it.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    boxed::BoxFuture,
    error::StoreError,
    idempotency::ClaimKey,
    inbox::{
        AcceptRequest, Accepted, Content, Ending, EventDraft, Fenced, InboxId, InboxLease, InboxQuery, InboxRecord,
        InboxStore, LeaseToken, LeasedEvent,
    },
};

pub(super) struct Suite<'a, S> {
    pub(super) store: Arc<S>,
    pub(super) advance: &'a (dyn Fn(Duration) -> BoxFuture<'static, ()> + Sync),
}

/// A consumer that no other check knows.
pub(super) struct Consumer<S> {
    pub(super) store: Arc<S>,
    pub(super) name: Arc<str>,
    pub(super) attempts: u32,
}

impl<S: InboxStore> Suite<'_, S> {
    pub(super) fn consumer(&self) -> Consumer<S> {
        let name = format!("conformance-{:032x}", u128::from_be_bytes(token().to_bytes()));
        Consumer { store: Arc::clone(&self.store), name: name.into(), attempts: 100 }
    }

    pub(super) async fn advance(&self, by: Duration) {
        (self.advance)(by).await;
    }
}

impl<S: InboxStore> Consumer<S> {
    pub(super) async fn accept(&self, rule: &str, events: Vec<EventDraft>) -> Vec<Accepted> {
        answered(rule, self.store.accept(AcceptRequest::new(Arc::clone(&self.name), events))).await
    }

    /// Stores events, each of which must be new.
    pub(super) async fn accepts(&self, rule: &str, events: Vec<EventDraft>) {
        let count = events.len();
        let answers = self.accept(rule, events).await;
        check(answers == vec![Accepted::New; count], rule, format!("events must be new, and are {answers:?}"));
    }

    pub(super) async fn lease(&self, rule: &str, token: LeaseToken, limit: u32) -> Vec<LeasedEvent> {
        let request = InboxLease::new(Arc::clone(&self.name), token, LEASE, limit, self.attempts);
        answered(rule, self.store.lease(request)).await.events
    }

    /// Leases just one event.
    pub(super) async fn lease_one(&self, rule: &str, token: LeaseToken) -> LeasedEvent {
        let mut leased = self.lease(rule, token, 10).await;
        check(leased.len() == 1, rule, format!("one event must be due, and {} are", leased.len()));
        leased.remove(0)
    }

    pub(super) async fn nothing_is_due(&self, rule: &str, why: &str) {
        let leased = self.lease(rule, token(), 10).await;
        check(leased.is_empty(), rule, format!("nothing must be due ({why}), and {} events are", leased.len()));
    }

    pub(super) async fn finish(&self, rule: &str, id: InboxId, token: LeaseToken, ending: Ending) {
        let fenced = answered(rule, self.store.finish(id, token, ending.clone())).await;
        check(fenced == Fenced::Applied, rule, format!("its holder must end it as {ending:?}, and is stale"));
    }

    /// Makes an event of this key dead.
    pub(super) async fn kill(&self, rule: &str, event: EventDraft) -> InboxId {
        self.accepts(rule, vec![event]).await;
        let token = token();
        let leased = self.lease_one(rule, token).await;
        self.finish(rule, leased.id, token, Ending::Dead { reason: "on purpose".into() }).await;
        leased.id
    }

    pub(super) async fn record(&self, rule: &str, id: InboxId) -> InboxRecord {
        match answered(rule, self.store.event(id)).await {
            Some(record) => record,
            None => panic!("{rule}: an event that is there is not found"),
        }
    }

    pub(super) async fn list(&self, rule: &str, query: InboxQuery) -> Vec<InboxRecord> {
        answered(rule, self.store.events(Arc::clone(&self.name), query, 100)).await
    }
}

pub(super) async fn answered<T>(rule: &str, call: impl Future<Output = Result<T, StoreError>>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), call).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => panic!("{rule}: a call failed: {error} ({error:?})"),
        Err(_) => panic!("{rule}: a call does not end"),
    }
}

#[track_caller]
pub(super) fn check(holds: bool, rule: &str, message: impl AsRef<str>) {
    assert!(holds, "{rule}: {}", message.as_ref());
}

pub(super) fn token() -> LeaseToken {
    match LeaseToken::random() {
        Ok(token) => token,
        Err(error) => panic!("the operating system has no randomness to give: {error}"),
    }
}

pub(super) fn key() -> ClaimKey {
    ClaimKey::from_bytes(token().to_bytes())
}

/// An event with a key of its own.
pub(super) fn event() -> EventDraft {
    of_key(key())
}

pub(super) fn of_key(key: ClaimKey) -> EventDraft {
    let content = Content::new(r#"{"head":"é"}"#.into(), Bytes::from_static(b"\x00body\xff"));
    // The SHA-256 of this name begins with 0xff, after which a store that sorts by it must still find something.
    EventDraft::new(key, "acme-12".into(), RETENTION, content)
}

pub(super) const LEASE: Duration = Duration::from_secs(60 * 60);
pub(super) const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Long past a lease, and far from its end whatever the test machine's pace.
pub(super) const PAST_LEASE: Duration = Duration::from_secs(2 * 60 * 60);
pub(super) const PAST_RETENTION: Duration = Duration::from_secs(25 * 60 * 60);
pub(super) const RACERS: usize = 16;
