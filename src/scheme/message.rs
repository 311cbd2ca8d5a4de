//! HTTP Message Signatures (RFC 9421), with the digest of the body of RFC 9530.
//!
//! 1. One signature is looked at: that with the label or the tag that the scheme names, or the only one.
//! 2. It covers the method and the whole target, and the digest of the body if the request has one. A body that is not empty has one.
//! 3. It has a time (`created`), which is fresh; `expires` has not passed. The algorithm is the scheme's, and a request that names
//!    another one is rejected.
//! 4. Of the components that the RFC defines, those with the parameters `sf`, `bs`, `key`, `tr` and `req` are not supported: a
//!    request that covers one is rejected.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderName, Uri};
use sfv::{BareItem, Dictionary, InnerList, Item, ItemSerializer, ListEntry, ListSerializer, Parser};
use sha2::{Digest, Sha256, Sha512};

use super::{
    grammar::LONGEST_HEADER,
    settings::Settings,
    subject::{ambiguous, missing, named},
};
use crate::{
    error::{Subject, VerifyError, VerifyErrorKind},
    head::Head,
    signature::{Tag, verify_any},
};

/// The settings of a scheme for its signatures.
#[derive(Debug, Clone)]
pub(crate) struct MessageSignature {
    /// The name of the scheme's algorithm (RFC 9421, section 6.2.2).
    pub(crate) algorithm: &'static str,
    pub(crate) label: Option<String>,
    pub(crate) tag: Option<String>,
    /// What must be covered, in the place of method, target and digest.
    pub(crate) components: Option<Vec<String>>,
}

/// One signature of a request, with its parameters.
pub(crate) struct Claimed {
    pub(crate) signature: Tag,
    input: InnerList,
}

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const INPUT: HeaderName = HeaderName::from_static("signature-input");
const DIGEST: &str = "content-digest";

/// No sender covers more.
const MOST_COMPONENTS: usize = 64;

/// Each of them reads the whole query.
const MOST_PARAMETERS: usize = 8;

fn malformed(name: HeaderName) -> VerifyError {
    VerifyError::new(VerifyErrorKind::MalformedSignature).with_header(name)
}

/// The dictionary in a header, which may be on several lines.
fn dictionary(head: Head<'_>, name: &HeaderName) -> Result<Dictionary, VerifyError> {
    let mut text = Vec::new();
    for (index, line) in head.headers().get_all(name).iter().enumerate() {
        text.extend_from_slice(if index > 0 { b", " } else { b"" });
        text.extend_from_slice(line.as_bytes());
        if text.len() > LONGEST_HEADER {
            return Err(VerifyError::new(VerifyErrorKind::TooLong).with_header(name.clone()));
        }
    }
    if text.is_empty() {
        return Err(missing(name));
    }
    let dictionary = Parser::new(&text).parse().map_err(|_| malformed(name.clone()))?;
    if repeats(&text, &dictionary) { Err(ambiguous(Subject::Header(name.clone()))) } else { Ok(dictionary) }
}

/// Whether a dictionary has a key twice, among its members or among parameters. A parser takes the last one (RFC 9651, sections 4.2.2 and
/// 4.2.3.2); another one, which looks at the same request, may take the first.
fn repeats(text: &[u8], dictionary: &Dictionary) -> bool {
    let (mut members, mut parameters) = (1, 0);
    let (mut is_in_string, mut is_escaped) = (false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            b',' if !is_in_string => members += 1,
            b';' if !is_in_string => parameters += 1,
            _ => {}
        }
    }
    let kept = dictionary.values().map(|entry| match entry {
        ListEntry::Item(item) => item.params.len(),
        ListEntry::InnerList(list) => {
            list.params.len() + list.items.iter().map(|item| item.params.len()).sum::<usize>()
        }
    });
    members != dictionary.len() || parameters != kept.sum::<usize>()
}

