//! Tests of the consumer's name where no route gives one: in a plain tower service, behind a nest and behind a
//! fallback, over sockets. It is never taken from the request, since the sender could write that in several ways.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn, util::BoxCloneSyncService};
use tower_webhooks::{Secret, WebhookLayer, idempotency::IdempotencyLayer, store::MemoryStore};

use crate::support::{
    serve::Server,
    web::{Client, SECRET, delivery},
};

/// One endpoint, as its sender could write it.
const SPELLINGS: [&str; 6] = ["/hook", "/hook/", "//hook", "/HOOK", "/%68ook", "/hook?again=1"];
const LONG: Duration = Duration::from_secs(10);

type Hook = WebhookLayer<IdempotencyLayer>;

fn hook(once: IdempotencyLayer) -> Hook {
    WebhookLayer::github(Secret::new(SECRET).unwrap()).with_idempotency(once)
}

fn once() -> IdempotencyLayer {
    IdempotencyLayer::new(MemoryStore::new())
}

/// A service that any server can call, whatever its body.
type Plain = BoxCloneSyncService<Request<hyper::body::Incoming>, Response<Body>, Infallible>;

/// A tower service without any router, which counts its runs.
fn plain(hook: &Hook, runs: &Arc<AtomicUsize>) -> Plain {
    let runs = Arc::clone(runs);
    let handler = service_fn(move |_: Request<Full<Bytes>>| {
        runs.fetch_add(1, SeqCst);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let service = ServiceBuilder::new().layer(hook.clone()).service(handler);
    let service = ServiceBuilder::new().map_response(|response: Response<_>| response.map(Body::new)).service(service);
    BoxCloneSyncService::new(service)
}

/// Sends one delivery in each spelling of the path, and returns the statuses.
async fn statuses(server: &Server, paths: &[&str]) -> Vec<StatusCode> {
    let mut statuses = Vec::new();
    for path in paths {
        let answer = Client::connect(server.address).await.send(delivery(path, "evt_1")).await;
        statuses.push(answer.status);
    }
    statuses
}

#[tokio::test]
async fn a_named_consumer_of_a_plain_service_runs_an_event_once_however_its_url_is_written() {
    let runs = Arc::default();
    let server = Server::serve(plain(&hook(once().with_consumer("orders")), &runs), LONG).await;

    assert_eq!(statuses(&server, &SPELLINGS).await, [StatusCode::OK; 6]);
    assert_eq!(runs.load(SeqCst), 1);
    server.stop().await;
}

/// Without axum no route can name the consumer, which is an error at start.
#[cfg(not(feature = "axum"))]
#[test]
#[should_panic(expected = "nothing names who handles a delivery; call `.with_consumer(")]
fn a_plain_service_without_a_consumer_does_not_start() {
    plain(&hook(once()), &Arc::default());
}

/// With axum the layer may be on a route, which is known only when a request arrives. Without a name, nothing runs and
/// nothing is acknowledged.
#[cfg(feature = "axum")]
mod with_axum {
    use axum::{Router, routing::post};

    use super::*;

    fn counted(runs: &Arc<AtomicUsize>) -> axum::routing::MethodRouter {
        let runs = Arc::clone(runs);
        post(move || async move {
            runs.fetch_add(1, SeqCst);
        })
    }

    #[cfg(feature = "tracing")]
    #[tokio::test]
    async fn a_plain_service_without_a_consumer_refuses_each_delivery_and_says_what_to_call() {
        let (logs, _guard) = crate::support::logs::Logs::capture();
        let runs = Arc::default();
        let server = Server::serve(plain(&hook(once()), &runs), LONG).await;

        assert_eq!(statuses(&server, &SPELLINGS).await, [StatusCode::INTERNAL_SERVER_ERROR; 6]);
        assert_eq!(runs.load(SeqCst), 0);
        let text = logs.text();
        assert!(text.contains("ERROR") && text.contains("IdempotencyLayer::with_consumer"), "{text}");
        server.stop().await;
    }

    /// A layer around the whole application runs before the routes are matched.
    #[tokio::test]
    async fn a_layer_around_an_application_knows_none_of_its_routes() {
        for (name, expected, ran) in [(None, StatusCode::INTERNAL_SERVER_ERROR, 0), (Some("orders"), StatusCode::OK, 1)]
        {
            let runs = Arc::default();
            let router = Router::new().route("/hook", counted(&runs)).fallback_service(counted(&runs));
            let once = match name {
                Some(name) => once().with_consumer(name),
                None => once(),
            };
            let service = ServiceBuilder::new()
                .layer(hook(once))
                .map_request(|request: Request<Full<Bytes>>| request.map(Body::new))
                .service(router);
            let server = Server::serve(service, LONG).await;

            assert_eq!(statuses(&server, &SPELLINGS).await, [expected; 6], "{name:?}");
            assert_eq!(runs.load(SeqCst), ran, "{name:?}");
            server.stop().await;
        }
    }

    /// A service that was nested is known by its nest, a fallback in a nest too; one behind the fallback of all has to be named.
    #[tokio::test]
    async fn nests_name_a_service_and_the_fallback_of_all_does_not() {
        let runs = Arc::default();
        let once = once();
        let at = |runs: &Arc<AtomicUsize>| counted(runs).layer(hook(once.clone()));
        let router = Router::new()
            .nest_service("/billing", at(&runs))
            .nest_service("/crm", Router::new().fallback_service(at(&runs)))
            .nest("/shop", Router::new().fallback_service(at(&runs)))
            .fallback_service(at(&runs));
        let server = Server::start(router).await;

        for (index, nest) in ["/billing", "/crm", "/shop"].into_iter().enumerate() {
            let paths: Vec<_> = SPELLINGS.iter().map(|path| format!("{nest}{path}")).collect();
            let paths: Vec<_> = paths.iter().map(String::as_str).collect();
            assert_eq!(statuses(&server, &paths).await, [StatusCode::OK; 6], "{nest}");
            assert_eq!(runs.load(SeqCst), index + 1, "{nest}");
        }
        assert_eq!(statuses(&server, &SPELLINGS).await, [StatusCode::INTERNAL_SERVER_ERROR; 6]);
        assert_eq!(runs.load(SeqCst), 3);
        server.stop().await;
    }
}
