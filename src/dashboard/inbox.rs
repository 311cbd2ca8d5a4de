use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use askama::Template;
use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::{
    Received,
    form::Form,
    guard::Reader,
    page::{Fault, Frame, INBOX, done, html},
    text::{Time, duration, link, number, pretty},
};
use crate::{
    api::{
        inboxes::{EventId, Filters, Whose},
        shown::{self, RequestText},
    },
    clock::{Clock, SystemClock},
    inbox::{Change, EventState, InboxId, InboxRecord, InboxStats},
    redaction::Redaction,
};

/// How much there is of all tenants.
pub(super) struct Depth {
    pub(super) pending: String,
    pub(super) working: String,
    pub(super) dead: String,
    pub(super) has_dead: bool,
    pub(super) oldest: String,
}

impl Depth {
    pub(super) fn of(stats: InboxStats) -> Self {
        Self {
            pending: number(stats.pending),
            working: number(stats.working),
            dead: number(stats.dead),
            has_dead: stats.dead > 0,
            oldest: match stats.oldest {
                None => "nothing waits".to_owned(),
                Some(age) => format!("the oldest arrived {} ago", duration(age)),
            },
        }
    }
}

/// An event as pages show it.
pub(super) struct Row {
    pub(super) id: String,
    /// The event type, or a text in its place.
    pub(super) title: String,
    pub(super) delivery: String,
    pub(super) tenant: String,
    pub(super) provider: String,
    pub(super) consumer: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) attempts: u32,
    pub(super) accepted_at: Time,
    pub(super) at: Option<Time>,
    pub(super) at_label: &'static str,
    pub(super) reason: Option<String>,
    pub(super) can_replay: bool,
    pub(super) can_discard: bool,
}

