/// A kind of text from outside that people may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// The start of an endpoint's answer to an attempt.
    Answer,
    /// The body of a received request: the whole envelope, or one item if the scheme splits a batch.
    Body,
    /// The data of a sent message.
    Data,
    /// The value of a kept header of a received request.
    Header,
    /// The path of a received request, without its query.
    Path,
    /// The reason why a received event is not done, from its handler.
    Reason,
}

/// A text that is about to be shown or stored, with facts about its message or event.
///
/// ```
/// use tower_webhooks::redaction::{Place, Redaction, Shown};
///
/// let redaction = Redaction::new().with(|shown: &Shown<'_>| {
///     let is_mail = shown.place() == Place::Reason && shown.text().contains('@');
///     is_mail.then(|| "[an address]".to_owned())
/// });
/// let reason = Shown::new(Place::Reason, "no account of jo@example.com").event_type("user.left").tenant("acme");
/// assert_eq!(redaction.apply(&reason), "[an address]");
/// ```
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    place: Place,
    event_type: Option<&'a str>,
    header: Option<&'a str>,
    tenant: Option<&'a str>,
    text: &'a str,
}

impl<'a> Shown<'a> {
    /// Creates a value from the kind of text and the text.
    #[must_use]
    pub fn new(place: Place, text: &'a str) -> Self {
        Self { place, event_type: None, header: None, tenant: None, text }
    }

    /// Sets the event type of the message or event that the text belongs to.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<Option<&'a str>>) -> Self {
        self.event_type = event_type.into();
        self
    }

    /// Sets the name of the header whose value the text is, in lower case.
    #[must_use]
    pub fn header(mut self, name: &'a str) -> Self {
        self.header = Some(name);
        self
    }

    /// Sets the tenant that the message or event belongs to.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Option<&'a str>>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Returns the kind of text.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns the event type of the message or event; `None` if a received event has none.
    #[must_use]
    pub fn event_type_name(&self) -> Option<&'a str> {
        self.event_type
    }

    /// Returns the name of the header, in lower case, if the text is the value of one.
    #[must_use]
    pub fn header_name(&self) -> Option<&'a str> {
        self.header
    }

    /// Returns the tenant of the message or event, if there is one.
    #[must_use]
    pub fn tenant_name(&self) -> Option<&'a str> {
        self.tenant.filter(|tenant| !tenant.is_empty())
    }

    /// Returns the text, after the rules that were applied before.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The same with another text.
    pub(super) fn with_text<'b>(&self, text: &'b str) -> Shown<'b>
    where
        'a: 'b,
    {
        Shown { text, ..*self }
    }
}

impl std::fmt::Debug for Shown<'_> {
    /// Omits the text, which may be confidential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown")
            .field("place", &self.place)
            .field("event_type", &self.event_type)
            .field("header", &self.header)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}
