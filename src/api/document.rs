use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{Uri, header};
use utoipa::openapi::{Info, OpenApi, PathItem, Server};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    deliveries, endpoints, event_types,
    inbox::{self, Received},
    messages,
    problem::Problem,
    shared::Shared,
    stats,
    tenants::{self, Everything},
};

/// Every route for sending, with its entry in the OpenAPI document.
pub(super) fn sending() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(endpoints::registry::list, endpoints::registry::create))
        .routes(routes!(endpoints::registry::get, endpoints::registry::update, endpoints::registry::delete))
        .routes(routes!(endpoints::actions::rotate_secret))
        .routes(routes!(endpoints::actions::enable))
        .routes(routes!(endpoints::actions::disable))
        .routes(routes!(endpoints::actions::ping))
        .routes(routes!(endpoints::actions::send_example))
        .routes(routes!(endpoints::actions::recover))
        .routes(routes!(stats::of_endpoint))
        .routes(routes!(messages::list, messages::create))
        .routes(routes!(messages::get))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::get))
        .routes(routes!(deliveries::attempts))
        .routes(routes!(deliveries::resend))
        .routes(routes!(deliveries::cancel))
        .routes(routes!(event_types::list, event_types::put))
        .routes(routes!(event_types::remove))
        .routes(routes!(stats::of_tenant))
}

/// The same for receiving.
pub(super) fn receiving() -> OpenApiRouter<Arc<Received>> {
    OpenApiRouter::new()
        .routes(routes!(inbox::list))
        .routes(routes!(inbox::replay_many))
        .routes(routes!(inbox::discard_many))
        .routes(routes!(inbox::get))
        .routes(routes!(inbox::replay))
        .routes(routes!(inbox::discard))
}

/// The same of both.
pub(super) fn common() -> OpenApiRouter<Arc<Everything>> {
    OpenApiRouter::with_openapi(empty()).routes(routes!(tenants::erase))
}

fn empty() -> OpenApi {
    use utoipa::OpenApi as _;

    #[derive(utoipa::OpenApi)]
    #[openapi(
        components(schemas(Problem)),
        tags(
            (name = "endpoints", description = "The URLs to which webhooks are delivered."),
            (name = "messages", description = "What is delivered."),
            (name = "deliveries", description = "One message on its way to one endpoint, with every attempt."),
            (name = "event types", description = "The event types that endpoints can subscribe to."),
            (name = "stats", description = "The outcomes of attempts, by the hour."),
            (name = "inbox", description = "Webhooks that were received and are handled later."),
            (name = "tenants", description = "All data of one tenant."),
        )
    )]
    struct Components;

    let mut document = Components::openapi();
    let mut info = Info::new("Webhooks", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Manages webhook endpoints, and shows what was delivered to them and what was received. Errors are problem documents (RFC 9457). Lists have \
         pages: `next` is the value of the parameter that continues them. Times are in RFC 3339."
            .to_owned(),
    );
    document.info = info;
    document
}

/// The document as it is served. It contains the path at which the application has nested the router, which is only
/// known from a request.
#[derive(Clone)]
pub(super) struct Document(Arc<str>);

impl Document {
    pub(super) fn new(mut document: OpenApi) -> Self {
        document.servers = Some(vec![Server::new(PLACE)]);
        let operations = |item: &PathItem| {
            [&item.get, &item.post, &item.put, &item.patch, &item.delete]
                .into_iter()
                .flatten()
                .cloned()
                .collect::<Vec<_>>()
        };
        let used: Vec<_> =
            document.paths.paths.values().flat_map(operations).filter_map(|one| one.tags).flatten().collect();
        document.tags.iter_mut().for_each(|tags| tags.retain(|tag| used.contains(&tag.name)));
        // A document that can be generated can be written.
        Self(document.to_json().unwrap_or_default().into())
    }

    pub(super) fn show(&self, uri: &Uri) -> Response {
        let place = uri.path().strip_suffix("/openapi.json").filter(|place| !place.is_empty()).unwrap_or("/");
        let place = serde_json::to_string(place).unwrap_or_default();
        let document = self.0.replacen(&format!("\"{PLACE}\""), &place, 1);
        ([(header::CONTENT_TYPE, "application/json")], document).into_response()
    }
}

/// The placeholder for this path.
const PLACE: &str = "{place}";
