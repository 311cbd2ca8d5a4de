//! What is said of an endpoint when it is registered or changed, and what happens to it.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use super::view::StyleName;
use crate::{
    api::{input::some, metadata, problem::Problem},
    secret::Secret,
    send::{
        ClientCredentials, ClientIdentity, CustomHeaders, EndpointUpdate, EndpointUrlError, EndpointUrlErrorKind,
        HeaderError, NewEndpoint, RateLimit, RateLimitError, Style,
    },
};

/// An endpoint that is to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewEndpointInput {
    /// Where deliveries go: `https`, on port 443 or 8443, to a public address.
    #[schema(format = "uri", example = "https://example.com/hook", max_length = 2048)]
    url: String,
    /// Which event types it wants: names, `prefix.*` (or with `/` or `:` before the `*`), or `*` for all, which is what it gets without this field.
    #[schema(example = json!(["order.*"]), min_items = 1)]
    events: Option<Vec<String>>,
    /// What its owner writes about it.
    #[serde(default)]
    #[schema(max_length = 1024)]
    description: String,
    /// Headers that its deliveries have beside those of the signature, such as an `Authorization` for a gateway. They are
    /// never shown again.
    #[serde(default)]
    #[schema(write_only)]
    headers: BTreeMap<String, String>,
    /// The certificate that its receiver is shown if it asks for one (mutual TLS). It is never shown again.
    #[schema(value_type = Option<IdentityInput>, write_only, nullable = false)]
    client_identity: Option<IdentityInput>,
    /// How an access token for it is obtained, by the client credentials of OAuth 2.0. They are never shown again.
    #[schema(value_type = Option<CredentialsInput>, write_only, nullable = false)]
    client_credentials: Option<CredentialsInput>,
    /// How many attempts it takes in a second or a minute.
    #[schema(example = "10/s", pattern = "^[1-9][0-9]*/(s|min)$", nullable = false)]
    rate_limit: Option<String>,
    /// A secret that its owner has already, 24 to 64 bytes long. Without it one is drawn.
    #[schema(write_only, nullable = false)]
    secret: Option<String>,
    /// How deliveries are signed.
    #[schema(value_type = Option<StyleName>, nullable = false)]
    style: Option<String>,
    /// Which version of the API its payloads are converted to.
    #[schema(nullable = false)]
    api_version: Option<String>,
    /// Whether its deliveries are made one at a time and in the order of their messages.
    #[serde(default)]
    in_order: bool,
    /// What the application or the owner keeps with it: texts by name.
    #[serde(default)]
    #[schema(schema_with = metadata::schema, required = false)]
    metadata: BTreeMap<String, String>,
    /// The labels that messages must have: it gets those of its event types that have each of them, with the same value.
    #[serde(default)]
    #[schema(schema_with = metadata::labels_schema, required = false)]
    labels: BTreeMap<String, String>,
    /// Whether it is sent a ping at once.
    #[serde(default)]
    ping: bool,
}

/// A certificate with its private key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientIdentity)]
pub(in crate::api) struct IdentityInput {
    /// The client's own certificate in PEM, then those that sign it, without the root.
    #[schema(write_only, max_length = 16384)]
    certificates: String,
    /// Its private key in PEM, not encrypted.
    #[schema(write_only, max_length = 16384)]
    key: String,
}

/// The client credentials of OAuth 2.0 (RFC 6749, section 4.4).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientCredentials)]
pub(in crate::api) struct CredentialsInput {
    /// Where the authorization server issues tokens: a URL that an endpoint could have.
    #[schema(write_only, format = "uri", example = "https://login.example.com/token", max_length = 2048)]
    token_url: String,
    /// The id that it knows the sender by.
    #[schema(write_only, min_length = 1, max_length = 256, pattern = "^[ -~]+$")]
    client_id: String,
    /// The secret that goes with the id.
    #[schema(write_only, min_length = 1, max_length = 1024, pattern = "^[ -~]+$")]
    client_secret: String,
    /// The scope that is asked for.
    #[schema(write_only, nullable = false, example = "webhooks")]
    scope: Option<String>,
}

