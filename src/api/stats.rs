use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::{Time, json},
    caller::Caller,
    endpoints,
    input::Id,
    parameters::EndpointParameter,
    problem::{Always, BadQuery, BadSpan, NoSuch, Problem},
    query::Parameters,
    shared::Shared,
};
use crate::send::{AttemptEnd, Backlog, Counts, Endpoint, EndpointId, FAILURES_TO_REST, Hour, Stats};

/// The outcomes of attempts in a time span, and the present backlog.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
pub(super) struct StatsView {
    /// The beginning of the first hour.
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// The end of the requested span, or now.
    #[schema(value_type = String, format = DateTime)]
    until: Time,
    #[serde(flatten)]
    total: CountsView,
    backlog: BacklogView,
    /// Each hour of the span, the oldest first.
    hours: Vec<HourView>,
}

/// How attempts to one endpoint ended, and how it is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointStats)]
pub(super) struct EndpointStatsView {
    #[serde(flatten)]
    stats: StatsView,
    circuit: CircuitView,
}

/// How attempts ended, and how long they took.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
struct CountsView {
    /// The number of attempts: the sum of the five counts.
    attempts: u64,
    /// Attempts that were answered with a 2xx.
    delivered: u64,
    /// Attempts that failed and are retried.
    retried: u64,
    /// Attempts whose answer was final for their delivery.
    refused: u64,
    /// Attempts that failed and were the last ones of their delivery.
    exhausted: u64,
    /// Attempts that were answered with 410.
    gone: u64,
    /// The share of the attempts that delivered, from 0 to 1.
    #[schema(required, minimum = 0.0, maximum = 1.0)]
    success_rate: Option<f64>,
    /// The duration of the attempts.
    #[schema(required)]
    latency_ms: Option<LatencyView>,
}

/// How long attempts took, in milliseconds. They are kept in buckets, so that a percentile may be off by a fifth.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Latency)]
struct LatencyView {
    p50: u64,
    p95: u64,
    p99: u64,
}

/// The deliveries that wait to be sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backlog)]
struct BacklogView {
    /// How many deliveries are pending or being sent, counted up to 10,000.
    waiting: u32,
    /// How long the oldest of them has been due, in seconds, not counting time in which its endpoint is disabled,
    /// rests, or is at its rate limit.
    oldest_due_seconds: u64,
}

/// One hour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hour)]
struct HourView {
    #[schema(value_type = String, format = DateTime)]
    start: Time,
    #[serde(flatten)]
    counts: CountsView,
}

/// How an endpoint is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Circuit)]
struct CircuitView {
    #[schema(value_type = CircuitState)]
    state: &'static str,
    /// How many attempts in a row have failed since the last success.
    failures: u32,
    /// Since when the endpoint has failed without a success.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    failing_since: Option<Time>,
}

/// `closed`: deliveries go out. `open`: it has failed so often in a row that it rests in between. `disabled`: it gets none.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // It is there for the document.
enum CircuitState {
    Closed,
    Disabled,
    Open,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct SpanParameters {
    /// The beginning; 24 hours before the end by default. The whole hour in which it lies is counted.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// The end; now by default. At most 92 days after the beginning.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsParameters {
    /// The tenant, for an operator of all tenants.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant: Option<String>,
    /// `true` counts the attempts of all tenants; only an operator of all tenants may use it.
    #[param(value_type = Option<bool>)]
    all_tenants: Option<String>,
    /// The beginning; 24 hours before the end by default. The whole hour in which it lies is counted.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// The end; now by default. At most 92 days after the beginning.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
}

/// Read the outcomes of attempts
///
/// By the hour, over all endpoints of a tenant, with the present backlog. Attempts of endpoints that were removed are
/// counted too.
#[utoipa::path(
    get, path = "/stats", tag = "stats", operation_id = "get_stats", params(StatsParameters),
    responses((status = 200, description = "How attempts ended.", body = StatsView), Always, BadQuery, BadSpan),
)]
pub(super) async fn of_tenant(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(parameters): Parameters<StatsParameters>,
) -> Result<Response, Problem> {
    let span = span(&shared, parameters.since.as_deref(), parameters.until.as_deref())?;
    let scope = caller.scope(&shared, parameters.tenant.as_deref(), parameters.all_tenants.as_deref())?;
    let stats = shared.webhooks.stats(scope, span.clone()).await.map_err(too_long)?;
    Ok(json(StatusCode::OK, &StatsView::of(&stats, &span)))
}

