use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use serde::Deserialize;

use super::{
    Shared,
    guard::Reader,
    page::{DELIVERIES, Fault, Frame, done, html},
    text::{Time, duration, link, pretty},
};
use crate::{
    api::shown,
    redaction::Redaction,
    send::{
        AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, EndpointId, MessageId, SendError, SendErrorKind,
        SentDeliveryId, Tenant,
    },
};

/// A delivery as a list shows it.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) message: String,
    pub(super) event_type: String,
    pub(super) tenant: String,
    pub(super) endpoint: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) attempts: u32,
    pub(super) created_at: Time,
    pub(super) due_at: Option<Time>,
    pub(super) can_cancel: bool,
}

impl Row {
    pub(super) fn of(record: &DeliveryRecord) -> Self {
        let tone = match record.state {
            DeliveryState::Delivered => "good",
            DeliveryState::Exhausted | DeliveryState::Refused => "bad",
            DeliveryState::Held => "warn",
            _ => "",
        };
        Self {
            id: record.id.to_string(),
            message: record.message.clone(),
            event_type: record.event_type.clone(),
            tenant: record.tenant.to_string(),
            endpoint: record.endpoint.to_string(),
            state: record.state.as_str(),
            tone,
            attempts: record.attempt,
            created_at: Time::of(record.created_at),
            due_at: record.due_at.map(Time::of),
            can_cancel: matches!(record.state, DeliveryState::Pending | DeliveryState::Held),
        }
    }
}

/// An attempt as the page of its delivery shows it.
struct AttemptRow {
    number: u32,
    manual: bool,
    result: String,
    tone: &'static str,
    ended_at: Time,
    duration: String,
    answer: String,
}

