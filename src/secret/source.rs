use std::{future::Future, sync::Arc};

use super::{Secret, Secrets};
use crate::{
    boxed::{BoxError, BoxFuture},
    head::RequestHead,
};

/// Names the secrets of a request: constants, or a look-up by what the request's head says.
///
/// It is implemented for [`Secret`], [`Secrets`], arrays and vectors of secrets, and for closures:
///
/// ```
/// use tower_webhooks::{RequestHead, Secret, Secrets, WebhookLayer};
///
/// async fn look_up(tenant: &str) -> Result<Secrets, std::io::Error> {
///     # let secret = Secret::new("the tenant's signing key").map_err(std::io::Error::other)?;
///     Ok(Secrets::new(secret).tenant(tenant))
/// }
///
/// let layer = WebhookLayer::stripe(|head: RequestHead| async move {
///     Ok(look_up(head.path_param("tenant").unwrap_or_default()).await?)
/// });
/// ```
///
/// The head has not been verified when it is asked for: everything in it may be the attacker's. A source that fails, that
/// takes longer than 5 s, or that knows no secret, makes the request a 503, so that a true sender tries again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of secrets",
    label = "expected a `Secret`, several of them, or a closure from `RequestHead` to a future of `Secrets`",
    note = "make a secret with `Secret::from_env(\"NAME\")?`; text in the source code is no secret"
)]
pub trait SecretSource: Send + Sync + 'static {
    /// Looks up the secrets that a request with this head may be signed with.
    ///
    /// # Errors
    /// Whatever kept the source from looking; the request is answered with 503, the error is logged.
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>>;

    /// Gives the secrets if they are the same for every request. They are then checked and keyed once, at start, and
    /// [`secrets`](Self::secrets) is never called.
    fn fixed(&self) -> Option<Secrets> {
        None
    }
}

impl SecretSource for Secrets {
    fn secrets(&self, _head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }

    fn fixed(&self) -> Option<Secrets> {
        Some(self.clone())
    }
}

macro_rules! constant {
    ($($kind:ty $([$generics:tt])?),* $(,)?) => {$(
        impl SecretSource for $kind {
            fn secrets(&self, _head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
                Box::pin(std::future::ready(Ok(self.clone().into())))
            }

            fn fixed(&self) -> Option<Secrets> {
                Some(self.clone().into())
            }
        }
    )*};
}

constant!(Secret, Vec<Secret>);

impl<const N: usize> SecretSource for [Secret; N] {
    fn secrets(&self, _head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        Box::pin(std::future::ready(Ok(self.clone().into())))
    }

    fn fixed(&self) -> Option<Secrets> {
        Some(self.clone().into())
    }
}

impl<S: SecretSource + ?Sized> SecretSource for Arc<S> {
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        (**self).secrets(head)
    }

    fn fixed(&self) -> Option<Secrets> {
        (**self).fixed()
    }
}

impl<F, Fut> SecretSource for F
where
    F: Fn(RequestHead) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Secrets, BoxError>> + Send + 'static,
{
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>> {
        Box::pin(self(head))
    }
}
