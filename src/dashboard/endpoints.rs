use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use serde::Deserialize;

use super::{
    chart::{PERIODS, Period, StatsView},
    deliveries::{Row as DeliveryRow, SHOWN},
    fault::Fault,
    form::Form,
    overview::Parameters,
    page::{DELIVERIES, ENDPOINTS, Frame, done, html},
    reader::Reader,
    shared::Shared,
    text::{NOTHING, Time, duration, labels, link, number, share},
};
use crate::send::{DeliveryQuery, DisabledReason, Endpoint, EndpointId, FAILURES_TO_REST, Stats, Tenant};

/// An endpoint as pages show it.
struct Row {
    id: String,
    url: String,
    tenant: String,
    description: String,
    events: String,
    health: &'static str,
    tone: &'static str,
    is_enabled: bool,
    style: &'static str,
    rate_limit: String,
    api_version: String,
    in_order: bool,
    metadata: Vec<(String, String)>,
    labels: String,
    failures: u32,
    created_at: Time,
    success: String,
    p95: String,
    waiting: String,
}

impl Row {
    fn of(endpoint: &Endpoint, stats: &Stats) -> Self {
        let (health, tone) = match (endpoint.disabled(), endpoint.failures()) {
            (Some(DisabledReason::Asked), _) => ("paused", "warn"),
            (Some(DisabledReason::Gone), _) => ("gone", "bad"),
            (Some(_), _) => ("disabled: it failed for days", "bad"),
            (None, 0) => ("healthy", "good"),
            (None, failures) if failures < FAILURES_TO_REST => ("failing", "warn"),
            (None, _) => ("failing, rests between attempts", "bad"),
        };
        Self {
            id: endpoint.id().to_string(),
            url: endpoint.url().to_owned(),
            tenant: endpoint.tenant().unwrap_or_default().to_owned(),
            description: endpoint.description().to_owned(),
            events: endpoint.events().join(", "),
            health,
            tone,
            is_enabled: endpoint.is_enabled(),
            style: endpoint.style().as_str(),
            rate_limit: endpoint.rate_limit().map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
            api_version: endpoint.api_version().unwrap_or("none").to_owned(),
            in_order: endpoint.is_in_order(),
            metadata: endpoint.metadata().iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            labels: labels(endpoint.labels()),
            failures: endpoint.failures(),
            created_at: Time::of(endpoint.created_at()),
            success: share(stats.total().success_rate()),
            p95: stats.total().latency(0.95).map_or_else(|| NOTHING.to_owned(), duration),
            waiting: number(stats.backlog().waiting.into()),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ListParameters {
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "endpoints.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    /// Whether they are of several tenants.
    tenants: bool,
    next: Option<String>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    parameters: Result<Query<ListParameters>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(parameters) = parameters.map_err(|_| Fault::invalid("The address has a part that cannot be read."))?;
    let webhooks = &shared.webhooks;
    let after = parameters.after.as_deref().map(str::parse::<EndpointId>).transpose();
    let after = after.map_err(|_| Fault::invalid("The page that was asked for is not there."))?;
    let mut endpoints = match reader.sees_all() {
        true => webhooks.endpoints().all(after, ROWS + 1).await?,
        false => reader.tenant(webhooks, None)?.endpoints().list(after, ROWS + 1).await?,
    };
    let more = endpoints.len() > ROWS as usize;
    endpoints.truncate(ROWS as usize);
    let span = Period::DAY.until(webhooks.now());
    let mut rows = Vec::with_capacity(endpoints.len());
    for endpoint in &endpoints {
        let tenant = webhooks.tenant(endpoint.tenant().unwrap_or_default())?;
        rows.push(Row::of(endpoint, &tenant.stats(Some(endpoint.id()), span.clone()).await?));
    }
    let next = endpoints.last().filter(|_| more).map(|last| link(ENDPOINTS, &[("after", &last.id().to_string())]));
    html(&ListPage { frame: Frame::new(&reader, "Endpoints", "Endpoints"), rows, tenants: reader.sees_all(), next })
}

#[derive(Template)]
#[template(path = "endpoint.html")]
struct Page {
    frame: Frame,
    row: Row,
    periods: [(&'static str, String, bool); PERIODS],
    stats: StatsView,
    recent: Vec<DeliveryRow>,
    all: String,
    secret: Option<String>,
    /// The event types that have an example to send.
    examples: Vec<String>,
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(parameters) = parameters.map_err(|_| Fault::invalid("The address has a part that cannot be read."))?;
    let (tenant, endpoint) = reader.endpoint(&shared.webhooks, &id).await?;
    page(&shared, &reader, &tenant, &endpoint, &parameters, None).await
}

async fn page(
    shared: &Shared,
    reader: &Reader,
    tenant: &Tenant,
    endpoint: &Endpoint,
    parameters: &Parameters,
    secret: Option<String>,
) -> Result<Response, Fault> {
    let period = Period::of(parameters.period.as_deref());
    let stats = tenant.stats(Some(endpoint.id()), period.until(shared.webhooks.now())).await?;
    let recent = tenant.deliveries(DeliveryQuery::default().endpoint(endpoint.id()), SHOWN).await?;
    let shown_tenant = if reader.sees_all() { tenant.name() } else { "" };
    let id = endpoint.id().to_string();
    let examples = if reader.may_change() { shared.webhooks.event_types().list().await? } else { Vec::new() };
    html(&Page {
        frame: Frame::new(reader, "Endpoint", "Endpoints").told(parameters.done.as_deref()),
        row: Row::of(endpoint, &stats),
        periods: period.links(&format!("{ENDPOINTS}/{id}")),
        stats: StatsView::of(&stats, period),
        recent: recent.iter().map(DeliveryRow::of).collect(),
        all: link(DELIVERIES, &[("tenant", shown_tenant), ("endpoint", &id)]),
        secret,
        examples: examples
            .iter()
            .filter(|entry| entry.example_json().is_some())
            .map(|entry| entry.name().to_owned())
            .collect(),
    })
}

pub(super) async fn disable(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let (tenant, endpoint) = reader.endpoint(&shared.webhooks, &id).await?;
    tenant.endpoints().disable(endpoint.id()).await?;
    done(&reader, &format!("{ENDPOINTS}/{}", endpoint.id()), "disabled")
}

pub(super) async fn enable(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let (tenant, endpoint) = reader.endpoint(&shared.webhooks, &id).await?;
    if !endpoint.is_enabled() {
        tenant.endpoints().enable(endpoint.id()).await?;
    }
    done(&reader, &format!("{ENDPOINTS}/{}", endpoint.id()), "enabled")
}

pub(super) async fn ping(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let (tenant, endpoint) = reader.endpoint(&shared.webhooks, &id).await?;
    let delivery = tenant.endpoints().ping(endpoint.id()).await?;
    done(&reader, &format!("{DELIVERIES}/{delivery}"), "pinged")
}

#[derive(Deserialize)]
pub(super) struct ExampleForm {
    #[serde(rename = "type")]
    event_type: String,
}

pub(super) async fn send_example(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
    Form(form): Form<ExampleForm>,
) -> Result<Response, Fault> {
    let (tenant, endpoint) = reader.endpoint(&shared.webhooks, &id).await?;
    let delivery = tenant.endpoints().send_example(endpoint.id(), &form.event_type).await?;
    done(&reader, &format!("{DELIVERIES}/{delivery}"), "example")
}

#[derive(Deserialize)]
pub(super) struct RecoverForm {
    hours: u32,
}

pub(super) async fn recover(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
    Form(form): Form<RecoverForm>,
) -> Result<Response, Fault> {
    let (tenant, endpoint) = reader.endpoint(&shared.webhooks, &id).await?;
    if !(1..=LONGEST_RECOVERY).contains(&form.hours) {
        return Err(Fault::invalid("A span of time is from one hour to 90 days long."));
    }
    let now = shared.webhooks.now();
    let since = now.checked_sub(Duration::from_secs(u64::from(form.hours) * 3600)).unwrap_or(now);
    let recovered = tenant.endpoints().recover(endpoint.id(), since..).await?;
    done(&reader, &format!("{ENDPOINTS}/{}", endpoint.id()), if recovered == 0 { "nothing" } else { "recovered" })
}

pub(super) async fn rotate_secret(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let (tenant, endpoint) = reader.endpoint(&shared.webhooks, &id).await?;
    let rotated = tenant.endpoints().rotate_secret(endpoint.id(), OVERLAP).await?;
    // Shown in the answer itself: an address that shows it would show it again.
    let secret = Some(rotated.reveal().to_owned());
    page(&shared, &reader, &tenant, rotated.endpoint(), &Parameters::default(), secret).await
}

/// For a day both secrets sign, as by default in the API.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// In hours: as long as messages are kept.
const LONGEST_RECOVERY: u32 = 90 * 24;

/// How many rows a page of the list has. For each one its stats are read.
const ROWS: u32 = 25;
