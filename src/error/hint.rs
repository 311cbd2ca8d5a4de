use std::{borrow::Cow, fmt};

/// The likely cause of a rejection, for the operator. It is never sent to the network.
///
/// A hint is a guess; the [`VerifyError`](super::VerifyError) is certain. A hint contains no payload, no secret and no
/// signature. Of the sender's text it contains only the path of the URL and the keys of its query, and these only if
/// the scheme signs the URL.
///
/// ```
/// use tower_webhooks::{VerifyError, error::HintKind};
///
/// /// A text for a log, and whether the clock of this machine should be checked.
/// fn explain(error: &VerifyError) -> (String, bool) {
///     match error.hint() {
///         Some(hint) => (format!("{error}; {hint}"), hint.kind() == HintKind::ClockSkew),
///         None => (error.to_string(), false),
///     }
/// }
/// # let _ = explain;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    kind: HintKind,
    text: Text,
}

/// The text of a hint. Frequent ones are formatted only when they are read: most forged requests are rejected by the
/// timestamp in their head, and should cost little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Text {
    /// The timestamp is this many seconds in the future.
    Ahead(u64),
    /// The timestamp is `age` seconds old, and the sender's own window is `window` seconds.
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
    /// The body is not the one that was sent: an outer layer or a proxy has changed, decoded or read it.
    BodyChanged,
    /// The sender's clock or this machine's is wrong.
    ClockSkew,
    /// A secret that has expired would have matched: the sender still signs with it.
    ExpiredSecret,
    /// A header that may occur once has several values with commas between them: a proxy has joined its lines.
    JoinedHeader,
    /// The request has the signature header of another provider.
    OtherProvider,
    /// The timestamp is older than the sender's own window, or than the narrower one that the application has set.
    OutsideWindow,
    /// The URL is signed, and the public URL may not be the one that the sender calls.
    PublicUrl,
    /// The secret does not have the usual form for this scheme.
    SecretForm,
    /// The signature does not have the form that the scheme declares.
    SignatureForm,
    /// The signed text could be split in two ways.
    SignedText,
    /// A test secret signed live data.
    TestSecret,
    /// The timestamp is written in another unit than the scheme's.
    TimestampUnit,
}

impl HintKind {
    /// Returns the name of the kind in logs, one of a small, fixed set.
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

    /// Returns what the hint is about.
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
                "the timestamp is {age} s old, and the sender's own window is {window} s: this is a replay, the delivery was \
                 delayed, or this machine's clock is ahead by as much"
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
