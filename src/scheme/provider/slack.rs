//! Slack. Source: "Verifying requests from Slack" and "url_verification" (docs.slack.dev).
//!
//! `X-Slack-Signature: v0=<hex>` with `HMAC-SHA-256(secret, "v0:" timestamp ":" body)`; the timestamp is in
//! `X-Slack-Request-Timestamp`.
//!
//! A duplicate, for Slack: the same `event_id`, "globally unique across all workspaces" ("The Events API"). It is the event's, and a retry has
//! it again.
//!
//! Quirks:
//! 1. The handshake `url_verification` is signed like everything else, and answered only after the signature has passed.
//! 2. Interactive components ("Handling user interaction") are forms with the JSON in the field `payload`, and slash commands
//!    ("Implementing slash commands") forms whose fields are the payload. They are signed as they are. The type of a command is
//!    its name, such as `/weather`, and `/*` matches every command; that of an interaction is its own, such as `block_actions`.
//!    They have no id. Slack does not repeat them, so that nothing is lost by running each that comes.
//! 3. `X-Slack-Retry-Num` counts repetitions, from 1 on the second attempt.
//! 4. `app_rate_limited`, interactions and commands have no `event`: their payload is the whole of what they say.
//! 5. The account is the workspace, `team_id`.

use crate::{
    field::Field,
    form::Form,
    scheme::{builder::SchemeBuilder, handshake::Handshake},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .prefix("v0=")
        .hex()
        .timestamp(Field::header("x-slack-request-timestamp"))
        .signs("v0:{timestamp}:{body}")
        .id(Field::json("/event_id"))
        .event_type(Field::json("/event/type").or(Field::json("/type")).or(Field::json("/command")))
        .account(Field::json("/team_id").or(Field::json("/team/id")))
        .attempt(Field::header("x-slack-retry-num"), 0)
        .payload_or_envelope("/event")
        .form(Form::json("payload").or_fields())
        .handshake(
            Handshake::echo_text(Field::json("/challenge")).when(Field::json("/type"), "url_verification").signed(),
        )
}
