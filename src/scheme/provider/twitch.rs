//! Twitch EventSub. Source: "Getting Events Using Webhook Callbacks" (dev.twitch.tv/docs/eventsub/handling-webhook-events).
//!
//! `Twitch-Eventsub-Message-Signature: sha256=<hex>` with `HMAC-SHA-256(secret, id timestamp body)`, nothing between the
//! three; id and timestamp are `Twitch-Eventsub-Message-Id` and `Twitch-Eventsub-Message-Timestamp`.
//!
//! A duplicate, for Twitch: the same `Twitch-Eventsub-Message-Id` ("EventSub", section "Handling duplicate events"). It is that of one
//! subscription's message; a repetition has it again.
//!
//! Quirks:
//! 1. The timestamp is a date of RFC 3339 with nanoseconds; it may be ten minutes off.
//! 2. Since nothing separates them, an id that holds such a date is refused.
//! 3. `Twitch-Eventsub-Message-Type: webhook_callback_verification` is signed; the answer is the body's `challenge` as
//!    text.
//! 4. With `revocation` Twitch says that it has ended a subscription. Its event type is `revocation`, whatever was
//!    subscribed to, and it has no event: its payload is the whole body. It wants a success as well.
//! 5. The headers that tell type and version are not signed.
//! 6. `Twitch-Eventsub-Message-Retry` counts repetitions, from 0.
//! 7. Batched subscriptions have `events` instead of `event`; the payload is then the whole body.

use std::time::Duration;

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, freshness::TimestampUnit, handshake::Handshake},
};

const MESSAGE_TYPE: &str = "twitch-eventsub-message-type";

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .prefix("sha256=")
        .hex()
        .id(Field::header("twitch-eventsub-message-id"))
        .timestamp(Field::header("twitch-eventsub-message-timestamp"))
        .unit(TimestampUnit::Rfc3339)
        .tolerance(Duration::from_secs(10 * 60))
        .signs("{id}{timestamp}{body}")
        .event_type(Field::header_if(MESSAGE_TYPE, "revocation").or(Field::header("twitch-eventsub-subscription-type")))
        .api_version(Field::header("twitch-eventsub-subscription-version"))
        .attempt(Field::header("twitch-eventsub-message-retry"), 0)
        .payload_or_envelope("/event")
        .handshake(
            Handshake::echo_text(Field::json("/challenge"))
                .when(Field::header(MESSAGE_TYPE), "webhook_callback_verification")
                .signed(),
        )
}
