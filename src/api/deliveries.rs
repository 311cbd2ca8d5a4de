use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    access::Caller,
    answer::{Page, Time, json, next},
    config::Shared,
    endpoints::IdempotencyKey,
    input::{Id, Nothing, OptionalInput},
    problem::{Always, BadBody, BadQuery, BadSpan, NoSuch, Problem},
    query::{Parameters, limit, parsed},
    shown,
};
use crate::{
    redaction::Redaction,
    send::{
        AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, EndpointId, EventTypeDefinition, MessageId,
        SendError, SendErrorKind, SentDeliveryId, Tenant,
    },
};

/// One message on its way to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView {
    #[schema(example = "dlv_42")]
    id: String,
    /// The id of its message.
    message: String,
    /// The event type of its message.
    #[serde(rename = "type")]
    event_type: String,
    /// The tenant. Absent in an application without tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// The id of its endpoint, which may have been removed.
    endpoint: String,
    #[schema(value_type = StateName)]
    state: &'static str,
    /// How many attempts were begun since the delivery was created.
    attempts: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When a pending delivery is due.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    due_at: Option<Time>,
}

/// The state of a delivery.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // It is there for the document.
pub(super) enum StateName {
    Cancelled,
    Delivered,
    Exhausted,
    Held,
    Pending,
    Refused,
    Sending,
}

/// One attempt of a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(super) struct AttemptView {
    /// The number of the attempt, from 1.
    attempt: u32,
    /// Whether the attempt was requested, by resending or recovering the delivery.
    manual: bool,
    #[schema(value_type = String, format = DateTime)]
    ended_at: Time,
    /// The status that the endpoint answered.
    #[schema(required)]
    status: Option<u16>,
    /// The reason of the failure; `null` if the attempt delivered.
    #[schema(required)]
    error: Option<String>,
    duration_ms: u64,
    /// The beginning of the endpoint's answer, with bytes that are not UTF-8 replaced. It may be any text: escape it
    /// before you show it.
    answer: String,
}

/// The attempts of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Attempts {
    /// The attempts, in their order.
    data: Vec<AttemptView>,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// The tenant, for an operator of all tenants.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant: Option<String>,
    /// `true` lists the deliveries of all tenants; only an operator of all tenants may use it. They can be filtered by
    /// the states `refused` and `exhausted`, but not by endpoint, message or type.
    #[param(value_type = Option<bool>)]
    all_tenants: Option<String>,
    /// Only deliveries to this endpoint.
    #[param(value_type = Option<String>, pattern = "^ep_[0-9a-f]{32}$")]
    endpoint: Option<String>,
    /// Only deliveries in this state.
    #[param(value_type = Option<StateName>)]
    state: Option<String>,
    /// Only deliveries of messages with this event type.
    #[serde(rename = "type")]
    #[param(rename = "type", value_type = Option<String>, max_length = 128, pattern = r"^[A-Za-z0-9_-]+([./:][A-Za-z0-9_-]+)*$")]
    event_type: Option<String>,
    /// Only deliveries of this message.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_:-]{1,128}$")]
    message: Option<String>,
    /// Where the page begins: the `next` of the previous page, which is the id of a delivery.
    #[param(value_type = Option<String>, pattern = "^dlv_[0-9]{1,18}$")]
    before: Option<String>,
    /// The maximum number of rows; 50 by default.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 2_147_483_647)]
    limit: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // It is there for the document.
pub(super) struct DeliveryParameter {
    /// The id of the delivery.
    #[param(example = "dlv_42")]
    id: String,
}

/// List deliveries
#[utoipa::path(
    get, path = "/deliveries", tag = "deliveries", operation_id = "list_deliveries", params(ListParameters),
    responses((status = 200, description = "A page of deliveries, the newest first.", body = Page<DeliveryView>), Always, BadQuery, BadSpan),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Problem> {
    let named = parameters.tenant.as_deref();
    let all = caller.asks_for_all(named, parameters.all_tenants.as_deref())?;
    let limit = limit(parameters.limit.as_deref(), shared.webhooks.page())?;
    let query = parameters.query()?;
    let mut records = match all {
        true => shared.webhooks.all_deliveries(query, limit.saturating_add(1)).await.map_err(impossible)?,
        false => caller.tenant(&shared, named)?.deliveries(query, limit.saturating_add(1)).await?,
    };
    let next = next(&mut records, limit, |last| last.id.to_string());
    Ok(json(StatusCode::OK, &Page { data: records.iter().map(DeliveryView::of).collect(), next }))
}

// Not a method reference: `map_err` wants a value.
#[allow(clippy::needless_pass_by_value)]
fn impossible(error: SendError) -> Problem {
    let name = ["endpoint", "message", "state", "type"].into_iter().find(|name| error.field() == Some(name));
    match (error.kind(), name) {
        (SendErrorKind::Invalid, Some(name)) => Problem::impossible(name, error.to_string()),
        _ => error.into(),
    }
}

/// Read a delivery
#[utoipa::path(
    get, path = "/deliveries/{id}", tag = "deliveries", operation_id = "get_delivery", params(DeliveryParameter),
    responses((status = 200, description = "The delivery.", body = DeliveryView), Always, NoSuch),
)]
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<SentDeliveryId>,
) -> Result<Response, Problem> {
    let (_, record) = find(&shared, &caller, id).await?;
    Ok(json(StatusCode::OK, &DeliveryView::of(&record)))
}

