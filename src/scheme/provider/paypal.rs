//! PayPal. Sources: "Integrate webhooks" (developer.paypal.com/api/rest/webhooks/rest/), the sender's own library for Python (paypal/PayPal-Python-SDK, `paypalrestsdk/notifications.py`), and its
//! specification of the API (paypal/paypal-rest-api-specifications, `notifications_webhooks_v1.json`).
//!
//! `PAYPAL-TRANSMISSION-SIG: <base64>`, RSA with SHA-256 over
//! `<PAYPAL-TRANSMISSION-ID> "|" <PAYPAL-TRANSMISSION-TIME> "|" <webhook id> "|" <CRC-32 of the body, decimal>`. The certificate is at
//! `PAYPAL-CERT-URL`.
//!
//! Quirks:
//! 1. A CRC is not a hash: it takes four bytes to give any body the CRC of another one. So the signature does not bind the body, and whoever
//!    has read one request can send others. PayPal's own check by its API compares the same text.
//! 2. The algorithm is `SHA256withRSA`; a request that names another one is rejected.
//! 3. The id of the webhook is that of the application's own webhook at PayPal. It keeps the deliveries of other customers out.
//! 4. Nothing says whether a retry has a new time, and PayPal retries for three days: there is no window unless one is set.

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, content::Part, freshness::TimestampUnit},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    let bar = || Part::Literal("|".to_owned());
    let id = http::HeaderName::from_static("paypal-transmission-id");
    scheme
        .base64()
        .key_url(Field::header("paypal-cert-url"), is_certificate)
        .required_header("paypal-auth-algo", "SHA256withRSA")
        .timestamp(Field::header("paypal-transmission-time"))
        .unit(TimestampUnit::Rfc3339)
        .insecure_no_replay_window()
        .signs_parts([Part::Header(id), bar(), Part::Timestamp, bar(), Part::EndpointId, bar(), Part::BodyCrc32])
        .id(Field::json("/id"))
        .event_type(Field::json("/event_type"))
        .payload_or_envelope("/resource")
}

/// Whether this is where PayPal keeps a certificate. Nothing else is ever fetched.
fn is_certificate(url: &str) -> bool {
    let hosts = ["api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com"];
    let Some((host, path)) = url.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else { return false };
    let Some(name) = path.strip_prefix("v1/notifications/certs/CERT-") else { return false };
    hosts.contains(&host)
        && (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::is_certificate;

    #[test]
    fn only_a_certificate_of_paypal_is_one() {
        let path = "v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";
        for host in ["api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com"] {
            assert!(is_certificate(&format!("https://{host}/{path}")), "{host}");
        }
        for url in [
            format!("http://api.paypal.com/{path}"),
            format!("https://api.paypal.com.attacker.test/{path}"),
            format!("https://paypal.com/{path}"),
            format!("https://attacker.test/api.paypal.com/{path}"),
            format!("https://user@api.paypal.com/{path}"),
            format!("https://api.paypal.com:8443/{path}"),
            format!("https://api.paypal.com\\@attacker.test/{path}"),
            format!("https://api.paypal.com/{path}?x"),
            format!("https://api.paypal.com/{path}/../x"),
            format!("https://api.paypal.com//{path}"),
            "https://api.paypal.com/v1/notifications/certs/CERT-".into(),
            "https://api.paypal.com/v1/notifications/webhooks".into(),
            String::new(),
        ] {
            assert!(!is_certificate(&url), "{url}");
        }
    }
}
