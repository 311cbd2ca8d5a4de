use axum::response::Response;
use http::StatusCode;

use super::view::EndpointView;
use crate::{
    api::{answer::json, caller::Caller, problem::Problem, shared::Shared, tag},
    send::{Endpoint, EndpointId, Tenant},
};

/// Finds an endpoint and its tenant, if the caller may see it.
pub(in crate::api) async fn find(
    shared: &Shared,
    caller: &Caller,
    id: EndpointId,
) -> Result<(Tenant, Endpoint), Problem> {
    let endpoint = shared.webhooks.endpoints().get(id).await?.ok_or_else(|| Problem::not_found("endpoint"))?;
    let tenant = caller.of(shared, endpoint.tenant().unwrap_or_default());
    Ok((tenant.ok_or_else(|| Problem::not_found("endpoint"))?, endpoint))
}

/// Answers with an endpoint as it is now.
pub(super) async fn show(tenant: &Tenant, id: EndpointId) -> Result<Response, Problem> {
    let endpoint = tenant.endpoints().get(id).await?.ok_or_else(|| Problem::not_found("endpoint"))?;
    Ok(tag::tagged(json(StatusCode::OK, &EndpointView::of(&endpoint)), &endpoint))
}
