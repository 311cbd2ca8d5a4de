//! octocrab's types, behind a real layer in a real router.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
    routing::post,
};
use octocrab::models::webhook_events::{
    WebhookEvent, WebhookEventPayload, WebhookEventType,
    payload::{IssuesWebhookEventPayload, PushWebhookEventPayload},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webhooks::{
    EventRouter, Provider, Secret, VerifiedBody, VerifiedEvent, WebhookLayer, testing::SignedRequest,
};

fn secret() -> Secret {
    Secret::new("It's a Secret to Everybody").expect("the secret is one")
}

fn user() -> Value {
    let mut user = json!({
        "login": "octo", "id": 1, "node_id": "U_1", "gravatar_id": "", "type": "User", "site_admin": false,
        "user_view_type": "public", "a_field_of_tomorrow": {},
    });
    for name in [
        "avatar",
        "html",
        "followers",
        "following",
        "gists",
        "starred",
        "subscriptions",
        "organizations",
        "repos",
        "events",
        "received_events",
    ] {
        user[format!("{name}_url")] = "https://api.github.com/users/octo".into();
    }
    user["url"] = "https://api.github.com/users/octo".into();
    user
}

fn opened() -> Value {
    let url = "https://api.github.com/repos/octo/hello/issues/7";
    json!({
        "action": "opened",
        "issue": {
            "id": 18_446_744_073_709_551_615u64, "node_id": "I_1", "number": 7, "state": "open", "title": "a & b = c + d",
            "url": url, "repository_url": url, "labels_url": url, "comments_url": url, "events_url": url, "html_url": url,
            "user": user(), "labels": [], "assignees": [], "locked": false, "comments": 0,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "a_field_of_tomorrow": 1,
        },
        "sender": user(),
    })
}

fn pushed() -> Value {
    json!({
        "ref": "refs/heads/main", "before": "0", "after": "6113728f", "created": false, "deleted": false, "forced": false,
        "base_ref": null, "compare": "https://github.com/octo/hello/compare/main", "commits": [], "head_commit": null,
        "pusher": { "name": "octo", "email": "octo@example.com" }, "sender": user(),
    })
}

fn request(event_type: &str, body: Value) -> SignedRequest {
    SignedRequest::new(Provider::GITHUB, &secret()).uri("/hook").with_event(event_type, body)
}

fn app<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/hook", post(handler).layer(WebhookLayer::github(secret())))
}

async fn answer(app: &Router, request: Request<Body>) -> (u16, String) {
    let response = app.clone().oneshot(request).await.expect("a router does not fail");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("the answer is short");
    (status, String::from_utf8(body.to_vec()).expect("the answer is text"))
}

#[tokio::test]
async fn payload_structs_are_read_from_json_and_from_a_form() {
    let app = app(EventRouter::new()
        .on("issues.opened", async |event: VerifiedEvent<IssuesWebhookEventPayload>| {
            format!("{} {}", event.issue.number, event.issue.title)
        })
        .on("push", async |event: VerifiedEvent<PushWebhookEventPayload>| event.after.clone()));

    for request in [request("issues.opened", opened()), request("issues.opened", opened()).as_form()] {
        assert_eq!(answer(&app, request.build()).await, (200, "7 a & b = c + d".to_owned()));
    }
    for request in [request("push", pushed()), request("push", pushed()).as_form()] {
        assert_eq!(answer(&app, request.build()).await, (200, "6113728f".to_owned()));
        assert_eq!(answer(&app, request.tampered().build()).await.0, 401);
    }
    let mut lacking = pushed();
    lacking.as_object_mut().expect("it is an object").remove("compare");
    assert_eq!(answer(&app, request("push", lacking).build()).await.0, 422);
}

#[tokio::test]
async fn the_whole_event_is_made_of_the_header_and_the_verified_body() {
    async fn handler(headers: HeaderMap, body: VerifiedBody) -> Result<String, StatusCode> {
        let name = headers.get("x-github-event").and_then(|name| name.to_str().ok()).ok_or(StatusCode::BAD_REQUEST)?;
        let json = body.json().map_err(|rejection| rejection.status())?;
        let event = WebhookEvent::try_from_header_and_body(name, json).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
        Ok(match event.specific {
            WebhookEventPayload::Issues(issues) => {
                format!("{} by {:?}", issues.issue.id, event.sender.map(|user| user.login))
            }
            WebhookEventPayload::Unknown(value) if matches!(event.kind, WebhookEventType::Unknown(_)) => {
                value.to_string()
            }
            other => format!("{other:?}"),
        })
    }
    let app = app(handler);

    for request in [request("issues.opened", opened()), request("issues.opened", opened()).as_form()] {
        // An id that an `f64` cannot represent.
        let expected = r#"18446744073709551615 by Some("octo")"#;
        assert_eq!(answer(&app, request.build()).await, (200, expected.to_owned()));
    }
    let unknown = request("invented", json!({ "a": 1 })).build();
    assert_eq!(answer(&app, unknown).await, (200, r#"{"a":1}"#.to_owned()));
    assert_eq!(answer(&app, request("issues.opened", json!({ "issue": 1 })).build()).await.0, 422);
}

/// If GitHub sends JSON, the bytes can be parsed directly.
#[tokio::test]
async fn a_verified_body_dereferences_to_its_bytes() {
    let app = app(async |headers: HeaderMap, body: VerifiedBody| {
        let name = headers["x-github-event"].to_str().expect("the header is text");
        let event = WebhookEvent::try_from_header_and_body(name, &**body).expect("it is an event");
        format!("{:?} {}", event.kind, body.len() > 100)
    });

    assert_eq!(answer(&app, request("push", pushed()).build()).await, (200, "Push true".to_owned()));
}
