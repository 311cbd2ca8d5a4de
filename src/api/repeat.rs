use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use super::{
    access::{Access, Role},
    input,
    problem::Problem,
};
use crate::{
    boxed::BoxError,
    error::StoreError,
    idempotency::{
        ClaimKey, ClaimOutcome, ClaimRequest, ClaimToken, Completion, Fingerprint, IdempotencyStore, StoredResponse,
        purge,
    },
    observe,
    send::{Dispatcher, Sealed},
};

/// Reads the `Idempotency-Key` of a POST: a string, with quotes as a structured field has it (RFC 9651) or without.
pub(super) fn key(request: &Request) -> Result<Option<String>, Problem> {
    if *request.method() != Method::POST {
        return Ok(None);
    }
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong =
        || Problem::parameter("Idempotency-Key", "the header must occur once, with 1 to 255 visible ASCII characters");
    let text = value.to_str().map_err(|_| wrong())?.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let visible = text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
    if values.next().is_some() || text.is_empty() || text.len() > LONGEST_KEY || !visible {
        return Err(wrong());
    }
    Ok(Some(text.to_owned()))
}

/// The store of repeated requests, and when it was last tidied.
pub(super) struct Repeats {
    store: Arc<dyn IdempotencyStore>,
    purge: purge::Schedule,
    /// What seals the answers that are kept.
    sealing: Option<Dispatcher>,
}

impl Repeats {
    pub(super) fn new(store: impl IdempotencyStore, sealing: Option<Dispatcher>) -> Self {
        Self { store: Arc::new(store), purge: purge::Schedule::default(), sealing }
    }

    /// Removes expired answers, once a minute and in steps.
    async fn tidy(&self) {
        if self.purge.is_due()
            && let Ok(removed) = bounded(self.store.purge(purge::STEP)).await
        {
            self.purge.removed(removed);
        }
    }
}

/// The key of a request, for handlers that draw an id: the same request then draws the same one.
#[derive(Clone, Copy)]
pub(super) struct RequestKey(pub(super) [u8; 16]);

/// Handles a request once: the same request again is answered with the first answer.
pub(super) async fn once(repeats: Option<&Repeats>, key: String, request: Request, next: Next) -> Response {
    // Without a store the promise that the key asks for cannot be kept, so the request is not handled at all.
    let Some(repeats) = repeats else {
        let detail = "this application keeps no record of repeated requests";
        return Problem::parameter("Idempotency-Key", detail).into_response();
    };
    let response = handle(repeats, &key, request, next).await.unwrap_or_else(IntoResponse::into_response);
    repeats.tidy().await;
    response
}

async fn handle(repeats: &Repeats, key: &str, request: Request, next: Next) -> Result<Response, Problem> {
    let Repeats { store, sealing, .. } = repeats;
    let sealing = sealing.as_ref();
    let (mut parts, body) = request.into_parts();
    let body = input::read(body).await?;
    let key = claim_key(&**store, parts.extensions.get::<Access>().ok_or_else(Problem::internal)?, key);
    let fingerprint = fingerprint(&parts, &body);
    let token = ClaimToken::random().map_err(|_| Problem::internal())?;

    match bounded(store.claim(ClaimRequest::new(key, token, LEASE, fingerprint))).await? {
        ClaimOutcome::Acquired { .. } => {}
        ClaimOutcome::Done { fingerprint: first, .. } | ClaimOutcome::InFlight { fingerprint: first, .. }
            if first != fingerprint =>
        {
            return Err(Problem::other_request());
        }
        ClaimOutcome::Done { response, .. } => {
            return response.and_then(|stored| restore(sealing, key, &stored)).ok_or_else(Problem::internal);
        }
        ClaimOutcome::InFlight { retry_after, .. } => {
            return Err(Problem::in_flight(retry_after.as_secs().clamp(1, LEASE.as_secs())));
        }
    }

    let claim = Claim { store, key, token };
    parts.extensions.insert(RequestKey(key.to_bytes()));
    // In a task of its own, so that a panic of the application's is an answer here and not the end of this.
    let answer = tokio::spawn(next.run(Request::from_parts(parts, Body::from(body))));
    let response = claim.renewed(answer).await.map_err(|error| {
        observe::api_panicked(&error);
        Problem::internal()
    })?;
    if !response.status().is_success() {
        // After a 4xx nothing was done, and the same key may try again. After a 5xx that is unknown: the claim stays until its
        // lease ends, so that a repetition does not meet a write that is still under way.
        if response.status().is_client_error() {
            claim.release().await;
        }
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Problem::internal())?.to_bytes();
    let answer = Response::from_parts(parts, Body::from(body.clone()));
    claim.complete(keep(sealing, key, &answer, &body)).await;
    Ok(answer)
}

/// Returns the key of the claim: the application's name in the store, the caller's role and tenant, and the
/// `Idempotency-Key`. The keys of an operator of all tenants are separate from those of each tenant.
fn claim_key(store: &dyn IdempotencyStore, access: &Access, key: &str) -> ClaimKey {
    let role = match access.role() {
        Role::Operator => "idempotency-key of an operator",
        Role::Owner => "idempotency-key of an owner",
    };
    let (consumer, tenant, id) = ("webhooks-api", access.tenant(), key.as_bytes());
    match store.application() {
        Some(application) => ClaimKey::of_application(application, consumer, role, tenant, id),
        None => ClaimKey::new(consumer, role, tenant, id),
    }
}

