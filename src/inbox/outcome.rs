//! Decides how an attempt ends from what its handler did: a pure function.

use std::{sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, StatusCode, header};

use super::{retries::InboxRetries, store::Ending};
use crate::{observe::Outcome, outcome::Discard};

/// How a handler ended.
#[derive(Debug)]
pub(crate) enum Worked {
    /// It marked the event in a transaction that was not committed, and said that it was done.
    CommitForgotten,
    Failed,
    /// The event type has no handler here. It had one when the event was stored, so the event is not done.
    Misplaced,
    Panicked,
    Responded {
        status: StatusCode,
        said: Said,
    },
    TimedOut,
    /// The stored event was sealed with a key that this process does not have.
    Unopened(Arc<str>),
}

/// The facts of a response in addition to its status.
#[derive(Debug, Default)]
pub(crate) struct Said {
    discarded: Option<Arc<str>>,
    undecoded: Option<Arc<str>>,
    unhandled: bool,
    retry_after: Option<Duration>,
}

impl Said {
    pub(super) fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        #[cfg(feature = "axum")]
        let undecoded = extensions.get::<crate::verify::Undecoded>().map(|undecoded| Arc::clone(&undecoded.reason));
        #[cfg(not(feature = "axum"))]
        let undecoded = None;
        Self {
            discarded: extensions.get::<Discard>().map(|discard| discard.reason().into()),
            undecoded,
            unhandled: matches!(extensions.get(), Some(Outcome::Unhandled)),
            retry_after: seconds.map(Duration::from_secs),
        }
    }
}

impl Worked {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::CommitForgotten | Self::Failed | Self::Misplaced | Self::Unopened(_) => Outcome::Failed,
            Self::Panicked => Outcome::Panicked,
            Self::Responded { said: Said { discarded: Some(_), .. }, .. } => Outcome::Discarded,
            Self::Responded { said: Said { unhandled: true, .. }, .. } => Outcome::Unhandled,
            Self::Responded { status, .. } => Outcome::of_status(status.as_u16()),
            Self::TimedOut => Outcome::TimedOut,
        }
    }

    /// Decides by the attempt, from 1, and a random number.
    pub(super) fn ending(&self, retries: &InboxRetries, attempt: u32, random: u64) -> Ending {
        let (reason, asked): (Arc<str>, _) = match self {
            Self::Responded { said: Said { discarded: Some(reason), .. }, .. } => {
                return Ending::Discarded { reason: short(reason) };
            }
            // No repetition would change it.
            Self::Responded { said: Said { undecoded: Some(reason), .. }, .. } => {
                return Ending::Dead { reason: short(reason) };
            }
            Self::Responded { status, .. } if status.is_success() => return Ending::Done,
            Self::Responded { status, said } => (format!("the handler answered {status}").into(), said.retry_after),
            Self::CommitForgotten => ("the handler's transaction was not committed".into(), None),
            Self::Failed => ("the handler's service failed".into(), None),
            Self::Misplaced => (
                "no handler of this inbox wants its event type; another inbox with this name may have stored it".into(),
                None,
            ),
            Self::Panicked => ("the handler panicked".into(), None),
            Self::TimedOut => ("the handler was stopped at its timeout".into(), None),
            Self::Unopened(reason) => (Arc::clone(reason), None),
        };
        match retries.wait(attempt, random) {
            Some(wait) => Ending::Retry { wait: asked.map_or(wait, |asked| asked.min(LONGEST_ASKED)), reason },
            None => Ending::Dead { reason: format!("{reason}, in the last of {attempt} attempts").into() },
        }
    }
}

/// The beginning of a reason, for a column of a table.
fn short(text: &str) -> Arc<str> {
    const LONGEST: usize = 500;
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end]).into()
}

/// A longer wait would keep the event forever.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};

    use super::{Said, Worked};
    use crate::{
        inbox::{InboxRetries, store::Ending},
        outcome::Discard,
    };

    #[test]
    fn what_a_handler_did_decides_what_becomes_of_its_event() {
        let retries = InboxRetries::new(2).waits(Duration::from_secs(4), Duration::from_secs(8));
        let responded = |status, headers: &HeaderMap, extensions: &Extensions| Worked::Responded {
            status,
            said: Said::of(headers, extensions),
        };
        let (mut asks, mut discards) = (HeaderMap::new(), Extensions::new());
        asks.insert(header::RETRY_AFTER, HeaderValue::from_static("90"));
        discards.insert(Discard::new("spam"));
        let none = (HeaderMap::new(), Extensions::new());

        let done = responded(StatusCode::NO_CONTENT, &none.0, &none.1);
        assert_eq!(done.ending(&retries, 2, 0), Ending::Done);
        let discarded = responded(StatusCode::OK, &none.0, &discards);
        assert_eq!(discarded.ending(&retries, 1, 0), Ending::Discarded { reason: "spam".into() });

        for (worked, wait) in [
            (responded(StatusCode::BAD_REQUEST, &none.0, &none.1), 4),
            (responded(StatusCode::SERVICE_UNAVAILABLE, &asks, &none.1), 90),
            (Worked::Panicked, 4),
            (Worked::TimedOut, 4),
            (Worked::CommitForgotten, 4),
            (Worked::Misplaced, 4),
        ] {
            let Ending::Retry { wait: waits, .. } = worked.ending(&retries, 1, u64::MAX) else { panic!("{worked:?}") };
            assert_eq!(waits, Duration::from_secs(wait), "{worked:?}");
            assert!(matches!(worked.ending(&retries, 2, u64::MAX), Ending::Dead { .. }), "{worked:?}");
        }
    }
}
