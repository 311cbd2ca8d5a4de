use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    access::Caller,
    answer::{Page, Time, json, located, next},
    config::Shared,
    input::{Id, Input, Nothing, OptionalInput, some},
    metadata,
    problem::{Always, BadBody, BadQuery, BadSpan, NoSuch, Precondition, Problem, Quota},
    query::{Parameters, limit, parsed},
    tag,
};
use crate::{
    secret::Secret,
    send::{
        ClientCredentials, ClientIdentity, CustomHeaders, Endpoint, EndpointId, EndpointUpdate, EndpointUrlError,
        EndpointUrlErrorKind, HeaderError, NewEndpoint, NewSecret, RateLimit, Style, Tenant,
    },
};

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(super) struct EndpointView {
    #[schema(example = "ep_0123456789abcdef0123456789abcdef")]
    id: String,
    /// The tenant. Absent in an application without tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    #[schema(format = "uri", example = "https://example.com/hook")]
    url: String,
    /// Which event types it wants: names, `prefix.*` (or with `/` or `:` before the `*`), or `*` for all.
    #[schema(example = json!(["order.*"]))]
    events: Vec<String>,
    /// Whether the endpoint gets deliveries.
    enabled: bool,
    /// Why the endpoint is disabled: `asked`, `failing` or `gone`.
    #[schema(required)]
    disabled_reason: Option<&'static str>,
    /// A description by the owner.
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
    /// Texts that the application or the owner has stored with the endpoint, by name.
    metadata: BTreeMap<String, String>,
    /// The labels that messages must have, by name. Without any it gets messages with any labels.
    labels: BTreeMap<String, String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

/// An endpoint and its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointWithSecret)]
pub(super) struct EndpointWithSecret {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// The secret with which deliveries are verified. Only this answer shows it. In the style `standard-webhooks-v1a`
    /// it is the public key.
    secret: String,
    /// The id of the ping's delivery, if a ping was requested and could be created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ping: Option<String>,
}

/// How deliveries are signed.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[allow(dead_code)] // It is there for the document.
pub(super) enum StyleName {
    StandardWebhooks,
    #[schema(rename = "standard-webhooks-v1a")]
    StandardWebhooksV1a,
    XWebhook,
}

/// An endpoint to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEndpointInput {
    /// Where deliveries go: `https`, on port 443 or 8443, to a public address.
    #[schema(format = "uri", example = "https://example.com/hook", max_length = 2048)]
    url: String,
    /// Which event types it wants: names, `prefix.*` (or with `/` or `:` before the `*`), or `*` for all. The default
    /// is `*`.
    #[schema(example = json!(["order.*"]), min_items = 1)]
    events: Option<Vec<String>>,
    /// A description by the owner.
    #[serde(default)]
    #[schema(max_length = 1024)]
    description: String,
    /// Headers of the deliveries in addition to those of the signature, such as an `Authorization` for a gateway. They
    /// are never shown again.
    #[serde(default)]
    #[schema(write_only)]
    headers: BTreeMap<String, String>,
    /// The client certificate for this receiver, if it asks for one (mutual TLS). It is never shown again.
    #[schema(value_type = Option<IdentityInput>, write_only, nullable = false)]
    client_identity: Option<IdentityInput>,
    /// The client credentials with which an access token for the deliveries is obtained (OAuth 2.0). They are never
    /// shown again.
    #[schema(value_type = Option<CredentialsInput>, write_only, nullable = false)]
    client_credentials: Option<CredentialsInput>,
    /// How many attempts it takes in a second or a minute.
    #[schema(example = "10/s", pattern = "^[1-9][0-9]*/(s|min)$", nullable = false)]
    rate_limit: Option<String>,
    /// A secret that the owner has chosen, 24 to 64 bytes long. By default a random one is generated.
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
    /// Texts that the application or the owner stores with the endpoint, by name.
    #[serde(default)]
    #[schema(schema_with = metadata::schema, required = false)]
    metadata: BTreeMap<String, String>,
    /// The labels that messages must have: the endpoint gets messages that have all of them with the same values.
    #[serde(default)]
    #[schema(schema_with = metadata::labels_schema, required = false)]
    labels: BTreeMap<String, String>,
    /// Whether a ping is sent at once.
    #[serde(default)]
    ping: bool,
}

