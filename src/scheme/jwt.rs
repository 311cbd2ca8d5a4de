//! A signature that is a JSON Web Token (RFC 7519) in the compact form of RFC 7515: it signs claims, one of which binds the body.
//!
//! 1. The algorithm is the scheme's. A token that names another one is rejected, and so is one that names none.
//! 2. A token with critical extensions (`crit`) is rejected: none is known here.
//! 3. `exp`, `nbf` and `iat` are whole numbers. One that is not is a fault, and no absence.
//! 4. A claim that is looked at is there once.
//!
//! A signature with detached content (RFC 7515, appendix F) has the same form, without its middle part: it signs the body, and has no claims.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::{
    settings::Settings,
    subject::{missing_claim, named},
};
use crate::{
    error::{VerifyError, VerifyErrorKind},
    head::Head,
    json::Pointer,
    signature::{HashAlgorithm, MacAlgorithm, PlainHash, Tag, verify_any},
};

/// The declaration of a scheme's tokens.
#[derive(Debug, Clone)]
pub(crate) struct Jwt {
    /// If it has no claims: the signed text.
    pub(crate) detached: Option<Detached>,
    /// Which name of the scheme's algorithm a token has.
    pub(crate) algorithm: &'static str,
    /// Other MACs with the same key, of which a token may have one. The length of its signature says which.
    pub(crate) others: &'static [MacAlgorithm],
    /// Claims that must be there, some with this text.
    pub(crate) claims: Vec<(Cow<'static, str>, Option<Cow<'static, str>>)>,
    /// Claims whose text the application says.
    pub(crate) of_application: &'static [&'static str],
    /// The claim that binds the URL.
    pub(crate) url: Option<(Cow<'static, str>, UrlClaim)>,
}

/// The text that a signature with detached content signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detached {
    Body,
    /// Method, path, the headers that it lists, and the body.
    TrueLayer,
}

/// The form in which a claim contains the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UrlClaim {
    /// Its SHA-256 in hexadecimal digits.
    HexDigest,
    Itself,
}

/// A token, cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'t> {
    /// Header and claims, as they are signed.
    pub(crate) signed: &'t [u8],
    header: &'t [u8],
    claims: &'t [u8],
    signature: &'t [u8],
}

impl<'t> Token<'t> {
    /// Cuts a token in its three parts, none of which is empty.
    pub(crate) fn parse(text: &'t [u8]) -> Option<Self> {
        Self::cut(text).filter(|token| !token.claims.is_empty())
    }

    /// Cuts a signature with detached content, `<header>..<signature>`.
    pub(crate) fn parse_detached(text: &'t [u8]) -> Option<Self> {
        Self::cut(text).filter(|token| token.claims.is_empty())
    }

    fn cut(text: &'t [u8]) -> Option<Self> {
        let mut dots = text.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        let (first, second) = (dots.next()?, dots.next()?);
        let (header, claims, signature) = (&text[..first], &text[first + 1..second], &text[second + 1..]);
        let is_whole = dots.next().is_none() && !header.is_empty() && !signature.is_empty();
        is_whole.then_some(Self { signed: &text[..second], header, claims, signature })
    }

    /// The bytes of the signature.
    pub(crate) fn signature(&self) -> Option<Tag> {
        Tag::new(&BASE64URL_NOPAD.decode(self.signature).ok()?)
    }

    /// The JSON of the header.
    pub(crate) fn header(&self) -> Option<Vec<u8>> {
        BASE64URL_NOPAD.decode(self.header).ok()
    }

    /// The header, as it is signed.
    pub(crate) fn encoded_header(&self) -> &'t [u8] {
        self.header
    }

    /// The JSON of the claims.
    pub(crate) fn claims(&self) -> Option<Vec<u8>> {
        BASE64URL_NOPAD.decode(self.claims).ok()
    }
}

#[derive(Deserialize)]
struct Header<'h> {
    #[serde(borrow)]
    alg: Cow<'h, str>,
    #[serde(default, deserialize_with = "there")]
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Times {
    #[serde(default, deserialize_with = "there")]
    exp: Option<u64>,
    #[serde(default, deserialize_with = "there")]
    iat: Option<u64>,
    #[serde(default, deserialize_with = "there")]
    nbf: Option<u64>,
}

/// A claim that is present must be readable: `null` does not count as absent.
fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads an object. An array of the same values is refused, although the parser would accept it.
fn object<'o, T: Deserialize<'o>>(json: &'o [u8]) -> Option<T> {
    json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok())?
}

/// The text of a claim.
pub(crate) fn claim<'c>(claims: &'c [u8], name: &str) -> Option<Cow<'c, str>> {
    crate::json::scalars(claims, &[Pointer::token(name)]).ok()?.into_iter().next().flatten()
}

