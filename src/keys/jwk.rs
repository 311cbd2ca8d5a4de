use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::PublicKeyComponents,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Deserialize;
use serde_json::Value;

use super::fetched::Key;
use crate::{
    boxed::BoxError,
    observe,
    secret::Secret,
    signature::{PublicAlgorithm, PublicKey},
};

/// A kind of public key.
///
/// ```
/// use tower_webhooks::keys::{HttpsKeyClient, JwksKeys, KeyKind};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = JwksKeys::new("https://acme.example/.well-known/jwks.json", HttpsKeyClient::new()?)?.kind(KeyKind::Rsa);
/// # let _ = keys;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Ed25519, for [`Scheme::ed25519`](crate::Scheme::ed25519) with `key_base64`.
    Ed25519,
    /// ECDSA over P-256.
    P256,
    /// ECDSA over P-521.
    P521,
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
    key_ops: Option<Vec<String>>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// The reason for which a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// It has another purpose, or is of a kind that is not used here.
    Other,
    /// It claims a kind that is used here, and is malformed.
    Malformed,
    /// It is too weak for signatures: of small order, too short, or not a point of its curve.
    Weak,
}

/// Reads a set of keys. Keys of other kinds are skipped, since a sender may publish keys for other purposes. Malformed
/// and weak keys are skipped with a warning, so that they do not make the good keys unusable.
pub(super) fn set(source: &str, json: &[u8], kind: Option<KeyKind>) -> Result<Vec<Key>, BoxError> {
    let Set { keys } = serde_json::from_slice(json).map_err(|_| "the answer is not a set of keys (RFC 7517)")?;
    if keys.len() > MOST_KEYS {
        observe::keys_left_out(source, "too_many", keys.len() - MOST_KEYS);
    }
    let read: Vec<_> = keys.into_iter().take(MOST_KEYS).map(|key| one(key, kind)).collect();
    for (why, reason) in [(LeftOut::Malformed, "malformed"), (LeftOut::Weak, "weak")] {
        let count = read.iter().filter(|key| key.as_ref().is_err_and(|left_out| *left_out == why)).count();
        if count > 0 {
            observe::keys_left_out(source, reason, count);
        }
    }
    let has_bad = read.iter().any(|key| matches!(key, Err(LeftOut::Malformed | LeftOut::Weak)));
    let keys: Vec<_> = read.into_iter().filter_map(Result::ok).collect();
    // The sender has keys, and whether it has the one that a request was signed with is not known.
    if keys.is_empty() && has_bad {
        return Err("none of the sender's keys can be used".into());
    }
    Ok(keys)
}

/// Reads a key.
pub(super) fn one(json: Value, wanted: Option<KeyKind>) -> Result<Key, LeftOut> {
    let jwk: Jwk = serde_json::from_value(json).map_err(|_| LeftOut::Malformed)?;
    let is_for_others = jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig")
        || jwk.key_ops.as_deref().is_some_and(|operations| operations.iter().all(|operation| operation != "verify"));
    if is_for_others {
        return Err(LeftOut::Other);
    }
    let kind = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => KeyKind::P256,
        ("EC", Some("P-521")) => KeyKind::P521,
        ("OKP", Some("Ed25519")) => KeyKind::Ed25519,
        ("RSA", _) => KeyKind::Rsa,
        _ => return Err(LeftOut::Other),
    };
    if wanted.is_some_and(|wanted| wanted != kind) {
        return Err(LeftOut::Other);
    }
    let bytes = jwk.bytes(kind).ok_or(LeftOut::Malformed)?;
    PublicKey::new(kind.algorithm(), &bytes).map_err(|_| LeftOut::Weak)?;
    let text = Secret::new(BASE64.encode(&bytes)).map_err(|_| LeftOut::Malformed)?;
    Ok(Key { id: jwk.kid, text, from: None, until: None })
}

