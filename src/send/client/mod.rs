//! The client that delivers: it goes where it may, and takes no more than it wants.
//!
//! What an attempt does, in this order, within one deadline:
//! 1. The URL is checked against the policy again: it may have been stored when more was allowed.
//! 2. The name is resolved, once. An IP address in a URL is not, and is checked like any other.
//! 3. Every address is made canonical and checked. Those that are not allowed are dropped; if none is left, the attempt is
//!    refused.
//! 4. One of those that were checked is dialled, or an idle connection to one of them is used again. Where the operator has
//!    named an egress proxy, it is asked for a tunnel to that address, and for nothing else.
//! 5. TLS, under the name in the URL, with the client's certificate where it has one and is asked for it.
//! 6. The request. No redirect is followed, no proxy of the environment is asked, no encoding is invited.
//! 7. The answer: a head of at most 100 headers in 16 KiB, and 64 KiB of the body; on the wire 256 KiB, with all that these
//!    are wrapped in.

mod builder;
mod exchange;
mod redact;
mod retry_after;

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderValue;

pub use self::builder::GuardedClientBuilder;
use self::exchange::Progress;
use crate::{
    boxed::BoxFuture,
    clock::{self, Clock},
    error::ConfigError,
    net::{connect::Dialler, destination::DestinationPolicy, idle::Idle},
    observe,
    send::attempt::{AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult, Transport},
};

/// Sends deliveries to whoever registered an endpoint, and to nowhere else. Cheap to clone; clones share connections.
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{DestinationPolicy, GuardedClient};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = GuardedClient::new()?; // the public internet, by https
///
/// // In a test: this machine, by plain http, at any port. Never in production.
/// let in_a_test = GuardedClient::builder()
///     .policy(
///         DestinationPolicy::default()
///             .allow_network("127.0.0.0/8".parse()?)
///             .allow_ports(1024..=65535)
///             .insecure_plain_http(),
///     )
///     .timeout(Duration::from_secs(1))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct GuardedClient(Arc<Inner>);

struct Inner {
    policy: DestinationPolicy,
    dialler: Dialler,
    idle: Idle,
    timeout: Duration,
    user_agent: HeaderValue,
    clock: Arc<dyn Clock>,
}

impl GuardedClient {
    /// Creates a client with the defaults: the public internet, by https, 15 s an attempt.
    ///
    /// # Errors
    /// When the operating system trusts no certificate authority.
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Starts a client with other settings.
    pub fn builder() -> GuardedClientBuilder {
        GuardedClientBuilder::default()
    }

    /// The policy that every attempt is held to.
    pub fn policy(&self) -> &DestinationPolicy {
        &self.0.policy
    }

    async fn attempt(&self, request: AttemptRequest) -> AttemptResult {
        let started = clock::monotonic();
        let host = request.url.authority().to_owned();
        let timeout = request.timeout.map_or(self.0.timeout, |timeout| timeout.min(self.0.timeout));
        let mut progress = Progress::default();
        let ended = tokio::time::timeout(timeout, self.0.exchange(request, &mut progress)).await;

        // A status that was seen counts, whatever became of the body.
        let stage = progress.stage;
        let result = match (progress.into_answer(ended.is_err()), ended) {
            (Some(answer), _) => Ok(answer),
            (None, Ok(Err(error))) => Err(error),
            (None, Ok(Ok(()))) => Err(AttemptError::new(AttemptErrorKind::Protocol)),
            (None, Err(_)) => Err(AttemptError::new(AttemptErrorKind::Timeout).with_source(stage.waited_for())),
        };
        let duration = clock::monotonic().saturating_sub(started);
        let result = match result {
            Ok(answer) => AttemptResult::answered(answer, duration),
            Err(error) => AttemptResult::failed(error, duration),
        };
        observe::attempted(&host, &result.seen());
        result
    }
}

impl Transport for GuardedClient {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        Box::pin(self.attempt(request))
    }
}

impl fmt::Debug for GuardedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedClient")
            .field("policy", &self.0.policy)
            .field("timeout", &self.0.timeout)
            .finish_non_exhaustive()
    }
}
