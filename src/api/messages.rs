use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, extract::State, response::Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::{Page, Time, any, json, located, next},
    caller::Caller,
    input::{Id, Input},
    metadata,
    parameters::{IdempotencyKey, TenantParameter},
    problem::{Always, BadBody, BadQuery, NoSuch, Problem},
    query::{Parameters, limit, parsed},
    repeat::RequestKey,
    shared::Shared,
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
    /// Whose it is. Not there in an application without tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// The version of the API that shaped its data.
    #[schema(required)]
    version: Option<String>,
    /// Its labels, by which endpoints choose messages.
    labels: BTreeMap<String, String>,
    /// Its order key: each endpoint gets those with the same key one at a time and in order.
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
    /// Its data; not there once it was dropped after its retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = any, required = false)]
    data: Option<Box<RawValue>>,
}

/// A message that is to be dispatched.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessageInput {
    /// Its event type: letters, digits, `_` and `-`, in parts with `.`, `/` or `:` between them.
    #[serde(rename = "type")]
    #[schema(example = "order.completed", pattern = r"^[A-Za-z0-9_-]+([./:][A-Za-z0-9_-]+)*$", max_length = 128)]
    event_type: String,
    /// What endpoints get: any JSON, at most 256 KiB of it.
    #[schema(schema_with = any, example = json!({ "order": 7 }))]
    data: Box<RawValue>,
    /// Its id: the same message again changes nothing. Without it one is drawn.
    #[schema(pattern = "^[A-Za-z0-9_:-]+$", max_length = 128, nullable = false)]
    id: Option<String>,
    /// The version of the API that shaped its data.
    #[schema(pattern = "^[A-Za-z0-9._-]+$", max_length = 64, nullable = false)]
    version: Option<String>,
    /// Its labels, by which endpoints choose messages. They are not part of what endpoints get.
    #[serde(default)]
    #[schema(schema_with = metadata::labels_schema, required = false)]
    labels: BTreeMap<String, String>,
    /// Its order key: each endpoint gets those with the same key one at a time and in the order of dispatch.
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
    /// How many deliveries there are of it: one for each endpoint that wanted it.
    deliveries: u32,
    /// Whether it was not there before.
    new: bool,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Whose messages, for an operator of all tenants.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant: Option<String>,
    /// Where the page begins: `next` of the page before it.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}-[0-9]{1,18}$")]
    before: Option<String>,
    /// How many rows it has at most; 50 by default.
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
/// It is durable when this returns. The same message again, with its id, changes nothing. Only an operator may do it.
#[utoipa::path(
    post, path = "/messages", tag = "messages", operation_id = "create_message", params(TenantParameter, IdempotencyKey),
    request_body = NewMessageInput,
    responses(
        (status = 202, description = "It is stored.", body = Dispatched, headers(
            ("Location" = String, description = "Where it is, relative to this route."),
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
        // The same request then is the same message, also where nobody knows what became of the first.
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
