//! Parameters that several routes have.

use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct TenantParameter {
    /// Whose it is to be, for an operator of all tenants.
    #[param(value_type = Option<String>, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub(super) tenant: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // It is there for the document.
pub(super) struct EndpointParameter {
    /// The id of the endpoint.
    #[param(example = "ep_0123456789abcdef0123456789abcdef")]
    id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // It is there for the document.
pub(super) struct IdempotencyKey {
    /// Any text that is new for each new request. The same request again is answered with the first answer, for 24 hours.
    #[param(rename = "Idempotency-Key", value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}
