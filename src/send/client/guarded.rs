use std::{fmt, sync::Arc};

use super::{exchange::Progress, inner::Inner};
use crate::{
    boxed::BoxFuture,
    clock,
    net::destination::DestinationPolicy,
    observe,
    send::attempt::{AttemptError, AttemptErrorKind, AttemptRequest, AttemptResult, Transport},
};

/// The client that sends deliveries, only to destinations that its policy allows. It is cheap to clone; clones share
/// connections.
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
pub struct GuardedClient(pub(crate) Arc<Inner>);

impl GuardedClient {
    /// Returns the policy that every attempt is checked against.
    pub fn policy(&self) -> &DestinationPolicy {
        &self.0.policy
    }

    async fn attempt(&self, request: AttemptRequest) -> AttemptResult {
        let started = clock::monotonic();
        let host = request.url.authority().to_owned();
        let timeout = request.timeout.map_or(self.0.timeout, |timeout| timeout.min(self.0.timeout));
        let mut progress = Progress::default();
        let ended = tokio::time::timeout(timeout, self.0.exchange(request, &mut progress)).await;

        // A status that arrived counts, whatever happened to the body.
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

    fn fetches_tokens(&self) -> bool {
        true
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
