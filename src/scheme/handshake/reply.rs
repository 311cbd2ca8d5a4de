use std::borrow::Cow;

use crate::{field::Places, scheme::answer::Answer, signature::Encoding};

/// The answer to a handshake. `F` is the type of a place in the request.
#[derive(Debug, Clone)]
pub(super) enum Reply<F> {
    AllowOrigin,
    Challenge {
        from: F,
        echo: Option<Cow<'static, str>>,
        response: Cow<'static, str>,
        prefix: Cow<'static, str>,
        encoding: Encoding,
    },
    KeyedChallenge {
        from: F,
    },
    EchoHeader {
        from: F,
        name: Cow<'static, str>,
    },
    EchoJson {
        from: F,
        field: Cow<'static, str>,
    },
    EchoText {
        from: F,
    },
    Fixed(Answer),
}

impl<F> Reply<F> {
    pub(super) fn from(&self) -> Option<&F> {
        match self {
            Self::Challenge { from, .. }
            | Self::KeyedChallenge { from }
            | Self::EchoHeader { from, .. }
            | Self::EchoJson { from, .. }
            | Self::EchoText { from } => Some(from),
            Self::AllowOrigin | Self::Fixed(_) => None,
        }
    }
}

/// Whether the body is asked for any of these places.
pub(super) fn reads_body(places: &Places) -> bool {
    places.pointers().next().is_some()
}
