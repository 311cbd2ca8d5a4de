//! Schemes describe how a sender signs. The input is the head of a request, its raw body and the time; the result is a
//! [`Delivery`](crate::Delivery).
//!
//! Rules:
//! 1. A scheme is declared as data if possible; [`CustomScheme`] is for the others. The built-in providers are declared
//!    with the same [`SchemeBuilder`] that an application uses.
//! 2. A scheme does no I/O and does not read a clock.
//! 3. A request that can be rejected by its head is rejected before the body is read.
//! 4. The scheme determines the algorithm, never the request. A weak algorithm has `insecure` in its name.
//! 5. The timestamp is signed as it was sent, and trusted only if it is signed.
//! 6. A scheme says what its signature covers: [`covers_body`](Scheme::covers_body),
//!    [`id_is_signed`](Scheme::id_is_signed), [`timestamp_is_signed`](Scheme::timestamp_is_signed).
//!
//! This module does not handle HTTP, limits and deadlines; [`WebhookLayer`](crate::WebhookLayer) does.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use http::Request;
//! use tower_webhooks::{Provider, Scheme, Secret, Secrets};
//!
//! // The example of GitHub's documentation, "Validating webhook deliveries".
//! let scheme = Scheme::from(Provider::GITHUB);
//! let secrets = Secrets::new(Secret::new("It's a Secret to Everybody")?);
//! let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
//! let (head, ()) = Request::post("/").header("x-hub-signature-256", signature).body(())?.into_parts();
//!
//! assert!(scheme.verify(&head, "Hello, World!", &secrets, SystemTime::UNIX_EPOCH).is_ok());
//! assert!(scheme.verify(&head, "Hello, World?", &secrets, SystemTime::UNIX_EPOCH).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod arrived;
mod builder;
mod check;
mod compile;
mod content;
mod custom;
mod cuts;
mod freshness;
mod grammar;
mod handshake;
mod hint;
mod inspect;
mod jwt;
mod key_form;
mod keys;
mod look;
#[cfg(feature = "message-signatures")]
mod message;
#[cfg(not(feature = "message-signatures"))]
#[path = "no_message.rs"]
mod message;
pub(crate) mod provider;
#[allow(clippy::module_inception)] // `scheme::scheme` holds `Scheme`, as a file per part has it.
mod scheme;
mod settings;
#[cfg(feature = "testing")]
mod sign;
mod subject;
mod template;
mod texts;
mod verification;

#[cfg(feature = "testing")]
pub(crate) use self::sign::{Content, Shape, Signed, Unsigned};
pub use self::{
    answer::Answer,
    builder::SchemeBuilder,
    check::Verdict,
    custom::{Binding, CustomScheme, Plan},
    freshness::{JsonForm, TimestampUnit},
    handshake::Handshake,
    keys::Keys,
    provider::{Duplicates, Evidence, Provider},
    scheme::Scheme,
};
pub(crate) use self::{
    check::{Check, Outcome, Step},
    keys::KeyRing,
};
pub use crate::{field::Field, form::Form};