impl Row {
    pub(super) fn of(record: &InboxRecord, redaction: &Redaction) -> Self {
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        let (tone, at_label) = match record.state {
            EventState::Dead => ("bad", "Dead since"),
            EventState::Discarded => ("warn", "Discarded"),
            EventState::Done => ("good", "Done"),
            EventState::Pending => ("", "Due"),
            EventState::Working => ("", "Held by its worker until"),
        };
        Self {
            id: record.id.to_string(),
            title: record.event_type.as_deref().unwrap_or("An event without a type").to_owned(),
            delivery: text(&record.delivery_id),
            tenant: text(&record.tenant),
            provider: record.provider.to_string(),
            consumer: record.consumer.to_string(),
            state: record.state.as_str(),
            tone,
            attempts: record.attempt,
            accepted_at: Time::of(record.accepted_at),
            at: record.due_at.map(Time::of),
            at_label,
            reason: shown::reason(redaction, record),
            can_replay: record.state.has_ended(),
            can_discard: matches!(record.state, EventState::Dead | EventState::Pending),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    tenant: Option<String>,
    consumer: String,
    state: String,
    #[serde(rename = "type")]
    event_type: String,
    before: String,
    done: Option<String>,
    count: Option<u64>,
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct ListPage {
    frame: Frame,
    depth: Option<Depth>,
    rows: Vec<Row>,
    /// The tenant's name, if the reader can select one.
    tenant: Option<String>,
    consumers: Vec<(String, bool)>,
    consumer: String,
    states: Vec<(&'static str, bool)>,
    event_type: String,
    wrong: Option<&'static str>,
    first_page: bool,
    next: Option<String>,
    newest: String,
    reset: String,
    of_whom: String,
}

pub(super) async fn list(
    State(received): State<Arc<Received>>,
    reader: Reader,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(parameters) = parameters.map_err(|_| Fault::invalid("The address has a part that cannot be read."))?;
    let inboxes = &received.inboxes;
    let tenant = parameters.tenant.as_deref().map(str::trim);
    let whose = reader.whose(tenant.filter(|name| is_text(name)))?;
    let (found, wrong) = match parameters.filters(&received) {
        Ok(filters) => (Some(inboxes.list(&whose, &filters, ROWS).await?), None),
        Err(wrong) => (None, Some(wrong)),
    };
    let (records, next) = found.map_or_else(Default::default, |page| (page.records, page.next));
    let consumer = parameters.consumer.trim();
    let depth = match &whose {
        Whose::All => {
            let of_one = Some(consumer).filter(|name| inboxes.has(name));
            Some(Depth::of(inboxes.stats(of_one).await?))
        }
        Whose::Tenant(_) => None,
    };
    let named = match &whose {
        Whose::Tenant(name) if reader.sees_all() => name,
        Whose::All | Whose::Tenant(_) => "",
    };
    let here = |before: &str| {
        let Parameters { state, event_type, .. } = &parameters;
        let (state, event_type) = (state.as_str(), event_type.as_str());
        let parts =
            [("tenant", named), ("consumer", consumer), ("state", state), ("type", event_type), ("before", before)];
        link(INBOX, &parts)
    };
    let mut frame = Frame::new(&reader, "Inbox", "Inbox").told(parameters.done.as_deref());
    if let (Some(done), Some(count)) = (parameters.done.as_deref(), parameters.count) {
        let events = if count == 1 { "1 event is" } else { &format!("{} events are", number(count)) };
        frame.notice = match done {
            "replayed" => Some(format!("{events} due again.").into()),
            "discarded" => Some(format!("{events} discarded.").into()),
            _ => None,
        };
    }
    let of_whom = match (&whose, consumer) {
        (Whose::All, "") => "Of all tenants.".to_owned(),
        (Whose::All, consumer) => format!("Of all tenants, in {consumer}."),
        (Whose::Tenant(name), "") => format!("Of {name}."),
        (Whose::Tenant(name), consumer) => format!("Of {name}, in {consumer}."),
    };
    let page = ListPage {
        frame,
        depth,
        rows: records.iter().map(|record| Row::of(record, &received.redaction)).collect(),
        tenant: reader.sees_all().then(|| named.to_owned()),
        consumers: inboxes.names().iter().map(|name| (name.to_string(), **name == *consumer)).collect(),
        states: EventState::ALL.iter().map(|state| (state.as_str(), state.as_str() == parameters.state)).collect(),
        wrong,
        first_page: parameters.before.is_empty(),
        next: next.map(|next| here(&next.to_string())),
        newest: here(""),
        reset: link(INBOX, &[("tenant", named)]),
        of_whom,
        consumer: consumer.to_owned(),
        event_type: parameters.event_type.clone(),
    };
    html(&page)
}

impl Parameters {
    fn filters(&self, received: &Received) -> Result<Filters, &'static str> {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut filters = Filters { consumer: text(&self.consumer), ..Filters::default() };
        if filters.consumer.as_deref().is_some_and(|name| !received.inboxes.has(name)) {
            return Err("There is no such inbox.");
        }
        if self.tenant.as_deref().is_some_and(|name| !is_text(name.trim())) {
            return Err("This is not the name of a tenant.");
        }
        if let Some(name) = text(&self.state) {
            filters.state = Some(EventState::of_name(&name).ok_or("There is no such state.")?);
        }
        if let Some(name) = text(&self.event_type) {
            filters.event_type = Some(Some(name).filter(|name| is_text(name)).ok_or("This is not an event type.")?);
        }
        if let Some(id) = text(&self.before) {
            let before = id.parse::<EventId>().map_err(|()| "The page that was asked for is not there.")?;
            filters.before = Some(before.0);
        }
        Ok(filters)
    }
}

/// A request as the page of its event shows it.
struct RequestView {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
    /// A note, if only the beginning of the body is shown.
    cut: Option<String>,
}

impl RequestView {
    fn of(request: RequestText) -> Self {
        let RequestText { method, path, headers, body } = request;
        let whole = body.len();
        let end = (0..=whole.min(SHOWN_BODY)).rev().find(|end| body.is_char_boundary(*end)).unwrap_or_default();
        let shown = &body[..end];
        let cut = (shown.len() < whole)
            .then(|| format!("The first {} of {} bytes.", number(shown.len() as u64), number(whole as u64)));
        Self { line: format!("{method} {path}"), headers, body: pretty(shown), cut }
    }
}

#[derive(Template)]
#[template(path = "event.html")]
struct Page {
    frame: Frame,
    row: Row,
    request: Option<RequestView>,
    list: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    done: Option<String>,
}

pub(super) async fn show(
    State(received): State<Arc<Received>>,
    reader: Reader,
    Path(id): Path<String>,
    parameters: Result<Query<Done>, QueryRejection>,
) -> Result<Response, Fault> {
    let done = parameters.ok().and_then(|Query(parameters)| parameters.done);
    let missing = || Fault::not_found("event");
    let id = event_id(&id).ok_or_else(missing)?;
    let (_, mut record) = received.inboxes.find(&reader.whose(None)?, id).await?.ok_or_else(missing)?;
    let request = shown::request(&received.redaction, &mut record).map(RequestView::of);
    let mut row = Row::of(&record, &received.redaction);
    row.can_replay &= request.is_some();
    let tenant = record.tenant.as_deref().filter(|_| reader.sees_all()).unwrap_or_default();
    let frame = Frame::new(&reader, format!("Event {}", record.id), "Inbox").told(done.as_deref());
    html(&Page { frame, row, request, list: link(INBOX, &[("tenant", tenant)]) })
}

pub(super) async fn replay(
    State(received): State<Arc<Received>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    change(&received, &reader, &id, Change::Replay).await
}

pub(super) async fn discard(
    State(received): State<Arc<Received>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    change(&received, &reader, &id, Change::Discard).await
}

async fn change(received: &Received, reader: &Reader, id: &str, change: Change) -> Result<Response, Fault> {
    let missing = || Fault::not_found("event");
    let id = event_id(id).ok_or_else(missing)?;
    let (inbox, _) = received.inboxes.find(&reader.whose(None)?, id).await?.ok_or_else(missing)?;
    let changed = match change {
        Change::Discard => inbox.discard(id).await?,
        Change::Replay => inbox.replay(id).await?,
    };
    done(reader, &format!("{INBOX}/{id}"), if changed { name(change) } else { "unchanged" })
}

/// The selected events, or every dead letter of the last hours.
#[derive(Deserialize)]
pub(super) struct SelectionForm {
    #[serde(default)]
    ids: Vec<String>,
    hours: Option<u32>,
    tenant: Option<String>,
    #[serde(default)]
    consumer: String,
}

pub(super) async fn replay_many(
    State(received): State<Arc<Received>>,
    reader: Reader,
    Form(form): Form<SelectionForm>,
) -> Result<Response, Fault> {
    change_many(&received, &reader, form, Change::Replay).await
}

pub(super) async fn discard_many(
    State(received): State<Arc<Received>>,
    reader: Reader,
    Form(form): Form<SelectionForm>,
) -> Result<Response, Fault> {
    change_many(&received, &reader, form, Change::Discard).await
}

async fn change_many(
    received: &Received,
    reader: &Reader,
    form: SelectionForm,
    change: Change,
) -> Result<Response, Fault> {
    let inboxes = &received.inboxes;
    let whose = reader.whose(form.tenant.as_deref().filter(|name| !name.is_empty()))?;
    let consumer = Some(&*form.consumer).filter(|name| !name.is_empty());
    if consumer.is_some_and(|name| !inboxes.has(name)) {
        return Err(Fault::not_found("inbox"));
    }
    let count = match form.hours {
        None if form.ids.is_empty() => return Err(Fault::invalid("Tick the events that are meant.")),
        None => {
            let ids: Option<Vec<_>> = form.ids.iter().map(|id| event_id(id)).collect();
            let ids = ids.ok_or_else(|| Fault::invalid("One of them is not the number of an event."))?;
            inboxes.change(&whose, consumer, change, ids).await?
        }
        Some(hours) if form.ids.is_empty() && (1..=LONGEST_SPAN).contains(&hours) => {
            let now = SystemClock.now();
            let back = Duration::from_secs(u64::from(hours) * 3600);
            let since = now.checked_sub(back).unwrap_or(SystemTime::UNIX_EPOCH);
            inboxes.change_since(&whose, consumer, change, since).await?
        }
        Some(_) => return Err(Fault::invalid("A span of time is from one hour to 90 days long.")),
    };
    let tenant = match &whose {
        Whose::Tenant(name) if reader.sees_all() => name,
        Whose::All | Whose::Tenant(_) => "",
    };
    let (count, what) = (count.to_string(), name(change));
    let parts = [("tenant", tenant), ("consumer", &form.consumer), ("done", what), ("count", &count)];
    let place = HeaderValue::try_from(format!("{}{}", reader.base, link(INBOX, &parts)));
    let place = place.map_err(|_| Fault::internal())?;
    Ok(axum::response::IntoResponse::into_response((StatusCode::SEE_OTHER, [(header::LOCATION, place)])))
}

fn name(change: Change) -> &'static str {
    match change {
        Change::Discard => "discarded",
        Change::Replay => "replayed",
    }
}

fn event_id(text: &str) -> Option<InboxId> {
    text.parse().ok().map(|EventId(id)| id)
}

/// Returns `true` if a store can search for this text.
fn is_text(text: &str) -> bool {
    text.chars().count() <= LONGEST_TEXT && !text.chars().any(char::is_control)
}

/// How many rows a page of the list has.
const ROWS: u32 = 50;

/// In bytes: the largest payload for sending, and more than anybody reads.
const SHOWN_BODY: usize = 256 * 1024;

/// In hours: as long as dead letters are kept by default.
const LONGEST_SPAN: u32 = 90 * 24;

/// In characters, as in the API.
const LONGEST_TEXT: usize = 256;
