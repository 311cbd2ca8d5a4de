//! The inboxes of a router, and the events that a caller may see.

use std::{str::FromStr, sync::Arc, time::SystemTime};

use crate::{
    error::{ConfigError, ConfigErrorKind, StoreError},
    inbox::{Change, EventState, Inbox, InboxId, InboxQuery, InboxRecord, InboxStats},
};

/// Inboxes in one store, in which the number of an event belongs to one of them.
#[derive(Clone, Default)]
pub(crate) struct Inboxes(Vec<Inbox>);

/// Whose events a request is about.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    All,
    /// The events of one tenant. An empty name selects the events without a tenant.
    Tenant(Arc<str>),
}

impl Whose {
    pub(crate) fn includes(&self, record: &InboxRecord) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(name) => *record.tenant.as_deref().unwrap_or_default() == **name,
        }
    }
}

/// Parses an id only in the form in which it is shown, so that an event has only one URL.
pub(crate) struct EventId(pub(crate) InboxId);

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let id: InboxId = text.parse().map_err(|_| ())?;
        if id.to_string() == text && i64::try_from(id.to_u64()).is_ok() { Ok(Self(id)) } else { Err(()) }
    }
}

/// Which events are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters {
    /// Only events of the inbox with this name.
    pub(crate) consumer: Option<String>,
    pub(crate) state: Option<EventState>,
    pub(crate) event_type: Option<String>,
    pub(crate) before: Option<InboxId>,
}

/// A page of events. It may have fewer than it could, and be followed by another one.
pub(crate) struct EventPage {
    pub(crate) records: Vec<InboxRecord>,
    pub(crate) next: Option<InboxId>,
}

impl Inboxes {
    pub(crate) fn of(inbox: Inbox) -> Self {
        Self(vec![inbox])
    }

    /// Adds an inbox.
    pub(crate) fn add(&mut self, inbox: Inbox) -> Result<(), ConfigError> {
        let error = |text: String| Err(ConfigError::new(ConfigErrorKind::Option, text));
        if self.0.iter().any(|other| other.name() == inbox.name()) {
            return error(format!(
                "there is an inbox with the name `{}` already; name one of them with `Inbox::with_consumer`",
                inbox.name()
            ));
        }
        if self.0.first().is_some_and(|first| !first.shares_store_with(&inbox)) {
            return error(format!(
                "the inbox `{}` is not known to be in the same store as the others, so that the number of an event would not name \
                 one event; create it with a clone of their store, or give it a router of its own",
                inbox.name()
            ));
        }
        self.0.push(inbox);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.0.iter().map(|inbox| inbox.name().clone()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.named(Some(name)).next().is_some()
    }

    fn named<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = &'a Inbox> {
        self.0.iter().filter(move |inbox| name.is_none_or(|name| **inbox.name() == *name))
    }