/// Read the outcomes of attempts to an endpoint
///
/// By the hour, with the endpoint's present backlog and the state of its circuit.
#[utoipa::path(
    get, path = "/endpoints/{id}/stats", tag = "stats", operation_id = "get_endpoint_stats",
    params(EndpointParameter, SpanParameters),
    responses((status = 200, description = "How attempts ended.", body = EndpointStatsView), Always, NoSuch, BadQuery, BadSpan),
)]
pub(super) async fn of_endpoint(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    Parameters(parameters): Parameters<SpanParameters>,
) -> Result<Response, Problem> {
    let (tenant, endpoint) = endpoints::find(&shared, &caller, id).await?;
    let span = span(&shared, parameters.since.as_deref(), parameters.until.as_deref())?;
    let stats = tenant.stats(Some(id), span.clone()).await.map_err(too_long)?;
    let circuit = CircuitView::of(&endpoint);
    Ok(json(StatusCode::OK, &EndpointStatsView { stats: StatsView::of(&stats, &span), circuit }))
}

fn span(shared: &Shared, since: Option<&str>, until: Option<&str>) -> Result<Range<SystemTime>, Problem> {
    let until = time("until", until)?.unwrap_or_else(|| shared.webhooks.now());
    let since = time("since", since)?.unwrap_or_else(|| until.checked_sub(DEFAULT_SPAN).unwrap_or(until));
    if since > until {
        return Err(Problem::impossible("since", "the span has to begin before it ends"));
    }
    Ok(since..until)
}

fn time(name: &'static str, text: Option<&str>) -> Result<Option<SystemTime>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let wrong = |_| Problem::parameter(name, "the value has to be a time as in RFC 3339");
    let millis = text.parse::<jiff::Timestamp>().map_err(wrong)?.as_millisecond();
    let millis = u64::try_from(millis).map_err(|_| Problem::impossible(name, "the time has to be 1970 or later"))?;
    Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)))
}

// Not a method reference: `map_err` wants a value.
#[allow(clippy::needless_pass_by_value)]
fn too_long(error: crate::send::SendError) -> Problem {
    match error.kind() {
        crate::send::SendErrorKind::Invalid => Problem::impossible("since", error.to_string()),
        _ => error.into(),
    }
}

impl StatsView {
    fn of(stats: &Stats, span: &Range<SystemTime>) -> Self {
        Self {
            since: Time(stats.hours().first().map_or(span.start, Hour::start)),
            until: Time(span.end),
            total: CountsView::of(stats.total()),
            backlog: BacklogView::of(stats.backlog()),
            hours: stats
                .hours()
                .iter()
                .map(|hour| HourView { start: Time(hour.start()), counts: CountsView::of(hour.counts()) })
                .collect(),
        }
    }
}

impl CountsView {
    fn of(counts: &Counts) -> Self {
        let millis =
            |share| counts.latency(share).map_or(0, |latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
        Self {
            attempts: counts.attempts(),
            delivered: counts.ended(AttemptEnd::Delivered),
            retried: counts.ended(AttemptEnd::Retried),
            refused: counts.ended(AttemptEnd::Refused),
            exhausted: counts.ended(AttemptEnd::Exhausted),
            gone: counts.ended(AttemptEnd::Gone),
            success_rate: counts.success_rate(),
            latency_ms: (counts.attempts() > 0).then(|| LatencyView {
                p50: millis(0.5),
                p95: millis(0.95),
                p99: millis(0.99),
            }),
        }
    }
}

impl BacklogView {
    fn of(backlog: Backlog) -> Self {
        Self { waiting: backlog.waiting, oldest_due_seconds: backlog.oldest_due.as_secs() }
    }
}

impl CircuitView {
    fn of(endpoint: &Endpoint) -> Self {
        let state = match endpoint.failures() {
            _ if !endpoint.is_enabled() => "disabled",
            failures if failures >= FAILURES_TO_REST => "open",
            _ => "closed",
        };
        Self { state, failures: endpoint.failures(), failing_since: endpoint.failing_since().map(Time) }
    }
}

/// A day, in which a page of a dashboard shows each hour.
const DEFAULT_SPAN: Duration = Duration::from_secs(24 * 60 * 60);