impl AttemptRow {
    fn of(record: &AttemptRecord, delivery: &DeliveryRecord, redaction: &Redaction) -> Self {
        let (result, tone) = match (record.status, &record.error) {
            (Some(status), None) => (status.to_string(), "good"),
            (Some(status), Some(_)) => (status.to_string(), "bad"),
            (None, error) => (error.clone().unwrap_or_else(|| "failed".to_owned()), "bad"),
        };
        Self {
            number: record.attempt,
            manual: record.manual,
            result,
            tone,
            ended_at: Time::of(record.ended_at),
            duration: duration(record.duration),
            answer: shown::answer(redaction, delivery, record),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Filters {
    tenant: Option<String>,
    state: String,
    #[serde(rename = "type")]
    event_type: String,
    endpoint: String,
    message: String,
    before: String,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    /// The tenant's name, if the reader can select one.
    tenant: Option<String>,
    states: Vec<(&'static str, bool)>,
    event_type: String,
    endpoint: String,
    message: String,
    wrong: Option<&'static str>,
    first_page: bool,
    next: Option<String>,
    newest: String,
    reset: String,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    filters: Result<Query<Filters>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(filters) = filters.map_err(|_| Fault::invalid("The address has a part that cannot be read."))?;
    let webhooks = &shared.webhooks;
    let (query, wrong) = match filters.query() {
        Ok(query) => (Some(query), None),
        Err(wrong) => (None, Some(wrong)),
    };
    // Of one endpoint there is one tenant, which need not be named.
    let named = match (query.as_ref().and_then(|query| query.endpoint), filters.tenant.as_deref()) {
        (Some(endpoint), None | Some("")) if reader.sees_all() => {
            let endpoint = webhooks.endpoints().get(endpoint).await?;
            endpoint.and_then(|endpoint| endpoint.tenant().map(str::to_owned))
        }
        (_, named) => named.map(str::to_owned),
    };
    let tenant = reader.tenant(webhooks, named.as_deref())?;
    // Where no tenant is named, those of all are looked for, as far as they can be.
    let all = reader.sees_all() && tenant.name().is_empty();
    let (mut records, notice) = match query {
        Some(query) if all => match webhooks.all_deliveries(query.clone(), ROWS + 1).await {
            Err(error) if error.kind() == SendErrorKind::Invalid => {
                (tenant.deliveries(query, ROWS + 1).await?, Some(OF_ONE_TENANT))
            }
            records => (records?, None),
        },
        Some(query) => (tenant.deliveries(query, ROWS + 1).await?, None),
        None => (Vec::new(), None),
    };
    let more = records.len() > ROWS as usize;
    records.truncate(ROWS as usize);
    let shown_tenant = if reader.sees_all() { tenant.name() } else { "" };
    let here = |before: &str| {
        let Filters { state, event_type, endpoint, message, .. } = &filters;
        link(
            DELIVERIES,
            &[
                ("tenant", shown_tenant),
                ("state", state),
                ("type", event_type),
                ("endpoint", endpoint),
                ("message", message),
                ("before", before),
            ],
        )
    };
    let page = ListPage {
        frame: Frame::new(&reader, "Deliveries", "Deliveries"),
        rows: records.iter().map(Row::of).collect(),
        tenant: reader.sees_all().then(|| tenant.name().to_owned()),
        states: DeliveryState::ALL.iter().map(|state| (state.as_str(), state.as_str() == filters.state)).collect(),
        wrong: wrong.or(notice),
        first_page: filters.before.is_empty(),
        next: records.last().filter(|_| more).map(|last| here(&last.id.to_string())),
        newest: here(""),
        reset: link(DELIVERIES, &[("tenant", shown_tenant)]),
        event_type: filters.event_type.clone(),
        endpoint: filters.endpoint.clone(),
        message: filters.message.clone(),
    };
    html(&page)
}

impl Filters {
    fn query(&self) -> Result<DeliveryQuery, &'static str> {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut query = DeliveryQuery::default();
        if let Some(name) = text(&self.state) {
            query.state = Some(DeliveryState::from_name(&name).ok_or("There is no such state.")?);
        }
        if let Some(id) = text(&self.endpoint) {
            query.endpoint = Some(id.parse::<EndpointId>().map_err(|_| "The id of an endpoint begins with ep_.")?);
        }
        if let Some(id) = text(&self.message) {
            query.message = Some(id.parse::<MessageId>().map_err(|_| "This is not the id of a message.")?.to_string());
        }
        if let Some(name) = text(&self.event_type) {
            let valid = crate::send::EventTypeDefinition::new(&*name).is_ok();
            query.event_type = Some(Some(name).filter(|_| valid).ok_or("This is not the name of an event type.")?);
        }
        if let Some(id) = text(&self.before) {
            query.before = Some(id.parse::<SentDeliveryId>().map_err(|_| "The page that was asked for is not there.")?);
        }
        Ok(query)
    }
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct Page {
    frame: Frame,
    row: Row,
    url: String,
    /// The description of the endpoint.
    description: String,
    attempts: Vec<AttemptRow>,
    data: Option<String>,
    list: String,
    of_message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    done: Option<String>,
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
    parameters: Result<Query<Done>, QueryRejection>,
) -> Result<Response, Fault> {
    let done = parameters.ok().and_then(|Query(parameters)| parameters.done);
    let (tenant, record) = find(&shared, &reader, &id).await?;
    let attempts = tenant.attempts(record.id).await?.unwrap_or_default();
    let message = tenant.message(&record.message).await?;
    let endpoint = tenant.endpoints().get(record.endpoint).await?;
    let shown_tenant = if reader.sees_all() { &*record.tenant } else { "" };
    let redaction = &shared.redaction;
    let (url, description) = match endpoint {
        Some(endpoint) => (endpoint.url().to_owned(), endpoint.description().to_owned()),
        None => (format!("{} (removed)", record.endpoint), String::new()),
    };
    let page = Page {
        frame: Frame::new(&reader, format!("Delivery {}", record.id), "Deliveries").told(done.as_deref()),
        row: Row::of(&record),
        url,
        description,
        attempts: attempts.iter().map(|attempt| AttemptRow::of(attempt, &record, redaction)).collect(),
        data: message.and_then(|message| shown::data(redaction, &message)).map(|data| pretty(&data)),
        list: link(DELIVERIES, &[("tenant", shown_tenant)]),
        of_message: link(DELIVERIES, &[("tenant", shown_tenant), ("message", &record.message)]),
    };
    html(&page)
}

pub(super) async fn resend(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let (tenant, record) = find(&shared, &reader, &id).await?;
    changed(&reader, &record, tenant.resend(record.id).await, "resent")
}

pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let (tenant, record) = find(&shared, &reader, &id).await?;
    changed(&reader, &record, tenant.cancel(record.id).await, "cancelled")
}

fn changed(
    reader: &Reader,
    record: &DeliveryRecord,
    changed: Result<(), SendError>,
    what: &str,
) -> Result<Response, Fault> {
    let what = match changed {
        Ok(()) => what,
        Err(error) if error.kind() == SendErrorKind::NotFound => "unchanged",
        Err(error) => return Err(error.into()),
    };
    done(reader, &format!("{DELIVERIES}/{}", record.id), what)
}

async fn find(shared: &Shared, reader: &Reader, id: &str) -> Result<(Tenant, DeliveryRecord), Fault> {
    let missing = || Fault::not_found("delivery");
    let id: SentDeliveryId = id.parse().map_err(|_| missing())?;
    let record = shared.webhooks.delivery(id).await?.ok_or_else(missing)?;
    let tenant = reader.of(&shared.webhooks, &record.tenant).ok_or_else(missing)?;
    Ok((tenant, record))
}

const OF_ONE_TENANT: &str =
    "These are the deliveries without a tenant. Name a tenant, or choose refused or exhausted for all tenants.";

/// How many rows a page of the list has.
const ROWS: u32 = 50;

/// How many of the latest ones another page shows.
pub(super) const SHOWN: u32 = 10;