/// What is to be changed about an endpoint. What is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointUpdate)]
pub(in crate::api) struct UpdateInput {
    /// Where deliveries go.
    #[schema(format = "uri", example = "https://example.com/hook", max_length = 2048, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    url: Option<String>,
    /// Which event types it wants.
    #[schema(example = json!(["order.*"]), min_items = 1, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    events: Option<Vec<String>>,
    /// What its owner writes about it.
    #[schema(max_length = 1024, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    description: Option<String>,
    /// All headers that its deliveries have beside those of the signature.
    #[schema(write_only, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    headers: Option<BTreeMap<String, String>>,
    /// The certificate that its receiver is shown if it asks for one (mutual TLS); `null` removes it.
    #[schema(value_type = Option<IdentityInput>, write_only)]
    #[serde(default, deserialize_with = "some")]
    client_identity: Option<Option<IdentityInput>>,
    /// How an access token for it is obtained; `null` removes the credentials.
    #[schema(value_type = Option<CredentialsInput>, write_only)]
    #[serde(default, deserialize_with = "some")]
    client_credentials: Option<Option<CredentialsInput>>,
    /// How many attempts it takes in a second or a minute; `null` removes the limit.
    #[schema(value_type = Option<String>, example = "10/s", pattern = "^[1-9][0-9]*/(s|min)$")]
    #[serde(default, deserialize_with = "some")]
    rate_limit: Option<Option<String>>,
    /// How deliveries are signed.
    #[schema(value_type = Option<StyleName>, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    style: Option<String>,
    /// Which version of the API its payloads are converted to; `null` for none.
    #[schema(value_type = Option<String>)]
    #[serde(default, deserialize_with = "some")]
    api_version: Option<Option<String>>,
    /// Whether its deliveries are made one at a time and in the order of their messages.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "some")]
    in_order: Option<bool>,
    /// The entries of its metadata that are to be set, or removed with `null`; `null` in their place removes all.
    #[schema(schema_with = metadata::patch_schema, required = false)]
    #[serde(default, deserialize_with = "some")]
    metadata: Option<Option<BTreeMap<String, Option<String>>>>,
    /// The labels that messages must have, that are to be set, or removed with `null`; `null` in their place removes all.
    #[schema(schema_with = metadata::labels_patch_schema, required = false)]
    #[serde(default, deserialize_with = "some")]
    labels: Option<Option<BTreeMap<String, Option<String>>>>,
}

impl NewEndpointInput {
    pub(super) fn endpoint(self) -> Result<NewEndpoint, Problem> {
        let mut endpoint =
            NewEndpoint::new(&self.url).map_err(bad_url)?.description(self.description).metadata(self.metadata);
        if let Some(events) = self.events {
            endpoint = endpoint.events(events);
        }
        if !self.headers.is_empty() {
            endpoint = endpoint.headers(custom_headers(&self.headers)?);
        }
        if let Some(input) = self.client_identity {
            endpoint = endpoint.client_identity(identity(input)?);
        }
        if let Some(input) = self.client_credentials {
            endpoint = endpoint.client_credentials(credentials(input)?);
        }
        if let Some(limit) = self.rate_limit {
            endpoint = endpoint.rate_limit(rate_limit(&limit)?);
        }
        if let Some(text) = self.secret {
            endpoint = endpoint.secret(secret(text)?);
        }
        if let Some(text) = self.style {
            endpoint = endpoint.style(style(&text)?);
        }
        if let Some(version) = self.api_version {
            endpoint = endpoint.api_version(version);
        }
        if self.in_order {
            endpoint = endpoint.in_order();
        }
        for (name, value) in self.labels {
            endpoint = endpoint.label(name, value);
        }
        Ok(if self.ping { endpoint.ping() } else { endpoint })
    }
}

