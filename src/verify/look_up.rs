use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    boxed::{BoxError, BoxFuture},
    head::RequestHead,
    panics::{Stopped, supervise},
    secret::{SecretSource, Secrets},
};

/// The pending answer of a source of secrets.
pub(super) type LookUp<T> = BoxFuture<'static, Result<T, BoxError>>;

/// How long a source of secrets may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for the secrets of a request.
pub(super) fn look_up(source: Arc<dyn SecretSource>, head: RequestHead) -> LookUp<Secrets> {
    guarded(async move { source.secrets(head).await })
}

/// Asks for newer secrets, after none of `tried` has matched.
pub(super) fn refresh(source: Arc<dyn SecretSource>, head: RequestHead, tried: Secrets) -> LookUp<Option<Secrets>> {
    guarded(async move { source.refresh(head, tried).await })
}

/// Confirms a subscription.
#[cfg(feature = "remote-keys")]
pub(super) fn confirm(confirmation: crate::keys::SnsConfirmation, url: String) -> LookUp<()> {
    guarded(confirmation.confirm(url))
}

/// A look-up that hangs must not hold the connection forever, and one that panics is a failed one.
fn guarded<T: 'static>(work: impl Future<Output = Result<T, BoxError>> + Send + 'static) -> LookUp<T> {
    Box::pin(async move {
        let until = Instant::now() + TIMEOUT;
        match supervise(work, || until).await {
            Ok(answer) => answer,
            Err(Stopped::Panicked) => Err("the source of secrets panicked".into()),
            Err(Stopped::TimedOut) => Err(format!("the source of secrets did not answer within {TIMEOUT:?}").into()),
        }
    })
}
