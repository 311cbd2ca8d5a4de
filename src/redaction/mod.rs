//! Hides parts of payloads, headers and answers before people see them.
//!
//! Rules:
//! 1. The management API, the dashboard and the store of answers apply a [`Redaction`] to every [`Place`] that shows
//!    text from outside. Without one everything is shown.
//! 2. A rule names a kind of text, a pattern of event types, and a JSON pointer (RFC 6901). All matching rules apply.
//! 3. If a text has rules and is not JSON, or only its beginning was kept, the whole text is hidden, because the values
//!    could be anywhere in it. The same applies if a function of the application panics.
//! 4. Hidden text is replaced by `[redacted]`. In JSON this is a string, so the result is still JSON.
//!
//! Redaction does not change sent messages, the events that handlers get, or stored messages and events, since all of
//! these must be complete. Retention limits how long they are kept, and a sealing key limits who can read them.
//!
//! ```
//! use tower_webhooks::redaction::{Place, Redaction, Shown};
//!
//! # fn run() -> Result<(), tower_webhooks::ConfigError> {
//! let redaction = Redaction::new().data("order.*", ["/customer/email", "/cards/*/number"])?;
//!
//! let data = r#"{"total": 7, "customer": {"email": "jo@example.com"}, "cards": [{"number": "4242"}]}"#;
//! let order = Shown::new(Place::Data, data).event_type("order.paid");
//! assert_eq!(
//!     redaction.apply(&order),
//!     r#"{"total":7,"customer":{"email":"[redacted]"},"cards":[{"number":"[redacted]"}]}"#
//! );
//!
//! let refund = Shown::new(Place::Data, data).event_type("refund.made");
//! assert_eq!(redaction.apply(&refund), data); // no rule matches
//! # Ok(()) }
//! # run().unwrap();
//! ```

mod pointers;
#[allow(clippy::module_inception)] // One noun a file: the type has the name of its module.
mod redaction;
mod shown;

pub use self::{
    redaction::Redaction,
    shown::{Place, Shown},
};