impl UpdateInput {
    pub(super) fn update(self) -> Result<EndpointUpdate, Problem> {
        let mut update = EndpointUpdate::new();
        if let Some(url) = self.url {
            update = update.url(&url).map_err(bad_url)?;
        }
        if let Some(events) = self.events {
            update = update.events(events);
        }
        if let Some(description) = self.description {
            update = update.description(description);
        }
        if let Some(headers) = self.headers {
            update = update.headers(custom_headers(&headers)?);
        }
        match self.client_identity {
            Some(Some(input)) => update = update.client_identity(identity(input)?),
            Some(None) => update = update.no_client_identity(),
            None => {}
        }
        match self.client_credentials {
            Some(Some(input)) => update = update.client_credentials(credentials(input)?),
            Some(None) => update = update.no_client_credentials(),
            None => {}
        }
        match self.rate_limit {
            Some(Some(limit)) => update = update.rate_limit(rate_limit(&limit)?),
            Some(None) => update = update.no_rate_limit(),
            None => {}
        }
        if let Some(text) = self.style {
            update = update.style(style(&text)?);
        }
        match self.api_version {
            Some(Some(version)) => update = update.api_version(version),
            Some(None) => update = update.no_api_version(),
            None => {}
        }
        if let Some(in_order) = self.in_order {
            update = update.in_order(in_order);
        }
        match self.metadata {
            Some(Some(entries)) => {
                update = entries.into_iter().fold(update, |update, (name, value)| update.metadata_entry(name, value));
            }
            Some(None) => update = update.metadata::<String, String>([]),
            None => {}
        }
        match self.labels {
            Some(Some(entries)) => {
                update = entries.into_iter().fold(update, |update, (name, value)| update.label_entry(name, value));
            }
            Some(None) => update = update.labels::<String, String>([]),
            None => {}
        }
        Ok(update)
    }
}

// Not a method reference: `map_err` wants a value.
#[allow(clippy::needless_pass_by_value)]
fn bad_url(error: EndpointUrlError) -> Problem {
    let problem = Problem::field("url", error.to_string());
    if error.kind() == EndpointUrlErrorKind::Scheme { problem.bad_request() } else { problem }
}

fn custom_headers(headers: &BTreeMap<String, String>) -> Result<CustomHeaders, Problem> {
    let mut custom = CustomHeaders::default();
    for (name, value) in headers {
        let wrong = |error: HeaderError| {
            Problem::field(&format!("headers/{}", name.replace('~', "~0").replace('/', "~1")), error.to_string())
        };
        custom.insert(name, value).map_err(wrong)?;
    }
    Ok(custom)
}

fn identity(input: IdentityInput) -> Result<ClientIdentity, Problem> {
    let key = Secret::new(input.key).map_err(|error| Problem::field("client_identity/key", error.to_string()))?;
    ClientIdentity::from_pem(input.certificates, key)
        .map_err(|error| Problem::field("client_identity", error.to_string()))
}

fn credentials(input: CredentialsInput) -> Result<ClientCredentials, Problem> {
    let secret = Secret::new(input.client_secret)
        .map_err(|error| Problem::field("client_credentials/client_secret", error.to_string()))?;
    let credentials = ClientCredentials::new(&input.token_url, input.client_id, secret)?;
    Ok(match input.scope {
        Some(scope) => credentials.scope(scope)?,
        None => credentials,
    })
}

fn rate_limit(text: &str) -> Result<RateLimit, Problem> {
    text.parse().map_err(|error: RateLimitError| Problem::field("rate_limit", error.to_string()))
}

fn style(text: &str) -> Result<Style, Problem> {
    let names = "`standard-webhooks`, `standard-webhooks-v1a` or `x-webhook`";
    text.parse().map_err(|_| Problem::field("style", format!("a style is {names}")))
}

pub(super) fn secret(text: String) -> Result<Secret, Problem> {
    Secret::new(text).map_err(|error| Problem::field("secret", error.to_string()))
}
