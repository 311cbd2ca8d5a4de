//! Runs a folder of verification vectors through the real layer in a real router.
//!
//! `tests/vectors/README.md` describes the files. The folder is `tests/vectors/`, or the one that `WEBHOOK_VECTORS` names:
//!
//! ```text
//! WEBHOOK_VECTORS=DIR cargo test --all-features --test vectors -- --nocapture
//! ```
#![cfg(feature = "axum")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, extract::State};
use bytes::Bytes;
use data_encoding::BASE64;
use http::{
    HeaderName, HeaderValue, Request, StatusCode,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;
use tower_webhooks::{Provider, Scheme, Secret, WebhookLayer, clock::ManualClock, error::VerifyError};

#[tokio::test]
async fn every_vector_gets_its_verdict() {
    let folder = env::var_os("WEBHOOK_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from);

    let report = run_folder(&folder).await;

    println!();
    for (name, count) in &report.counts {
        println!("{}", count.line(name));
    }
    assert!(report.faults.is_empty(), "{} faults\n{}", report.faults.len(), report.faults.join("\n"));
}

#[tokio::test]
async fn a_folder_without_a_file_fails() {
    let folder = tempfile::tempdir().unwrap();

    let report = run_folder(folder.path()).await;

    assert_eq!(report.faults.len(), 1);
}

#[tokio::test]
async fn a_provider_that_the_crate_does_not_know_fails() {
    let report = run_text(r#"{"provider": "no-such-sender", "vectors": [VECTOR]}"#).await;

    assert!(report.faults[0].contains("no-such-sender"), "{:?}", report.faults);
}

#[tokio::test]
async fn a_file_without_a_vector_fails() {
    let report = run_text(r#"{"provider": "github", "vectors": []}"#).await;

    assert_eq!(report.faults.len(), 1);
}

#[tokio::test]
async fn a_wrong_verdict_fails_unless_it_is_advisory() {
    let right = run_text(r#"{"provider": "github", "sdk": "x", "vectors": [VECTOR], "divergences": [VECTOR]}"#).await;
    let wrong =
        run_text(&r#"{"provider": "github", "vectors": [VECTOR]}"#.replace("VECTOR", &vector("accept", ""))).await;
    let advisory = vector("accept", r#", "advisory": true"#);
    let advisory = run_text(&r#"{"provider": "github", "vectors": [VECTOR]}"#.replace("VECTOR", &advisory)).await;

    assert_eq!((right.faults.len(), right.counts["github"].line("github")), (0, "github 2/2".to_owned()));
    assert_eq!((wrong.faults.len(), wrong.counts["github"].line("github")), (1, "github 0/1".to_owned()));
    assert_eq!(
        (advisory.faults.len(), advisory.counts["github"].line("github")),
        (0, "github 0/0 (advisory 0/1)".to_owned())
    );
}

/// Runs one file with this text, where `VECTOR` stands for an unsigned request that must be refused.
async fn run_text(text: &str) -> Report {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let text = text.replace("VECTOR", &vector("reject", ""));
    fs::write(folder.path().join("file.json"), text).expect("a file can be written");
    run_folder(folder.path()).await
}

fn vector(expect: &str, more: &str) -> String {
    let request = r#""method": "POST", "url": "https://hooks.example/in", "headers": [], "body_base64": "e30=""#;
    let secrets = r#""secrets": [{"kind": "utf8", "value": "a secret of some length"}]"#;
    format!(r#"{{"case": "unsigned", {secrets}, {request}, "now": 1700000000, "expect": "{expect}"{more}}}"#)
}

// --- The files ----------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct VectorFile {
    provider: String,
    vectors: Vec<Vector>,
    #[serde(default)]
    divergences: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    advisory: bool,
    body_base64: String,
    case: String,
    expect: Verdict,
    headers: Vec<(String, String)>,
    method: String,
    now: u64,
    provider: Option<String>,
    secrets: Vec<VectorSecret>,
    url: String,
}

/// A secret as an application would configure it: the text as the provider hands it out.
#[derive(Deserialize)]
struct VectorSecret {
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Accept,
    Reject,
}

// --- The run ------------------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Report {
    counts: BTreeMap<String, Count>,
    faults: Vec<String>,
}

#[derive(Default)]
struct Count {
    passed: usize,
    total: usize,
    advisory_passed: usize,
    advisory_total: usize,
}

impl Count {
    fn line(&self, name: &str) -> String {
        let apart = match self.advisory_total {
            0 => String::new(),
            total => format!(" (advisory {}/{total})", self.advisory_passed),
        };
        format!("{name} {}/{}{apart}", self.passed, self.total)
    }
}

async fn run_folder(folder: &Path) -> Report {
    let mut report = Report::default();
    let mut files: Vec<_> = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.expect("an entry of the folder can be read").path()).collect(),
        Err(error) => {
            report.faults.push(format!("{}: {error}", folder.display()));
            return report;
        }
    };
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    if files.is_empty() {
        report.faults.push(format!("{} holds no vectors", folder.display()));
    }

    for path in files {
        let text = fs::read_to_string(&path).expect("a file of vectors can be read");
        match serde_json::from_str::<VectorFile>(&text) {
            Ok(file) => run_file(file, &mut report).await,
            Err(error) => report.faults.push(format!("{}: {error}", path.display())),
        }
    }
    report
}

async fn run_file(file: VectorFile, report: &mut Report) {
    let vectors: Vec<_> = file.vectors.into_iter().chain(file.divergences).collect();
    if vectors.is_empty() {
        report.faults.push(format!("{}: the file holds no vector", file.provider));
    }
    for vector in vectors {
        let name = vector.provider.clone().unwrap_or_else(|| file.provider.clone());
        let (case, expect, advisory) = (vector.case.clone(), vector.expect, vector.advisory);
        let count = report.counts.entry(name.clone()).or_default();
        *(if advisory { &mut count.advisory_total } else { &mut count.total }) += 1;

        let Ok(provider) = name.parse::<Provider>() else {
            let fault = format!("{name}: the crate knows no provider of this name");
            if !report.faults.contains(&fault) {
                report.faults.push(fault);
            }
            continue;
        };
        // In a task of its own, so that a panic fails one vector and not the run.
        let outcome = match tokio::spawn(send(provider, vector)).await {
            Ok(outcome) => outcome,
            Err(error) => Err(format!("panicked: {error}")),
        };

        match outcome {
            Ok((verdict, _)) if verdict == expect => {
                *(if advisory { &mut count.advisory_passed } else { &mut count.passed }) += 1;
            }
            _ if advisory => {}
            Ok((verdict, why)) => {
                report.faults.push(format!("{name}/{case}: expected {expect:?}, got {verdict:?}: {why}"))
            }
            Err(fault) => report.faults.push(format!("{name}/{case}: {fault}")),
        }
    }
}

/// Sends one request. Returns the verdict and its reason, or an error that is not a verdict.
async fn send(provider: Provider, vector: Vector) -> Result<(Verdict, String), String> {
    let body = BASE64.decode(vector.body_base64.as_bytes()).map_err(|error| format!("bad base64: {error}"))?;
    let body = Bytes::from(body);
    let Some((origin, target)) = split_url(&vector.url) else {
        return Err(format!("`{}` is not a whole URL", vector.url));
    };
    // An application with such secrets does not start; neither does it accept anything.
    let secrets = vector.secrets.into_iter().map(|secret| Secret::new(secret.value)).collect::<Result<Vec<_>, _>>();
    let layer = match secrets.and_then(|secrets| WebhookLayer::try_new(provider, secrets)) {
        Ok(layer) => {
            let layer = layer.with_clock(ManualClock::at_unix_seconds(vector.now));
            let token = || Secret::new("a token that no vector shows").map_err(|error| error.to_string());
            let scheme = Scheme::from(provider);
            // Some schemes ask for these, and the others for neither.
            let layer = if scheme.signs_url() { layer.with_public_url(origin) } else { layer };
            if scheme.needs_verify_token() { layer.with_verify_token(token()?) } else { layer }
        }
        Err(error) => return Ok((Verdict::Reject, format!("set-up: {error}"))),
    };

    let seen = Arc::new(Seen { body: body.clone(), runs: AtomicUsize::new(0) });
    let router: Router = Router::new().fallback(handler).layer(layer).with_state(Arc::clone(&seen));
    let Some(request) = request(&vector.method, origin, &target, &vector.headers, body) else {
        return Ok((Verdict::Reject, "no HTTP server lets such a head through".to_owned()));
    };

    let Ok(response) = router.oneshot(request).await;
    let status = response.status();
    let why = response.extensions().get::<VerifyError>().map_or_else(|| status.to_string(), ToString::to_string);
    let answer = response.into_body().collect().await.map_err(|error| format!("the answer broke off: {error}"))?;
    let answer = answer.to_bytes();

    match seen.runs.load(Ordering::SeqCst) {
        // A success without the handler is the answer to a handshake.
        0 | 1 if status.is_success() => Ok((Verdict::Accept, why)),
        1 if status == StatusCode::IM_A_TEAPOT => Err("the handler saw other bytes than were sent".to_owned()),
        0 if status.is_server_error() => Err(format!("refused with {status}: {why}")),
        0 if status == StatusCode::UNAUTHORIZED && answer != r#"{"error":"invalid_signature"}"# => {
            Err(format!("the body of the 401 is {answer:?}"))
        }
        0 => Ok((Verdict::Reject, why)),
        runs => Err(format!("the handler ran {runs} times, and the answer is {status}")),
    }
}

struct Seen {
    body: Bytes,
    runs: AtomicUsize,
}

async fn handler(State(seen): State<Arc<Seen>>, body: Bytes) -> StatusCode {
    seen.runs.fetch_add(1, Ordering::SeqCst);
    // A status that nothing else answers with.
    if body == seen.body { StatusCode::OK } else { StatusCode::IM_A_TEAPOT }
}

/// Cuts `https://host/path?query` into `https://host` and `/path?query`.
fn split_url(url: &str) -> Option<(&str, String)> {
    let host = url.find("://")? + 3;
    let end = url[host..].find(['/', '?']).map_or(url.len(), |end| host + end);
    let (origin, target) = url.split_at(end);
    let slash = if target.starts_with('/') { "" } else { "/" };
    Some((origin, format!("{slash}{target}")))
}

/// Builds the request as an HTTP server would hand it on; `None` when a server would refuse its head.
fn request(
    method: &str,
    origin: &str,
    target: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Option<Request<Body>> {
    let length = body.len();
    let mut request = Request::builder().method(method).uri(target).body(Body::from(body)).ok()?;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        // White space around a value is not part of it (RFC 9110, section 5.5).
        let value = HeaderValue::from_bytes(value.trim_matches([' ', '\t']).as_bytes()).ok()?;
        request.headers_mut().append(name, value);
    }
    if !request.headers().contains_key(CONTENT_LENGTH) && !request.headers().contains_key(TRANSFER_ENCODING) {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !request.headers().contains_key(HOST) {
        let (_, host) = origin.split_once("://")?;
        request.headers_mut().insert(HOST, HeaderValue::from_str(host).ok()?);
    }
    Some(request)
}