/// A certificate with its private key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientIdentity)]
pub(super) struct IdentityInput {
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
pub(super) struct CredentialsInput {
    /// The URL at which the authorization server issues tokens. The rules for URLs of endpoints apply.
    #[schema(write_only, format = "uri", example = "https://login.example.com/token", max_length = 2048)]
    token_url: String,
    /// The client id of the sender at the authorization server.
    #[schema(write_only, min_length = 1, max_length = 256, pattern = "^[ -~]+$")]
    client_id: String,
    /// The client secret.
    #[schema(write_only, min_length = 1, max_length = 1024, pattern = "^[ -~]+$")]
    client_secret: String,
    /// The scope to request.
    #[schema(write_only, nullable = false, example = "webhooks")]
    scope: Option<String>,
}

/// Changes of an endpoint. Fields that are left out do not change.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointUpdate)]
pub(super) struct UpdateInput {
    /// Where deliveries go.
    #[schema(format = "uri", example = "https://example.com/hook", max_length = 2048, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    url: Option<String>,
    /// The event types that the endpoint wants.
    #[schema(example = json!(["order.*"]), min_items = 1, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    events: Option<Vec<String>>,
    /// A description by the owner.
    #[schema(max_length = 1024, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    description: Option<String>,
    /// All headers of the deliveries in addition to those of the signature.
    #[schema(write_only, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    headers: Option<BTreeMap<String, String>>,
    /// The client certificate for this receiver, if it asks for one (mutual TLS); `null` removes it.
    #[schema(value_type = Option<IdentityInput>, write_only)]
    #[serde(default, deserialize_with = "some")]
    client_identity: Option<Option<IdentityInput>>,
    /// The client credentials with which an access token is obtained; `null` removes them.
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
    /// Entries of the metadata to set, or to remove if the value is `null`; `null` instead of the object removes all.
    #[schema(schema_with = metadata::patch_schema, required = false)]
    #[serde(default, deserialize_with = "some")]
    metadata: Option<Option<BTreeMap<String, Option<String>>>>,
    /// Labels that messages must have, to set, or to remove if the value is `null`; `null` instead of the object
    /// removes all.
    #[schema(schema_with = metadata::labels_patch_schema, required = false)]
    #[serde(default, deserialize_with = "some")]
    labels: Option<Option<BTreeMap<String, Option<String>>>>,
}

/// The options of a rotation.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateInput {
    /// For how long deliveries are also signed with the previous secrets; 24 hours by default, 30 days at most.
    #[schema(minimum = 0, maximum = 2_592_000, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    overlap_seconds: Option<u32>,
    /// A secret that the owner has chosen, 24 to 64 bytes long. By default a random one is generated.
    #[schema(write_only, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    secret: Option<String>,
}

/// A span of time in which an endpoint missed messages.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoverInput {
    /// Messages that were dispatched at this time or later.
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// Messages that were dispatched before this time; now by default.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    until: Option<Time>,
}

/// The result of a recovery.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveredView {
    /// How many deliveries are due again or were created.
    deliveries: u64,
}

/// The example to send.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleInput {
    /// An event type of the catalogue that has an example.
    #[serde(rename = "type")]
    #[schema(example = "order.completed", pattern = r"^[A-Za-z0-9_-]+([./:][A-Za-z0-9_-]+)*$", max_length = 128)]
    event_type: String,
}

