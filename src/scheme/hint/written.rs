use http::HeaderName;

use crate::{
    error::{Hint, HintKind},
    head::Head,
    scheme::{
        arrived::Arrived,
        content::Rule,
        freshness::TimestampUnit,
        grammar::{Grammar, LONGEST_HEADER, split},
        look::Look,
        template::{Algorithm, Locate, Template},
    },
    signature::{ED25519_LENGTH, Encoding, PublicAlgorithm},
};

/// What says that a header has been joined from several lines.
pub(super) fn joined(name: &HeaderName) -> Hint {
    let text = format!(
        "`{name}` holds several values with commas between them: a proxy has joined several lines of it into one, as Apache and lighttpd do; \
         the sender, or something on the way, sets it twice"
    );
    Hint::new(HintKind::JoinedHeader, text)
}

/// The URL that went into the signed text, without what may be secret in it, and no longer than a line of a log.
pub(super) fn redacted_url(template: &Template, head: Head<'_>) -> String {
    const LONGEST: usize = 400;
    let target = template.settings.target(head);
    let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
    let mut text: String = template.settings.base().chars().chain(path.chars()).take(LONGEST).collect();
    let keys = query.into_iter().flat_map(|query| query.split('&')).enumerate();
    for (index, pair) in keys {
        let (key, value) = pair.split_once('=').map_or(("…", ""), |(key, _)| (key, "=…"));
        if text.len() + key.len() > LONGEST {
            text.push('…');
            break;
        }
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(key);
        text.push_str(value);
    }
    // Characters that a log does not show as text are escaped.
    text.escape_debug().to_string()
}

/// Why a signed text could be cut in two ways.
pub(super) fn signed_text(template: &Template, head: Head<'_>) -> Option<Hint> {
    let before_body = template.rules.iter().any(|rule| matches!(rule, Rule::UrlBeforeBody(_)));
    let url = || redacted_url(template, head);
    let text = if before_body {
        format!(
            "`{{url}}` is directly before `{{body}}` in the signed text, so the URL must not contain `{{`, `[` or `\"`, and the body \
             must begin with one of them or be empty; the URL is `{}`: register a URL at the sender in which they are escaped",
            url()
        )
    } else if template.signs_url() {
        format!("the URL contains the text that follows it in the signed text, or the public URL; it is `{}`", url())
    } else if template.signs_challenges {
        "the whole signed text is a token that anyone could let the receiver sign by the unsigned challenge of the scheme; genuine \
         deliveries are JSON objects, arrays or forms"
            .into()
    } else {
        "a part of the signed text contains its own separator, so the same text can be read in two ways; if the sender sends such \
         values, the declared signed text differs from the sender's"
            .into()
    };
    Some(Hint::new(HintKind::SignedText, text))
}

/// How a signature that is not of the scheme's form is written.
pub(super) fn signature_form(template: &Template, head: Head<'_>) -> Option<Hint> {
    let value = match &template.locate {
        Locate::Query(key) => head.query(key).ok()??.into_owned(),
        locate => locate.headers().iter().find_map(|name| head.headers().get(name))?.as_bytes().to_vec(),
    };
    if value.len() > LONGEST_HEADER {
        return None;
    }
    let Grammar { prefix, items, pairs, keys, first, before, any_key, .. } = &template.grammar;
    if items.is_none()
        && let Some(name) = template.locate.headers().iter().find(|name| head.headers().contains_key(*name))
    {
        let plain = |item: &[u8]| {
            let item = item.trim_ascii();
            template.decode(prefix.as_ref().map_or(Some(item), |prefix| item.strip_prefix(prefix.as_bytes()))?)
        };
        if value.contains(&b',') && value.split(|byte| *byte == b',').all(|item| plain(item).is_some()) {
            return Some(joined(name));
        }
    }
    let hint = |text: String| Some(Hint::new(HintKind::SignatureForm, text));
    let mut rest = value.as_slice();
    if let Some(prefix) = prefix {
        match value.strip_prefix(prefix.as_bytes()) {
            Some(stripped) => rest = stripped,
            None if template.decode(&value).is_some() => {
                return hint(format!("it holds a signature without the prefix `{prefix}`"));
            }
            None if value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())) => {
                return hint(format!("it begins with `{prefix}` in other letters; the scheme wants them as they are"));
            }
            None => return hint(format!("it does not begin with `{prefix}`")),
        }
    }
    // Lists of these forms are too seldom for a guess at what is wrong with one.
    if first.is_some() || before.is_some() || *any_key {
        return None;
    }
    let mut values = split(rest, items.as_deref());
    let item = match pairs {
        Some(pairs) => {
            let found = values.find_map(|item| {
                keys.iter().find_map(|key| item.strip_prefix(key.as_bytes())?.strip_prefix(pairs.as_bytes()))
            });
            match found {
                Some(item) => item,
                None => return hint(format!("it has none of the keys `{}`", keys.join("`, `"))),
            }
        }
        None => values.next()?,
    };
    written(template, item).map(|text| Hint::new(HintKind::SignatureForm, text))
}

