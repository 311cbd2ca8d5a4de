use std::{borrow::Cow, sync::Arc, time::Duration};

use sqlx::{Row, postgres::PgRow};

use crate::{
    clock::{Millis, millis},
    inbox::{EventDraft, EventState, InboxId, LeaseToken, policy::Standing},
};

/// The number of a state. Events that have not ended have 0 or 1, as the indexes require.
pub(super) fn number(state: EventState) -> i64 {
    match state {
        EventState::Pending => 0,
        EventState::Working => 1,
        EventState::Done => 2,
        EventState::Discarded => 3,
        EventState::Dead => 4,
    }
}

pub(super) fn state(number: i16) -> Result<EventState, sqlx::Error> {
    let found = EventState::ALL.into_iter().find(|state| self::number(*state) == i64::from(number));
    found.ok_or_else(|| corrupt("unknown state"))
}

pub(super) fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the inbox: {what}").into())
}

/// What changes about an event, with what does not and decides about it.
pub(super) struct EventRow {
    pub(super) seq: i64,
    pub(super) standing: Standing,
    pub(super) order_key: Option<Vec<u8>>,
    pub(super) retention: Duration,
    pub(super) fingerprint: Vec<u8>,
    pub(super) has_content: bool,
}

impl EventRow {
    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Self::find(row)?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Reads an event that may not be there.
    pub(super) fn find(row: &PgRow) -> Result<Option<Self>, sqlx::Error> {
        let count = |name: &str| -> Result<u32, sqlx::Error> {
            let count: i64 = row.try_get(name)?;
            u32::try_from(count).map_err(|_| corrupt("a count is out of range"))
        };
        let Some(seq) = row.try_get::<Option<i64>, _>("seq")? else { return Ok(None) };
        let token: Option<Vec<u8>> = row.try_get("token")?;
        let token = token
            .map(|bytes| {
                bytes.try_into().map(LeaseToken::from_bytes).map_err(|_| corrupt("a token is not of 16 bytes"))
            })
            .transpose()?;
        let retention: i64 = row.try_get("retention")?;
        let state = state(row.try_get("state")?)?;
        Ok(Some(Self {
            seq,
            standing: Standing::new(state, row.try_get("due_at")?, (count("attempt")?, count("spent")?), token),
            order_key: row.try_get("order_key")?,
            retention: Duration::from_millis(u64::try_from(retention).unwrap_or_default()),
            fingerprint: row.try_get("fingerprint")?,
            has_content: row.try_get("has_content")?,
        }))
    }

    /// Returns whether a draft of this key has another body.
    pub(super) fn differs(&self, draft: &EventDraft) -> bool {
        self.fingerprint != draft.fingerprint.to_bytes()
    }
}

pub(super) fn number_of(id: InboxId) -> i64 {
    i64::try_from(id.to_u64()).unwrap_or(i64::MAX)
}

pub(super) fn id_of(seq: i64) -> InboxId {
    InboxId::from_u64(u64::try_from(seq).unwrap_or_default())
}

/// Whole milliseconds, limited so that their sum with a time does not overflow.
pub(super) fn bounded(duration: Duration) -> i64 {
    /// A thousand years.
    const LONGEST: i64 = 1000 * 365 * 24 * 60 * 60 * 1000;
    millis(duration).min(LONGEST)
}

pub(super) fn until(later: Millis, earlier: Millis) -> Duration {
    Duration::from_millis(u64::try_from(later.saturating_sub(earlier)).unwrap_or_default())
}

/// Returns a text as it is stored: PostgreSQL's texts cannot contain the character NUL, which senders may use.
pub(super) fn kept(text: &str) -> Cow<'_, str> {
    if text.contains(['\\', '\0']) {
        Cow::Owned(text.replace('\\', r"\\").replace('\0', r"\0"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns the text from its stored form: the reverse of [`kept`].
pub(super) fn restored(kept: &str) -> Arc<str> {
    if !kept.contains('\\') {
        return kept.into();
    }
    let (mut text, mut is_escaped) = (String::with_capacity(kept.len()), false);
    for character in kept.chars() {
        match (is_escaped, character) {
            (false, '\\') => is_escaped = true,
            (true, '0') => (is_escaped, _) = (false, text.push('\0')),
            (_, other) => (is_escaped, _) = (false, text.push(other)),
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::{kept, restored};

    #[test]
    fn every_text_comes_back() {
        for text in ["", "a", "\\", "\0", "\\0", "\0\\0\\\\\0ü", "evt_1"] {
            assert!(!kept(text).contains('\0'), "{text:?}");
            assert_eq!(&*restored(&kept(text)), text);
        }
    }
}
