//! Schemes that sign the URL, behind proxies that lie and with URLs that could be read in two ways, over real sockets.

use axum::{Router, routing::post};
use data_encoding::HEXLOWER;
use serve::{REFUSAL, Server, request, request_h2};
use sign::{Line, Sender, hmac_sha256, line};
use tower_webhooks::{Scheme, Secret, WebhookLayer};

use crate::support::{serve, sign};

const BASE: &str = "https://hooks.example.com";
const BODY: &[u8] = br#"{"id":"evt_1"}"#;

fn key() -> &'static [u8] {
    Sender::GitHub.secret_text().as_bytes()
}

fn scheme() -> tower_webhooks::scheme::SchemeBuilder {
    Scheme::hmac_sha256().name("url").header("x-signature").hex().signs("{method}\n{url}\n{body}")
}

/// The header of a delivery that was sent to this URL.
fn signed(url: &str) -> Line {
    let text = [format!("POST\n{url}\n").as_bytes(), BODY].concat();
    line("x-signature", HEXLOWER.encode(&hmac_sha256(key(), &text)))
}

/// A server with the route in every place: at the root, nested, and behind a prefix that is stripped.
async fn server(base: &str) -> Server {
    let layer = WebhookLayer::new(scheme(), Sender::GitHub.secret()).with_public_url(base);
    let routes = Router::new().fallback(post(async || "ran")).layer(layer);
    Server::start(Router::new().nest("/nested", routes.clone()).merge(routes)).await
}

async fn status(server: &Server, target: &str, headers: &[Line]) -> u16 {
    server.send(&request("POST", target, headers, BODY)).await.expect("there is an answer").status
}

// Behind a proxy the request line has another scheme or host, or none. The configured base is the URL that was called.
#[tokio::test]
async fn the_configured_public_base_is_what_the_sender_called() {
    let server = server(BASE).await;

    assert_eq!(status(&server, "/hook", &[signed("https://hooks.example.com/hook")]).await, 200);
    for other in [
        "http://hooks.example.com/hook",
        "https://hooks.test/hook",
        "http://hooks.test/hook",
        "/hook",
        "https://hooks.example.com:443/hook",
    ] {
        assert_eq!(status(&server, "/hook", &[signed(other)]).await, 401, "{other}");
    }
    // A nested router cuts its prefix off; the sender's URL had it.
    assert_eq!(status(&server, "/nested/hook", &[signed("https://hooks.example.com/nested/hook")]).await, 200);
    assert_eq!(status(&server, "/nested/hook", &[signed("https://hooks.example.com/hook")]).await, 401);
    // The same delivery at another of our URLs.
    assert_eq!(status(&server, "/other", &[signed("https://hooks.example.com/hook")]).await, 401);
}

// A slash at the end of the base, and a path in it.
#[tokio::test]
async fn a_base_may_end_in_a_slash_and_have_a_path() {
    for (base, url) in [
        ("https://hooks.example.com/", "https://hooks.example.com/hook"),
        ("https://hooks.example.com/in", "https://hooks.example.com/in/hook"),
        ("https://hooks.example.com/in/", "https://hooks.example.com/in/hook"),
        ("http://localhost:8080", "http://localhost:8080/hook"),
    ] {
        let server = server(base).await;
        assert_eq!(status(&server, "/hook", &[signed(url)]).await, 200, "{base}");
    }
    for base in [
        "",
        "hooks.example.com",
        "/hook",
        "ftp://hooks.example.com",
        "https://",
        "https://hooks.example.com?a=1",
        "https://hooks.example.com/#a",
    ] {
        let layer = WebhookLayer::new(scheme(), Sender::GitHub.secret());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| layer.with_public_url(base)));
        assert!(result.is_err(), "{base}");
    }
}

// Without a base only the client's own statements could be verified, so the application does not start.
#[test]
fn a_scheme_that_signs_the_url_needs_a_base_at_start() {
    let layer = WebhookLayer::new(scheme(), Secret::new("an endpoint's signing key").unwrap());

    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _: Router = Router::new().route("/hook", post(async || "").layer(layer));
    }))
    .unwrap_err();

    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("with_public_url"), "{text}");
}

