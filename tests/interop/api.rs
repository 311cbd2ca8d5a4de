//! What reads the OpenAPI document of the management API agrees with the running API: a linter, a fuzzer that knows the
//! document, and a client that is generated from it.
//!
//! The tools are in `tests/interop/`, with pinned versions. `tests/run.sh` installs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, header, request::Parts},
    routing::post,
};
use tower_webhooks::{
    EventRouter, Inbox,
    api::{Access, Api},
    idempotency::ClaimKey,
    inbox::{AcceptRequest, Content, EventDraft, InboxStore},
    store::SqliteStore,
};

use crate::support::outbox;

async fn authorize(head: Parts) -> Result<Access, StatusCode> {
    match head.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()) {
        Some(b"Bearer acme") => Ok(Access::owner("acme")),
        Some(b"Bearer operator") => Ok(Access::operator()),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

/// Serves the API with a worker until the runtime ends, and returns its URL.
async fn serve_api(folder: &Path) -> String {
    let store = SqliteStore::connect(&format!("sqlite://{}/app.db", folder.display())).await.unwrap();
    let webhooks = outbox::quick(store.clone()).build().unwrap();
    tokio::spawn(webhooks.worker().run(std::future::pending()));
    let api = Api::new(webhooks, authorize).with_inbox(inbox(&store).await).unwrap().with_idempotency(store);
    let url = outbox::serve(Router::new().nest("/api", api.router())).await;
    url.replace("/hook", "/api")
}

/// An inbox with a few events and no worker.
async fn inbox(store: &SqliteStore) -> Inbox {
    let draft = |number: usize| {
        let head = r#"{"method":"POST","uri":"/in?token=x","headers":[["user-agent","Stripe/1.0"]],"delivery":{}}"#;
        let content = Content::new(head.into(), format!("{{\"order\":{number}}}").into());
        let key = ClaimKey::new("inbox", "stripe", Some("acme"), number.to_string().as_bytes());
        let mut event = EventDraft::new(key, "stripe".into(), Duration::from_secs(3600), content);
        event.tenant = Some("acme".into());
        event.event_type = Some("order.created".into());
        event
    };
    store.accept(AcceptRequest::new("inbox".into(), (0..20).map(draft).collect())).await.unwrap();
    Inbox::new(store.clone(), EventRouter::new())
}

/// Where `tests/run.sh` has put the tools.
fn tools() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("interop");
    let whole = folder.join("node_modules/openapi-fetch").exists() && folder.join("api/bin/schemathesis").exists();
    assert!(whole, "the tools are not installed; run: tests/run.sh --interop");
    folder
}

fn interop(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

/// Runs a program to its end, and panics with its output if it fails.
async fn run(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out
}

async fn document(api: &str, folder: &Path) -> PathBuf {
    let address = api.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = axum::http::Request::get("/api/openapi.json").header(header::HOST, address);
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let body = http_body_util::BodyExt::collect(sender.send_request(request).await.unwrap().into_body()).await.unwrap();
    let file = folder.join("openapi.json");
    fs::write(&file, body.to_bytes()).unwrap();
    file
}

fn node(tool: &str, arguments: &[&std::ffi::OsStr]) -> Command {
    let mut command = Command::new("node");
    command.arg(tools().join("node_modules").join(tool)).args(arguments).current_dir(tools());
    command
}

#[tokio::test]
async fn the_document_passes_a_linter() {
    let folder = tempfile::tempdir().unwrap();
    let api = serve_api(folder.path()).await;
    let file = document(&api, folder.path()).await;

    let config = interop("redocly.yaml");
    let lint = ["lint".as_ref(), "--config".as_ref(), config.as_os_str(), file.as_os_str()];
    let mut lint = node("@redocly/cli/bin/cli.js", &lint);
    lint.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    run(lint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fuzzer_that_knows_the_document_finds_no_answer_that_is_not_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let api = serve_api(folder.path()).await;
    let examples = if std::env::var_os("TOWER_WEBHOOKS_LONG").is_some() { "100" } else { "3" };

    for key in ["operator", "acme"] {
        let mut fuzz = Command::new("python3");
        fuzz.env("PYTHONPATH", tools().join("api")).arg(tools().join("api/bin/schemathesis"));
        fuzz.arg("--config-file").arg(interop("schemathesis.toml"));
        fuzz.args(["run", &format!("{api}/openapi.json"), "--url", &api, "--no-color"]);
        fuzz.args(["--header", &format!("Authorization: Bearer {key}")]);
        fuzz.args(["--max-examples", examples, "--seed", "1", "--request-timeout", "30"]).current_dir(folder.path());
        let report = run(fuzz).await;
        assert!(report.contains("Tested: 31"), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_client_lives_the_whole_life_of_an_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let api = serve_api(folder.path()).await;
    let file = document(&api, folder.path()).await;
    let hook = outbox::serve(Router::new().route("/hook", post(|| async {}))).await;

    // The generated types are in the client's folder, where it imports them.
    let work = tempfile::tempdir_in(tools()).unwrap();
    for name in ["api_client.mjs", "tsconfig.json"] {
        fs::copy(interop(name), work.path().join(name)).unwrap();
    }
    let types = work.path().join("api_document.ts");
    run(node("openapi-typescript/bin/cli.js", &[file.as_os_str(), "--output".as_ref(), types.as_os_str()])).await;
    let project = work.path().join("tsconfig.json");
    run(node("typescript/bin/tsc", &["--project".as_ref(), project.as_os_str()])).await;
    let mut client = Command::new("node");
    client.arg(work.path().join("api_client.mjs")).args([&api, &hook]);
    assert!(run(client).await.contains("the whole life"), "the client ran to its end");
}