/// Waits for the store, for a limited time.
async fn bounded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
    match timeout(STORE_TIMEOUT, call).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            observe::api_failed(&error);
            Err(Problem::unavailable())
        }
        Err(elapsed) => {
            observe::api_failed(&elapsed);
            Err(Problem::unavailable())
        }
    }
}

struct Claim<'a> {
    store: &'a Arc<dyn IdempotencyStore>,
    key: ClaimKey,
    token: ClaimToken,
}

impl Claim<'_> {
    /// Waits for an answer, and renews the claim meanwhile.
    async fn renewed<T>(&self, answer: impl Future<Output = T>) -> T {
        let renewals = async {
            loop {
                sleep(LEASE / 3).await;
                // A renewal that fails is tried again; the lease outlasts two of them.
                let _ = bounded(self.store.renew(self.key, self.token, LEASE)).await;
            }
        };
        tokio::select! {
            answer = answer => answer,
            never = renewals => never,
        }
    }

    async fn release(&self) {
        // Otherwise it ends with its lease.
        let _ = bounded(self.store.release(self.key, self.token)).await;
    }

    async fn complete(&self, stored: Result<StoredResponse, BoxError>) {
        let completion = match stored {
            Ok(stored) => Completion::new(RETENTION).response(Arc::new(stored)),
            Err(error) => {
                observe::api_failed(&*error);
                Completion::new(RETENTION)
            }
        };
        // Without it the same request would be handled again once the lease has ended.
        for pause in [Duration::from_millis(100), Duration::from_secs(1), Duration::ZERO] {
            if bounded(self.store.complete(self.key, self.token, completion.clone())).await.is_ok() {
                return;
            }
            sleep(pause).await;
        }
    }
}

/// An answer as it is stored.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

fn keep(
    sealing: Option<&Dispatcher>,
    key: ClaimKey,
    response: &Response,
    body: &Bytes,
) -> Result<StoredResponse, BoxError> {
    let headers = KEPT.iter().filter_map(|name| {
        let value = response.headers().get(name)?.to_str().ok()?;
        Some((name.to_string(), value.to_owned()))
    });
    let kept = Kept {
        status: response.status().as_u16(),
        headers: headers.collect(),
        body: std::str::from_utf8(body)?.to_owned(),
    };
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(&kept)?);
    // Without sending nothing is sealed, and no answer has a secret.
    let Some(sealing) = sealing else {
        return Ok(StoredResponse::new(kept.status, Some(PLAIN.to_owned()), plain.to_vec().into()));
    };
    let Sealed { key: sealed_by, bytes } = sealing.seal_answer(&format!("{key:?}"), &plain)?;
    Ok(StoredResponse::new(kept.status, Some(format!("{SEALED}{sealed_by}")), bytes))
}

fn restore(sealing: Option<&Dispatcher>, key: ClaimKey, stored: &StoredResponse) -> Option<Response> {
    let content_type = stored.content_type.as_deref()?;
    let plain = match (sealing, content_type.strip_prefix(SEALED)) {
        (Some(sealing), Some(sealed_by)) => {
            let opened = sealing.open_answer(&format!("{key:?}"), &Sealed::new(sealed_by, stored.body.clone()));
            opened.map_err(|error| observe::api_failed(&error)).ok()?
        }
        (None, None) if content_type == PLAIN => zeroize::Zeroizing::new(stored.body.to_vec()),
        // An answer that somebody else could have written is not returned.
        _ => return None,
    };
    let kept: Kept = serde_json::from_slice(&plain).ok()?;
    let mut response = (StatusCode::from_u16(kept.status).ok()?, kept.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in kept.headers {
        response.headers_mut().insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Some(response)
}

/// Returns a fingerprint of method, path, query and body. Requests with the same fingerprint are the same.
fn fingerprint(parts: &http::request::Parts, body: &[u8]) -> Fingerprint {
    let mut hash = Sha256::new();
    let uri = parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
    for part in
        [parts.method.as_str().as_bytes(), uri.path().as_bytes(), uri.query().unwrap_or_default().as_bytes(), body]
    {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    Fingerprint::from_bytes(bytes)
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The headers of an answer that are stored with its body.
const KEPT: &[HeaderName] = &[header::CACHE_CONTROL, header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// The prefix of the sealing key's id, in the place of a content type.
const SEALED: &str = "sealed:";

/// The value in its place if the answer is not sealed.
const PLAIN: &str = "plain";

/// In characters: a UUID has 36.
const LONGEST_KEY: usize = 255;

/// The lease of a request's key: the same as for the claim of a delivery.
const LEASE: Duration = Duration::from_secs(60);

/// How long a key is remembered: as long as in other public APIs with such keys.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// The timeout of one call of the store, as for the claims of deliveries.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
