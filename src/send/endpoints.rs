use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    DisabledReason, Dispatcher, Endpoint, EndpointDraft, EndpointId, EndpointSettings, EndpointUpdate, EndpointUrl,
    Fenced, NewEndpoint, NewSecret, SendError, SendErrorKind,
    profile::{Profile, check_secret, random_secret, shown_secret},
};
use crate::{pattern::Pattern, secret::Secret};

/// The endpoints of a [`Dispatcher`]: [`Dispatcher::endpoints`] lends it.
#[derive(Clone, Copy)]
pub struct Endpoints<'a>(pub(super) &'a Dispatcher);

impl Endpoints<'_> {
    /// The most endpoints that a tenant can have.
    pub const MOST: u32 = 100;
    /// The most patterns that an endpoint can have.
    pub const MOST_PATTERNS: usize = 100;
    /// The longest description, in bytes.
    pub const LONGEST_DESCRIPTION: usize = 1024;

    /// Registers an endpoint. The answer shows its secret, which nothing else does but a rotation.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) when deliveries may not go to its URL, or a pattern, the secret or the
    /// description cannot be; [`TooMany`](SendErrorKind::TooMany) when the tenant has 100 endpoints; and as the store fails.
    pub async fn create(&self, endpoint: NewEndpoint) -> Result<NewSecret, SendError> {
        self.check_url(&endpoint.url)?;
        check_events(&endpoint.events)?;
        check_description(&endpoint.description)?;
        let store = &self.0.shared.store;
        let tenant = endpoint.tenant;
        if store.endpoints(tenant.clone(), None, Self::MOST).await?.len() >= Self::MOST as usize {
            return Err(too_many());
        }
        let secret = self.secret(endpoint.style, endpoint.secret)?;
        let shown = shown_secret(endpoint.style, &secret)?;

        let id = EndpointId::random().map_err(SendError::randomness)?;
        let mut profile = Profile::new(&secret)?;
        profile.set_headers(&endpoint.headers);
        let sealed = profile.seal(&self.0.shared.sealer, id)?;
        let mut settings = EndpointSettings::new(endpoint.url.as_str(), endpoint.events, endpoint.style, sealed);
        settings.description = endpoint.description;
        let record = store.create_endpoint(EndpointDraft::new(id, tenant.clone(), settings)).await?;
        // Others may have been added since it was counted. Of several that are too many each may give way.
        if store.endpoints(tenant, None, Self::MOST + 1).await?.len() > Self::MOST as usize {
            store.delete_endpoint(id).await?;
            return Err(too_many());
        }
        Ok(NewSecret { endpoint: Endpoint(record), secret: shown })
    }

    /// Reads an endpoint.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: EndpointId) -> Result<Option<Endpoint>, SendError> {
        Ok(self.0.shared.store.endpoint(id).await?.map(Endpoint))
    }

    /// Reads a tenant's endpoints, all of them: there are at most 100.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, tenant: Option<&str>) -> Result<Vec<Endpoint>, SendError> {
        let tenant = Arc::from(tenant.unwrap_or_default());
        let records = self.0.shared.store.endpoints(tenant, None, u32::MAX).await?;
        Ok(records.into_iter().map(Endpoint).collect())
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// [`Invalid`](SendErrorKind::Invalid) as [`create`](Self::create); [`NotFound`](SendErrorKind::NotFound);
    /// [`Stale`](SendErrorKind::Stale) when it was to be of another revision; and as the store fails.
    pub async fn update(&self, id: EndpointId, update: EndpointUpdate) -> Result<Endpoint, SendError> {
        if let Some(url) = &update.url {
            self.check_url(url)?;
        }
        if let Some(events) = &update.events {
            check_events(events)?;
        }
        if let Some(description) = &update.description {
            check_description(description)?;
        }
        self.change(id, update.revision, |settings| {
            if let Some(url) = &update.url {
                url.as_str().clone_into(&mut settings.url);
            }
            if let Some(events) = &update.events {
                settings.events.clone_from(events);
            }
            if let Some(description) = &update.description {
                settings.description.clone_from(description);
            }
            if let Some(headers) = &update.headers {
                let sealer = &self.0.shared.sealer;
                let mut profile = Profile::open(sealer, id, &settings.sealed)?;
                profile.set_headers(headers);
                settings.sealed = profile.seal(sealer, id)?;
            }
            Ok(())
        })
        .await
    }

    /// Gives an endpoint a new secret. For `overlap` both the new one and those before it sign, so that its owner can
    /// change at leisure; 24 hours are usual. No more than 4 sign at once: the oldest gives way.
    /// Deliveries that wait for a retry are signed with what holds then.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and as the store fails.
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
        let secret = self.secret(style, chosen)?;
        let shown = shown_secret(style, &secret)?;
        let now = self.0.shared.clock.now();
        let until = now.checked_add(overlap).ok_or_else(|| SendError::invalid("the overlap is too long"))?;
        let endpoint = self
            .change(id, None, |settings| {
                let mut profile = Profile::open(sealer, id, &settings.sealed)?;
                profile.rotate(&secret, now, until)?;
                settings.sealed = profile.seal(sealer, id)?;
                Ok(())
            })
            .await?;
        Ok(NewSecret { endpoint, secret: shown })
    }

    /// Enables an endpoint: what was held for it is due at once.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and as the store fails.
    pub async fn enable(&self, id: EndpointId) -> Result<(), SendError> {
        self.switch(id, None).await?;
        self.0.shared.wake();
        Ok(())
    }

    /// Disables an endpoint: what waits for it is held, and new messages make no deliveries for it.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and as the store fails.
    pub async fn disable(&self, id: EndpointId) -> Result<(), SendError> {
        self.switch(id, Some(DisabledReason::Asked)).await
    }

    async fn switch(&self, id: EndpointId, disabled: Option<DisabledReason>) -> Result<(), SendError> {
        let there = self.0.shared.store.switch_endpoint(id, disabled).await?;
        if there { Ok(()) } else { Err(SendError::not_found("endpoint")) }
    }

    /// Removes an endpoint. What waits for it is cancelled.
    ///
    /// # Errors
    /// [`NotFound`](SendErrorKind::NotFound), and as the store fails.
    pub async fn delete(&self, id: EndpointId) -> Result<(), SendError> {
        let there = self.0.shared.store.delete_endpoint(id).await?;
        if there { Ok(()) } else { Err(SendError::not_found("endpoint")) }
    }

    /// Sends what an endpoint missed of the messages that were dispatched since a moment: what was refused, exhausted or
    /// cancelled, and what was never meant for it since it was disabled or not registered. Tells how many deliveries.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recover(&self, id: EndpointId, since: SystemTime) -> Result<u64, SendError> {
        let count = self.0.shared.store.recover(id, since).await?;
        self.0.shared.wake();
        Ok(count)
    }

    async fn change(
        &self,
        id: EndpointId,
        revision: Option<u64>,
        change: impl Fn(&mut EndpointSettings) -> Result<(), SendError>,
    ) -> Result<Endpoint, SendError> {
        let store = &self.0.shared.store;
        for _ in 0..TRIES {
            let mut record = store.endpoint(id).await?.ok_or_else(|| SendError::not_found("endpoint"))?;
            if revision.is_some_and(|revision| revision != record.revision) {
                break;
            }
            change(&mut record.settings)?;
            if store.change_endpoint(id, record.revision, record.settings.clone()).await? == Fenced::Applied {
                record.revision += 1;
                return Ok(Endpoint(record));
            }
        }
        Err(SendError::new(SendErrorKind::Stale, "the endpoint was changed by somebody else meanwhile"))
    }

    fn secret(&self, style: super::Style, chosen: Option<Secret>) -> Result<Secret, SendError> {
        match chosen {
            Some(secret) => check_secret(style, &secret).map(|()| secret),
            None => random_secret(style),
        }
    }

    fn check_url(&self, url: &EndpointUrl) -> Result<(), SendError> {
        self.0.shared.policy.check(url).map_err(|cause| SendError::invalid(cause.to_string()).with_source(cause))
    }
}

