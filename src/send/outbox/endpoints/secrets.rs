use std::time::Duration;

use crate::{
    secret::Secret,
    send::{
        error::{SendError, SendErrorKind},
        outbox::{
            endpoint::NewSecret,
            endpoints::Endpoints,
            shared::Shared,
            store::{endpoint::EndpointSettings, ids::EndpointId},
        },
        signing::profile::{Profile, chosen_or_random, shown_secret},
    },
};

impl Endpoints<'_> {
    /// Creates a new secret for an endpoint. During `overlap` both the new one and the earlier ones sign, so that the
    /// owner has time to change; 24 hours are usual. At most 4 sign at once: the oldest is dropped. Deliveries that
    /// wait for a retry are signed with the secrets of that time.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound); [`Stale`](SendErrorKind::Stale) when others keep changing the endpoint; and when
    /// the store fails.
    pub async fn rotate_secret(&self, id: EndpointId, overlap: Duration) -> Result<NewSecret, SendError> {
        self.rotate(id, overlap, None).await
    }

    /// As [`rotate_secret`](Self::rotate_secret), with a secret that the endpoint's owner has chosen.
    ///
    /// # Errors
    /// As [`rotate_secret`](Self::rotate_secret), and [`Invalid`](SendErrorKind::Invalid) as [`create`](Self::create).
    pub async fn rotate_secret_to(
        &self,
        id: EndpointId,
        overlap: Duration,
        secret: Secret,
    ) -> Result<NewSecret, SendError> {
        self.rotate(id, overlap, Some(secret)).await
    }

    async fn rotate(&self, id: EndpointId, overlap: Duration, chosen: Option<Secret>) -> Result<NewSecret, SendError> {
        let sealer = &self.0.shared.sealer;
        let style = self.get(id).await?.ok_or_else(|| SendError::not_found("endpoint"))?.style();
        let secret = chosen_or_random(style, chosen)?;
        let shown = shown_secret(style, &secret)?;
        let now = self.0.shared.clock.now();
        let until = now.checked_add(overlap).ok_or_else(|| SendError::invalid("the overlap is too long"))?;
        let endpoint = self
            .change(id, None, |settings| {
                if settings.style != style {
                    return Err(SendError::new(
                        SendErrorKind::Stale,
                        "the style of the endpoint was changed at the same time",
                    ));
                }
                let mut profile = Profile::open(sealer, id, &settings.sealed)?;
                profile.rotate(&secret, now, until)?;
                settings.sealed = profile.seal(sealer, id)?;
                Ok(())
            })
            .await?;
        Ok(NewSecret { endpoint, secret: shown, ping: None })
    }

    /// Seals again, with the first sealing key, what another key has sealed. It is the last step of a
    /// [change of keys](crate::send::DispatcherBuilder::sealing_key), before the old key is removed. By then all processes must
    /// seal with the new key.
    ///
    /// It goes through all endpoints in small steps. Others can change endpoints at the same time, and it can be called again at any
    /// time. An endpoint that cannot be opened does not stop the others. Each endpoint that is sealed again has a new revision.
    ///
    /// # Errors
    /// When the store fails. What was sealed again before that stays so.
    pub async fn reseal(&self) -> Result<Resealed, SendError> {
        let Shared { sealer, store, .. } = &*self.0.shared;
        let mut resealed = Resealed { endpoints: 0, failed: Vec::new() };
        let mut after = None;
        loop {
            let page = store.endpoints(None, after, RESEALED_AT_ONCE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for id in page.iter().filter(|record| record.settings.sealed.key != sealer.key()).map(|record| record.id) {
                let seal = |settings: &mut EndpointSettings| {
                    settings.sealed = Profile::open(sealer, id, &settings.sealed)?.seal(sealer, id)?;
                    Ok(())
                };
                match self.change(id, None, seal).await {
                    Ok(_) => resealed.endpoints += 1,
                    Err(error) if error.kind() == SendErrorKind::Store => return Err(error),
                    // It was deleted at the same time.
                    Err(error) if error.kind() == SendErrorKind::NotFound => {}
                    Err(error) => resealed.failed.push((id, error)),
                }
            }
        }
        for id in store.unreadable_endpoints().await? {
            let message = "the row of the endpoint cannot be read by this version";
            resealed.failed.push((id, SendError::new(SendErrorKind::Sealing, message)));
        }
        Ok(resealed)
    }
}

/// The result of [`Endpoints::reseal`].
///
/// ```
/// use tower_webhooks::send::{Dispatcher, SendError};
///
/// async fn old_key_can_go(webhooks: &Dispatcher) -> Result<bool, SendError> {
///     let resealed = webhooks.endpoints().reseal().await?;
///     for (id, error) in resealed.failed() {
///         eprintln!("{id}: {error}");
///     }
///     Ok(resealed.failed().is_empty())
/// }
/// # let _ = old_key_can_go;
/// ```
#[derive(Debug)]
pub struct Resealed {
    endpoints: u64,
    failed: Vec<(EndpointId, SendError)>,
}

impl Resealed {
    /// Returns the number of endpoints that were sealed again.
    pub fn endpoints(&self) -> u64 {
        self.endpoints
    }

    /// Returns the endpoints that could not be sealed again, and why. In most cases their key is missing. As long as there are any,
    /// keep the old key.
    pub fn failed(&self) -> &[(EndpointId, SendError)] {
        &self.failed
    }
}

/// The number of endpoints that are read at once to be sealed again.
const RESEALED_AT_ONCE: u32 = 250;