// Headers that a client can write have no effect on the verified URL.
#[tokio::test]
async fn forwarded_headers_and_the_host_are_ignored() {
    let server = server(BASE).await;
    let spoofed = [
        line("x-forwarded-proto", "http"),
        line("x-forwarded-host", "evil.example"),
        line("x-forwarded-port", "8443"),
        line("x-forwarded-prefix", "/evil"),
        line("x-forwarded-for", "127.0.0.1"),
        line("forwarded", "for=127.0.0.1;host=evil.example;proto=http"),
        line("x-original-url", "/evil"),
        line("x-rewrite-url", "/evil"),
    ];
    let with = |url: &str| [spoofed.to_vec(), vec![signed(url)]].concat();

    assert_eq!(status(&server, "/hook", &with("https://hooks.example.com/hook")).await, 200);
    for url in [
        "http://evil.example/hook",
        "https://evil.example/hook",
        "http://evil.example:8443/hook",
        "https://hooks.example.com/evil",
        "https://hooks.example.com/evil/hook",
    ] {
        assert_eq!(status(&server, "/hook", &with(url)).await, 401, "{url}");
    }
}

// A request line may contain a whole URL, and in HTTP/2 it always does. Only its path and query count.
#[tokio::test]
async fn a_whole_url_in_the_request_line_chooses_no_host() {
    let server = server(BASE).await;
    let right = signed("https://hooks.example.com/hook?a=1");

    assert_eq!(status(&server, "http://evil.example/hook?a=1", std::slice::from_ref(&right)).await, 200);
    assert_eq!(status(&server, "http://evil.example/hook?a=1", &[signed("http://evil.example/hook?a=1")]).await, 401);
    assert_eq!(status(&server, "http://user:password@hooks.test:1/hook?a=1", std::slice::from_ref(&right)).await, 200);

    for authority in ["hooks.test", "evil.example:8443"] {
        let target = format!("http://{authority}/hook?a=1");
        let accepted = server.send_h2(request_h2("POST", &target, std::slice::from_ref(&right), BODY)).await;
        assert_eq!((accepted.status, accepted.text()), (200, "ran"), "{authority}");
        let refused = server.send_h2(request_h2("POST", &target, &[signed(&target)], BODY)).await;
        assert_eq!((refused.status, refused.text()), (401, REFUSAL), "{authority}");
    }
    let nested = request_h2("POST", "http://x/nested/hook", &[signed("https://hooks.example.com/nested/hook")], BODY);
    assert_eq!(server.send_h2(nested).await.status, 200);
}

// A URL is text: what means the same in other letters is another text.
#[tokio::test]
async fn the_url_is_verified_as_it_was_received() {
    let server = server(BASE).await;
    let targets = [
        "/hook?a=x+y",
        "/hook?a=x%20y",
        "/hook?a=x%2By",
        "/hook?a=x%2by",
        "/hook?a=1&a=2",
        "/hook?a=2&a=1",
        "/hook?b=1&a=2",
        "/hook?a=2&b=1",
        "/hook?a=",
        "/hook?a",
        "/hook?",
        "/hook",
        "/hook/",
        "/hook//",
        "//hook",
        "/ho%6Fk",
        "/hook%2F",
        "/HOOK",
        "/hook/.",
        "/hook/../hook",
        "/hook;a=1",
        "/hook?a=%ff",
        "/hook?a=%",
        "/hook?a=b?c",
        "/hook?a=https://hooks.example.com/hook",
    ];
    for target in targets {
        for other in targets {
            let expected = if target == other { 200 } else { 401 };
            assert_eq!(
                status(&server, target, &[signed(&format!("{BASE}{other}"))]).await,
                expected,
                "{target} {other}"
            );
        }
    }
}

// The method is part of what is signed here.
#[tokio::test]
async fn a_signed_method_is_the_requests_own() {
    let layer = WebhookLayer::new(scheme().methods([http::Method::POST, http::Method::PUT]), Sender::GitHub.secret());
    let server = Server::start(Router::new().fallback(async || "ran").layer(layer.with_public_url(BASE))).await;
    let send = async |method: &str, more: &[Line]| {
        let headers = [vec![signed("https://hooks.example.com/hook")], more.to_vec()].concat();
        server.send(&request(method, "/hook", &headers, BODY)).await.expect("there is an answer").status
    };

    assert_eq!(send("POST", &[]).await, 200);
    assert_eq!(send("PUT", &[]).await, 401);
    assert_eq!(send("PUT", &[line("x-http-method-override", "POST")]).await, 401);
    assert_eq!(send("GET", &[]).await, 405);
}