impl fmt::Debug for Endpoints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").finish_non_exhaustive()
    }
}

fn too_many() -> SendError {
    SendError::new(SendErrorKind::TooMany, "there are 100 endpoints, and there can be no more")
}

fn check_events(patterns: &[String]) -> Result<(), SendError> {
    if patterns.is_empty() {
        return Err(SendError::invalid("an endpoint wants at least one event type; `*` is all of them"));
    }
    if patterns.len() > Endpoints::MOST_PATTERNS {
        return Err(SendError::new(SendErrorKind::TooMany, "an endpoint can have 100 patterns, and no more"));
    }
    for pattern in patterns {
        let written = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.*".contains(&byte);
        if pattern.len() > LONGEST_PATTERN || !pattern.bytes().all(written) || Pattern::parse(pattern).is_none() {
            let shown: String = pattern.chars().take(LONGEST_PATTERN).collect();
            return Err(SendError::invalid(format!(
                "`{}` is no pattern of event types; one is a name, `prefix.*`, or `*`",
                shown.escape_debug()
            )));
        }
    }
    Ok(())
}

fn check_description(text: &str) -> Result<(), SendError> {
    if text.len() > Endpoints::LONGEST_DESCRIPTION {
        return Err(SendError::invalid("a description is at most 1,024 bytes long"));
    }
    Ok(())
}

const LONGEST_PATTERN: usize = 130;

/// How often a change is tried again when somebody else was faster.
const TRIES: u32 = 5;
