use std::error::Error;

use tracing::{debug, error, warn};

use crate::error::{VerifyError, VerifyErrorKind};

const TARGET: &str = "tower_webhooks";

/// A request did not pass.
pub(crate) fn refused(provider: &str, status: u16, cause: &VerifyError) {
    let reason = cause.kind().as_str();
    match cause.kind() {
        // The operator must act, or deliveries are lost once the sender gives up.
        VerifyErrorKind::SecretUnavailable => error!(
            target: TARGET, provider, status, reason, cause = source(cause), "refused a request: {cause}"
        ),
        // Clients that go away and scanners that ask with GET are the weather of the internet.
        VerifyErrorKind::BodyIncomplete | VerifyErrorKind::MethodNotAllowed => {
            debug!(target: TARGET, provider, status, reason, "refused a request: {cause}");
        }
        _ => warn!(target: TARGET, provider, status, reason, "refused a request: {cause}"),
    }
}

/// A handler, or another part of the application, panicked.
pub(crate) fn panicked(provider: &str) {
    error!(target: TARGET, provider, "a handler panicked; the request is answered with 500");
}

/// A layer was built whose scheme lets the body be changed.
pub(crate) fn body_not_covered(provider: &str) {
    warn!(
        target: TARGET, provider,
        "the signature of this scheme does not cover the body: whoever sees one request can send any other"
    );
}

/// A layer was built that checks nothing.
pub(crate) fn not_verified(provider: &str) {
    warn!(target: TARGET, provider, "verification is off: every request is taken for the sender's");
}

/// A secret can be guessed.
pub(crate) fn short_secret(provider: &str) {
    warn!(target: TARGET, provider, "a secret is shorter than the advised 16 bytes");
}

/// An extractor stands on a route without its layer.
#[cfg(feature = "axum")]
pub(crate) fn no_layer(extractor: &str) {
    error!(
        target: TARGET, extractor,
        "no `WebhookLayer` on this route; add `.layer(WebhookLayer::…)` to the route, or `Router::route_layer`"
    );
}

/// A verified payload could not be parsed.
#[cfg(feature = "axum")]
pub(crate) fn not_parsed(provider: &str, status: u16, event_type: Option<&str>, path: &str, message: &str) {
    warn!(target: TARGET, provider, status, event_type, path, "a verified event could not be parsed: {message}");
}

fn source(error: &VerifyError) -> Option<&(dyn Error + 'static)> {
    error.source()
}