impl MessageSignature {
    /// Finds the signature that is looked at.
    pub(crate) fn find(&self, head: Head<'_>) -> Result<Claimed, VerifyError> {
        let mut signatures = dictionary(head, &SIGNATURE)?;
        let inputs = dictionary(head, &INPUT)?;
        let is_meant = |label: &str, input: &InnerList| {
            let tag = input.params.get("tag").and_then(|tag| tag.as_string());
            self.label.as_deref().is_none_or(|wanted| wanted == label)
                && self.tag.as_deref().is_none_or(|wanted| tag.is_some_and(|tag| tag.as_str() == wanted))
        };
        let mut meant = inputs.into_iter().filter_map(|(label, entry)| match entry {
            ListEntry::InnerList(input) if is_meant(label.as_str(), &input) => Some((label, input)),
            _ => None,
        });
        let (label, input) = meant.next().ok_or_else(|| missing(&INPUT))?;
        if meant.next().is_some() {
            return Err(ambiguous(Subject::Header(INPUT)));
        }
        let signature = match signatures.swap_remove(label.as_str()) {
            Some(ListEntry::Item(Item { bare_item: BareItem::ByteSequence(bytes), .. })) => bytes,
            Some(_) => return Err(malformed(SIGNATURE)),
            None => return Err(missing(&SIGNATURE)),
        };
        let signature = Tag::new(&signature).ok_or_else(|| malformed(SIGNATURE))?;
        Ok(Claimed { signature, input })
    }

    /// Checks all that a signature says about itself, but for its time.
    pub(crate) fn check(&self, claimed: &Claimed, head: Head<'_>, now: SystemTime) -> Result<(), VerifyError> {
        let Claimed { input, .. } = claimed;
        if input.items.len() > MOST_COMPONENTS {
            return Err(VerifyError::new(VerifyErrorKind::TooLong).with_header(INPUT));
        }
        let is_parameter =
            |item: &&Item| item.bare_item.as_string().is_some_and(|name| name.as_str() == "@query-param");
        if input.items.iter().filter(is_parameter).count() > MOST_PARAMETERS {
            return Err(VerifyError::new(VerifyErrorKind::TooLong).with_header(INPUT));
        }
        for (index, item) in input.items.iter().enumerate() {
            if input.items[..index].contains(item) {
                return Err(ambiguous(Subject::Header(INPUT)));
            }
        }
        if let Some(algorithm) = input.params.get("alg")
            && algorithm.as_string().map(|name| name.as_str()) != Some(self.algorithm)
        {
            return Err(malformed(INPUT));
        }
        if let Some(expires) = input.params.get("expires") {
            let fault = || VerifyError::new(VerifyErrorKind::MalformedTimestamp).with_subject(named("`expires`"));
            let expires = u64::try_from(i64::from(expires.as_integer().ok_or_else(fault)?)).map_err(|_| fault())?;
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            if expires <= now {
                let age = i64::try_from(now - expires).unwrap_or(i64::MAX);
                return Err(VerifyError::new(VerifyErrorKind::Stale).with_skew(age));
            }
        }
        let covers = |name: &str| {
            input.items.iter().any(|item| {
                item.params.is_empty() && item.bare_item.as_string().is_some_and(|text| text.as_str() == name)
            })
        };
        let needs = |name: &str| {
            if covers(name) { Ok(()) } else { Err(missing_component(name)) }
        };
        // A digest that is there and not covered would be taken for one that is.
        if head.headers().contains_key(DIGEST) {
            needs(DIGEST)?;
        }
        match &self.components {
            Some(components) => components.iter().try_for_each(|name| needs(name)),
            None => {
                needs("@method")?;
                if covers("@target-uri") || covers("@request-target") {
                    return Ok(());
                }
                needs("@path")?;
                if head.uri().query().is_some() { needs("@query") } else { Ok(()) }
            }
        }
    }

    /// Returns a parameter of the signature, as text.
    pub(crate) fn param(&self, head: Head<'_>, key: &str) -> Result<Option<Vec<u8>>, VerifyError> {
        let claimed = self.find(head)?;
        Ok(claimed.input.params.get(key).and_then(|value| match value {
            BareItem::String(text) => Some(text.as_str().as_bytes().to_vec()),
            BareItem::Integer(number) => Some(number.to_string().into_bytes()),
            _ => None,
        }))
    }

