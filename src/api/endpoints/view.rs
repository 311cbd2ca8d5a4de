use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::answer::Time,
    send::{Endpoint, NewSecret},
};

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(in crate::api) struct EndpointView {
    #[schema(example = "ep_0123456789abcdef0123456789abcdef")]
    id: String,
    /// Whose it is. Not there in an application without tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    #[schema(format = "uri", example = "https://example.com/hook")]
    url: String,
    /// Which event types it wants: names, `prefix.*` (or with `/` or `:` before the `*`), or `*` for all.
    #[schema(example = json!(["order.*"]))]
    events: Vec<String>,
    /// Whether it gets deliveries.
    enabled: bool,
    /// Why it gets none: `asked`, `failing` or `gone`.
    #[schema(required)]
    disabled_reason: Option<&'static str>,
    /// What its owner wrote about it.
    description: String,
    /// How deliveries are signed.
    #[schema(value_type = StyleName)]
    style: &'static str,
    /// How many attempts it takes in a second or a minute.
    #[schema(required, example = "10/s")]
    rate_limit: Option<String>,
    /// Which version of the API its payloads are converted to.
    #[schema(required)]
    api_version: Option<String>,
    /// Whether its deliveries are made one at a time and in the order of their messages.
    in_order: bool,
    /// What the application or the owner keeps with it, by name.
    metadata: BTreeMap<String, String>,
    /// The labels that messages must have, by name. Without any it gets messages with any labels.
    labels: BTreeMap<String, String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

/// An endpoint and its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointWithSecret)]
pub(in crate::api) struct EndpointWithSecret {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// The secret with which deliveries are verified: it is shown in this answer alone. In the style `standard-webhooks-v1a`
    /// it is the public key.
    secret: String,
    /// The delivery of the ping, where one was asked for and could be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ping: Option<String>,
}

/// How deliveries are signed.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[allow(dead_code)] // It is there for the document.
pub(in crate::api) enum StyleName {
    StandardWebhooks,
    #[schema(rename = "standard-webhooks-v1a")]
    StandardWebhooksV1a,
    XWebhook,
}

impl EndpointView {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id().to_string(),
            tenant: endpoint.tenant().map(str::to_owned),
            url: endpoint.url().to_owned(),
            events: endpoint.events().to_vec(),
            enabled: endpoint.is_enabled(),
            disabled_reason: endpoint.disabled().map(|reason| reason.as_str()),
            description: endpoint.description().to_owned(),
            style: endpoint.style().as_str(),
            rate_limit: endpoint.rate_limit().map(|limit| limit.to_string()),
            api_version: endpoint.api_version().map(str::to_owned),
            in_order: endpoint.is_in_order(),
            metadata: endpoint.metadata().clone(),
            labels: endpoint.labels().clone(),
            created_at: Time(endpoint.created_at()),
        }
    }
}

impl EndpointWithSecret {
    pub(super) fn of(created: &NewSecret) -> Self {
        Self {
            endpoint: EndpointView::of(created.endpoint()),
            secret: created.reveal().to_owned(),
            ping: created.ping().map(|delivery| delivery.to_string()),
        }
    }
}
