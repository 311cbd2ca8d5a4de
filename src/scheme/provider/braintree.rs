//! Braintree. Sources: "Webhooks" (developer.paypal.com/braintree/docs/guides/webhooks) and Braintree's own library for Node.js.
//!
//! A form: `bt_signature` holds pairs `<public key>|<hex>`, joined with `&`, with `HMAC-SHA-1(SHA-1(private key), bt_payload)`;
//! `bt_payload` is base64, in lines, of XML.
//!
//! Quirks:
//! 1. A pair counts for the secret whose public key it names.
//! 2. By `GET ?bt_challenge=<hexadecimal digits>` a URL is verified when it is registered. The answer is `<public key>|<hex>` with a MAC of
//!    the challenge under the key that signs notifications. So a challenge has 20 to 32 digits, and a payload that could be one is
//!    rejected. XML in base64 never could.
//! 3. The kind of a notification is in the XML: there is no event type.
//! 4. No time is checked. The XML holds one.

use http::Method;

use crate::{
    field::Field,
    form::Form,
    scheme::{builder::SchemeBuilder, handshake::Handshake},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .json_pointer("/bt_signature")
        .items("&")
        .pairs("|")
        .keys_are_ids()
        .hex()
        .key_sha1()
        .signs("{json:/bt_payload}")
        .signs_whole_event()
        .forms_alone(Form::fields())
        .handshake(
            Handshake::keyed_challenge(Field::query("bt_challenge"))
                .present(Field::query("bt_challenge"))
                .method(Method::GET),
        )
}
