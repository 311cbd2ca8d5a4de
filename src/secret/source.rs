use std::{future::Future, sync::Arc};

use super::{secret::Secret, secrets::Secrets};
use crate::{
    boxed::{BoxError, BoxFuture},
    head::RequestHead,
};

/// A source of secrets: constants, or a look-up for each request by its head.
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
/// The head has not been verified at that point: everything in it may come from an attacker.
///
/// | the source | the request |
/// |---|---|
/// | returns secrets | is verified with them |
/// | returns [`Secrets::unknown_tenant`] | is rejected like a forged one, after its body has been read |
/// | returns [`Secrets::none`], or secrets that have all ended, or one that the scheme cannot use | is rejected with 503 |
/// | fails, panics, or takes longer than 5 s | is rejected with 503 |
///
/// Each 503 has a `Retry-After`, so that the sender retries, and logs an error event for the operator.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of secrets",
    label = "expected a `Secret`, several of them, or a closure from `RequestHead` to a future of `Secrets`",
    note = "create a secret with `Secret::from_env(\"NAME\")?`; text in the source code is not a secret"
)]
pub trait SecretSource: Send + Sync + 'static {
    /// Looks up the secrets that a request with this head may be signed with.
    ///
    /// # Errors
    /// When the look-up failed. The request is rejected with 503, and the error is logged.
    fn secrets(&self, head: RequestHead) -> BoxFuture<'_, Result<Secrets, BoxError>>;

    /// Looks up newer secrets, after none of `tried` matched the signature of a request with this head. The request is then
    /// verified again with what it returns. `None`, the default, means that there is nothing newer.
    ///
    /// A source that caches answers should implement it, as [`CachedSecrets`](super::CachedSecrets) does, and limit how
    /// often it looks up, since anybody can send wrong signatures.
    ///
    /// # Errors
    /// As [`secrets`](Self::secrets).
    fn refresh(&self, head: RequestHead, tried: Secrets) -> BoxFuture<'_, Result<Option<Secrets>, BoxError>> {
        let _ = (head, tried);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Returns the secrets if they are the same for every request. They are then checked and keyed once, at start, and
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

    fn refresh(&self, head: RequestHead, tried: Secrets) -> BoxFuture<'_, Result<Option<Secrets>, BoxError>> {
        (**self).refresh(head, tried)
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
