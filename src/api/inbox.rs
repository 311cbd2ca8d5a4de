use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, State},
    response::Response,
};
use http::{StatusCode, request::Parts};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    access::Caller,
    answer::{Page, Time, json},
    endpoints::IdempotencyKey,
    inboxes::{EventId, EventPage, Filters, Inboxes, Whose},
    input::{Id, Input, Named, Nothing, OptionalInput, some},
    problem::{Always, BadBody, BadQuery, BadSpan, NoSuch, Problem},
    query::{Parameters, limit, parsed},
    shown,
};
use crate::{
    inbox::{Change, EventState, InboxId, InboxRecord},
    redaction::Redaction,
};

/// The state that the routes of the inbox share.
pub(super) struct Received {
    pub(super) inboxes: Inboxes,
    /// The maximum number of rows of a page.
    pub(super) page: u32,
    pub(super) redaction: Redaction,
}

/// An event in an inbox.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InboxEvent)]
pub(super) struct EventView {
    #[schema(example = "42")]
    id: String,
    /// The name of its inbox.
    #[schema(example = "inbox")]
    consumer: String,
    /// The provider that has sent the event.
    #[schema(example = "stripe")]
    provider: String,
    /// The tenant. Absent if the source of secrets names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// The sender's id.
    #[schema(required)]
    delivery: Option<String>,
    /// Its event type.
    #[serde(rename = "type")]
    #[schema(required)]
    event_type: Option<String>,
    #[schema(value_type = EventStateName)]
    state: &'static str,
    /// How many attempts were begun.
    attempts: u32,
    /// When it was accepted, or accepted again.
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Time,
    /// When a pending event is due, or when a working event is due again if its worker has died. A pending event
    /// without this field waits for another one with its order key.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    due_at: Option<Time>,
    /// When the event was done, discarded or dead.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// Why the event is not done: the last reason from its handler or the inbox.
    #[schema(required)]
    reason: Option<String>,
}

/// The state of an event in an inbox.
#[derive(ToSchema)]
#[schema(as = InboxEventState, rename_all = "lowercase")]
#[allow(dead_code)] // It is there for the document.
pub(super) enum EventStateName {
    Dead,
    Discarded,
    Done,
    Pending,
    Working,
}

/// An event with the request that brought it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InboxEventWithRequest)]
pub(super) struct EventWithRequest {
    #[serde(flatten)]
    event: EventView,
    /// Absent after its retention, or if this process does not have the key to open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request: Option<RequestView>,
}

/// A request whose signature was verified.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceivedRequest)]
struct RequestView {
    #[schema(example = "POST")]
    method: String,
    /// The path of its URL, without the query.
    path: String,
    /// The stored headers. Signatures are not among them.
    headers: Vec<HeaderView>,
    /// The body, with bytes that are not UTF-8 replaced. It may be any text: escape it before you show it.
    body: String,
}

/// A header of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceivedHeader)]
struct HeaderView {
    name: String,
    value: String,
}

/// Which events are replayed or discarded: those in `ids`, or the dead letters since a time.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InboxSelection)]
pub(super) struct SelectionInput {
    /// The ids of the events.
    #[serde(default, deserialize_with = "some")]
    #[schema(min_items = 1, max_items = 250, nullable = false, example = json!(["42", "43"]))]
    ids: Option<Vec<String>>,
    /// Selects the dead letters that died at this time or later.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    since: Option<Time>,
    /// Only events of the inbox with this name.
    #[serde(default, deserialize_with = "some")]
    #[schema(nullable = false, max_length = 256)]
    consumer: Option<String>,
}

/// How many events were changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChangedEvents)]
pub(super) struct Changed {
    /// How many events were changed: those that exist and whose state allows it.
    changed: u64,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Whose events, for an operator of all tenants; without it those of all. An empty value means the events without a tenant.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant: Option<String>,
    /// Only events of the inbox with this name.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    consumer: Option<String>,
    /// Only events in this state.
    #[param(value_type = Option<EventStateName>)]
    state: Option<String>,
    /// Only events with this type.
    #[serde(rename = "type")]
    #[param(rename = "type", value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    event_type: Option<String>,
    /// Where the page begins: the `next` of the previous page, which is the id of an event.
    #[param(value_type = Option<String>, pattern = "^(0|[1-9][0-9]{0,17})$")]
    before: Option<String>,
    /// The maximum number of rows; 50 by default.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 2_147_483_647)]
    limit: Option<String>,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhoseParameter {
    /// Whose events, for an operator of all tenants; without it those of all. An empty value means the events without a tenant.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // It is there for the document.
pub(super) struct EventParameter {
    /// The id of the event.
    #[param(example = "42", pattern = "^(0|[1-9][0-9]{0,17})$")]
    id: String,
}

impl Named for EventId {
    const NAME: &'static str = "event";
}

/// What an operator is needed for. Owners are rejected before anything else is looked at.
pub(super) struct Operator(Caller);

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.operator()?;
        Ok(Self(caller))
    }
}

