//! Dropbox Sign, once HelloSign. Sources: "Events walkthrough" (developers.hellosign.com/docs/events/walkthrough) and Dropbox's own library
//! for Node.js.
//!
//! A form, mostly with parts (`multipart/form-data`), whose field `json` holds the event; in it `event.event_hash: <hex>` with
//! `HMAC-SHA-256(API key, event_time event_type)`, nothing between the two.
//!
//! Quirks:
//! 1. The hash covers time and type, and no other content: anyone who has one event can forge any other with this time
//!    and type. Fetch the object of the event from the API.
//! 2. The time is that of the event, which a retry has again hours later, so that no window is set.
//! 3. The answer to an event is `Hello API Event Received`, word for word; anything else is a failure. The handler's own answer must be that.

use http::StatusCode;

use super::families::json;
use crate::{
    form::Form,
    scheme::{answer::Answer, builder::SchemeBuilder},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .json_pointer("/event/event_hash")
        .hex()
        .form(Form::json("json"))
        .timestamp(json("/event/event_time"))
        .insecure_no_replay_window()
        .signs("{timestamp}{json:/event/event_type}")
        .event_type(json("/event/event_type"))
        .account(json("/account_guid"))
        .success(Answer::new(StatusCode::OK).text("Hello API Event Received"))
}
