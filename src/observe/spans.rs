use tracing::{Level, Span, field::Empty, info_span, level_filters::LevelFilter};

use super::{outcome::Outcome, target::TARGET};
use crate::delivery::Delivery;

/// A span that is entered.
pub(crate) type Entered<'a> = tracing::span::Entered<'a>;

/// `webhook.receive`: one request, from its head to its response. Without a subscriber it costs one check of a flag.
pub(crate) struct ReceiveSpan(Span);

impl ReceiveSpan {
    pub(crate) fn new(provider: &str) -> Self {
        if nobody_listens() {
            return Self(Span::none());
        }
        Self(info_span!(target: TARGET, "webhook.receive", provider, outcome = Empty, reason = Empty, status = Empty))
    }

    pub(crate) fn enter(&self) -> Entered<'_> {
        self.0.enter()
    }

    /// The request was rejected; `reason` is the kind of the error.
    pub(crate) fn rejected(&self, reason: &'static str, status: u16) {
        self.0.record("reason", reason);
        self.answered("rejected", status);
    }

    /// The request was a handshake.
    pub(crate) fn handshake(&self, status: u16) {
        self.answered("handshake", status);
    }

    /// The request was verified, and an inner part has answered it.
    pub(crate) fn verified(&self, status: u16) {
        self.answered("verified", status);
    }

    fn answered(&self, outcome: &'static str, status: u16) {
        if self.0.is_disabled() {
            return;
        }
        self.0.record("outcome", outcome);
        self.0.record("status", status);
    }
}

/// `webhook.handle`: one verified delivery while the inner service handles it.
pub(crate) struct HandleSpan(Span);

impl HandleSpan {
    pub(crate) fn new(delivery: &Delivery) -> Self {
        if nobody_listens() {
            return Self(Span::none());
        }
        let span = info_span!(
            target: TARGET, "webhook.handle",
            provider = delivery.provider(), tenant = delivery.tenant(), secret_index = delivery.secret_index(),
            delivery_id = Empty, event_type = Empty, outcome = Empty, status = Empty,
        );
        // Without a subscriber the body is not searched for them. They are text of the sender, so they are escaped.
        if !span.is_disabled() {
            let (id, event_type) = delivery.logged();
            if let Some(id) = id {
                span.record("delivery_id", tracing::field::debug(short(id.as_str())));
            }
            if let Some(event_type) = event_type {
                span.record("event_type", tracing::field::debug(short(event_type.as_str())));
            }
        }
        Self(span)
    }

    pub(crate) fn enter(&self) -> Entered<'_> {
        self.0.enter()
    }

    pub(crate) fn record(&self, outcome: Outcome, status: Option<u16>) {
        if self.0.is_disabled() {
            return;
        }
        self.0.record("outcome", outcome.as_str());
        if let Some(status) = status {
            self.0.record("status", status);
        }
    }
}

/// Whether no subscriber has asked for anything of this level, whatever it filters. A span that nobody sees costs several hundred
/// instructions where the feature `log` of `tracing` is on, as with sqlx: it is formatted for a logger that need not be there.
fn nobody_listens() -> bool {
    LevelFilter::current() < Level::INFO
}

/// Returns the beginning of the sender's text, since a span is written with every line that is logged in it.
fn short(text: &str) -> &str {
    const LONGEST: usize = 256;
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end])
}

/// `webhook.attempt`: one attempt of a worker or of `deliver`.
#[cfg(feature = "send")]
pub(crate) struct AttemptSpan(Span);

#[cfg(feature = "send")]
impl AttemptSpan {
    pub(crate) fn new(head: &super::attempt::AttemptHead<'_>) -> Self {
        Self(info_span!(
            target: TARGET, "webhook.attempt",
            delivery = head.delivery.map(tracing::field::display), endpoint = head.endpoint.map(tracing::field::display), message_id = head.message,
            event_type = head.event_type, tenant = head.tenant, host = head.host, attempt = head.attempt,
            outcome = Empty, status = Empty, reason = Empty, millis = Empty,
        ))
    }

    pub(crate) fn instrument<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        tracing::Instrument::instrument(work, self.0.clone())
    }

    pub(crate) fn ended(&self, end: &super::attempt::AttemptEnd<'_>) {
        self.0.record("outcome", end.outcome);
        if let Some(status) = end.status {
            self.0.record("status", status);
        }
        if let Some(reason) = end.reason {
            self.0.record("reason", reason);
        }
        self.0.record("millis", crate::clock::millis(end.duration));
    }

    /// The attempt failed; logs this.
    pub(crate) fn failed(&self, end: &super::attempt::AttemptEnd<'_>) {
        let _entered = self.0.enter();
        super::events::attempt_failed(end);
    }

    /// The attempt was dropped before it had ended.
    pub(crate) fn dropped(&self, outcome: &'static str) {
        self.0.record("outcome", outcome);
    }
}

/// `webhook.work`: one attempt of a worker at an event of an inbox.
#[cfg(feature = "inbox")]
pub(crate) struct WorkSpan(Span);

#[cfg(feature = "inbox")]
impl WorkSpan {
    pub(crate) fn new(delivery: &Delivery, id: &dyn std::fmt::Display, attempt: u32) -> Self {
        let span = info_span!(
            target: TARGET, "webhook.work",
            provider = delivery.provider(), tenant = delivery.tenant(), event = %id, attempt,
            delivery_id = Empty, event_type = Empty, outcome = Empty,
        );
        if !span.is_disabled() {
            let (id, event_type) = delivery.logged();
            if let Some(id) = id {
                span.record("delivery_id", tracing::field::debug(short(id.as_str())));
            }
            if let Some(event_type) = event_type {
                span.record("event_type", tracing::field::debug(short(event_type.as_str())));
            }
        }
        Self(span)
    }

    pub(crate) fn instrument<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        tracing::Instrument::instrument(work, self.0.clone())
    }

    /// It has ended. A reason is why the event is not done.
    pub(crate) fn ended(&self, outcome: Outcome, reason: Option<&str>, is_dead: bool) {
        self.0.record("outcome", outcome.as_str());
        if let Some(reason) = reason {
            let _entered = self.0.enter();
            super::events::not_worked(reason, is_dead);
        }
    }
}
