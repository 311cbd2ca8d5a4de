use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, extract::State, response::Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    access::Caller,
    answer::{Page, Time, any, json, located, next},
    config::Shared,
    endpoints::{IdempotencyKey, TenantParameter},
    input::{Id, Input},
    metadata,
    problem::{Always, BadBody, BadQuery, NoSuch, Problem},
    query::{Parameters, limit, parsed},
    repeat::RequestKey,
    shown,
};
use crate::send::{Message, MessageError, MessageErrorKind, MessageId, MessagePlace, MessageQuery, MessageRecord};

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageView {
    #[schema(example = "msg_0123456789abcdef0123456789abcdef")]
    id: String,
    /// Its event type.
    #[serde(rename = "type")]
    #[schema(example = "order.completed")]
    event_type: String,
    /// The tenant. Absent in an application without tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// The version of the API whose structure the data has.
    #[schema(required)]
    version: Option<String>,
    /// The labels by which endpoints select messages.
    labels: BTreeMap<String, String>,
    /// The order key. Each endpoint gets messages with the same key one at a time and in order.
    #[schema(required)]
    order_key: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    timestamp: Time,
    /// When it was dispatched.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

/// A message with its data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageWithData)]
pub(super) struct MessageWithData {
    #[serde(flatten)]
    message: MessageView,
    /// The data. Absent after its retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = any, required = false)]
    data: Option<Box<RawValue>>,
}

/// A message to dispatch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessageInput {
    /// Its event type: letters, digits, `_` and `-`, in parts with `.`, `/` or `:` between them.
    #[serde(rename = "type")]
    #[schema(example = "order.completed", pattern = r"^[A-Za-z0-9_-]+([./:][A-Za-z0-9_-]+)*$", max_length = 128)]
    event_type: String,
    /// The data that endpoints get: any JSON value of at most 256 KiB.
    #[schema(schema_with = any, example = json!({ "order": 7 }))]
    data: Box<RawValue>,
    /// The id of the message: if the same message is dispatched again, nothing changes. By default a random id is
    /// generated.
    #[schema(pattern = "^[A-Za-z0-9_:-]+$", max_length = 128, nullable = false)]
    id: Option<String>,
    /// The version of the API whose structure the data has.
    #[schema(pattern = "^[A-Za-z0-9._-]+$", max_length = 64, nullable = false)]
    version: Option<String>,
    /// The labels by which endpoints select messages. Endpoints do not get them.
    #[serde(default)]
    #[schema(schema_with = metadata::labels_schema, required = false)]
    labels: BTreeMap<String, String>,
    /// The order key. Each endpoint gets messages with the same key one at a time and in the order of dispatch.
    #[schema(pattern = r"^[^\x00-\x1f\x7f-\x9f]+$", max_length = 128, nullable = false, example = "invoice-7")]
    order_key: Option<String>,
    /// When it happened; now by default.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    timestamp: Option<Time>,
}

/// A message that was dispatched.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DispatchedMessage)]
pub(super) struct Dispatched {
    id: String,
    /// The number of deliveries: one for each endpoint that wants the message.
    deliveries: u32,
    /// Whether the message is new.
    new: bool,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// The tenant, for an operator of all tenants.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant: Option<String>,
    /// Where the page begins: the `next` of the previous page.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}-[0-9]{1,18}$")]
    before: Option<String>,
    /// The maximum number of rows; 50 by default.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 2_147_483_647)]
    limit: Option<String>,
}

/// List messages
#[utoipa::path(
    get, path = "/messages", tag = "messages", operation_id = "list_messages", params(ListParameters),
    responses((status = 200, description = "A page of messages, the newest first.", body = Page<MessageView>), Always, BadQuery),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Problem> {
    let tenant = caller.tenant(&shared, parameters.tenant.as_deref())?;
    let limit = limit(parameters.limit.as_deref(), shared.webhooks.page())?;
    let before = parsed::<MessagePlace>("before", parameters.before.as_deref(), "the `next` of another page")?;
    let query = MessageQuery { before };
    let mut records = tenant.messages(query, limit.saturating_add(1)).await?;
    let next = next(&mut records, limit, |last| last.place.to_string());
    Ok(json(StatusCode::OK, &Page { data: records.iter().map(MessageView::of).collect(), next }))
}

