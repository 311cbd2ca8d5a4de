use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;

use crate::delivery::{Coverage, Delivery, Facts, Layout, Proof};

/// Creates a [`Delivery`], and the values of extractors, without a request: for unit tests of handlers.
///
/// **Nothing is verified.** This is one of the two named exceptions to the promise that a verified event exists only
/// after a check.
///
/// ```
/// use tower_webhooks::{Provider, VerifiedEvent, testing::TestDelivery};
///
/// #[derive(serde::Deserialize)]
/// struct Invoice {
///     amount_paid: u64,
/// }
///
/// async fn on_invoice(event: VerifiedEvent<Invoice>) -> String {
///     format!("{} paid {}", event.delivery().tenant().unwrap_or("?"), event.amount_paid)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let event = TestDelivery::new()
///     .provider(Provider::STRIPE.name())
///     .id("evt_1")
///     .event_type("invoice.paid")
///     .tenant("acme")
///     .event(Invoice { amount_paid: 4200 });
///
/// assert_eq!(on_invoice(event).await, "acme paid 4200");
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct TestDelivery {
    provider: Arc<str>,
    id: Option<String>,
    event_type: Option<String>,
    api_version: Option<String>,
    account: Option<String>,
    attempt: Option<u32>,
    tenant: Option<Arc<str>>,
    body: Bytes,
    timestamp: Option<SystemTime>,
    secret_index: Option<usize>,
}

impl TestDelivery {
    /// Creates a delivery of the provider `test`, without id, event type and tenant, and with an empty body.
    pub fn new() -> Self {
        Self {
            provider: Arc::from("test"),
            id: None,
            event_type: None,
            api_version: None,
            account: None,
            attempt: None,
            tenant: None,
            body: Bytes::new(),
            timestamp: None,
            secret_index: Some(0),
        }
    }

    /// Sets the provider's name.
    pub fn provider(mut self, name: impl Into<Arc<str>>) -> Self {
        self.provider = name.into();
        self
    }

    /// Sets the id.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the event type.
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Sets the version of the sender's API.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// Sets the sender's account that the event is about.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the number of the sender's attempt, from 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// Sets the tenant.
    pub fn tenant(mut self, name: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(name.into());
        self
    }

    /// Sets the raw body, for handlers that read it. It does not have to match the payload.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the time at which the sender signed the delivery.
    pub fn timestamp(mut self, time: SystemTime) -> Self {
        self.timestamp = Some(time);
        self
    }

    /// Sets the index of the secret that matched; 0, the current one, by default.
    pub fn secret_index(mut self, index: usize) -> Self {
        self.secret_index = Some(index);
        self
    }

    /// Creates the delivery.
    pub fn build(&self) -> Delivery {
        let layout = Layout::new(Arc::clone(&self.provider), Default::default(), 1);
        let facts = Facts::given(self.id.as_deref(), self.event_type.as_deref())
            .with_account(self.account.as_deref())
            .with_api_version(self.api_version.as_deref())
            .with_attempt(self.attempt);
        let coverage = Coverage { body: true, id: true, timestamp: self.timestamp.is_some() };
        let proof = Proof { timestamp: self.timestamp, secret_index: self.secret_index, coverage };
        Delivery::given(Arc::new(layout), facts, self.body.clone(), proof, self.tenant.clone())
    }
}

impl Default for TestDelivery {
    fn default() -> Self {
        Self::new()
    }
}