/// The delivery that was created.
#[derive(Serialize, ToSchema)]
pub(super) struct Pinged {
    /// The id of the delivery.
    #[schema(example = "dlv_42")]
    delivery: String,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// The tenant, for an operator of all tenants.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant: Option<String>,
    /// `true` lists the endpoints of all tenants; only an operator of all tenants may use it.
    #[param(value_type = Option<bool>)]
    all_tenants: Option<String>,
    /// Where the page begins: the `next` of the previous page.
    #[param(value_type = Option<String>, pattern = "^ep_[0-9a-f]{32}$")]
    after: Option<String>,
    /// The maximum number of rows; 50 by default.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 2_147_483_647)]
    limit: Option<String>,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct TenantParameter {
    /// The tenant of the new object, for an operator of all tenants.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub(super) tenant: Option<String>,
}

/// List endpoints
#[utoipa::path(
    get, path = "/endpoints", tag = "endpoints", operation_id = "list_endpoints", params(ListParameters),
    responses((status = 200, description = "A page of endpoints, by id.", body = Page<EndpointView>), Always, BadQuery, BadSpan),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Problem> {
    let named = parameters.tenant.as_deref();
    let all = caller.asks_for_all(named, parameters.all_tenants.as_deref())?;
    let after = parsed("after", parameters.after.as_deref(), "the `next` of another page")?;
    let limit = limit(parameters.limit.as_deref(), shared.webhooks.page())?;
    let mut endpoints = match all {
        true => shared.webhooks.endpoints().all(after, limit.saturating_add(1)).await?,
        false => caller.tenant(&shared, named)?.endpoints().list(after, limit.saturating_add(1)).await?,
    };
    let next = next(&mut endpoints, limit, |last| last.id().to_string());
    Ok(json(StatusCode::OK, &Page { data: endpoints.iter().map(EndpointView::of).collect(), next }))
}

/// Register an endpoint
///
/// Only this answer shows the secret.
#[utoipa::path(
    post, path = "/endpoints", tag = "endpoints", operation_id = "create_endpoint", params(TenantParameter, IdempotencyKey),
    request_body = NewEndpointInput,
    responses(
        (status = 201, description = "It is registered.", body = EndpointWithSecret, headers(
            ("ETag" = String, description = "The state of the endpoint."),
            ("Location" = String, description = "The URL of the new object, relative to this route."),
        )),
        Always, BadBody, Quota,
    ),
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(parameters): Parameters<TenantParameter>,
    Input(input): Input<NewEndpointInput>,
) -> Result<Response, Problem> {
    let tenant = caller.tenant(&shared, parameters.tenant.as_deref())?;
    let created = tenant.endpoints().create(input.endpoint()?).await?;
    let response = json(StatusCode::CREATED, &EndpointWithSecret::of(&created));
    Ok(tag::tagged(located(response, &format!("endpoints/{}", created.endpoint().id())), created.endpoint()))
}

/// Read an endpoint
#[utoipa::path(
    get, path = "/endpoints/{id}", tag = "endpoints", operation_id = "get_endpoint", params(EndpointParameter),
    responses(
        (status = 200, description = "The endpoint.", body = EndpointView, headers(
            ("ETag" = String, description = "The state of the endpoint."),
        )),
        (status = 304, description = "The endpoint still matches `If-None-Match`."),
        Always, NoSuch,
    ),
)]
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, endpoint) = find(&shared, &caller, id).await?;
    let response = match tag::not_modified(&headers, &endpoint) {
        Some(status) => status.into_response(),
        None => json(StatusCode::OK, &EndpointView::of(&endpoint)),
    };
    Ok(tag::tagged(response, &endpoint))
}

/// Change an endpoint
///
/// The body is a merge patch (RFC 7396): fields that are left out do not change. Waiting deliveries are sent with the
/// new settings.
#[utoipa::path(
    patch, path = "/endpoints/{id}", tag = "endpoints", operation_id = "update_endpoint",
    params(EndpointParameter, IfMatchHeader), request_body = UpdateInput,
    responses(
        (status = 200, description = "It is changed.", body = EndpointView, headers(
            ("ETag" = String, description = "The state of the endpoint."),
        )),
        Always, NoSuch, BadBody, Precondition, Quota,
    ),
)]
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    headers: HeaderMap,
    Input(input): Input<UpdateInput>,
) -> Result<Response, Problem> {
    let (tenant, endpoint) = find(&shared, &caller, id).await?;
    let mut update = input.update()?;
    if tag::check(&shared, &headers, &endpoint)? {
        update = update.if_revision(endpoint.revision());
    }
    let endpoint = tenant.endpoints().update(id, update).await?;
    Ok(tag::tagged(json(StatusCode::OK, &EndpointView::of(&endpoint)), &endpoint))
}

