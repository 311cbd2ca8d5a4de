use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;

use super::{
    Shared,
    chart::{Period, StatsView},
    deliveries::{Row, SHOWN},
    guard::Reader,
    page::{DELIVERIES, Fault, Frame, html},
    text::number,
};
use crate::{observe::Received, send::DeliveryQuery};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    pub(super) period: Option<String>,
    pub(super) done: Option<String>,
}

/// What this process has received since it started.
struct Process {
    received: String,
    rejected: String,
    /// By their kind.
    kinds: Vec<(&'static str, String)>,
    duplicates: String,
}

impl Process {
    fn now() -> Self {
        let Received { all, rejected, duplicates } = Received::now();
        Self {
            received: number(all),
            rejected: number(rejected.iter().map(|(_, count)| count).sum()),
            kinds: rejected.iter().map(|(kind, count)| (*kind, number(*count))).collect(),
            duplicates: number(duplicates),
        }
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    whose: String,
    periods: [(&'static str, String, bool); 4],
    stats: StatsView,
    /// What this process receives: of no tenant in particular, so only who sees all of them sees it.
    process: Option<Process>,
    recent: Vec<Row>,
    all: &'static str,
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    parameters: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Fault> {
    let Query(parameters) = parameters.map_err(|_| Fault::invalid("The address has a part that cannot be read."))?;
    let period = Period::of(parameters.period.as_deref());
    let webhooks = &shared.webhooks;
    let stats = webhooks.stats(reader.scope(), period.until(webhooks.now())).await?;
    let recent = match reader.sees_all() {
        true => webhooks.all_deliveries(DeliveryQuery::default(), SHOWN).await?,
        false => reader.tenant(webhooks, None)?.deliveries(DeliveryQuery::default(), SHOWN).await?,
    };
    let recent = recent.iter().map(Row::of).collect();
    let frame = Frame::new(&reader, "Overview", "Overview");
    let whose = match reader.access.tenant() {
        None => "All tenants.".to_owned(),
        Some("") => "Everything that is sent.".to_owned(),
        Some(tenant) => format!("What is sent to {tenant}."),
    };
    let periods = period.links(frame.home());
    let process = reader.sees_all().then(Process::now);
    html(&Page { frame, whose, periods, stats: StatsView::of(&stats, period), process, recent, all: DELIVERIES })
}
