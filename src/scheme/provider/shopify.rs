//! Shopify. Source: "Verify webhook deliveries" and "Ignore duplicate webhooks" (shopify.dev/docs/apps/build/webhooks) and, for
//! the second generation, "Verify Events deliveries" (shopify.dev/docs/apps/build/events/verify-deliveries).
//!
//! `X-Shopify-Hmac-Sha256: <base64>` with `HMAC-SHA-256(client secret, body)`.
//!
//! A duplicate, for Shopify: of webhooks, the same `X-Shopify-Event-Id` ("the same value across more than one webhook indicates a
//! duplicate"). Several subscriptions to one topic give several deliveries of one event, each with an `X-Shopify-Webhook-Id` of its
//! own. One thing that a merchant does can be an event of several topics, so that the key is event id and topic. Of Events, the
//! same `Shopify-Webhook-Id`.
//!
//! Quirks:
//! 1. The body alone is signed: topic, shop, id and time are only said. Anyone who has one genuine delivery of a shop
//!    can send it again as another topic's or another shop's; what decides must be in the body.
//! 2. Webhooks have `X-Shopify-…` headers, Events have `Shopify-…`; the two are never mixed.
//! 3. The id is `<event id>.<topic>` for webhooks, and the delivery's for Events.
//! 4. Topics have a slash: `orders/create`.
//! 5. Mandatory compliance webhooks must be refused with 401 when the signature is wrong.
//! 6. A test notification from the admin pages is signed with another secret than the app's.
//! 7. A delivery is repeated 8 times within 4 hours.

use crate::{field::Field, scheme::builder::SchemeBuilder};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    let field = |part: &str| Field::header(format!("x-shopify-{part}")).or(Field::header(format!("shopify-{part}")));
    let topic_of_webhooks = Field::header("x-shopify-topic").or(Field::nowhere());
    scheme
        .base64()
        .signs("{body}")
        .id(Field::header("x-shopify-event-id").or(Field::header("shopify-webhook-id")).joined(topic_of_webhooks))
        .event_type(field("topic"))
        .api_version(field("api-version"))
}
