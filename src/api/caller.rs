use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{
    access::{Access, Role},
    inboxes::Whose,
    problem::Problem,
    query::parsed,
    shared::Shared,
};
use crate::send::{Scope, SendError, Tenant};

/// Who calls. It is there in every handler, because [`authorize`](super::gate::authorize) stands in front of all of them.
pub(super) struct Caller(pub(super) Access);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Without it nobody was authorized, whatever the reason.
        parts.extensions.get().cloned().map(Self).ok_or_else(Problem::internal)
    }
}

impl Caller {
    /// Checks that the caller is an operator.
    pub(super) fn operator(&self) -> Result<(), Problem> {
        match self.0.role() {
            Role::Operator => Ok(()),
            Role::Owner => Err(Problem::forbidden("only an operator may do this")),
        }
    }

    /// The tenant that a request without an id is about: the caller's own, or the one that an operator of all names.
    pub(super) fn tenant(&self, shared: &Shared, named: Option<&str>) -> Result<Tenant, Problem> {
        let name = match (self.0.tenant_name(), named) {
            (Some(own), None) => own.clone(),
            (Some(own), Some(named)) if **own == *named => own.clone(),
            (Some(_), Some(_)) => return Err(Problem::forbidden("the parameter `tenant` names another tenant")),
            (None, named) => named.unwrap_or_default().into(),
        };
        let invalid = |error: SendError| Problem::parameter("tenant", error.to_string());
        shared.webhooks.tenant(name).map_err(invalid)
    }

    /// Whose attempts are counted: as [`tenant`](Self::tenant), or those of all tenants.
    pub(super) fn scope(&self, shared: &Shared, named: Option<&str>, all: Option<&str>) -> Result<Scope, Problem> {
        match self.asks_for_all(named, all)? {
            true => Ok(Scope::all()),
            false => Ok(Scope::tenant(self.tenant(shared, named)?.name())),
        }
    }

    /// Whether a request is about all tenants, by its parameters `tenant` and `all_tenants`.
    pub(super) fn asks_for_all(&self, named: Option<&str>, all: Option<&str>) -> Result<bool, Problem> {
        let all = parsed::<bool>("all_tenants", all, "`true` or `false`")?.unwrap_or(false);
        match (all, self.0.tenant_name(), named) {
            (false, ..) => Ok(false),
            (true, None, None) => {
                self.operator()?;
                Ok(true)
            }
            (true, Some(_), _) => Err(Problem::forbidden("only an operator of all tenants may ask for all of them")),
            (true, None, Some(_)) => Err(Problem::impossible("all_tenants", "leave out `tenant`, or this parameter")),
        }
    }

    /// Whose events of an inbox a request is about: the caller's own, those of the tenant that an operator of all names, or all.
    pub(super) fn whose(&self, named: Option<&str>) -> Result<Whose, Problem> {
        match (self.0.tenant_name(), named) {
            (Some(own), None) => Ok(Whose::Tenant(own.clone())),
            (Some(own), Some(named)) if **own == *named => Ok(Whose::Tenant(own.clone())),
            (Some(_), Some(_)) => Err(Problem::forbidden("the parameter `tenant` names another tenant")),
            (None, None) => Ok(Whose::All),
            (None, Some(named)) => Ok(Whose::Tenant(named.into())),
        }
    }

    /// The tenant that something is of, if the caller may see that tenant's.
    pub(super) fn of(&self, shared: &Shared, tenant: &str) -> Option<Tenant> {
        let allowed = self.0.tenant().is_none_or(|own| own == tenant);
        if allowed { shared.webhooks.tenant(tenant).ok() } else { None }
    }
}
