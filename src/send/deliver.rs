use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    clock::{Clock, SystemClock},
    net::{destination::EndpointUrl, identity::ClientIdentity},
    observe,
    send::{
        attempt::{AttemptRequest, AttemptResult, Transport},
        message::message::{Message, MessageId},
        retry::{NextStep, RetryPolicy},
        signing::{custom_headers::CustomHeaders, signer::Signer},
    },
};

/// The destination of a delivery without a database: the URL, the signer, and the endpoint's own headers.
///
/// ```
/// use tower_webhooks::{Secret, send::{Signer, Target}};
///
/// let signer = Signer::standard_webhooks(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?)?;
/// let target = Target::new("https://example.com/hook".parse()?, signer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Target {
    url: EndpointUrl,
    signer: Signer,
    headers: CustomHeaders,
    identity: Option<ClientIdentity>,
}

impl Target {
    /// Creates a target without custom headers.
    pub fn new(url: EndpointUrl, signer: Signer) -> Self {
        Self { url, signer, headers: CustomHeaders::default(), identity: None }
    }

    /// Sets the endpoint's own headers.
    #[must_use]
    pub fn headers(mut self, headers: CustomHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the client certificate that the receiver gets if it asks for one, in place of that of the client.
    #[must_use]
    pub fn client_identity(mut self, identity: ClientIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Returns the URL.
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Returns the signer.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Returns the request of an attempt that is made now. The body was written before the first attempt.
    pub(crate) fn request(&self, id: &MessageId, event_type: &str, now: SystemTime, body: Bytes) -> AttemptRequest {
        let mut headers = self.signer.delivery_headers(id, event_type, now, &body);
        self.headers.add_to(&mut headers);
        let mut request = AttemptRequest::new(self.url.clone(), headers, body);
        request.identity.clone_from(&self.identity);
        request
    }
}

/// Sends a message to one endpoint, without a database: four attempts within about 40 seconds, each of 10 s at most
/// ([`RetryPolicy::short`]).
///
/// It waits for a `Retry-After` of up to a minute; a longer one ends the attempts.
///
/// It runs only while the caller waits. If the process ends before that, the message is lost; use an outbox if it must
/// not be.
///
/// Dropping the future ends the attempts, also in the middle of one.
///
/// # Errors
/// When no attempt was answered with a 2xx: [`Gone`](DeliverErrorKind::Gone) and [`Refused`](DeliverErrorKind::Refused) after the
/// answer that says so, [`Exhausted`](DeliverErrorKind::Exhausted) after the last attempt. The error holds every attempt.
///
/// # Examples
/// ```no_run
/// use tower_webhooks::{Secret, send::{DeliverErrorKind, GuardedClient, Message, Signer, Target, deliver}};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = GuardedClient::new()?; // one for the process
/// let signer = Signer::standard_webhooks(Secret::from_env("CUSTOMERS_WEBHOOK_SECRET")?)?;
/// let customer = Target::new("https://customer.example/hook".parse()?, signer);
///
/// match deliver(&client, &customer, &Message::new("order.completed", &[7])?).await {
///     Ok(delivered) => println!("after {} attempts", delivered.attempts().len()),
///     Err(error) if error.kind() == DeliverErrorKind::Gone => println!("do not try again"),
///     Err(error) => println!("{error}"),
/// }
/// # Ok(()) }
/// ```
pub async fn deliver(
    transport: &(impl Transport + ?Sized),
    target: &Target,
    message: &Message,
) -> Result<Delivered, DeliverError> {
    let policy = RetryPolicy::short();
    let body = message.body(target.signer.style(), SystemClock.now());
    let mut attempts = Vec::new();
    loop {
        let attempt = u32::try_from(attempts.len() + 1).unwrap_or(u32::MAX);
        let attempting = observe::Attempting::begin(&observe::AttemptHead {
            message: message.message_id().as_str(),
            event_type: message.event_type(),
            tenant: message.tenant_name(),
            host: target.url.authority(),
            attempt,
            delivery: None,
            endpoint: None,
        });
        let request = target.request(message.message_id(), message.event_type(), SystemClock.now(), body.clone());
        let result = attempting.inside(transport.send(request.timeout(ATTEMPT))).await;
        attempting.end(&result.seen());
        let outcome = result.outcome();
        attempts.push(result);

        let now = SystemClock.now();
        // Without randomness there is no jitter, which a single delivery does not need.
        let random = getrandom::u64().unwrap_or(u64::MAX / 2);
        let kind = match policy.next_step(outcome, attempt, now, random) {
            NextStep::Delivered => return Ok(Delivered { attempts }),
            NextStep::Retry { at } => {
                let wait = at.duration_since(now).unwrap_or_default();
                if wait <= LONGEST_WAIT {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                DeliverErrorKind::Exhausted
            }
            NextStep::Disable => DeliverErrorKind::Gone,
            NextStep::Exhausted => DeliverErrorKind::Exhausted,
            NextStep::Refused => DeliverErrorKind::Refused,
        };
        return Err(DeliverError { kind, attempts });
    }
}

/// A message was delivered.
///
/// ```
/// use tower_webhooks::send::{DeliverError, Delivered};
///
/// fn log(result: &Result<Delivered, DeliverError>) {
///     match result {
///         Ok(delivered) => println!("delivered with attempt {}", delivered.attempts().len()),
///         Err(error) => println!("{error}, after {} attempts", error.attempts().len()),
///     }
/// }
/// # let _ = log;
/// ```
#[derive(Debug, Clone)]
pub struct Delivered {
    attempts: Vec<AttemptResult>,
}

impl Delivered {
    /// Returns every attempt, of which the last one was answered with a 2xx.
    pub fn attempts(&self) -> &[AttemptResult] {
        &self.attempts
    }
}

/// A message was not delivered.
///
/// ```
/// use tower_webhooks::send::{DeliverError, DeliverErrorKind};
///
/// fn log(error: &DeliverError) {
///     if error.kind() == DeliverErrorKind::Gone {
///         eprintln!("remove the endpoint");
///     }
///     eprintln!("not delivered after {} attempts: {error}", error.attempts().len());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct DeliverError {
    kind: DeliverErrorKind,
    attempts: Vec<AttemptResult>,
}

/// Why a message was not delivered.
///
/// ```
/// use tower_webhooks::send::DeliverErrorKind;
///
/// /// What an application may do with a message that was not delivered.
/// fn advice(kind: DeliverErrorKind) -> &'static str {
///     match kind {
///         DeliverErrorKind::Exhausted => "send it again later",
///         DeliverErrorKind::Gone => "remove the endpoint",
///         DeliverErrorKind::Refused => "ask the endpoint's owner",
///         _ => "look into the log",
///     }
/// }
/// # let _ = advice;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeliverErrorKind {
    /// Every attempt failed, or the endpoint asked for a longer wait than a minute.
    Exhausted,
    /// The endpoint is permanently gone (410).
    Gone,
    /// The endpoint rejected it, or its URL is not allowed.
    Refused,
}

impl DeliverError {
    /// Returns why the message was not delivered.
    pub fn kind(&self) -> DeliverErrorKind {
        self.kind
    }

    /// Returns the attempts in order.
    pub fn attempts(&self) -> &[AttemptResult] {
        &self.attempts
    }
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.attempts.len();
        match self.kind {
            DeliverErrorKind::Exhausted => write!(f, "all {count} attempts failed")?,
            DeliverErrorKind::Gone => f.write_str("the endpoint is gone")?,
            DeliverErrorKind::Refused => f.write_str("the delivery was refused")?,
        }
        match self.attempts.last().and_then(AttemptResult::status) {
            Some(status) => write!(f, "; the last answer was {}", status.as_u16()),
            None => Ok(()),
        }
    }
}

impl Error for DeliverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.attempts.last()?.error().map(|error| error as &(dyn Error + 'static))
    }
}

/// A `Retry-After` that asks for more than this ends the attempts: somebody waits, and a receiver must not decide for how
/// long.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The deadline of each attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
