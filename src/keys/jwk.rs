use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::PublicKeyComponents,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Deserialize;
use serde_json::Value;

use super::fetched::Key;
use crate::{boxed::BoxError, secret::Secret};

/// A kind of public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Ed25519, for [`Scheme::ed25519`](crate::Scheme::ed25519) with `key_base64`.
    Ed25519,
    /// ECDSA over P-256.
    P256,
    /// RSA.
    Rsa,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// A JSON Web Key (RFC 7517), as far as it is about signatures.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// Reads a set of keys. One that is of another kind, or cannot be read, is left out: a sender may add what others need.
pub(super) fn set(json: &[u8], kind: Option<KeyKind>) -> Result<Vec<Key>, BoxError> {
    let Set { keys } = serde_json::from_slice(json).map_err(|_| "the answer is not a set of keys (RFC 7517)")?;
    Ok(keys.into_iter().take(MOST_KEYS).filter_map(|key| one(key, kind)).collect())
}

/// Reads a key.
pub(super) fn one(json: Value, wanted: Option<KeyKind>) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let number = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_deref()?.as_bytes()).ok();
    let (kind, bytes) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => {
            let (x, y) = (number(&jwk.x)?, number(&jwk.y)?);
            let is_point = x.len() == 32 && y.len() == 32;
            (KeyKind::P256, is_point.then(|| [&P256_INFO[..], &x, &y].concat())?)
        }
        ("OKP", Some("Ed25519")) => (KeyKind::Ed25519, number(&jwk.x).filter(|x| x.len() == 32)?),
        ("RSA", _) => {
            let components = PublicKeyComponents { n: number(&jwk.n)?, e: number(&jwk.e)? };
            let der: PublicKeyX509Der<'_> = components.as_der().ok()?;
            (KeyKind::Rsa, der.as_ref().to_vec())
        }
        _ => return None,
    };
    if wanted.is_some_and(|wanted| wanted != kind) {
        return None;
    }
    let text = Secret::new(BASE64.encode(&bytes)).ok()?;
    Some(Key { id: jwk.kid, text, from: None, until: None })
}

/// A SubjectPublicKeyInfo of P-256 (RFC 5480), up to the two numbers of an uncompressed point.
const P256_INFO: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Senders have a few keys at a time.
const MOST_KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{KeyKind, one, set};

    #[test]
    fn keys_of_three_kinds_are_read() {
        // RFC 7517, appendix A.1, and RFC 8037, appendix A.2.
        let keys = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "use": "enc", "kid": "1"},
            {"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "kid": "2"},
            {"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw", "e": "AQAB", "alg": "RS256", "kid": "3"},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75"},
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
            "text",
        ]}).to_string();

        let all = set(keys.as_bytes(), None).unwrap();
        let ids: Vec<_> = all.iter().map(|key| key.id.as_deref()).collect();

        assert_eq!(ids, [Some("2"), Some("3"), None]);
        for (kind, id) in [(KeyKind::P256, Some("2")), (KeyKind::Rsa, Some("3")), (KeyKind::Ed25519, None)] {
            let of_kind = set(keys.as_bytes(), Some(kind)).unwrap();
            assert_eq!(of_kind.iter().map(|key| key.id.as_deref()).collect::<Vec<_>>(), [id], "{kind:?}");
        }
        assert!(set(b"{}", None).is_err());
        assert!(one(json!(7), None).is_none());
    }
}
