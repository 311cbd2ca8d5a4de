use crate::clock::Millis;

/// What purge has to know about a message whose time has come.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Usage {
    /// When it was dispatched.
    pub created_at: Millis,
    /// Whether one of its deliveries is pending, sending or held.
    pub is_awaited: bool,
    /// When the last attempt at it ended.
    pub last_attempt: Option<Millis>,
}

impl Usage {
    /// Creates the value for a message that nobody waits for and that was never attempted.
    pub fn new(created_at: Millis) -> Self {
        Self { created_at, is_awaited: false, last_attempt: None }
    }
}

/// What purge does with a message whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A store acts on each.
pub enum Aged {
    /// It was last used at this moment, which is too recent.
    Later(Millis),
    /// A delivery of it has not ended. It is not looked at again before that has ended.
    Awaited,
    /// Its content is removed.
    Old {
        /// When it was used last.
        used_at: Millis,
    },
}

/// Decides what purge does with a message, if it removes what was last used before `until`.
///
/// ```
/// use tower_webhooks::send::policy::{Aged, Usage, aged};
///
/// let mut usage = Usage::new(10);
/// assert_eq!(aged(usage, 100), Aged::Old { used_at: 10 });
///
/// usage.last_attempt = Some(100);
/// assert_eq!(aged(usage, 100), Aged::Later(100));
/// ```
pub fn aged(usage: Usage, until: Millis) -> Aged {
    let used_at = usage.last_attempt.map_or(usage.created_at, |ended_at| ended_at.max(usage.created_at));
    match usage.is_awaited {
        true => Aged::Awaited,
        false if used_at >= until => Aged::Later(used_at),
        false => Aged::Old { used_at },
    }
}

#[cfg(test)]
mod tests {
    use super::{Aged, Usage, aged};

    #[test]
    fn a_message_is_old_from_its_last_attempt_on() {
        let aged = |is_awaited, last_attempt| aged(Usage { created_at: 10, is_awaited, last_attempt }, 100);
        assert_eq!(aged(true, Some(20)), Aged::Awaited);
        assert_eq!(aged(false, None), Aged::Old { used_at: 10 });
        assert_eq!(aged(false, Some(99)), Aged::Old { used_at: 99 });
        assert_eq!(aged(false, Some(100)), Aged::Later(100));
    }
}