/// List events
#[utoipa::path(
    get, path = "/inbox", tag = "inbox", operation_id = "list_inbox_events", params(ListParameters),
    responses(
        (status = 200, description = "A page of events, the newest first. It may have fewer rows than it could.", body = Page<EventView>),
        Always, BadQuery, BadSpan,
    ),
)]
pub(super) async fn list(
    State(received): State<Arc<Received>>,
    caller: Caller,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Problem> {
    let whose = whose(&caller, parameters.tenant.as_deref())?;
    let limit = limit(parameters.limit.as_deref(), received.page)?;
    let filters = parameters.filters(&received.inboxes)?;
    let EventPage { records, next } = received.inboxes.list(&whose, &filters, limit).await?;
    let data = records.iter().map(|record| EventView::of(record, &received.redaction)).collect();
    Ok(json(StatusCode::OK, &Page { data, next: next.map(|next| next.to_string()) }))
}

/// Read an event
#[utoipa::path(
    get, path = "/inbox/{id}", tag = "inbox", operation_id = "get_inbox_event", params(EventParameter),
    responses((status = 200, description = "The event.", body = EventWithRequest), Always, NoSuch),
)]
pub(super) async fn get(
    State(received): State<Arc<Received>>,
    caller: Caller,
    Id(EventId(id)): Id<EventId>,
) -> Result<Response, Problem> {
    let whose = caller.whose(None)?;
    let (_, mut record) = received.inboxes.find(&whose, id).await?.ok_or_else(|| Problem::not_found("event"))?;
    let request = shown::request(&received.redaction, &mut record).map(|request| RequestView {
        method: request.method,
        path: request.path,
        headers: request.headers.into_iter().map(|(name, value)| HeaderView { name, value }).collect(),
        body: request.body,
    });
    Ok(json(StatusCode::OK, &EventWithRequest { event: EventView::of(&record, &received.redaction), request }))
}

/// Replay an event
///
/// The event is due at once, and its attempts count from 1. It has to be done, discarded or dead. Only for operators.
#[utoipa::path(
    post, path = "/inbox/{id}/replay", tag = "inbox", operation_id = "replay_inbox_event",
    params(EventParameter, IdempotencyKey), request_body = Nothing,
    responses((status = 202, description = "It is due.", body = EventView), Always, NoSuch, BadBody),
)]
pub(super) async fn replay(
    State(received): State<Arc<Received>>,
    Operator(caller): Operator,
    Id(EventId(id)): Id<EventId>,
    _: OptionalInput<Nothing>,
) -> Result<Response, Problem> {
    let detail = "the event cannot be replayed: it has not ended, or its content is no longer kept";
    change_one(&received, &caller, id, Change::Replay, detail).await
}

/// Discard an event
///
/// The event will not be handled. It has to be pending or dead. Only for operators.
#[utoipa::path(
    post, path = "/inbox/{id}/discard", tag = "inbox", operation_id = "discard_inbox_event",
    params(EventParameter, IdempotencyKey), request_body = Nothing,
    responses((status = 202, description = "It is discarded.", body = EventView), Always, NoSuch, BadBody),
)]
pub(super) async fn discard(
    State(received): State<Arc<Received>>,
    Operator(caller): Operator,
    Id(EventId(id)): Id<EventId>,
    _: OptionalInput<Nothing>,
) -> Result<Response, Problem> {
    let detail = "the event cannot be discarded: it is being worked, or is done or discarded";
    change_one(&received, &caller, id, Change::Discard, detail).await
}

/// Replay events
///
/// Those with these ids, or every dead letter since a time. An id that is unknown, or another tenant's, is passed over. Only an operator
/// may do it.
#[utoipa::path(
    post, path = "/inbox/replay", tag = "inbox", operation_id = "replay_inbox_events",
    params(WhoseParameter, IdempotencyKey), request_body = SelectionInput,
    responses((status = 202, description = "They are due.", body = Changed), Always, BadBody),
)]
pub(super) async fn replay_many(
    State(received): State<Arc<Received>>,
    Operator(caller): Operator,
    Parameters(parameters): Parameters<WhoseParameter>,
    Input(input): Input<SelectionInput>,
) -> Result<Response, Problem> {
    change_many(&received, &caller, parameters, input, Change::Replay).await
}

/// Discard events
///
/// Those with these ids, or every dead letter since a time. An id that is unknown, or another tenant's, is passed over. Only an operator
/// may do it.
#[utoipa::path(
    post, path = "/inbox/discard", tag = "inbox", operation_id = "discard_inbox_events",
    params(WhoseParameter, IdempotencyKey), request_body = SelectionInput,
    responses((status = 202, description = "They are discarded.", body = Changed), Always, BadBody),
)]
pub(super) async fn discard_many(
    State(received): State<Arc<Received>>,
    Operator(caller): Operator,
    Parameters(parameters): Parameters<WhoseParameter>,
    Input(input): Input<SelectionInput>,
) -> Result<Response, Problem> {
    change_many(&received, &caller, parameters, input, Change::Discard).await
}

