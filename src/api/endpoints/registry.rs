//! Endpoints are listed, registered, read, changed and removed.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    find::find,
    input::{NewEndpointInput, UpdateInput},
    view::{EndpointView, EndpointWithSecret},
};
use crate::{
    api::{
        answer::{Page, json, located, next},
        caller::Caller,
        input::{Id, Input},
        parameters::{EndpointParameter, IdempotencyKey, TenantParameter},
        problem::{Always, BadBody, BadQuery, BadSpan, NoSuch, Precondition, Problem, Quota},
        query::{Parameters, limit, parsed},
        shared::Shared,
        tag,
    },
    send::EndpointId,
};

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ListParameters {
    /// Whose endpoints, for an operator of all tenants.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant: Option<String>,
    /// Those of all tenants together; only an operator of all tenants may ask for them.
    #[param(value_type = Option<bool>)]
    all_tenants: Option<String>,
    /// Where the page begins: `next` of the page before it.
    #[param(value_type = Option<String>, pattern = "^ep_[0-9a-f]{32}$")]
    after: Option<String>,
    /// How many rows it has at most; 50 by default.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 2_147_483_647)]
    limit: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // It is there for the document.
pub(in crate::api) struct IfMatchHeader {
    /// The `ETag` of the endpoint that was read: it is changed only if nobody else has changed it since.
    #[param(rename = "If-Match", value_type = Option<String>)]
    if_match: Option<String>,
}

/// List endpoints
#[utoipa::path(
    get, path = "/endpoints", tag = "endpoints", operation_id = "list_endpoints", params(ListParameters),
    responses((status = 200, description = "A page of endpoints, by id.", body = Page<EndpointView>), Always, BadQuery, BadSpan),
)]
pub(in crate::api) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Problem> {
    let named = parameters.tenant.as_deref();
    let all = caller.asks_for_all(named, parameters.all_tenants.as_deref())?;
    let after = parsed("after", parameters.after.as_deref(), "the `next` of another page")?;
    let limit = limit(parameters.limit.as_deref(), shared.webhooks.page())?;
    let mut endpoints = match all {
        true => shared.webhooks.endpoints().all(after, limit.saturating_add(1)).await?,
        false => caller.tenant(&shared, named)?.endpoints().list(after, limit.saturating_add(1)).await?,
    };
    let next = next(&mut endpoints, limit, |last| last.id().to_string());
    Ok(json(StatusCode::OK, &Page { data: endpoints.iter().map(EndpointView::of).collect(), next }))
}

/// Register an endpoint
///
/// The answer shows the secret, and nothing else will.
#[utoipa::path(
    post, path = "/endpoints", tag = "endpoints", operation_id = "create_endpoint", params(TenantParameter, IdempotencyKey),
    request_body = NewEndpointInput,
    responses(
        (status = 201, description = "It is registered.", body = EndpointWithSecret, headers(
            ("ETag" = String, description = "The state of the endpoint."),
            ("Location" = String, description = "Where it is, relative to this route."),
        )),
        Always, BadBody, Quota,
    ),
)]
pub(in crate::api) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(parameters): Parameters<TenantParameter>,
    Input(input): Input<NewEndpointInput>,
) -> Result<Response, Problem> {
    let tenant = caller.tenant(&shared, parameters.tenant.as_deref())?;
    let created = tenant.endpoints().create(input.endpoint()?).await?;
    let response = json(StatusCode::CREATED, &EndpointWithSecret::of(&created));
    Ok(tag::tagged(located(response, &format!("endpoints/{}", created.endpoint().id())), created.endpoint()))
}

/// Read an endpoint
#[utoipa::path(
    get, path = "/endpoints/{id}", tag = "endpoints", operation_id = "get_endpoint", params(EndpointParameter),
    responses(
        (status = 200, description = "The endpoint.", body = EndpointView, headers(
            ("ETag" = String, description = "The state of the endpoint."),
        )),
        (status = 304, description = "It is what `If-None-Match` names."),
        Always, NoSuch,
    ),
)]
pub(in crate::api) async fn get(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, endpoint) = find(&shared, &caller, id).await?;
    let response = match tag::not_modified(&headers, &endpoint) {
        Some(status) => status.into_response(),
        None => json(StatusCode::OK, &EndpointView::of(&endpoint)),
    };
    Ok(tag::tagged(response, &endpoint))
}

/// Change an endpoint
///
/// As a merge patch (RFC 7396): what is left out stays as it is. Deliveries that wait are sent by the new settings.
#[utoipa::path(
    patch, path = "/endpoints/{id}", tag = "endpoints", operation_id = "update_endpoint",
    params(EndpointParameter, IfMatchHeader), request_body = UpdateInput,
    responses(
        (status = 200, description = "It is changed.", body = EndpointView, headers(
            ("ETag" = String, description = "The state of the endpoint."),
        )),
        Always, NoSuch, BadBody, Precondition, Quota,
    ),
)]
pub(in crate::api) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    headers: HeaderMap,
    Input(input): Input<UpdateInput>,
) -> Result<Response, Problem> {
    let (tenant, endpoint) = find(&shared, &caller, id).await?;
    let mut update = input.update()?;
    if tag::check(&shared, &headers, &endpoint)? {
        update = update.if_revision(endpoint.revision());
    }
    let endpoint = tenant.endpoints().update(id, update).await?;
    Ok(tag::tagged(json(StatusCode::OK, &EndpointView::of(&endpoint)), &endpoint))
}

/// Remove an endpoint
///
/// Deliveries that wait for it are cancelled.
#[utoipa::path(
    delete, path = "/endpoints/{id}", tag = "endpoints", operation_id = "delete_endpoint",
    params(EndpointParameter, IfMatchHeader),
    responses((status = 204, description = "It is removed."), Always, NoSuch, Precondition),
)]
pub(in crate::api) async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<EndpointId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (tenant, endpoint) = find(&shared, &caller, id).await?;
    tag::check(&shared, &headers, &endpoint)?;
    tenant.endpoints().delete(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
