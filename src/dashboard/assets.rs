use std::sync::LazyLock;

use axum::{Router, response::IntoResponse, routing::get};
use http::header;
use sha2::{Digest, Sha256};

/// The files of the pages, which are a part of the program. They are the same for everybody, so they need no
/// authorization.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let file = |name: &str, kind: &'static str, text: &'static str| {
        let headers = [
            (header::CONTENT_TYPE, kind),
            // The name changes with the content.
            (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        Router::new().route(&format!("/assets/{name}"), get(move || async move { (headers, text).into_response() }))
    };
    file(&STYLE, "text/css; charset=utf-8", STYLE_TEXT)
        .merge(file(&SCRIPT, "text/javascript; charset=utf-8", SCRIPT_TEXT))
        .merge(file("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")))
}

/// The names, with a part of the hash of the files' content.
pub(super) static STYLE: LazyLock<String> = LazyLock::new(|| name("css", STYLE_TEXT));
pub(super) static SCRIPT: LazyLock<String> = LazyLock::new(|| name("js", SCRIPT_TEXT));

fn name(extension: &str, text: &str) -> String {
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..6]);
    format!("dashboard-{hash}.{extension}")
}

const STYLE_TEXT: &str = include_str!("assets/dashboard.css");
const SCRIPT_TEXT: &str = include_str!("assets/dashboard.js");
