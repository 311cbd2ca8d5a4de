use std::{fmt, future::Future, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::boxed::BoxFuture;

/// What a caller may do.
///
/// ```
/// use axum::http::{StatusCode, request::Parts};
/// use tower_webhooks::api::{Access, Role};
///
/// let access = Access::owner("acme");
/// assert_eq!(access.role(), Role::Owner);
///
/// /// An [`Authorize`](tower_webhooks::api::Authorize) that takes the role from a header that only the application's own gateway can set.
/// async fn by_gateway(head: Parts) -> Result<Access, StatusCode> {
///     match head.headers.get("x-staff") {
///         Some(_) => Ok(Access::operator()),
///         None => Err(StatusCode::UNAUTHORIZED),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The application's own staff or service: everything that an owner may do, and to dispatch messages, to change the
    /// catalogue of event types, to replay and discard events of an inbox, and to erase a tenant.
    Operator,
    /// A customer: manages the tenant's endpoints, reads, resends and cancels the tenant's deliveries, and reads the tenant's events
    /// in an inbox.
    Owner,
}

/// The identity of a caller, as [`Authorize`] has determined it: a role, and the tenant to which it is limited, if it
/// is.
///
/// ```
/// use tower_webhooks::api::{Access, Role};
///
/// assert_eq!(Access::owner("acme").tenant(), Some("acme"));
/// assert_eq!(Access::operator().role(), Role::Operator);
/// assert_eq!(Access::operator().tenant(), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    role: Role,
    tenant: Option<Arc<str>>,
}

impl Access {
    /// Creates the access of a customer to the tenant's data. In an application without tenants the name is empty.
    pub fn owner(tenant: impl Into<Arc<str>>) -> Self {
        Self { role: Role::Owner, tenant: Some(tenant.into()) }
    }

    /// Creates the access of an operator to the data of all tenants. The query parameter `tenant` selects the tenant of
    /// a list, or of a new endpoint or message; without it, that is the data without a tenant.
    pub fn operator() -> Self {
        Self { role: Role::Operator, tenant: None }
    }

    /// Creates the access of an operator to the data of one tenant.
    pub fn operator_of(tenant: impl Into<Arc<str>>) -> Self {
        Self { role: Role::Operator, tenant: Some(tenant.into()) }
    }

    /// Returns the role.
    pub fn role(&self) -> Role {
        self.role
    }

    pub(super) fn tenant_name(&self) -> Option<&Arc<str>> {
        self.tenant.as_ref()
    }

    /// Returns the tenant to which the access is limited; `None` if it is not limited.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("role", &self.role).field("tenant", &self.tenant).finish()
    }
}

/// Determines who sends a request, or rejects it with a response of its own, such as 401 or a redirect to a login page.
///
/// It gets the head of the request, with the extensions that outer layers have added. A function with this signature
/// implements the trait:
///
/// ```
/// use axum::http::{StatusCode, header::COOKIE, request::Parts};
/// use tower_webhooks::{BoxError, api::{self, Access}, send::Dispatcher};
///
/// #[derive(Clone)]
/// struct Claims { tenant: String, staff: bool }
///
/// # async fn session(cookie: &[u8]) -> Result<Option<String>, BoxError> { Ok(None) }
/// # fn routers(webhooks: Dispatcher) -> [axum::Router; 2] {
/// // A layer outside has checked a JWT and left its claims.
/// let by_jwt = |head: Parts| async move {
///     match head.extensions.get::<Claims>() {
///         Some(claims) if claims.staff => Ok(Access::operator()),
///         Some(claims) => Ok(Access::owner(claims.tenant.as_str())),
///         None => Err(StatusCode::UNAUTHORIZED),
///     }
/// };
///
/// // A session cookie: its tenant is looked up.
/// let by_session = |head: Parts| async move {
///     let cookie = head.headers.get(COOKIE).ok_or(StatusCode::UNAUTHORIZED)?;
///     match session(cookie.as_bytes()).await {
///         Ok(Some(tenant)) => Ok(Access::owner(tenant)),
///         Ok(None) => Err(StatusCode::UNAUTHORIZED),
///         Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
///     }
/// };
/// # [
/// api::router(webhooks.clone(), by_jwt),
/// api::router(webhooks, by_session),
/// # ]
/// # }
/// ```
pub trait Authorize: Send + Sync + 'static {
    /// Decides about one request.
    ///
    /// # Errors
    /// The response that rejects it.
    fn authorize(&self, head: Parts) -> BoxFuture<'_, Result<Access, Response>>;
}

impl<F, A, R> Authorize for F
where
    F: Fn(Parts) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Access, R>> + Send + 'static,
    R: IntoResponse,
{
    fn authorize(&self, head: Parts) -> BoxFuture<'_, Result<Access, Response>> {
        let access = self(head);
        Box::pin(async move { access.await.map_err(IntoResponse::into_response) })
    }
}
