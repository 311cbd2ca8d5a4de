use std::{borrow::Cow, fmt, sync::Arc};

use http::HeaderName;

use super::{
    pointers,
    shown::{Place, Shown},
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    json::Pointer,
    observe,
    panics::caught,
    pattern::{Pattern, SEPARATORS, Subject, best},
};

/// Rules for data that is hidden before it is shown, or before an answer is stored.
///
/// `Api::with_redaction`, `Dashboard::with_redaction` and `DispatcherBuilder::redaction` take one. Clones share their rules.
///
/// ```
/// use http::HeaderName;
/// use tower_webhooks::redaction::{Place, Redaction, Shown};
///
/// # fn run() -> Result<(), tower_webhooks::ConfigError> {
/// let redaction = Redaction::new()
///     .data("order.*", ["/customer/email", "/cards/*/number"])? // of messages that are sent
///     .body("charge.*", ["/data/object/billing_details"])? // of events that are received
///     .answers("*", ["/debug"])? // of what endpoints answer
///     .header(HeaderName::from_static("x-user-email")) // of events that are received
///     .with(|shown: &Shown<'_>| {
///         // Whatever rules cannot express.
///         (shown.place() == Place::Path).then(|| shown.text().replace("jo@example.com", "…"))
///     });
///
/// let answer = Shown::new(Place::Answer, "<html>no JSON</html>").event_type("order.paid");
/// assert_eq!(redaction.apply(&answer), "[redacted]"); // `/debug` could be anywhere in it
///
/// assert!(Redaction::new().data("order.*", ["customer"]).is_err()); // a pointer begins with `/`
/// # Ok(()) }
/// # run().unwrap();
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Redaction {
    rules: Arc<Rules>,
}

type Function = Arc<dyn Fn(&Shown<'_>) -> Option<String> + Send + Sync>;

#[derive(Clone, Default)]
struct Rules {
    pointers: Vec<Rule>,
    headers: Vec<HeaderName>,
    functions: Vec<Function>,
}

#[derive(Debug, Clone)]
struct Rule {
    place: Place,
    /// A pattern of event types.
    event_types: String,
    pointer: Pointer,
}

impl Redaction {
    /// Creates a redaction without rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hides values in the data of sent messages.
    ///
    /// `event_types` is a name, `prefix.*` (also with `/` or `:`) or `*`. A name also matches the types of which it is
    /// the first part. A pointer is a JSON pointer (RFC 6901), in which `*` matches every member of an object or item
    /// of an array; the empty pointer matches everything.
    ///
    /// # Errors
    /// If `event_types` is not a pattern, or one of the pointers not a JSON pointer.
    pub fn data<P: AsRef<str>>(
        self,
        event_types: &str,
        pointers: impl IntoIterator<Item = P>,
    ) -> Result<Self, ConfigError> {
        self.rule(Place::Data, event_types, pointers)
    }

    /// Hides values in the bodies of received events, like [`data`](Self::data); a body is the whole envelope,
    /// or one item if the scheme splits a batch. To an
    /// event without a type, the rules of all types apply. If a body has rules and is not JSON, such as a form, it is
    /// hidden as a whole.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn body<P: AsRef<str>>(
        self,
        event_types: &str,
        pointers: impl IntoIterator<Item = P>,
    ) -> Result<Self, ConfigError> {
        self.rule(Place::Body, event_types, pointers)
    }

    /// Hides values in the answers of endpoints to messages of these types, like [`data`](Self::data). If an answer has
    /// rules and is not JSON, or only its beginning was kept, it is hidden as a whole. The empty pointer hides
    /// everything.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn answers<P: AsRef<str>>(
        self,
        event_types: &str,
        pointers: impl IntoIterator<Item = P>,
    ) -> Result<Self, ConfigError> {
        self.rule(Place::Answer, event_types, pointers)
    }

    /// Hides the values of a header of received events.
    pub fn header(mut self, name: HeaderName) -> Self {
        Arc::make_mut(&mut self.rules).headers.push(name);
        self
    }

    /// Adds a function that is called for every text, after the other rules. It returns the text to show instead, or
    /// `None` to leave the text unchanged. It is called in each request that shows such a text, so it must not block.
    /// If it panics, the panic is logged, and the whole text is hidden. If it returns data of a message that is not
    /// JSON, the data is shown as a JSON string.
    pub fn with(mut self, function: impl Fn(&Shown<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.rules).functions.push(Arc::new(function));
        self
    }

    fn rule<P: AsRef<str>>(
        mut self,
        place: Place,
        event_types: &str,
        pointers: impl IntoIterator<Item = P>,
    ) -> Result<Self, ConfigError> {
        let error = |text: String| Err(ConfigError::new(ConfigErrorKind::Option, text));
        if Pattern::parse(event_types).is_none() {
            return error(format!(
                "`{event_types}` is not a pattern of event types; a pattern is a name, `prefix.*` or `*`"
            ));
        }
        for pointer in pointers {
            let text = pointer.as_ref();
            let Some(pointer) = Pointer::parse(text) else {
                return error(format!("`{text}` is not a JSON pointer; one is empty, or begins with `/`"));
            };
            let rule = Rule { place, event_types: event_types.to_owned(), pointer };
            Arc::make_mut(&mut self.rules).pointers.push(rule);
        }
        Ok(self)
    }

    /// Returns the text to show.
    #[must_use]
    pub fn apply<'a>(&self, shown: &Shown<'a>) -> Cow<'a, str> {
        let Rules { headers, functions, .. } = &*self.rules;
        let names = |name: &str| headers.iter().any(|header| header.as_str().eq_ignore_ascii_case(name));
        if shown.header_name().is_some_and(names) {
            return Cow::Borrowed(HIDDEN);
        }
        let mut text = self.without_values(shown);
        for function in functions {
            let Ok(instead) = caught(|| function(&shown.with_text(&text))) else {
                observe::redaction_panicked();
                return Cow::Borrowed(HIDDEN);
            };
            if let Some(instead) = instead {
                text = Cow::Owned(instead);
            }
        }
        text
    }

    fn without_values<'a>(&self, shown: &Shown<'a>) -> Cow<'a, str> {
        let fits = |rule: &&Rule| rule.place == shown.place() && rule.is_about(shown.event_type_name());
        let places: Vec<_> = self.rules.pointers.iter().filter(fits).map(|rule| rule.pointer.tokens()).collect();
        if places.is_empty() || shown.text().is_empty() {
            return Cow::Borrowed(shown.text());
        }
        pointers::without(shown.text(), &places).map_or(Cow::Borrowed(HIDDEN), Cow::Owned)
    }
}