    /// Returns the signature base (RFC 9421, section 2.5).
    pub(crate) fn base(&self, head: Head<'_>, settings: &Settings) -> Result<Vec<u8>, VerifyError> {
        let Claimed { input, .. } = self.find(head)?;
        let mut base = String::new();
        for item in &input.items {
            let identifier = ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish();
            let value = component(item, head, settings)?;
            // A value that held a line feed could end its line.
            if value.contains('\n') {
                return Err(VerifyError::new(VerifyErrorKind::AmbiguousText).with_header(INPUT));
            }
            base.push_str(&format!("{identifier}: {value}\n"));
        }
        let mut list = ListSerializer::new();
        let mut inner = list.inner_list();
        inner.items(&input.items);
        let _ = inner.finish().parameters(&input.params);
        let params = list.finish().ok_or_else(|| malformed(INPUT))?;
        base.push_str(&format!("\"@signature-params\": {params}"));
        Ok(base.into_bytes())
    }
}

fn missing_component(name: &str) -> VerifyError {
    let subject = Subject::Named(Cow::Owned(format!("the component `{name}` among the signed ones")));
    VerifyError::new(VerifyErrorKind::Missing).with_subject(subject)
}

/// The value of a component (RFC 9421, sections 2.1 and 2.2).
fn component(item: &Item, head: Head<'_>, settings: &Settings) -> Result<String, VerifyError> {
    let name = item.bare_item.as_string().ok_or_else(|| malformed(INPUT))?.as_str();
    let target = settings.target(head);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*target, None),
    };
    if name == "@query-param" {
        let wanted = match (item.params.len(), item.params.get("name").and_then(|name| name.as_string())) {
            (1, Some(wanted)) => decode(wanted.as_str()),
            _ => return Err(malformed(INPUT)),
        };
        if query.is_some_and(|query| query.len() > LONGEST_HEADER) {
            return Err(VerifyError::new(VerifyErrorKind::TooLong).with_subject(named("the query")));
        }
        let pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut values = pairs.filter(|(name, _)| decode(name) == wanted).map(|(_, value)| value);
        let value = values.next().ok_or_else(|| missing_component(name))?;
        // Which of several is meant, the RFC leaves open.
        return match values.next() {
            Some(_) => Err(ambiguous(named("a signed parameter of the query"))),
            None => Ok(percent_encoding::percent_encode(&decode(value), FORM).to_string()),
        };
    }
    if !item.params.is_empty() {
        return Err(malformed(INPUT));
    }
    let public: Option<Uri> = Some(settings.base()).filter(|base| !base.is_empty()).and_then(|base| base.parse().ok());
    let needs_url = || {
        let subject = Subject::Named(Cow::Owned(format!("the public URL of this server, which `{name}` needs")));
        VerifyError::new(VerifyErrorKind::Missing).with_subject(subject)
    };
    Ok(match name {
        "@method" => head.method().as_str().to_owned(),
        "@target-uri" if public.is_none() => return Err(needs_url()),
        "@target-uri" => settings.url(head),
        "@authority" => match public.as_ref().and_then(Uri::authority) {
            Some(authority) => plain_authority(authority.as_str(), public.as_ref().and_then(Uri::scheme_str)),
            None => {
                let host =
                    head.header(&http::header::HOST).map_err(|_| ambiguous(Subject::Header(http::header::HOST)))?;
                let host =
                    host.and_then(|host| host.to_str().ok()).or_else(|| head.uri().authority().map(|a| a.as_str()));
                plain_authority(host.ok_or_else(|| missing(&http::header::HOST))?, None)
            }
        },
        "@scheme" => public.as_ref().and_then(Uri::scheme_str).ok_or_else(needs_url)?.to_ascii_lowercase(),
        "@request-target" => target.into_owned(),
        "@path" if path.is_empty() => "/".to_owned(),
        "@path" => path.to_owned(),
        "@query" => format!("?{}", query.unwrap_or_default()),
        name if name.starts_with('@') => return Err(malformed(INPUT)),
        name => {
            // Names are in lower case (section 2.1).
            let header = HeaderName::from_lowercase(name.as_bytes()).map_err(|_| malformed(INPUT))?;
            let mut lines = Vec::new();
            for line in head.headers().get_all(&header) {
                lines.push(line.to_str().map_err(|_| malformed(INPUT))?.trim_matches([' ', '\t']));
            }
            if lines.is_empty() {
                return Err(missing(&header));
            }
            lines.join(", ")
        }
    })
}

