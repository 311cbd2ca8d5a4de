//! Adyen's standard webhooks, about payments. Sources: "Verify HMAC signatures" (docs.adyen.com/development-resources/webhooks) and
//! Adyen's own library for Node.js.
//!
//! In each item of `/notificationItems`, `additionalData.hmacSignature: <base64>` with `HMAC-SHA-256(key, …)` over eight of the item's
//! fields, joined with `:`. The key is shown in hexadecimal digits.
//!
//! A duplicate, for Adyen: the same `eventCode` and `pspReference`.
//!
//! Quirks:
//! 1. Each item has a signature of its own, and all must be right. A request is one delivery: the handler goes through the items, each of which
//!    has a kind of its own.
//! 2. Eight fields are signed, and nothing else: what decides must be among them.
//! 3. The merchant's reference may hold anything, also the `:` that ends it. The fields on both sides of it hold none, so that the
//!    text has one reading.
//! 4. No time is signed: anyone who has an item can send it again.

use http::StatusCode;

use super::families::json;
use crate::scheme::{answer::Answer, builder::SchemeBuilder};

const REFERENCE: &str = "/NotificationRequestItem/merchantReference";

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    const ITEM: &str = "/NotificationRequestItem";
    let part = |field: &str| format!("{{json:{ITEM}/{field}}}");
    let text = [
        part("pspReference"),
        format!("{{json?:{ITEM}/originalReference}}"),
        part("merchantAccountCode"),
        part("merchantReference"),
        part("amount/value"),
        part("amount/currency"),
        part("eventCode"),
        part("success"),
    ];
    scheme
        .json_pointer("/NotificationRequestItem/additionalData/hmacSignature")
        .base64()
        .key_hex()
        .signs(text.join(":"))
        .free(REFERENCE)
        .signs_items("/notificationItems")
        .live(json("/live"), "true")
        .success(Answer::new(StatusCode::OK).text("[accepted]"))
}
