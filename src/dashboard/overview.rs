use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;

use super::{
    Everything,
    backlog::BacklogView,
    chart::{PERIODS, Period, StatsView},
    deliveries::{Row, SHOWN},
    guard::Reader,
    inbox::{Depth, Row as EventRow},
    page::{DELIVERIES, Fault, Frame, INBOX, html},
    text::number,
};
use crate::{
    api::inboxes::Filters,
    observe::Received,
    send::{DeliveryQuery, Dispatcher},
};

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
    sent: Option<Sent>,
    inbox: Option<InInbox>,
    /// What this process receives. It does not belong to one tenant, so only an operator of all tenants sees it.
    process: Option<Process>,
}

/// What is sent.
struct Sent {
    periods: [(&'static str, String, bool); PERIODS],
    stats: StatsView,
    /// What waited, which is noted for all tenants together.
    backlog: Option<BacklogView>,
    recent: Vec<Row>,
    all: &'static str,
}

/// What is in the inboxes.
struct InInbox {
    /// Over all tenants.
    depth: Option<Depth>,
    recent: Vec<EventRow>,
    all: &'static str,
}

pub(super) async fn show(
    State(everything): State<Arc<Everything>>,
    reader: Reader,
    parameters: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Fault> {
    let Query(parameters) = parameters.map_err(|_| Fault::invalid("The address has a part that cannot be read."))?;
    let Everything { webhooks, inboxes, redaction } = &*everything;
    let frame = Frame::new(&reader, "Overview", "Overview");
    let period = Period::of(parameters.period.as_deref());
    let sent = match webhooks {
        Some(webhooks) => Some(sent(webhooks, &reader, period, frame.home()).await?),
        None => None,
    };
    let inbox = if inboxes.is_empty() {
        None
    } else {
        let recent = inboxes.list(&reader.whose(None)?, &Filters::default(), SHOWN).await?.records;
        let depth = if reader.sees_all() { Some(Depth::of(inboxes.stats(None).await?)) } else { None };
        Some(InInbox {
            depth,
            recent: recent.iter().map(|record| EventRow::of(record, redaction)).collect(),
            all: INBOX,
        })
    };
    let whose = match (reader.access.tenant(), sent.is_some(), inbox.is_some()) {
        (None, ..) => "All tenants.".to_owned(),
        (Some(""), true, false) => "Everything that is sent.".to_owned(),
        (Some(""), ..) => "Everything.".to_owned(),
        (Some(tenant), true, false) => format!("What is sent to {tenant}."),
        (Some(tenant), ..) => format!("What {tenant} has."),
    };
    let process = reader.sees_all().then(Process::now);
    html(&Page { frame, whose, sent, inbox, process })
}

async fn sent(webhooks: &Dispatcher, reader: &Reader, period: Period, home: &str) -> Result<Sent, Fault> {
    let stats = webhooks.stats(reader.scope(), period.until(webhooks.now())).await?;
    let recent = match reader.sees_all() {
        true => webhooks.all_deliveries(DeliveryQuery::default(), SHOWN).await?,
        false => reader.tenant(webhooks, None)?.deliveries(DeliveryQuery::default(), SHOWN).await?,
    };
    let backlog = if reader.sees_all() { Some(BacklogView::read(webhooks, period).await?) } else { None };
    Ok(Sent {
        periods: period.links(home),
        stats: StatsView::of(&stats, period),
        backlog,
        recent: recent.iter().map(Row::of).collect(),
        all: DELIVERIES,
    })
}
