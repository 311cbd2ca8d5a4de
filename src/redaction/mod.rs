//! What is hidden of payloads, headers and answers before people see them.
//!
//! Rules:
//! 1. The management API, the dashboard and the store of answers ask a [`Redaction`] about every [`Place`] that shows what came from others.
//!    Without one everything is shown.
//! 2. A rule names a kind of text, the event types that it is about, and a JSON pointer (RFC 6901). All rules that fit apply.
//! 3. A text that has rules and that is not JSON, or of which only the beginning was kept, is hidden as a whole: what the rules are
//!    about might be anywhere in it. The same holds where a function of the application panics.
//! 4. What is hidden is replaced by `[redacted]`, in JSON by that text as a string, so that JSON stays JSON.
//!
//! It does not change what is sent, what handlers get, or what is stored of a message or an event: both need the whole of it. How long
//! those are kept is a matter of their retention, and who can read them of a sealing key.
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
//! assert_eq!(redaction.apply(&refund), data); // no rule is about it
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