async fn change_one(
    received: &Received,
    caller: &Caller,
    id: InboxId,
    change: Change,
    detail: &str,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("event");
    let whose = caller.whose(None)?;
    let (inbox, _) = received.inboxes.find(&whose, id).await?.ok_or_else(missing)?;
    let done = match change {
        Change::Discard => inbox.discard(id).await?,
        Change::Replay => inbox.replay(id).await?,
    };
    if !done {
        return Err(Problem::conflict("state", detail));
    }
    let (_, record) = received.inboxes.find(&whose, id).await?.ok_or_else(missing)?;
    Ok(json(StatusCode::ACCEPTED, &EventView::of(&record, &received.redaction)))
}

async fn change_many(
    received: &Received,
    caller: &Caller,
    parameters: WhoseParameter,
    input: SelectionInput,
    change: Change,
) -> Result<Response, Problem> {
    let whose = whose(caller, parameters.tenant.as_deref())?;
    let SelectionInput { ids, since, consumer } = input;
    let (inboxes, consumer) = (&received.inboxes, consumer.as_deref());
    if consumer.is_some_and(|name| !inboxes.has(name)) {
        return Err(Problem::field("consumer", no_such_inbox(inboxes)));
    }
    let changed = match (ids, since) {
        (Some(ids), None) => {
            if ids.is_empty() || ids.len() > MOST_IDS {
                return Err(Problem::field("ids", format!("name from 1 to {MOST_IDS} events")));
            }
            let id = |(place, text): (usize, &String)| match text.parse() {
                Ok(EventId(id)) => Ok(id),
                Err(()) => Err(Problem::field(&format!("ids/{place}"), "this is not the id of an event")),
            };
            let ids = ids.iter().enumerate().map(id).collect::<Result<_, _>>()?;
            inboxes.change(&whose, consumer, change, ids).await?
        }
        (None, Some(Time(since))) => inboxes.change_since(&whose, consumer, change, since).await?,
        (Some(_), Some(_)) | (None, None) => return Err(Problem::field("", "send either `ids` or `since`")),
    };
    Ok(json(StatusCode::ACCEPTED, &Changed { changed }))
}

fn whose(caller: &Caller, named: Option<&str>) -> Result<Whose, Problem> {
    caller.whose(text("tenant", named)?)
}

fn no_such_inbox(inboxes: &Inboxes) -> String {
    let names: Vec<_> = inboxes.names().iter().map(|name| format!("`{name}`")).collect();
    format!("there is no such inbox; there is {}", names.join(", "))
}

/// Checks the text of a filter. Texts with characters that a store cannot keep are rejected.
fn text<'a>(name: &'static str, text: Option<&'a str>) -> Result<Option<&'a str>, Problem> {
    match text {
        Some(text) if text.chars().count() > LONGEST_TEXT || text.chars().any(char::is_control) => {
            let detail = format!("the value has at most {LONGEST_TEXT} characters, and no control characters");
            Err(Problem::parameter(name, detail))
        }
        text => Ok(text),
    }
}

impl ListParameters {
    fn filters(&self, inboxes: &Inboxes) -> Result<Filters, Problem> {
        let consumer = text("consumer", self.consumer.as_deref())?;
        if consumer.is_some_and(|name| !inboxes.has(name)) {
            return Err(Problem::impossible("consumer", no_such_inbox(inboxes)));
        }
        let state = match self.state.as_deref() {
            None => None,
            Some(name) => Some(EventState::of_name(name).ok_or_else(|| {
                let names: Vec<_> = EventState::ALL.iter().map(|state| format!("`{}`", state.as_str())).collect();
                Problem::parameter("state", format!("a state is {}", names.join(", ")))
            })?),
        };
        let event_type = text("type", self.event_type.as_deref())?.map(str::to_owned);
        let before = parsed::<EventId>("before", self.before.as_deref(), "the `next` of another page")?;
        Ok(Filters { consumer: consumer.map(str::to_owned), state, event_type, before: before.map(|EventId(id)| id) })
    }
}

impl EventView {
    fn of(record: &InboxRecord, redaction: &Redaction) -> Self {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let (due_at, ended_at) = match record.state.has_ended() {
            false => (record.due_at, None),
            true => (None, record.due_at),
        };
        Self {
            id: record.id.to_string(),
            consumer: record.consumer.to_string(),
            provider: record.provider.to_string(),
            tenant: text(&record.tenant).filter(|tenant| !tenant.is_empty()),
            delivery: text(&record.delivery_id),
            event_type: text(&record.event_type),
            state: record.state.as_str(),
            attempts: record.attempt,
            accepted_at: Time(record.accepted_at),
            due_at: due_at.map(Time),
            ended_at: ended_at.map(Time),
            reason: shown::reason(redaction, record),
        }
    }
}

/// The largest page, since people select events on one page.
const MOST_IDS: usize = 250;

/// In characters: as long as the name of a tenant, and longer than an event type of any known sender.
const LONGEST_TEXT: usize = 256;
