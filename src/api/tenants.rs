use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::json,
    caller::Caller,
    inboxes::Inboxes,
    problem::{Always, NoSuch, Problem},
};
use crate::send::Dispatcher;

/// All that a tenant may have something in.
pub(super) struct Everything {
    pub(super) webhooks: Option<Dispatcher>,
    pub(super) inboxes: Inboxes,
}

/// The result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
struct Erased {
    /// How many rows were removed.
    rows: u64,
    /// Whether an inbox still has events of the tenant, which were being handled or arrived meanwhile. If so, erase the
    /// tenant again.
    events_left: bool,
}

/// Erase a tenant
///
/// Removes all data of the tenant: endpoints with their secrets, messages, deliveries and attempts, and the events in
/// an inbox that are not being handled at the moment. Only for operators. Stop dispatching and receiving for the tenant
/// first.
#[utoipa::path(
    delete, path = "/tenants/{name}", tag = "tenants", operation_id = "erase_tenant",
    params(("name" = String, Path, description = "The name of the tenant.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "Everything is removed.", body = Erased), Always, NoSuch),
)]
pub(super) async fn erase(
    State(everything): State<Arc<Everything>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    caller.operator()?;
    let missing = || Problem::not_found("tenant");
    let Path(name) = name.map_err(|_| missing())?;
    let is_name = !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if !is_name || caller.0.tenant().is_some_and(|own| own != name) {
        return Err(missing());
    }
    let Everything { webhooks, inboxes } = &*everything;
    let mut rows = 0;
    if let Some(webhooks) = webhooks {
        rows += webhooks.tenant(&*name).map_err(|_| missing())?.erase().await?;
    }
    let (events, events_left) = inboxes.erase(&name).await?;
    Ok(json(StatusCode::OK, &Erased { rows: rows + events, events_left }))
}

/// In characters, as for tenants of messages.
const LONGEST_NAME: usize = 256;
