use crate::send::{
    error::SendError,
    message::message::{check_text, is_event_type, is_version},
};

/// An entry of the catalogue of event types, from which customers see what the application sends.
///
/// ```
/// use tower_webhooks::send::EventTypeDefinition;
///
/// let completed = EventTypeDefinition::new("order.completed")?
///     .description("An order was paid and packed.")?
///     .version("2026-06")?
///     .schema(r#"{"type":"object","required":["order"]}"#)?
///     .example(r#"{"order":7}"#)?;
/// assert_eq!(completed.name(), "order.completed");
///
/// assert!(EventTypeDefinition::new("order.*").is_err()); // a pattern is not an event type
/// # Ok::<(), tower_webhooks::send::SendError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypeDefinition {
    name: String,
    description: String,
    version: Option<String>,
    schema: Option<String>,
    example: Option<String>,
}

impl EventTypeDefinition {
    /// The maximum length of a description in characters.
    pub const LONGEST_DESCRIPTION: usize = 4096;
    /// The maximum length of a schema in bytes.
    pub const LONGEST_SCHEMA: usize = 64 * 1024;

    /// The maximum length of an example in bytes.
    pub const LONGEST_EXAMPLE: usize = 64 * 1024;

    /// Creates an entry with a name.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) when it is not a valid event type: see
    /// [`Message::new`](crate::send::Message::new).
    pub fn new(name: impl Into<String>) -> Result<Self, SendError> {
        let name = name.into();
        if !is_event_type(&name) {
            return Err(SendError::invalid(
                "an event type is 1 to 128 letters, digits, `_` and `-`, in parts with a `.`, `/` or `:` between them",
            ));
        }
        Ok(Self { name, description: String::new(), version: None, schema: None, example: None })
    }

    /// Sets the description.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) when the text is longer than 4,096 characters, or contains a NUL.
    pub fn description(mut self, text: impl Into<String>) -> Result<Self, SendError> {
        self.description = text.into();
        if self.description.chars().count() > Self::LONGEST_DESCRIPTION {
            return Err(SendError::invalid("the description of an event type is at most 4,096 characters long"));
        }
        check_text(&self.description)?;
        Ok(self)
    }

    /// Sets the version of the application's API that the type belongs to.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) when the text is not a valid version: see
    /// [`Message::version`](crate::send::Message::version).
    pub fn version(mut self, version: impl Into<String>) -> Result<Self, SendError> {
        let version = version.into();
        if !is_version(&version) {
            return Err(SendError::invalid("a version is 1 to 64 letters, digits, `.`, `_` and `-`"));
        }
        self.version = Some(version);
        Ok(self)
    }

    /// Sets the text that describes the payload, such as a JSON Schema. It is kept and shown. No payload is checked against it.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) when the text is longer than 64 KiB, or contains a NUL.
    pub fn schema(mut self, text: impl Into<String>) -> Result<Self, SendError> {
        let text = text.into();
        if text.len() > Self::LONGEST_SCHEMA {
            return Err(SendError::invalid("the schema of an event type is at most 64 KiB long"));
        }
        check_text(&text)?;
        self.schema = Some(text);
        Ok(self)
    }

    /// Sets an example of the payload, as JSON. It is shown, and [`send_example`](crate::send::Endpoints::send_example) sends it.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) when the text is not JSON, or is longer than 64 KiB.
    pub fn example(mut self, json: impl Into<String>) -> Result<Self, SendError> {
        let json = json.into();
        if json.len() > Self::LONGEST_EXAMPLE {
            return Err(SendError::invalid("the example of an event type is at most 64 KiB long"));
        }
        if let Err(cause) = serde_json::from_str::<serde::de::IgnoredAny>(&json) {
            return Err(
                SendError::invalid(format!("the example of an event type is not JSON: {cause}")).with_source(cause)
            );
        }
        self.example = Some(json);
        Ok(self)
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the description.
    pub fn description_text(&self) -> &str {
        &self.description
    }

    /// Returns the version of the application's API, if there is one.
    pub fn api_version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Returns the text that describes the payload, if there is one.
    pub fn schema_text(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Returns the example of the payload as JSON, if there is one.
    pub fn example_json(&self) -> Option<&str> {
        self.example.as_deref()
    }
}