fn written(template: &Template, item: &[u8]) -> Option<String> {
    let length = match template.algorithm {
        Algorithm::Public(PublicAlgorithm::Ed25519) => ED25519_LENGTH,
        Algorithm::Hash(hash) => hash.length(),
        Algorithm::Mac(mac) => mac.length(),
        Algorithm::Public(_) | Algorithm::Token | Algorithm::Unsigned => return None,
    };
    if item.is_empty() {
        return Some("the signature is empty".into());
    }
    let (decoded, name) = if item.len().is_multiple_of(2) && item.iter().all(u8::is_ascii_hexdigit) {
        (item.len() / 2, "hexadecimal digits")
    } else if let Some(decoded) = Encoding::Base64.decode(item) {
        (decoded.len(), "base64")
    } else if let Some(decoded) = Encoding::Base64Url.decode(item) {
        (decoded.len(), "base64url")
    } else {
        return None;
    };
    let wanted = match template.encoding? {
        Encoding::Base64 => "base64",
        Encoding::Base64Url => "base64url",
        Encoding::Hex => "hexadecimal digits",
    };
    if decoded == length && name != wanted {
        return Some(format!("the signature is written in {name}, and the scheme reads {wanted}"));
    }
    let algorithm = match decoded {
        20 => "SHA-1",
        32 => "SHA-256",
        64 => "SHA-512 or Ed25519",
        _ => return Some(format!("the signature has {decoded} bytes in {name}, and the scheme's has {length}")),
    };
    (decoded != length).then(|| format!("the signature is as long as one with {algorithm}, which is not the scheme's"))
}

/// How a timestamp that is not of the scheme's form is written.
pub(super) fn timestamp_form(template: &Template, head: Head<'_>) -> Option<Hint> {
    let freshness = template.freshness.as_ref()?;
    let family = template.family(head);
    let look = Look { template, arrived: Arrived::head(head), family, timestamp: None, claims: None, with_port: false };
    let text = look.first_in_head(&freshness.places).ok()??;
    if text.len() > LONGEST_HEADER {
        return None;
    }
    let mut values = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    if text.contains(&b',') && values.all(|value| freshness.unit.parse(value).is_some()) {
        return freshness.places.header(family).map(joined);
    }
    let is_number = !text.is_empty() && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let hint = if freshness.unit.is_date() {
        if !is_number {
            return None;
        }
        "the timestamp is a number, and the scheme reads a date; declare its `.unit(…)`"
    } else if TimestampUnit::Rfc3339.parse(&text).is_some() {
        "the timestamp is a date of RFC 3339, and the scheme reads a number; declare `.unit(TimestampUnit::Rfc3339)`"
    } else if is_number && text.contains(&b'.') {
        "the timestamp has a fraction, and the scheme reads whole numbers"
    } else {
        return None;
    };
    Some(Hint::new(HintKind::TimestampUnit, hint))
}
