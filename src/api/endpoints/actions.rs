//! What is done with an endpoint: its secret is rotated, it is enabled and disabled, it is sent something.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    find::{find, show},
    input::secret,
    view::{EndpointView, EndpointWithSecret},
};
use crate::{
    api::{
        answer::{Time, json},
        caller::Caller,
        input::{Id, Input, Nothing, OptionalInput, some},
        parameters::{EndpointParameter, IdempotencyKey},
        problem::{Always, BadBody, NoSuch, Problem},
        shared::Shared,
        tag,
    },
    send::EndpointId,
};

/// How a secret is to be rotated.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RotateInput {
    /// For how long the secrets before it sign as well; 24 hours by default, 30 days at most.
    #[schema(minimum = 0, maximum = 2_592_000, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    overlap_seconds: Option<u32>,
    /// A secret that its owner has chosen, 24 to 64 bytes long. Without it one is drawn.
    #[schema(write_only, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    secret: Option<String>,
}

/// A span of time in which an endpoint missed messages.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RecoverInput {
    /// Messages that were dispatched at this time or later.
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// Messages that were dispatched before this time. Without it the span goes on to the present.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    #[serde(default, deserialize_with = "some")]
    until: Option<Time>,
}

/// What was recovered.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct RecoveredView {
    /// How many deliveries are due again or were made.
    deliveries: u64,
}

/// Which example is to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ExampleInput {
    /// An event type of the catalogue that has an example.
    #[serde(rename = "type")]
    #[schema(example = "order.completed", pattern = r"^[A-Za-z0-9_-]+([./:][A-Za-z0-9_-]+)*$", max_length = 128)]
    event_type: String,
}

/// What was sent.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Pinged {
    /// The delivery of what was sent.
    #[schema(example = "dlv_42")]
    delivery: String,
}

/// Rotate the secret
///
/// Until the overlap has passed, deliveries are signed with the new secret and with those before it. The answer shows the new
/// one, and nothing else will.
#[utoipa::path(
    post, path = "/endpoints/{id}/rotate-secret", tag = "endpoints", operation_id = "rotate_secret",
    params(EndpointParameter, IdempotencyKey), request_body = RotateInput,
    responses(
        (status = 200, description = "The endpoint and its new secret.", body = EndpointWithSecret, headers(
            ("ETag" = String, description = "The state of the endpoint."),
        )),
        Always, NoSuch, BadBody, (status = 412, description = "Others changed the endpoint all the while.", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
pub(in crate::api) async fn rotate_secret(
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
/// What was held for it is due at once. To enable one that is enabled changes nothing.
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
pub(in crate::api) async fn enable(
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
/// What waits for it is held, and new messages make no deliveries for it. To disable one that is disabled changes nothing.
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
pub(in crate::api) async fn disable(
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
/// Sends a message of the type `endpoint.ping`, whatever it subscribes to. Within ten seconds there is one ping; a second
/// call returns the delivery of the first.
#[utoipa::path(
    post, path = "/endpoints/{id}/ping", tag = "endpoints", operation_id = "ping_endpoint",
    params(EndpointParameter, IdempotencyKey), request_body = Nothing,
    responses((status = 202, description = "The ping is due.", body = Pinged), Always, NoSuch, BadBody),
)]
pub(in crate::api) async fn ping(
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
/// Sends the example that the catalogue has of an event type, whatever the endpoint subscribes to. The id of the message contains
/// `:example:`. Within ten seconds an example is sent once; a second call returns the delivery of the first.
#[utoipa::path(
    post, path = "/endpoints/{id}/send-example", tag = "endpoints", operation_id = "send_example",
    params(EndpointParameter, IdempotencyKey), request_body = ExampleInput,
    responses((status = 202, description = "The example is due.", body = Pinged), Always, NoSuch, BadBody),
)]
pub(in crate::api) async fn send_example(
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
/// Makes due what failed for good, and what was never made because the endpoint was disabled or not registered.
#[utoipa::path(
    post, path = "/endpoints/{id}/recover", tag = "endpoints", operation_id = "recover_endpoint",
    params(EndpointParameter, IdempotencyKey), request_body = RecoverInput,
    responses((status = 202, description = "It is due.", body = RecoveredView), Always, NoSuch, BadBody),
)]
pub(in crate::api) async fn recover(
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
        let detail = "what this endpoint missed is being recovered already";
        if begun { Ok(Self { shared, id }) } else { Err(Problem::conflict("in_flight", detail)) }
    }
}

impl Drop for Recovering<'_> {
    fn drop(&mut self) {
        self.shared.recovering.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// In seconds: a day, in which the owner of an endpoint can change its secret.
const DEFAULT_OVERLAP: u32 = 24 * 60 * 60;

/// In seconds: 30 days. An old secret that signs for longer is not rotated.
const LONGEST_OVERLAP: u32 = 30 * 24 * 60 * 60;
