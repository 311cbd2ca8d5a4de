use http::HeaderName;

use super::{
    grammar::LONGEST_HEADER,
    jwt::Detached,
    subject::{named, named_key},
};
use crate::{
    error::{ConfigError, ConfigErrorKind, Subject},
    field::{header_name, json_pointer},
    json::Pointer,
};

/// One piece of the signed text.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// The lines of a message of Amazon SNS.
    AwsSns,
    Body,
    /// The CRC-32 of the body, in decimal digits.
    BodyCrc32,
    /// The SHA-256 of the body, in hexadecimal digits.
    BodySha256,
    /// What a signature with detached content signs, which is the whole text.
    DetachedJws(Detached),
    /// The id that the sender has given to this endpoint, which the application says.
    EndpointId,
    /// The fields of a form, in one of the ways of writing them.
    Fields(Fields),
    Header(HeaderName),
    Id,
    Json(Pointer),
    /// The same, or empty if it is absent.
    JsonOrNothing(Pointer),
    /// The token that is the signature, without its own signature.
    Jwt,
    /// Headers that the request itself names, and their list.
    Listed(Listed),
    Literal(String),
    Method,
    /// The signature base of an HTTP message signature.
    MessageBase,
    Param(String),
    /// Path and query, as they were received.
    Path,
    Query(String),
    Secret,
    Timestamp,
    Url,
}

impl Part {
    /// How an error names it.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Header(name) => Subject::Header(name.clone()),
            Self::Id => named("the signed id"),
            Self::Param(key) | Self::Query(key) => named_key(key),
            Self::DetachedJws(_) | Self::Jwt => named("the token"),
            Self::Listed(_) => named("the list of signed headers"),
            Self::Path => named("the signed path"),
            Self::Timestamp => named("the signed timestamp"),
            Self::Url => named("the signed URL"),
            Self::EndpointId => named("the id of the endpoint"),
            Self::MessageBase => named("a signed component"),
            Self::AwsSns
            | Self::Body
            | Self::BodyCrc32
            | Self::BodySha256
            | Self::Fields(_)
            | Self::Json(_)
            | Self::JsonOrNothing(_)
            | Self::Literal(_)
            | Self::Method
            | Self::Secret => named("a signed part of the body"),
        }
    }

    /// Whether nobody can move its ends: it is fixed, made here, chosen by the receiver, or has one reading of its own. A new part is
    /// listed here only for one of these reasons; the compiler asks for it.
    pub(crate) fn has_own_ends(&self) -> bool {
        match self {
            // Nobody but the receiver chooses the id of its endpoint, and what is made of the body is the last part.
            Self::AwsSns
            | Self::Body
            | Self::BodyCrc32
            | Self::BodySha256
            | Self::DetachedJws(_)
            | Self::EndpointId
            | Self::Fields(_)
            | Self::Jwt
            | Self::Listed(_)
            | Self::Literal(_)
            | Self::MessageBase
            | Self::Secret => true,
            Self::Header(_)
            | Self::Id
            | Self::Json(_)
            | Self::JsonOrNothing(_)
            | Self::Method
            | Self::Param(_)
            | Self::Path
            | Self::Query(_)
            | Self::Timestamp
            | Self::Url => false,
        }
    }

    /// How long it may be, in bytes, so that what looks at it costs less than a signature.
    pub(crate) fn longest(&self) -> usize {
        match self {
            Self::Id => LONGEST_ID,
            Self::Header(_) | Self::Jwt | Self::Listed(_) | Self::Param(_) | Self::Query(_) | Self::Timestamp => {
                LONGEST_HEADER
            }
            // The body has a limit of its own, and so has the server's request line.
            Self::AwsSns
            | Self::Body
            | Self::BodyCrc32
            | Self::BodySha256
            | Self::DetachedJws(_)
            | Self::EndpointId
            | Self::Fields(_)
            | Self::Json(_)
            | Self::JsonOrNothing(_)
            | Self::Literal(_)
            | Self::MessageBase
            | Self::Method
            | Self::Path
            | Self::Secret
            | Self::Url => usize::MAX,
        }
    }
}

/// How the fields of a form are written in a signed text. They are sorted by name; nothing says where a name or a value ends, but in PHP's
/// serialization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    /// Each name and each value once. Of a body that is bound by a digest nothing is signed here.
    Joined,
    /// `a:2:{s:1:"a";s:1:"1";…}`, without the field of this name.
    #[cfg_attr(not(feature = "asymmetric"), allow(dead_code))]
    Php(&'static str),
    /// The URL with its query sorted, `.`, and each name and value.
    BehindSortedUrl,
}