/// List the attempts of a delivery
#[utoipa::path(
    get, path = "/deliveries/{id}/attempts", tag = "deliveries", operation_id = "list_attempts", params(DeliveryParameter),
    responses((status = 200, description = "All attempts that are still kept.", body = Attempts), Always, NoSuch),
)]
pub(super) async fn attempts(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<SentDeliveryId>,
) -> Result<Response, Problem> {
    let (tenant, record) = find(&shared, &caller, id).await?;
    let attempts = tenant.attempts(id).await?.ok_or_else(|| Problem::not_found("delivery"))?;
    Ok(json(
        StatusCode::OK,
        &Attempts {
            data: attempts.iter().map(|attempt| AttemptView::of(attempt, &record, &shared.redaction)).collect(),
        },
    ))
}

/// Send a delivery again
///
/// It is due at once, and keeps its earlier attempts. A delivery that waits for a retry does not wait any longer.
#[utoipa::path(
    post, path = "/deliveries/{id}/resend", tag = "deliveries", operation_id = "resend_delivery",
    params(DeliveryParameter, IdempotencyKey), request_body = Nothing,
    responses((status = 202, description = "It is due.", body = DeliveryView), Always, NoSuch, BadBody),
)]
pub(super) async fn resend(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<SentDeliveryId>,
    _: OptionalInput<Nothing>,
) -> Result<Response, Problem> {
    let (tenant, _) = find(&shared, &caller, id).await?;
    let detail = "the delivery cannot be sent again: it is being sent, or its endpoint or its content is gone";
    changed(&tenant, id, tenant.resend(id).await, detail).await
}

/// Cancel a delivery
///
/// It has to be pending or held.
#[utoipa::path(
    post, path = "/deliveries/{id}/cancel", tag = "deliveries", operation_id = "cancel_delivery",
    params(DeliveryParameter, IdempotencyKey), request_body = Nothing,
    responses((status = 202, description = "It is cancelled.", body = DeliveryView), Always, NoSuch, BadBody),
)]
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<SentDeliveryId>,
    _: OptionalInput<Nothing>,
) -> Result<Response, Problem> {
    let (tenant, _) = find(&shared, &caller, id).await?;
    changed(&tenant, id, tenant.cancel(id).await, "the delivery cannot be cancelled: it is neither pending nor held")
        .await
}

/// Shows a changed delivery. If it exists but could not be changed, its state does not allow the change, which is a
/// conflict.
async fn changed(
    tenant: &Tenant,
    id: SentDeliveryId,
    done: Result<(), SendError>,
    detail: &str,
) -> Result<Response, Problem> {
    match done {
        Ok(()) => {}
        Err(error) if error.kind() == SendErrorKind::NotFound => {
            return Err(Problem::conflict("state", detail));
        }
        Err(error) => return Err(error.into()),
    }
    let record = tenant.delivery(id).await?.ok_or_else(|| Problem::not_found("delivery"))?;
    Ok(json(StatusCode::ACCEPTED, &DeliveryView::of(&record)))
}

/// Finds a delivery and its tenant, if the caller may see it.
async fn find(shared: &Shared, caller: &Caller, id: SentDeliveryId) -> Result<(Tenant, DeliveryRecord), Problem> {
    let record = shared.webhooks.delivery(id).await?.ok_or_else(|| Problem::not_found("delivery"))?;
    let tenant = caller.of(shared, &record.tenant).ok_or_else(|| Problem::not_found("delivery"))?;
    Ok((tenant, record))
}

impl ListParameters {
    fn query(&self) -> Result<DeliveryQuery, Problem> {
        let endpoint = parsed::<EndpointId>("endpoint", self.endpoint.as_deref(), "the id of an endpoint")?;
        let mut query = DeliveryQuery { endpoint, ..DeliveryQuery::default() };
        if let Some(name) = &self.state {
            let state = DeliveryState::from_name(name);
            query.state = Some(state.ok_or_else(|| Problem::parameter("state", format!("a state is {}", states())))?);
        }
        if let Some(name) = &self.event_type {
            EventTypeDefinition::new(&**name).map_err(|error| Problem::parameter("type", error.to_string()))?;
            query.event_type = Some(name.clone());
        }
        let message = parsed::<MessageId>("message", self.message.as_deref(), "the id of a message")?;
        query.message = message.map(|id| id.to_string());
        query.before = parsed::<SentDeliveryId>("before", self.before.as_deref(), "the `next` of another page")?;
        Ok(query)
    }
}

fn states() -> String {
    let names: Vec<_> = DeliveryState::ALL.iter().map(|state| format!("`{}`", state.as_str())).collect();
    names.join(", ")
}

impl DeliveryView {
    fn of(record: &DeliveryRecord) -> Self {
        Self {
            id: record.id.to_string(),
            message: record.message.clone(),
            event_type: record.event_type.clone(),
            tenant: Some(record.tenant.to_string()).filter(|tenant| !tenant.is_empty()),
            endpoint: record.endpoint.to_string(),
            state: record.state.as_str(),
            attempts: record.attempt,
            created_at: Time(record.created_at),
            due_at: record.due_at.map(Time),
        }
    }
}

impl AttemptView {
    fn of(record: &AttemptRecord, delivery: &DeliveryRecord, redaction: &Redaction) -> Self {
        Self {
            attempt: record.attempt,
            manual: record.manual,
            ended_at: Time(record.ended_at),
            status: record.status,
            error: record.error.clone(),
            duration_ms: u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX),
            answer: shown::answer(redaction, delivery, record),
        }
    }
}
