use std::collections::BTreeMap;

use crate::{
    net::destination::{EndpointUrl, EndpointUrlError},
    pattern::Pattern,
    send::{
        error::SendError,
        message::{api_versions::ApiVersions, message::check_text},
        outbox::{quotas::too_many, shared::Shared},
        signing::{credentials::ClientCredentials, profile::Profile},
    },
};

impl Shared {
    pub(crate) fn check_events(&self, patterns: &[String]) -> Result<(), SendError> {
        let most = self.quotas.patterns;
        if patterns.len() > usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(too_many("patterns of an endpoint", most).with_field("events"));
        }
        check_patterns(patterns)
    }

    pub(crate) fn check_version(&self, version: Option<&str>) -> Result<(), SendError> {
        let Some(version) = version else { return Ok(()) };
        let versions = self.api_versions.as_ref();
        let known = versions.is_some_and(|versions| versions.knows(version));
        if known { Ok(()) } else { Err(ApiVersions::unknown(version, versions).with_field("api_version")) }
    }

    /// A token server is reached as an endpoint is.
    pub(crate) fn check_credentials(&self, credentials: Option<&ClientCredentials>) -> Result<(), SendError> {
        let Some(credentials) = credentials else { return Ok(()) };
        self.check_destination(&credentials.token_url, "client_credentials/token_url")
    }

    pub(crate) fn check_url(&self, url: &EndpointUrl) -> Result<(), SendError> {
        self.check_destination(url, "url")
    }

    fn check_destination(&self, url: &EndpointUrl, field: &'static str) -> Result<(), SendError> {
        let invalid =
            |cause: EndpointUrlError| SendError::invalid(cause.to_string()).with_field(field).with_source(cause);
        self.policy.check(url).map_err(invalid)
    }
}

fn check_patterns(patterns: &[String]) -> Result<(), SendError> {
    if patterns.is_empty() {
        return Err(
            SendError::invalid("an endpoint wants at least one event type; `*` is all of them").with_field("events")
        );
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let written = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:*".contains(&byte);
        if pattern.len() > LONGEST_PATTERN || !pattern.bytes().all(written) || Pattern::parse(pattern).is_none() {
            let shown: String = pattern.chars().take(LONGEST_PATTERN).collect();
            return Err(SendError::invalid(format!(
                "`{}` is not a pattern of event types; one is a name, `prefix.*`, `prefix/*`, `prefix:*`, or `*`",
                shown.escape_debug()
            ))
            .with_field(format!("events/{index}")));
        }
    }
    Ok(())
}

/// Without TLS nobody is shown a certificate.
pub(crate) fn check_identity(url: &EndpointUrl, profile: &Profile) -> Result<(), SendError> {
    if profile.has_identity() && !url.is_https() {
        return Err(SendError::invalid("an endpoint with a client's identity needs a URL with `https`")
            .with_field("client_identity"));
    }
    Ok(())
}

pub(crate) fn check_authorization(profile: &Profile) -> Result<(), SendError> {
    if profile.authorizes_twice() {
        let text = "an endpoint with client credentials has no `Authorization` header of its own";
        return Err(SendError::invalid(text).with_field("client_credentials"));
    }
    Ok(())
}

pub(crate) fn check_description(text: &str) -> Result<(), SendError> {
    if text.chars().count() > LONGEST_DESCRIPTION {
        return Err(SendError::invalid("a description is at most 1,024 characters long").with_field("description"));
    }
    check_text(text).map_err(|error| error.with_field("description"))
}

pub(crate) fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), SendError> {
    let invalid = |text: &'static str| SendError::invalid(text).with_field("metadata");
    if metadata.len() > MOST_METADATA {
        return Err(invalid("an endpoint has at most 20 entries of metadata"));
    }
    for (name, value) in metadata {
        let length = name.chars().count();
        if !(1..=LONGEST_METADATA_NAME).contains(&length) || name.chars().any(char::is_control) {
            return Err(invalid(
                "the name of an entry of metadata is 1 to 40 characters long, without control characters",
            ));
        }
        let invalid = |text: &'static str| SendError::invalid(text).with_field(metadata_field(name));
        if value.chars().count() > LONGEST_METADATA {
            return Err(invalid("a value of metadata is at most 500 characters long"));
        }
        check_text(value).map_err(|error| error.with_field(metadata_field(name)))?;
    }
    Ok(())
}

/// Where an entry is, as a JSON pointer has it (RFC 6901, section 3).
fn metadata_field(name: &str) -> String {
    format!("metadata/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// How many entries of metadata an endpoint has at most. Each lease reads them.
const MOST_METADATA: usize = 20;

/// In characters.
const LONGEST_METADATA_NAME: usize = 40;

/// The longest value, in characters.
const LONGEST_METADATA: usize = 500;

/// The longest description of an endpoint, in characters.
pub(crate) const LONGEST_DESCRIPTION: usize = 1024;

const LONGEST_PATTERN: usize = 130;