/// Remove an endpoint
///
/// Deliveries that wait for it are cancelled.
#[utoipa::path(
    delete, path = "/endpoints/{id}", tag = "endpoints", operation_id = "delete_endpoint",
    params(EndpointParameter, IfMatchHeader),
    responses((status = 204, description = "It is removed."), Always, NoSuch, Precondition),
)]
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (tenant, endpoint) = find(&shared, &caller, id).await?;
    tag::check(&shared, &headers, &endpoint)?;
    tenant.endpoints().delete(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Rotate the secret
///
/// Until the overlap has passed, deliveries are signed with the new secret and with the previous ones. Only this answer
/// shows the new secret.
#[utoipa::path(
    post, path = "/endpoints/{id}/rotate-secret", tag = "endpoints", operation_id = "rotate_secret",
    params(EndpointParameter, IdempotencyKey), request_body = RotateInput,
    responses(
        (status = 200, description = "The endpoint and its new secret.", body = EndpointWithSecret, headers(
            ("ETag" = String, description = "The state of the endpoint."),
        )),
        Always, NoSuch, BadBody, (status = 412, description = "The endpoint was changed by others at the same time.", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn rotate_secret(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    OptionalInput(input): OptionalInput<RotateInput>,
) -> Result<Response, Problem> {
    let (tenant, _) = find(&shared, &caller, id).await?;
    let overlap = input.overlap_seconds.unwrap_or(DEFAULT_OVERLAP);
    if overlap > LONGEST_OVERLAP {
        return Err(Problem::field("overlap_seconds", "the overlap is at most 2,592,000 seconds, which is 30 days"));
    }
    let overlap = Duration::from_secs(overlap.into());
    let rotated = match input.secret {
        Some(text) => tenant.endpoints().rotate_secret_to(id, overlap, secret(text)?).await?,
        None => tenant.endpoints().rotate_secret(id, overlap).await?,
    };
    Ok(tag::tagged(json(StatusCode::OK, &EndpointWithSecret::of(&rotated)), rotated.endpoint()))
}

/// Enable an endpoint
///
/// Held deliveries are due at once. If the endpoint is enabled already, nothing changes.
#[utoipa::path(
    post, path = "/endpoints/{id}/enable", tag = "endpoints", operation_id = "enable_endpoint",
    params(EndpointParameter, IdempotencyKey), request_body = Nothing,
    responses(
        (status = 200, description = "It is enabled.", body = EndpointView, headers(
            ("ETag" = String, description = "The state of the endpoint."),
        )),
        Always, NoSuch, BadBody,
    ),
)]
pub(super) async fn enable(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    _: OptionalInput<Nothing>,
) -> Result<Response, Problem> {
    let (tenant, endpoint) = find(&shared, &caller, id).await?;
    if !endpoint.is_enabled() {
        tenant.endpoints().enable(id).await?;
    }
    show(&tenant, id).await
}

/// Disable an endpoint
///
/// Waiting deliveries are held, and no deliveries are created for new messages. If the endpoint is disabled already,
/// nothing changes.
#[utoipa::path(
    post, path = "/endpoints/{id}/disable", tag = "endpoints", operation_id = "disable_endpoint",
    params(EndpointParameter, IdempotencyKey), request_body = Nothing,
    responses(
        (status = 200, description = "It is disabled.", body = EndpointView, headers(
            ("ETag" = String, description = "The state of the endpoint."),
        )),
        Always, NoSuch, BadBody,
    ),
)]
pub(super) async fn disable(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    _: OptionalInput<Nothing>,
) -> Result<Response, Problem> {
    let (tenant, _) = find(&shared, &caller, id).await?;
    tenant.endpoints().disable(id).await?;
    show(&tenant, id).await
}

/// Ping an endpoint
///
/// Sends a message of the type `endpoint.ping`, whatever the endpoint subscribes to. At most one ping is sent in ten
/// seconds; a second call returns the delivery of the first.
#[utoipa::path(
    post, path = "/endpoints/{id}/ping", tag = "endpoints", operation_id = "ping_endpoint",
    params(EndpointParameter, IdempotencyKey), request_body = Nothing,
    responses((status = 202, description = "The ping is due.", body = Pinged), Always, NoSuch, BadBody),
)]
pub(super) async fn ping(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    _: OptionalInput<Nothing>,
) -> Result<Response, Problem> {
    let (tenant, _) = find(&shared, &caller, id).await?;
    let delivery = tenant.endpoints().ping(id).await?.to_string();
    Ok(json(StatusCode::ACCEPTED, &Pinged { delivery }))
}

/// Send an example to an endpoint
///
/// Sends the catalogue's example of an event type, whatever the endpoint subscribes to. The id of the message contains
/// `:example:`. An example is sent at most once in ten seconds; a second call returns the delivery of the first.
#[utoipa::path(
    post, path = "/endpoints/{id}/send-example", tag = "endpoints", operation_id = "send_example",
    params(EndpointParameter, IdempotencyKey), request_body = ExampleInput,
    responses((status = 202, description = "The example is due.", body = Pinged), Always, NoSuch, BadBody),
)]
pub(super) async fn send_example(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    Input(input): Input<ExampleInput>,
) -> Result<Response, Problem> {
    let (tenant, _) = find(&shared, &caller, id).await?;
    let delivery = tenant.endpoints().send_example(id, &input.event_type).await?.to_string();
    Ok(json(StatusCode::ACCEPTED, &Pinged { delivery }))
}

