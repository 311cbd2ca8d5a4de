use std::{borrow::Cow, fmt};

/// What is likely wrong with a request that did not pass, for the operator. It never reaches the network.
///
/// A hint is a guess from what can be seen; the [`VerifyError`](super::VerifyError) is the fact. It holds no payload, no
/// secret, no signature, and no text of the sender's but the path of the URL, where the URL is signed, and the keys of its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    kind: HintKind,
    text: Text,
}

/// What a hint says. The frequent ones are put into words only where somebody reads them: most forged requests are rejected
/// by the time in their head, and should cost little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Text {
    /// The timestamp lies so many seconds ahead.
    Ahead(u64),
    /// The timestamp is so many seconds old, and the sender's window is so wide.
    Old {
        age: i64,
        window: u64,
    },
    Words(Cow<'static, str>),
}

/// What a [`Hint`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HintKind {
    /// The body is not the one that was sent: something outside has changed, decoded or read it.
    BodyChanged,
    /// The sender's clock or this machine's is wrong.
    ClockSkew,
    /// A secret that has ended would have matched: the sender still signs with it.
    ExpiredSecret,
    /// A header that may occur once holds several values with commas between them: a proxy has joined its lines.
    JoinedHeader,
    /// The request has the signature header of another provider.
    OtherProvider,
    /// The timestamp is older than the sender's own window, or than the narrower one that the application has set.
    OutsideWindow,
    /// The URL is signed, and the public URL may not be the one that the sender calls.
    PublicUrl,
    /// The secret does not look like one of this scheme's.
    SecretForm,
    /// The signature is written in another way than the scheme's.
    SignatureForm,
    /// The signed text could be cut in two ways.
    SignedText,
    /// A test secret is used where live data come.
    TestSecret,
    /// The timestamp counts something else than the scheme's unit.
    TimestampUnit,
}

impl HintKind {
    /// The kind's name in logs: a fixed, small vocabulary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BodyChanged => "body_changed",
            Self::ClockSkew => "clock_skew",
            Self::ExpiredSecret => "expired_secret",
            Self::JoinedHeader => "joined_header",
            Self::OtherProvider => "other_provider",
            Self::OutsideWindow => "outside_window",
            Self::PublicUrl => "public_url",
            Self::SecretForm => "secret_form",
            Self::SignatureForm => "signature_form",
            Self::SignedText => "signed_text",
            Self::TestSecret => "test_secret",
            Self::TimestampUnit => "timestamp_unit",
        }
    }
}

impl Hint {
    pub(crate) fn new(kind: HintKind, text: impl Into<Text>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Tells what the hint is about.
    pub fn kind(&self) -> HintKind {
        self.kind
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Text::Ahead(seconds) => {
                write!(f, "the timestamp is {seconds} s ahead of this machine's clock: one of the two clocks is wrong")
            }
            Text::Old { age, window } => write!(
                f,
                "the timestamp is {age} s old, and the sender's own window is {window} s: a replay, a delivery that something \
                 held back, or this machine's clock is ahead by as much"
            ),
            Text::Words(words) => f.write_str(words),
        }
    }
}

impl From<&'static str> for Text {
    fn from(words: &'static str) -> Self {
        Self::Words(Cow::Borrowed(words))
    }
}

impl From<String> for Text {
    fn from(words: String) -> Self {
        Self::Words(Cow::Owned(words))
    }
}