/// How a request lists the headers that are signed. Names and values are written so that the text has one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// `x-contentful-signed-headers: a,b`, signed as `a:1;b:2` behind path and query. The list is one of the headers, and so is the time.
    Contentful,
    /// The parameter `h=a b` of the signature header, signed as `a b.1.2.` where there is a signature `v1`, and as nothing elsewhere.
    Hook0,
}

/// No sender lists more headers.
pub(crate) const MOST_LISTED: usize = 64;

/// What a part of the signed text must not contain, with the part's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The fixed text before it, of which it would be the end.
    Begins(usize),
    /// A digit as its first byte; a number without a window stands before it.
    BeginsWithoutDigit(usize),
    /// The beginning of a timestamp, which follows directly.
    BeforeTimestamp(usize),
    /// The fixed text after it.
    Ends(usize),
    /// The literal after it, with another fresh timestamp behind.
    EndsBeforeTimestamp(usize),
    /// What a JSON body begins with; it is a list of headers whose values only a dot ends, and the body follows.
    ListedBeforeBody(usize),
    /// What a JSON body begins with; it is a URL, and the body follows directly.
    UrlBeforeBody(usize),
}

/// Ids are a few dozen characters long; some are a hundred.
const LONGEST_ID: usize = 512;

/// Parses a template such as `v0:{timestamp}:{body}`.
pub(crate) fn parse(template: &str) -> Result<Vec<Part>, ConfigError> {
    let mut parts = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let (literal, placeholder) = match rest.split_once('{') {
            Some((literal, after)) => {
                let (name, after) = after.split_once('}').ok_or_else(|| error(template, "a `{` has no `}`"))?;
                rest = after;
                (literal, Some(name))
            }
            None => (std::mem::take(&mut rest), None),
        };
        if literal.contains('}') {
            return Err(error(template, "a `}` has no `{`"));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        if let Some(name) = placeholder {
            parts.push(part(name).map_err(|cause| cause.unwrap_or_else(|| unknown(template, name)))?);
        }
    }
    if parts.iter().filter(|part| matches!(part, Part::Body)).count() > 1 {
        return Err(error(template, "`{body}` may stand once"));
    }
    Ok(parts)
}

fn part(name: &str) -> Result<Part, Option<ConfigError>> {
    Ok(match name.split_once(':') {
        None => match name {
            "body" => Part::Body,
            "fields" => Part::Fields(Fields::Joined),
            "id" => Part::Id,
            "method" => Part::Method,
            "path" => Part::Path,
            "secret" => Part::Secret,
            "timestamp" => Part::Timestamp,
            "url" => Part::Url,
            _ => return Err(None),
        },
        Some(("header", name)) => Part::Header(header_name(name)?),
        Some(("json", pointer)) => Part::Json(json_pointer(pointer)?),
        Some(("json?", pointer)) => Part::JsonOrNothing(json_pointer(pointer)?),
        Some(("param", key)) => Part::Param(key.to_owned()),
        Some(("query", key)) => Part::Query(key.to_owned()),
        Some(_) => return Err(None),
    })
}

fn unknown(template: &str, name: &str) -> ConfigError {
    error(
        template,
        &format!(
            "`{{{name}}}` is not one of `{{body}}`, `{{id}}`, `{{timestamp}}`, `{{header:NAME}}`, `{{param:KEY}}`, \
             `{{query:KEY}}`, `{{json:/POINTER}}`, `{{json?:/POINTER}}`, `{{fields}}`, `{{path}}`, `{{url}}`, `{{method}}`, `{{secret}}`"
        ),
    )
}

fn error(template: &str, what: &str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Scheme, format!("the signed text `{template}` is not a valid template: {what}"))
}

#[cfg(test)]
mod tests {
    use super::{Part, parse};

    #[test]
    fn a_template_is_literals_and_placeholders() {
        let parts = parse("v0:{timestamp}:{body}").unwrap();

        assert!(matches!(&parts[..], [
            Part::Literal(first), Part::Timestamp, Part::Literal(second), Part::Body
        ] if first == "v0:" && second == ":"));
    }

    #[test]
    fn a_template_with_a_mistake_says_which() {
        for (template, what) in [
            ("{bodi}", "`{bodi}` is not one of"),
            ("{body", "has no `}`"),
            ("body}", "has no `{`"),
            ("{body}{body}", "once"),
            ("{json:id}", "not a JSON pointer"),
            ("{header:a b}", "not a header name"),
        ] {
            let message = parse(template).unwrap_err().to_string();
            assert!(message.contains(what), "{template}: {message}");
        }
    }
}