/// The host in lower case, without the port that its scheme has anyway. Without a known scheme that is HTTPS.
fn plain_authority(authority: &str, scheme: Option<&str>) -> String {
    let port = if scheme == Some("http") { ":80" } else { ":443" };
    let authority = authority.to_ascii_lowercase();
    authority.strip_suffix(port).map(str::to_owned).unwrap_or(authority)
}

fn decode(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).collect()
}

/// What stays as it is in a form (the URL standard's application/x-www-form-urlencoded percent-encode set).
const FORM: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// Checks the digest of a body (RFC 9530): each that is known must be right, and one must be there.
pub(crate) fn check_digest(sent: &[u8], body: &[u8]) -> Result<(), VerifyError> {
    let fault = |kind| VerifyError::new(kind).with_header(HeaderName::from_static(DIGEST));
    if sent.len() > LONGEST_HEADER {
        return Err(fault(VerifyErrorKind::TooLong));
    }
    let malformed = || fault(VerifyErrorKind::MalformedSignature);
    let digests: Dictionary = Parser::new(sent).parse().map_err(|_| malformed())?;
    if repeats(sent, &digests) {
        return Err(fault(VerifyErrorKind::Ambiguous));
    }
    let mut is_known = false;
    for (name, entry) in &digests {
        let digest = match name.as_str() {
            "sha-256" => Sha256::digest(body).to_vec(),
            "sha-512" => Sha512::digest(body).to_vec(),
            _ => continue,
        };
        let claimed = match entry {
            ListEntry::Item(Item { bare_item: BareItem::ByteSequence(bytes), .. }) => Tag::new(bytes),
            _ => None,
        };
        let (claimed, right) = claimed.zip(Tag::new(&digest)).ok_or_else(malformed)?;
        if !verify_any(&[claimed], &right) {
            return Err(VerifyError::new(VerifyErrorKind::SignatureMismatch));
        }
        is_known = true;
    }
    if is_known { Ok(()) } else { Err(malformed()) }
}

/// Returns the digest of a body, as it is sent.
#[cfg(feature = "testing")]
pub(crate) fn digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", data_encoding::BASE64.encode(&Sha256::digest(body)))
}

#[cfg(feature = "testing")]
impl MessageSignature {
    /// Returns the parameters of a request's signature: the covered components, and these.
    pub(crate) fn input(&self, has_query: bool, has_digest: bool, params: &[(String, String)]) -> String {
        let mut components: Vec<&str> = match &self.components {
            Some(components) => components.iter().map(String::as_str).collect(),
            None if has_query => vec!["@method", "@path", "@query"],
            None => vec!["@method", "@path"],
        };
        if has_digest && !components.contains(&DIGEST) {
            components.push(DIGEST);
        }
        let quoted: Vec<_> = components.iter().map(|name| format!("\"{name}\"")).collect();
        let mut text = format!("{}=({})", self.label(), quoted.join(" "));
        for (key, value) in params {
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit()) && key != "keyid";
            text.push_str(&if is_number { format!(";{key}={value}") } else { format!(";{key}=\"{value}\"") });
        }
        if let Some(tag) = &self.tag {
            text.push_str(&format!(";tag=\"{tag}\""));
        }
        text
    }

    /// Returns the label of a signature that is made here.
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or("sig1")
    }
}
