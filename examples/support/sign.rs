//! Signs like each sender, as its documentation says.
#![allow(dead_code)] // Each example uses a part.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `t=<seconds>,v1=<hex>` with `HMAC-SHA-256(secret, seconds "." body)`.
pub(crate) fn stripe(secret: &str, at: SystemTime, body: &str) -> String {
    let seconds = unix_seconds(at);
    format!("t={seconds},v1={}", hmac_sha256_hex(secret, &format!("{seconds}.{body}")))
}

/// `sha256=<hex>` with `HMAC-SHA-256(secret, body)`.
pub(crate) fn github(secret: &str, body: &str) -> String {
    format!("sha256={}", hmac_sha256_hex(secret, body))
}

pub(crate) fn hmac_sha256_hex(secret: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

pub(crate) fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