impl Jwk {
    /// Returns the bytes that a scheme reads: of Ed25519 the key itself, of the others a SubjectPublicKeyInfo.
    fn bytes(&self, kind: KeyKind) -> Option<Vec<u8>> {
        let number = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_deref()?.as_bytes()).ok();
        let point = |info: &[u8], length: usize| {
            let (x, y) = (number(&self.x)?, number(&self.y)?);
            (x.len() == length && y.len() == length).then(|| [info, &x, &y].concat())
        };
        match kind {
            KeyKind::P256 => point(&P256_INFO, 32),
            KeyKind::P521 => point(&P521_INFO, 66),
            KeyKind::Ed25519 => number(&self.x).filter(|x| x.len() == 32),
            KeyKind::Rsa => {
                let components = PublicKeyComponents { n: number(&self.n)?, e: number(&self.e)? };
                let der: PublicKeyX509Der<'_> = components.as_der().ok()?;
                Some(der.as_ref().to_vec())
            }
        }
    }
}

impl KeyKind {
    /// An algorithm whose keys are these. What makes a key weak is the same for all of a kind.
    fn algorithm(self) -> PublicAlgorithm {
        match self {
            Self::Ed25519 => PublicAlgorithm::Ed25519,
            Self::P256 => PublicAlgorithm::EcdsaP256Fixed,
            Self::P521 => PublicAlgorithm::EcdsaP521Fixed,
            Self::Rsa => PublicAlgorithm::RsaSha256,
        }
    }
}

/// A SubjectPublicKeyInfo of P-256 (RFC 5480), up to the two numbers of an uncompressed point.
const P256_INFO: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// The same of P-521.
const P521_INFO: [u8; 26] = [
    0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x23, 0x03, 0x81, 0x86, 0x00, 0x04,
];

/// Senders have a few keys at a time.
const MOST_KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{KeyKind, LeftOut, one};

    fn set(json: &[u8], kind: Option<KeyKind>) -> Result<Vec<super::Key>, crate::boxed::BoxError> {
        super::set("a test", json, kind)
    }

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
        assert_eq!(one(json!(7), None).err(), Some(LeftOut::Malformed));
    }
    #[test]
    fn a_key_that_cannot_be_used_says_why() {
        let zeros = |length: usize| data_encoding::BASE64URL_NOPAD.encode(&vec![0; length]);
        let ones = |length: usize| data_encoding::BASE64URL_NOPAD.encode(&vec![0xff; length]);
        for (key, why) in [
            (json!({"kty": "OKP", "crv": "Ed25519", "x": zeros(32)}), LeftOut::Weak),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": ones(32)}), LeftOut::Weak),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": zeros(31)}), LeftOut::Malformed),
            (json!({"kty": "OKP", "crv": "Ed25519"}), LeftOut::Malformed),
            (json!({"kty": "OKP", "crv": "X25519", "x": zeros(32)}), LeftOut::Other),
            (json!({"kty": "EC", "crv": "P-256", "x": ones(32), "y": ones(32)}), LeftOut::Weak),
            (json!({"kty": "EC", "crv": "P-256", "x": "no base64!", "y": ones(32)}), LeftOut::Malformed),
            (json!({"kty": "EC", "crv": "secp256k1", "x": ones(32), "y": ones(32)}), LeftOut::Other),
            (json!({"kty": "RSA", "n": ones(128), "e": "AQAB"}), LeftOut::Weak),
            (json!({"kty": "RSA", "n": ones(256)}), LeftOut::Malformed),
            (json!({"kty": "RSA", "n": ones(256), "e": "AQAB", "use": "enc"}), LeftOut::Other),
            (json!({"kty": "RSA", "n": ones(256), "e": "AQAB", "key_ops": ["encrypt"]}), LeftOut::Other),
            (json!({"kty": "oct", "k": "AA"}), LeftOut::Other),
            (json!({"kid": "without a type"}), LeftOut::Malformed),
        ] {
            assert_eq!(one(key.clone(), None).err(), Some(why), "{key}");
        }
    }
}