impl Rule {
    fn is_about(&self, event_type: Option<&str>) -> bool {
        // It is unknown which rules an event without a type should have, so all apply.
        let Some(whole) = event_type.filter(|event_type| !event_type.is_empty()) else { return true };
        let subject = Subject { whole, first: whole.split(SEPARATORS).next() };
        best(&[&self.event_types], subject).is_some()
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { pointers, headers, functions } = &*self.rules;
        f.debug_struct("Redaction")
            .field("pointers", pointers)
            .field("headers", headers)
            .field("functions", &functions.len())
            .finish()
    }
}

/// The replacement of a whole text.
const HIDDEN: &str = "[redacted]";

#[cfg(test)]
mod tests {
    use super::*;

    fn data<'a>(event_type: &'a str, text: &'a str) -> Shown<'a> {
        Shown::new(Place::Data, text).event_type(event_type)
    }

    #[test]
    fn all_rules_that_fit_apply() {
        let redaction = Redaction::new().data("*", ["/a"]).unwrap().data("order.*", ["/b"]).unwrap();
        let redaction = redaction.data("order", ["/c"]).unwrap().data("order.paid", ["/d"]).unwrap();
        let text = r#"{"a":1,"b":1,"c":1,"d":1}"#;
        for (event_type, hidden) in
            [("user.left", "a"), ("orders.paid", "a"), ("order.made", "abc"), ("order.paid", "abcd"), ("", "abcd")]
        {
            let shown = redaction.apply(&data(event_type, text));
            let wanted = ["a", "b", "c", "d"].into_iter().filter(|name| hidden.contains(name));
            let found = ["a", "b", "c", "d"].into_iter().filter(|name| shown.contains(&format!("\"{name}\":\"[")));
            assert!(wanted.eq(found), "{event_type}: {shown}");
        }
        let body = Shown::new(Place::Body, text).event_type("order.paid");
        assert_eq!(redaction.apply(&body), text, "the rules are about data");
    }

    #[test]
    fn a_text_that_cannot_be_read_is_hidden_if_it_has_rules() {
        let redaction = Redaction::new().body("charge.*", ["/card"]).unwrap();
        let form = |event_type: Option<&'static str>| Shown::new(Place::Body, "card=4242").event_type(event_type);
        assert_eq!(redaction.apply(&form(Some("charge.made"))), "[redacted]");
        assert_eq!(redaction.apply(&form(None)), "[redacted]");
        assert_eq!(redaction.apply(&form(Some("user.left"))), "card=4242");
        assert_eq!(redaction.apply(&Shown::new(Place::Body, "")), "");
    }

    #[test]
    fn functions_see_what_is_left_and_a_panic_hides_all() {
        let redaction = Redaction::new()
            .data("*", ["/a"])
            .unwrap()
            .with(|shown| shown.text().contains("4242").then(|| "first".to_owned()))
            .with(|shown| (shown.text() == "first").then(|| "second".to_owned()));
        assert_eq!(redaction.apply(&data("x", r#"{"a":"4242"}"#)), r#"{"a":"[redacted]"}"#);
        assert_eq!(redaction.apply(&data("x", r#"{"b":"4242"}"#)), "second");
        let panics = Redaction::new().with(|_| panic!("a redaction of the test"));
        assert_eq!(panics.apply(&data("x", "7")), "[redacted]");
    }

    #[test]
    fn nothing_that_is_hidden_is_in_what_is_logged_about_it() {
        assert!(!format!("{:?}", data("x", "4242")).contains("4242"));
    }
}
