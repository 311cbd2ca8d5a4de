//! Run: cargo run --features testing --example send_test_webhook
//!
//! Sends your own application a webhook that is signed like those of its sender. The secret is read from the
//! environment:
//!
//!     WEBHOOK_SECRET=whsec_… cargo run --features testing --example send_test_webhook -- \
//!         stripe invoice.paid http://localhost:3000/webhooks/stripe
//!
//! Options: `--id ID`, `--body FILE`, `--header 'name: value'`, `--public-url https://…`. Without arguments it starts a
//! server with a route for every provider, and sends each a valid webhook and a forged one. README.md and
//! docs/local-development.md have `openssl` and `curl` lines for the same.

#![allow(clippy::print_stdout)] // An example prints its results.

#[path = "support/client.rs"]
mod client;
#[path = "support/server.rs"]
mod server;

use std::{collections::HashMap, env, fs};

use axum::{Router, routing::post};
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use server::{BoxError, Limits};
use tokio::net::{TcpListener, lookup_host};
use tower_webhooks::{
    Delivery, Provider, Scheme, Secret, WebhookLayer,
    clock::{Clock, SystemClock},
    testing::{SignedRequest, fixtures},
};

const SECRET: &str = "WEBHOOK_SECRET";

/// The arguments of the command line.
struct Webhook {
    provider: Provider,
    event_type: String,
    url: Uri,
    id: Option<String>,
    body: Option<Vec<u8>>,
    headers: Vec<(String, String)>,
    public_url: Option<String>,
}

impl Webhook {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, BoxError> {
        let mut words = Vec::new();
        let mut options: HashMap<String, String> = HashMap::new();
        let mut headers = Vec::new();
        while let Some(argument) = arguments.next() {
            let Some(option) = argument.strip_prefix("--") else {
                words.push(argument);
                continue;
            };
            let value = arguments.next().ok_or_else(|| format!("`{argument}` needs a value"))?;
            match option {
                "header" => {
                    let (name, value) = value.split_once(':').ok_or("a header is `name: value`")?;
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                "id" | "body" | "public-url" => _ = options.insert(option.to_owned(), value),
                _ => return Err(format!("unknown option `{argument}`").into()),
            }
        }
        let [provider, event_type, url] = <[String; 3]>::try_from(words).map_err(|_| USAGE)?;
        Ok(Self {
            provider: provider.parse().map_err(|cause| format!("{cause}; known are {}", names()))?,
            event_type,
            url: url.parse()?,
            id: options.remove("id"),
            body: options.remove("body").map(fs::read).transpose()?,
            headers,
            public_url: options.remove("public-url"),
        })
    }