impl Jwt {
    /// Cuts a token of this kind.
    pub(crate) fn token<'t>(&self, text: &'t [u8]) -> Option<Token<'t>> {
        if self.detached.is_some() { Token::parse_detached(text) } else { Token::parse(text) }
    }

    /// Checks all that a token says, but for the digest of the body. Whether it is signed shows later.
    pub(crate) fn check(
        &self,
        token: Token<'_>,
        claims: &[u8],
        settings: &Settings,
        head: Head<'_>,
        now: SystemTime,
    ) -> Result<(), VerifyError> {
        let malformed = || VerifyError::new(VerifyErrorKind::MalformedSignature);
        let header = token.header().ok_or_else(malformed)?;
        let header: Header<'_> = object(&header).ok_or_else(malformed)?;
        let signature = token.signature().ok_or_else(malformed)?;
        if header.alg != self.name(&signature) || header.crit.is_some() {
            return Err(malformed());
        }
        if self.detached.is_some() {
            return Ok(());
        }
        check_times(claims, settings.tolerance.unwrap_or(DEFAULT_LEEWAY), now)?;
        let own = self.claims.iter().map(|(name, wanted)| (&**name, wanted.as_deref()));
        let of_application = settings.claims.iter().map(|(name, wanted)| (&**name, Some(&**wanted)));
        for (name, wanted) in own.chain(of_application) {
            let found = claim(claims, name).ok_or_else(|| missing_claim(name))?;
            if wanted.is_some_and(|wanted| *wanted != *found) {
                return Err(VerifyError::new(VerifyErrorKind::SignatureMismatch));
            }
        }
        if let Some((name, form)) = &self.url {
            let found = claim(claims, name).ok_or_else(|| missing_claim(name))?;
            let matches = match form {
                UrlClaim::Itself => found == settings.url(head),
                UrlClaim::HexDigest => {
                    let mut hash = PlainHash::new(HashAlgorithm::Sha256);
                    hash.update(settings.url(head).as_bytes());
                    let claimed = data_encoding::HEXLOWER.decode(found.as_bytes()).ok();
                    claimed
                        .and_then(|claimed| Tag::new(&claimed))
                        .is_some_and(|claimed| verify_any(&[claimed], &hash.finish()))
                }
            };
            if !matches {
                return Err(VerifyError::new(VerifyErrorKind::SignatureMismatch));
            }
        }
        Ok(())
    }

    /// The name of the algorithm that a signature of this length has in this scheme.
    fn name(&self, signature: &Tag) -> &'static str {
        match self.other(signature) {
            Some(MacAlgorithm::Sha384) => "HS384",
            Some(MacAlgorithm::Sha512) => "HS512",
            _ => self.algorithm,
        }
    }

    /// Which of the other MACs has signatures of this length.
    pub(crate) fn other(&self, signature: &Tag) -> Option<MacAlgorithm> {
        self.others.iter().copied().find(|mac| mac.length() == signature.as_bytes().len())
    }
}

/// Checks the times of a token. `leeway` is how far the clocks of sender and receiver may be apart.
fn check_times(claims: &[u8], leeway: Duration, now: SystemTime) -> Result<(), VerifyError> {
    let malformed = || VerifyError::new(VerifyErrorKind::MalformedTimestamp).with_subject(named("a time of the token"));
    let Times { exp, iat, nbf } = object(claims).ok_or_else(malformed)?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let leeway = leeway.as_secs();
    let skew = |since: u64| i64::try_from(i128::from(now) - i128::from(since)).unwrap_or(i64::MAX);
    let stale = |since: u64| VerifyError::new(VerifyErrorKind::Stale).with_skew(skew(since));
    if let Some(exp) = exp.filter(|exp| exp.saturating_add(leeway) <= now) {
        return Err(stale(exp));
    }
    match [nbf, iat].into_iter().flatten().find(|begins| *begins > now.saturating_add(leeway)) {
        Some(begins) => Err(stale(begins)),
        None => Ok(()),
    }
}

/// Synchronised clocks differ by less. A tolerance that the application sets replaces it.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_has_three_parts() {
        let token = Token::parse(b"aa.bb.cc").unwrap();
        assert_eq!((token.signed, token.signature), (&b"aa.bb"[..], &b"cc"[..]));
        for text in ["", ".", "..", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.", "a.b.c.d", "a"] {
            assert!(Token::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_signature_with_detached_content_has_no_middle_part() {
        let token = Token::parse_detached(b"aa..cc").unwrap();
        assert_eq!((token.encoded_header(), token.signature), (&b"aa"[..], &b"cc"[..]));
        for text in ["", ".", "..", "aa..", "..cc", "a.b.c", "a...c", "a..c.", "a.c"] {
            assert!(Token::parse_detached(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_no_base64url_without_padding_is_no_signature() {
        for (text, is_one) in [
            ("a.b.A", false),
            ("a.b.AAA", true),
            ("a.b.AAB", false),
            ("a.b.AAAA", true),
            ("a.b.AAA=", false),
            ("a.b.AA+/", false),
            ("a.b.AB", false),
        ] {
            assert_eq!(Token::parse(text.as_bytes()).unwrap().signature().is_some(), is_one, "{text}");
        }
    }
}
