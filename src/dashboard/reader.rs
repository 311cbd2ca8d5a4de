use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{fault::Fault, shared::Offers};
use crate::{
    api::{Access, Role, inboxes::Whose},
    send::{Dispatcher, Endpoint, EndpointId, Scope, Tenant},
};

/// Who looks at a page, and where the application has nested the dashboard.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) access: Access,
    pub(super) base: Arc<str>,
    pub(super) offers: Offers,
}

impl Reader {
    pub(super) fn may_change(&self) -> bool {
        self.access.role() == Role::Operator
    }

    /// Whether it sees what all tenants have.
    pub(super) fn sees_all(&self) -> bool {
        self.access.tenant().is_none()
    }

    /// The tenant that a list is about: the reader's own, or the one that an operator of all names.
    pub(super) fn tenant(&self, webhooks: &Dispatcher, named: Option<&str>) -> Result<Tenant, Fault> {
        let name = match (self.access.tenant(), named) {
            (Some(own), None) => own,
            (Some(own), Some(named)) if own == named => own,
            (Some(_), Some(_)) => return Err(Fault::not_found("tenant")),
            (None, named) => named.unwrap_or_default(),
        };
        webhooks.tenant(name).map_err(|_| Fault::not_found("tenant"))
    }

    /// Whose events of an inbox it sees: its own, those of the tenant that an operator of all names, or all.
    pub(super) fn whose(&self, named: Option<&str>) -> Result<Whose, Fault> {
        match (self.access.tenant(), named) {
            (Some(own), None) => Ok(Whose::Tenant(own.into())),
            (Some(own), Some(named)) if own == named => Ok(Whose::Tenant(own.into())),
            (Some(_), Some(_)) => Err(Fault::not_found("tenant")),
            // A field that is left empty names nobody.
            (None, None | Some("")) => Ok(Whose::All),
            (None, Some(named)) => Ok(Whose::Tenant(named.into())),
        }
    }

    /// Whose attempts the overview counts.
    pub(super) fn scope(&self) -> Scope {
        self.access.tenant().map_or_else(Scope::all, Scope::tenant)
    }

    /// The tenant that something is of, if the reader may see it.
    pub(super) fn of(&self, webhooks: &Dispatcher, tenant: &str) -> Option<Tenant> {
        let is_seen = self.access.tenant().is_none_or(|own| own == tenant);
        if is_seen { webhooks.tenant(tenant).ok() } else { None }
    }

    /// An endpoint and its tenant, if the reader may see it.
    pub(super) async fn endpoint(&self, webhooks: &Dispatcher, id: &str) -> Result<(Tenant, Endpoint), Fault> {
        let missing = || Fault::not_found("endpoint");
        let id: EndpointId = id.parse().map_err(|_| missing())?;
        let endpoint = webhooks.endpoints().get(id).await?.ok_or_else(missing)?;
        let tenant = self.of(webhooks, endpoint.tenant().unwrap_or_default()).ok_or_else(missing)?;
        Ok((tenant, endpoint))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        // Without it nobody was authorized, whatever the reason.
        parts.extensions.get().cloned().ok_or_else(Fault::internal)
    }
}
