use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics::{Key, KeyName, Label, Level, Metadata, SharedString, with_recorder};

use super::{outcome::Outcome, process};
use crate::{clock, error::VerifyErrorKind};

/// The counters of one layer. Clones share them.
///
/// Each key is created once and kept, so that a request does not create one. The recorder is asked for its counter each
/// time, since it may be installed after the layer was built.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Keys>);

struct Keys {
    provider: SharedString,
    received: OnceLock<Key>,
    handshakes: OnceLock<Key>,
    verified: [OnceLock<Key>; SECRETS.len()],
    rejected: [OnceLock<Key>; VerifyErrorKind::COUNT],
    handled: [OnceLock<Key>; Outcome::COUNT],
    seconds: [OnceLock<Key>; Outcome::COUNT],
}

static METADATA: Metadata<'static> = Metadata::new(super::target::TARGET, Level::INFO, Some(module_path!()));

/// The indexes of secrets as labels. Higher indexes share one label.
const SECRETS: [&str; 5] = ["0", "1", "2", "3", "more"];

impl Meter {
    pub(crate) fn new(provider: &str) -> Self {
        Self(Arc::new(Keys {
            provider: SharedString::from(Arc::<str>::from(provider)),
            received: OnceLock::new(),
            handshakes: OnceLock::new(),
            verified: Default::default(),
            rejected: Default::default(),
            handled: Default::default(),
            seconds: Default::default(),
        }))
    }

    /// A request arrived.
    pub(crate) fn received(&self) {
        process::received();
        count(self.key(&self.0.received, "webhook_received_total", None));
    }

    /// A handshake was answered.
    pub(crate) fn handshake(&self) {
        count(self.key(&self.0.handshakes, "webhook_handshakes_total", None));
    }

    /// A request was rejected.
    pub(crate) fn rejected(&self, kind: VerifyErrorKind) {
        process::rejected(kind);
        if let Some(slot) = self.0.rejected.get(kind as usize) {
            count(self.key(slot, "webhook_rejected_total", Some(("kind", kind.as_str()))));
        }
    }

    /// A delivery was verified, with the secret at this index of the list.
    pub(crate) fn verified(&self, secret: Option<usize>) {
        let Some(secret) = secret else { return };
        let place = secret.min(SECRETS.len() - 1);
        count(self.key(&self.0.verified[place], "webhook_verified_total", Some(("secret", SECRETS[place]))));
    }

    /// A delivery has been handled.
    pub(crate) fn handled(&self, outcome: Outcome, timer: &Timer) {
        let label = Some(("outcome", outcome.as_str()));
        let keys = &self.0;
        if let (Some(handled), Some(seconds)) = (keys.handled.get(outcome as usize), keys.seconds.get(outcome as usize))
        {
            count(self.key(handled, "webhook_handled_total", label));
            let key = self.key(seconds, "webhook_handler_seconds", label);
            with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(timer.elapsed().as_secs_f64()));
        }
    }

    fn key<'k>(
        &self,
        slot: &'k OnceLock<Key>,
        name: &'static str,
        label: Option<(&'static str, &'static str)>,
    ) -> &'k Key {
        slot.get_or_init(|| {
            let mut labels = vec![Label::new("provider", self.0.provider.clone())];
            labels.extend(label.map(|(key, value)| Label::from_static_parts(key, value)));
            Key::from_parts(KeyName::from_const_str(name), labels)
        })
    }
}

/// Measures a duration.
pub(crate) struct Timer(Duration);

impl Timer {
    pub(crate) fn start() -> Self {
        Self(clock::monotonic())
    }

    pub(super) fn elapsed(&self) -> Duration {
        clock::monotonic().saturating_sub(self.0)
    }
}

fn count(key: &Key) {
    with_recorder(|recorder| recorder.register_counter(key, &METADATA).increment(1));
}

/// Keys that a sender publishes are left out.
#[cfg(feature = "remote-keys")]
pub(crate) fn keys_left_out(reason: &'static str, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    metrics::counter!("webhook_keys_left_out_total", "reason" => reason).increment(count);
}

/// A duplicate of a delivery arrived.
#[cfg(feature = "idempotency")]
pub(crate) fn duplicate(provider: &str, state: &'static str) {
    metrics::counter!("webhook_duplicates_total", "provider" => provider.to_owned(), "state" => state).increment(1);
}

/// Bodies with equal bytes arrived under two ids that are not signed.
#[cfg(feature = "idempotency")]
pub(crate) fn replay_suspected(provider: &str, outcome: &'static str) {
    let provider = provider.to_owned();
    metrics::counter!("webhook_replay_suspected_total", "provider" => provider, "outcome" => outcome).increment(1);
}

/// The store failed.
#[cfg(feature = "idempotency")]
pub(crate) fn store_failed(provider: &str, call: &'static str) {
    metrics::counter!("webhook_store_failures_total", "provider" => provider.to_owned(), "call" => call).increment(1);
}