    /// Lists events, the newest first.
    pub(crate) async fn list(&self, whose: &Whose, filters: &Filters, limit: u32) -> Result<EventPage, StoreError> {
        let tenant = match whose {
            // A store cannot look for those without a tenant, which are nearly all where anybody asks for them.
            Whose::Tenant(name) if !name.is_empty() => Some(name.clone()),
            Whose::All | Whose::Tenant(_) => None,
        };
        let Filters { state, before, .. } = *filters;
        let event_type = filters.event_type.as_deref().map(Into::into);
        let query = InboxQuery { state, event_type, tenant, before };
        let mut records = Vec::new();
        for inbox in self.named(filters.consumer.as_deref()) {
            records.extend(inbox.events(query.clone(), limit.saturating_add(1)).await?);
        }
        // Each list is in this order already, and numbers are those of one store.
        records.sort_by_key(|record| std::cmp::Reverse(record.id));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|last| last.id);
        records.retain(|record| whose.includes(record));
        Ok(EventPage { records, next })
    }

    /// Finds an event, with its content if that is still kept.
    pub(crate) async fn find(&self, whose: &Whose, id: InboxId) -> Result<Option<(&Inbox, InboxRecord)>, StoreError> {
        for inbox in &self.0 {
            if let Some(record) = inbox.event(id).await? {
                return Ok(Some((inbox, record)).filter(|(_, record)| whose.includes(record)));
            }
        }
        Ok(None)
    }

    /// Replays or discards these events, as far as they are there and their state allows it. Returns how many.
    pub(crate) async fn change(
        &self,
        whose: &Whose,
        consumer: Option<&str>,
        change: Change,
        ids: Vec<InboxId>,
    ) -> Result<u64, StoreError> {
        let mut allowed = Vec::with_capacity(ids.len());
        match whose {
            Whose::All => allowed = ids,
            Whose::Tenant(_) => {
                for id in ids {
                    if self.find(whose, id).await?.is_some() {
                        allowed.push(id);
                    }
                }
            }
        }
        let mut changed = 0;
        for inbox in self.named(consumer) {
            changed += changed_in(inbox, change, allowed.clone()).await?;
        }
        Ok(changed)
    }

    /// Replays or discards the dead letters that died at `since` or later. Returns how many.
    pub(crate) async fn change_since(
        &self,
        whose: &Whose,
        consumer: Option<&str>,
        change: Change,
        since: SystemTime,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        for inbox in self.named(consumer) {
            changed += match (whose, change) {
                (Whose::All, Change::Replay) => inbox.replay_since(since).await?,
                (Whose::All, Change::Discard) => inbox.discard_since(since).await?,
                (Whose::Tenant(_), _) => self.change_of_tenant(inbox, whose, change, since).await?,
            };
        }
        Ok(changed)
    }

    /// The same for one tenant, a page of its dead letters at a time. Events that die again meanwhile are on earlier
    /// pages, so that the loop ends.
    async fn change_of_tenant(
        &self,
        inbox: &Inbox,
        whose: &Whose,
        change: Change,
        since: SystemTime,
    ) -> Result<u64, StoreError> {
        let (consumer, state) = (Some(inbox.name().to_string()), Some(EventState::Dead));
        let mut filters = Filters { consumer, state, ..Filters::default() };
        let mut changed = 0;
        loop {
            let EventPage { records, next } = self.list(whose, &filters, STEP).await?;
            let died_since = records.iter().filter(|record| record.due_at.is_some_and(|died_at| died_at >= since));
            let ids: Vec<_> = died_since.map(|record| record.id).collect();
            if !ids.is_empty() {
                changed += changed_in(inbox, change, ids).await?;
            }
            let Some(next) = next else { return Ok(changed) };
            filters.before = Some(next);
        }
    }

    /// Counts the events of all inboxes, or of the one with a name.
    pub(crate) async fn stats(&self, consumer: Option<&str>) -> Result<InboxStats, StoreError> {
        let mut sum = InboxStats::default();
        for inbox in self.named(consumer) {
            let InboxStats { pending, working, dead, oldest } = inbox.stats().await?;
            sum =
                InboxStats::new(sum.pending + pending, sum.working + working, sum.dead + dead, sum.oldest.max(oldest));
        }
        Ok(sum)
    }

    /// Removes the events of a tenant, except those that are being handled. Returns how many were removed, and whether
    /// some are left.
    pub(crate) async fn erase(&self, tenant: &str) -> Result<(u64, bool), StoreError> {
        let mut removed = 0;
        for inbox in &self.0 {
            removed += inbox.erase(tenant).await?;
        }
        let left = self.list(&Whose::Tenant(tenant.into()), &Filters::default(), 1).await?;
        Ok((removed, !left.records.is_empty()))
    }
}

async fn changed_in(inbox: &Inbox, change: Change, ids: Vec<InboxId>) -> Result<u64, StoreError> {
    match change {
        Change::Discard => inbox.discard_many(ids).await,
        Change::Replay => inbox.replay_many(ids).await,
    }
}

/// How many dead letters of a tenant are read at a time.
const STEP: u32 = 250;
