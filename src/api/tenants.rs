use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    access::Caller,
    answer::json,
    config::Shared,
    problem::{Always, NoSuch, Problem},
};

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
struct Erased {
    /// How many rows were removed.
    rows: u64,
}

/// Erase a tenant
///
/// Removes everything that the tenant has: endpoints with their secrets, messages, deliveries and attempts. Only an operator
/// may do it. Stop dispatching for the tenant before.
#[utoipa::path(
    delete, path = "/tenants/{name}", tag = "tenants", operation_id = "erase_tenant",
    params(("name" = String, Path, description = "The name of the tenant.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "Everything is removed.", body = Erased), Always, NoSuch),
)]
pub(super) async fn erase(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    caller.operator()?;
    let Path(name) = name.map_err(|_| Problem::not_found("tenant"))?;
    let tenant = caller.of(&shared, &name).filter(|_| !name.is_empty()).ok_or_else(|| Problem::not_found("tenant"))?;
    let rows = tenant.erase().await?;
    Ok(json(StatusCode::OK, &Erased { rows }))
}
