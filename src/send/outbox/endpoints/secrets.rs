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
    /// Gives an endpoint a new secret. For `overlap` both the new one and those before it sign, so that its owner can
    /// change at leisure; 24 hours are usual. No more than 4 sign at once: the oldest gives way.
    /// Deliveries that wait for a retry are signed with what holds then.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound); [`Stale`](SendErrorKind::Stale) when others change the endpoint all the while; and
    /// as the store fails.
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
                        "the style of the endpoint was changed meanwhile",
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

    /// Seals anew, with the first sealing key, what another one has sealed: the last step of a
    /// [change of keys](crate::send::DispatcherBuilder::sealing_key), before the old key goes. All processes have to seal with the
    /// new key by then.
    ///
    /// It goes through all endpoints in small steps, beside whatever else changes them, and can be called again at any time.
    /// One that cannot be opened does not stop the others. Each that is sealed anew has a new revision.
    ///
    /// # Errors
    /// As the store fails; what was sealed anew until then is.
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
                    // It was deleted meanwhile.
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

/// What [`Endpoints::reseal`] did.
#[derive(Debug)]
pub struct Resealed {
    endpoints: u64,
    failed: Vec<(EndpointId, SendError)>,
}

impl Resealed {
    /// How many endpoints it sealed anew.
    pub fn endpoints(&self) -> u64 {
        self.endpoints
    }

    /// Those that it could not, and why: mostly, their key is not here. While there are some the old key has to stay.
    pub fn failed(&self) -> &[(EndpointId, SendError)] {
        &self.failed
    }
}

/// How many endpoints are read at once to be sealed anew.
const RESEALED_AT_ONCE: u32 = 250;