/// Recover what an endpoint missed
///
/// Sends deliveries again that failed for good, and those that were not created because the endpoint was disabled or
/// not registered.
#[utoipa::path(
    post, path = "/endpoints/{id}/recover", tag = "endpoints", operation_id = "recover_endpoint",
    params(EndpointParameter, IdempotencyKey), request_body = RecoverInput,
    responses((status = 202, description = "It is due.", body = RecoveredView), Always, NoSuch, BadBody),
)]
pub(super) async fn recover(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    Input(input): Input<RecoverInput>,
) -> Result<Response, Problem> {
    let (tenant, _) = find(&shared, &caller, id).await?;
    let _running = Recovering::begin(&shared, id)?;
    let since = input.since.0;
    let deliveries = match input.until.map(|until| until.0) {
        Some(until) if until < since => return Err(Problem::field("until", "the span ends before it begins")),
        Some(until) => tenant.endpoints().recover(id, since..until).await?,
        None => tenant.endpoints().recover(id, since..).await?,
    };
    Ok(json(StatusCode::ACCEPTED, &RecoveredView { deliveries }))
}

/// A recovery that is under way. One of an endpoint at a time: each reads all messages of its span, and none ends before that
/// because its client hangs up.
struct Recovering<'a> {
    shared: &'a Shared,
    id: EndpointId,
}

impl<'a> Recovering<'a> {
    fn begin(shared: &'a Shared, id: EndpointId) -> Result<Self, Problem> {
        let begun = shared.recovering.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        let detail = "a recovery of this endpoint is running already";
        if begun { Ok(Self { shared, id }) } else { Err(Problem::conflict("in_flight", detail)) }
    }
}

impl Drop for Recovering<'_> {
    fn drop(&mut self) {
        self.shared.recovering.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // It is there for the document.
pub(super) struct EndpointParameter {
    /// The id of the endpoint.
    #[param(example = "ep_0123456789abcdef0123456789abcdef")]
    id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // It is there for the document.
pub(super) struct IfMatchHeader {
    /// The `ETag` of the endpoint: it is changed only if nobody else has changed it since it was read.
    #[param(rename = "If-Match", value_type = Option<String>)]
    if_match: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // It is there for the document.
pub(super) struct IdempotencyKey {
    /// A text that is unique for each new request, such as a UUID. If the same request arrives again within 24 hours,
    /// it gets the first answer and has no effect.
    #[param(rename = "Idempotency-Key", value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// Finds an endpoint and its tenant, if the caller may see it.
pub(super) async fn find(shared: &Shared, caller: &Caller, id: EndpointId) -> Result<(Tenant, Endpoint), Problem> {
    let endpoint = shared.webhooks.endpoints().get(id).await?.ok_or_else(|| Problem::not_found("endpoint"))?;
    let tenant = caller.of(shared, endpoint.tenant().unwrap_or_default());
    Ok((tenant.ok_or_else(|| Problem::not_found("endpoint"))?, endpoint))
}

async fn show(tenant: &Tenant, id: EndpointId) -> Result<Response, Problem> {
    let endpoint = tenant.endpoints().get(id).await?.ok_or_else(|| Problem::not_found("endpoint"))?;
    Ok(tag::tagged(json(StatusCode::OK, &EndpointView::of(&endpoint)), &endpoint))
}

impl EndpointView {
    fn of(endpoint: &Endpoint) -> Self {
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
    fn of(created: &NewSecret) -> Self {
        Self {
            endpoint: EndpointView::of(created.endpoint()),
            secret: created.reveal().to_owned(),
            ping: created.ping().map(|delivery| delivery.to_string()),
        }
    }
}

impl NewEndpointInput {
    fn endpoint(self) -> Result<NewEndpoint, Problem> {
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
    fn update(self) -> Result<EndpointUpdate, Problem> {
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
    text.parse().map_err(|error: crate::send::RateLimitError| Problem::field("rate_limit", error.to_string()))
}

fn style(text: &str) -> Result<Style, Problem> {
    let names = "`standard-webhooks`, `standard-webhooks-v1a` or `x-webhook`";
    text.parse().map_err(|_| Problem::field("style", format!("a style is {names}")))
}

fn secret(text: String) -> Result<Secret, Problem> {
    Secret::new(text).map_err(|error| Problem::field("secret", error.to_string()))
}

/// In seconds: a day is enough for the owner of an endpoint to change its secret.
const DEFAULT_OVERLAP: u32 = 24 * 60 * 60;

/// In seconds: 30 days. A secret that stays valid for longer is not really rotated.
const LONGEST_OVERLAP: u32 = 30 * 24 * 60 * 60;