/// Dispatch a message
///
/// The message is durable when the answer is sent. If the same message is dispatched again under its id, nothing
/// changes. Only for operators.
#[utoipa::path(
    post, path = "/messages", tag = "messages", operation_id = "create_message", params(TenantParameter, IdempotencyKey),
    request_body = NewMessageInput,
    responses(
        (status = 202, description = "It is stored.", body = Dispatched, headers(
            ("Location" = String, description = "The URL of the new object, relative to this route."),
        )),
        Always, BadBody,
    ),
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(parameters): Parameters<TenantParameter>,
    key: Option<Extension<RequestKey>>,
    Input(mut input): Input<NewMessageInput>,
) -> Result<Response, Problem> {
    caller.operator()?;
    if let Some(Extension(RequestKey(key))) = key {
        // A repeated request is then the same message, even if the outcome of the first one is unknown.
        input.id.get_or_insert_with(|| format!("msg_{:032x}", u128::from_be_bytes(key)));
    }
    let tenant = caller.tenant(&shared, parameters.tenant.as_deref())?;
    let message = input.message()?;
    let id = message.message_id().to_string();
    let receipt = tenant.dispatch(message).await?;
    let place = format!("messages/{id}");
    let dispatched = Dispatched { id, deliveries: receipt.deliveries(), new: receipt.is_new() };
    Ok(located(json(StatusCode::ACCEPTED, &dispatched), &place))
}

/// Read a message
#[utoipa::path(
    get, path = "/messages/{id}", tag = "messages", operation_id = "get_message",
    params(("id" = String, Path, description = "The id of the message.", pattern = "^[A-Za-z0-9_:-]{1,128}$"), TenantParameter),
    responses((status = 200, description = "The message.", body = MessageWithData), Always, NoSuch, BadQuery),
)]
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<MessageId>,
    Parameters(parameters): Parameters<TenantParameter>,
) -> Result<Response, Problem> {
    let tenant = caller.tenant(&shared, parameters.tenant.as_deref())?;
    let record = tenant.message(id.as_str()).await?.ok_or_else(|| Problem::not_found("message"))?;
    let data = shown::data(&shared.redaction, &record).and_then(|data| RawValue::from_string(data).ok());
    Ok(json(StatusCode::OK, &MessageWithData { message: MessageView::of(&record), data }))
}

impl MessageView {
    fn of(record: &MessageRecord) -> Self {
        Self {
            id: record.id.clone(),
            event_type: record.event_type.clone(),
            tenant: Some(record.tenant.to_string()).filter(|tenant| !tenant.is_empty()),
            version: record.version.clone(),
            labels: record.labels.clone(),
            order_key: record.order_key.clone(),
            timestamp: Time(record.timestamp),
            created_at: Time(record.created_at()),
        }
    }
}

impl NewMessageInput {
    fn message(self) -> Result<Message, Problem> {
        let invalid = |field: &'static str| {
            move |error: MessageError| match error.kind() {
                MessageErrorKind::Randomness => Problem::internal(),
                _ => Problem::field(field, error.to_string()),
            }
        };
        let mut message = Message::new(self.event_type, &self.data).map_err(|error| match error.kind() {
            MessageErrorKind::EventType => invalid("type")(error),
            _ => invalid("data")(error),
        })?;
        if let Some(id) = self.id {
            message = message.id(id.parse().map_err(invalid("id"))?);
        }
        if let Some(version) = self.version {
            message = message.version(version);
        }
        if let Some(key) = self.order_key {
            message = message.order_key(key);
        }
        for (name, value) in self.labels {
            message = message.label(name, value);
        }
        if let Some(timestamp) = self.timestamp {
            message = message.at(timestamp.0);
        }
        Ok(message)
    }
}