    /// Signs and sends the webhook; returns the status and the body of the response.
    async fn send(&self, secret: &Secret) -> Result<(StatusCode, String), BoxError> {
        if self.url.scheme_str() != Some("http") {
            return Err("only `http://…` URLs are called: this is for your own machine".into());
        }
        let authority = self.url.authority().ok_or("the URL has no host")?;
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        // Each run is a new delivery, unless you set an id.
        let nanos = SystemClock.now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let id = self.id.clone().unwrap_or_else(|| format!("test_{nanos:x}"));
        let public_url = self.public_url.clone().unwrap_or_else(|| format!("http://{authority}"));

        let blank = SignedRequest::new(self.provider, secret).uri(path).public_url(&public_url).with_id(&id);
        let mut request = blank.clone().with_event(&self.event_type, json!({}));
        let fixture = fixtures::of(self.provider).filter(|fixture| fixture.event_type() == self.event_type);
        if let Some(body) = &self.body {
            request = request.with_body(body.clone());
        } else if let Some(fixture) = fixture {
            // A realistic body, with the id in the sender's place.
            let mut body: Value = serde_json::from_str(fixture.body())?;
            let minimal = request.try_build::<bytes::Bytes>()?.into_body();
            copy_id(&serde_json::from_slice(&minimal)?, &mut body, &id);
            request = request.with_body(body.to_string());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let (head, body) = request.try_build::<bytes::Bytes>()?.into_parts();
        let headers: Vec<_> = head
            .headers
            .iter()
            .filter(|(name, _)| **name != http::header::CONTENT_LENGTH)
            .map(|(name, value)| Ok((name.as_str(), value.to_str()?.to_owned())))
            .collect::<Result<_, BoxError>>()?;

        let host = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        let mut failure = format!("`{host}` has no address").into();
        // `localhost` has two addresses, and most servers listen only on one.
        for address in lookup_host(&host).await? {
            match client::post(
                address,
                head.uri.path_and_query().map_or("/", |path| path.as_str()),
                &headers,
                std::str::from_utf8(&body)?,
            )
            .await
            {
                Ok(answer) => return Ok(answer),
                Err(cause) => failure = cause,
            }
        }
        Err(failure)
    }
}

const USAGE: &str = "usage: send_test_webhook PROVIDER EVENT_TYPE URL \
                     [--id ID] [--body FILE] [--header 'name: value'] [--public-url https://…]";

fn names() -> String {
    Provider::ALL.iter().map(|provider| provider.name()).collect::<Vec<_>>().join(", ")
}

/// Sets the id in `body` in each place where a minimal body of the same sender has it.
fn copy_id(minimal: &Value, body: &mut Value, id: &str) {
    let (Value::Object(minimal), Value::Object(body)) = (minimal, body) else { return };
    for (key, value) in minimal {
        if value == id {
            body.insert(key.clone(), value.clone());
        } else if let Some(inner) = body.get_mut(key) {
            copy_id(value, inner, id);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if env::args().len() == 1 {
        return check_itself().await;
    }
    let webhook = Webhook::parse(env::args().skip(1))?;
    let (status, body) = webhook.send(&Secret::from_env(SECRET)?).await?;
    println!("{status}\n{body}");
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        println!("\nThe reason is in the log of your application: tower_webhooks=debug.");
    }
    if status.is_success() { Ok(()) } else { Err(format!("it was answered with {status}").into()) }
}

// The rest is a server for the run without arguments.

/// Published keys, which protect nothing; the shared ones are text, base64 and hexadecimal digits. The pairs are the
/// keys of the sender and of its receiver, for schemes in which they differ.
const SHARED: [&str; 2] = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
const PRIVATE: [&str; 2] =
    ["whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs="];
const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn secret_of_sender(provider: Provider, number: usize) -> Result<Secret, BoxError> {
    let is_pair = provider.name() == "standard-webhooks-v1a";
    Ok(Secret::new(if is_pair { PRIVATE[number] } else { SHARED[number] })?)
}

/// The providers that accept one of these keys: all except those whose public keys have another format.
fn tried() -> impl Iterator<Item = &'static Provider> {
    let fits = |provider: Provider| {
        let secret = Secret::new(SHARED[0]).expect("it is a secret");
        provider.name() == "standard-webhooks-v1a" || WebhookLayer::try_new(provider, secret).is_ok()
    };
    Provider::ALL.iter().filter(move |provider| fits(**provider))
}

async fn check_itself() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let mut app = Router::new();
    for provider in tried() {
        let is_pair = provider.name() == "standard-webhooks-v1a";
        let layer = WebhookLayer::new(*provider, Secret::new(if is_pair { PUBLIC } else { SHARED[0] })?);
        let scheme = Scheme::from(*provider);
        let layer = if scheme.needs_account() { layer.with_insecure_any_account() } else { layer };
        let layer = if scheme.signs_endpoint_id() { layer.with_endpoint_id("test") } else { layer };
        let layer = scheme.needed_claims().iter().fold(layer, |layer, name| layer.with_claim(*name, "test"));
        let layer = if scheme.signs_url() { layer.with_public_url(&base) } else { layer };
        let token = Secret::new("the token of the subscription")?;
        let layer = if scheme.needs_verify_token() { layer.with_verify_token(token) } else { layer };
        let handler = |delivery: Delivery| async move {
            let part = |text: Option<&str>| text.unwrap_or("-").to_owned();
            part(delivery.event_type().map(|event_type| event_type.as_str()))
                + " "
                + &part(delivery.id().map(|id| id.as_str()))
        };
        app = app.route(&format!("/webhooks/{provider}"), post(handler).layer(layer));
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(server::serve(listener, app, Limits::default(), async { drop(stopped.await) }));

    for provider in tried() {
        let realistic = fixtures::of(*provider).map_or("", |fixture| fixture.event_type());
        for event_type in [realistic, "something.else"] {
            let url = format!("{base}/webhooks/{provider}");
            let words = [provider.name(), event_type, &url, "--id", "id-1", "--header", "x-request-id: 7"];
            let webhook = Webhook::parse(words.into_iter().map(str::to_owned))?;
            let (status, body) = webhook.send(&secret_of_sender(*provider, 0)?).await?;
            println!("{:26} {status}: {body}", provider.name());
            let (said, id) = body.rsplit_once(' ').ok_or("the handler answers two words")?;
            assert_eq!(status, StatusCode::OK);
            assert!(said == "-" || said == event_type, "{provider}: {said}");
            // Shopify's id is joined with the topic.
            assert!(id == "-" || id == "id-1" || id.starts_with("id-1."), "{provider}: {id}");

            let (status, _) = webhook.send(&secret_of_sender(*provider, 1)?).await?;
            assert!(status.is_client_error(), "{provider}: signed with another secret, {status}");
        }
    }
    for words in [
        &["stripe", "invoice.paid"][..],
        &["no-such-sender", "a", "http://localhost/"],
        &["stripe", "a", "b", "--x", "y"],
    ] {
        assert!(Webhook::parse(words.iter().map(|word| (*word).to_owned())).is_err());
    }
    drop(stop);
    server.await?;
    Ok(())
}