// A signature in the query: escaped keys are the same key, and twice is ambiguous.
#[tokio::test]
async fn a_signature_in_the_query_is_there_once_in_any_spelling() {
    let scheme = Scheme::hmac_sha256().name("query").query("signature").hex().signs("{query:time}.{body}");
    let layer = WebhookLayer::new(scheme, Sender::GitHub.secret());
    let server = Server::start(Router::new().fallback(post(async || "ran")).layer(layer)).await;
    let tag = HEXLOWER.encode(&hmac_sha256(key(), &[b"1 2.".as_slice(), BODY].concat()));

    for right in [
        format!("/?time=1%202&signature={tag}"),
        format!("/?signature={tag}&time=1+2"),
        format!("/?%73ignature={tag}&other=1&ti%6de=1+2&other=2"),
    ] {
        assert_eq!(status(&server, &right, &[]).await, 200, "{right}");
    }
    for wrong in [
        format!("/?time=1+2&signature={tag}&signature={tag}"),
        format!("/?time=1+2&signature={tag}&%73ignature=00"),
        format!("/?time=1+2&time=1+2&signature={tag}"),
        format!("/?time=1+2&ti%6de=3&signature={tag}"),
        format!("/?time=1+2&signature[]={tag}"),
        format!("/?time=1+2&SIGNATURE={tag}"),
        format!("/?time=1+2;signature={tag}"),
        format!("/?time=1%2B2&signature={tag}"),
        format!("/?signature={tag}"),
        format!("/?time=1+2&signature={}", "0".repeat(60_000)),
        "/?time=1+2&signature=".to_owned(),
        "/?time=1+2&signature".to_owned(),
        "/?time=1+2&signature=%ff".to_owned(),
        "/".to_owned(),
    ] {
        assert_eq!(status(&server, &wrong, &[]).await, 401, "{wrong:.80}");
    }
}

// A proxy that puts another prefix in the place of the public one: nginx's `location /hooks/ { proxy_pass http://x/inner/; }`.
#[tokio::test]
async fn a_prefix_that_a_proxy_has_replaced_is_put_back() {
    let server = async |received: &str, public: &str| {
        let layer = WebhookLayer::new(scheme(), Sender::GitHub.secret())
            .with_public_url(BASE)
            .with_replaced_prefix(received, public);
        Server::start(Router::new().fallback(post(async || "ran")).layer(layer)).await
    };

    for (received, public) in [("/inner", "/hooks"), ("/inner/", "/hooks/")] {
        let server = server(received, public).await;
        for (target, url) in [
            ("/inner/square?a=1", "https://hooks.example.com/hooks/square?a=1"),
            ("/inner", "https://hooks.example.com/hooks"),
            ("/inner?a=/inner/", "https://hooks.example.com/hooks?a=/inner/"),
            ("/inner//x", "https://hooks.example.com/hooks//x"),
            // Another path, which is not from the request line.
            ("/innermost", "https://hooks.example.com/innermost"),
            ("/x/inner/", "https://hooks.example.com/x/inner/"),
            ("/INNER/", "https://hooks.example.com/INNER/"),
        ] {
            assert_eq!(status(&server, target, &[signed(url)]).await, 200, "{target}");
            assert_eq!(status(&server, target, &[signed(&format!("{url}x"))]).await, 401, "{target}");
        }
        assert_eq!(status(&server, "/inner/x", &[signed("https://hooks.example.com/inner/x")]).await, 401);
        server.stop().await;
    }
    // One that the proxy puts before the public path, and one that it takes away.
    let added = server("/inner", "").await;
    assert_eq!(status(&added, "/inner/hook", &[signed("https://hooks.example.com/hook")]).await, 200);
    added.stop().await;
    let cut = server("", "/hooks").await;
    assert_eq!(status(&cut, "/hook", &[signed("https://hooks.example.com/hooks/hook")]).await, 200);
    cut.stop().await;
}

#[test]
fn a_replaced_prefix_is_the_beginning_of_a_path_and_is_replaced() {
    for (received, public) in [
        ("inner", "/hooks"),
        ("/inner", "hooks"),
        ("/inner?a", "/hooks"),
        ("/in ner", "/hooks"),
        ("/a", "/a/"),
        ("", "/"),
    ] {
        let scheme = scheme().build().unwrap();
        let error = scheme.with_replaced_prefix(received, public).unwrap_err();
        assert_eq!(error.kind(), tower_webhooks::error::ConfigErrorKind::Option, "{received} {public}");
    }
}
