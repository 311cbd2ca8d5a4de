use super::layer::WebhookLayer;
use crate::{scheme::Provider, secret::SecretSource};

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $provider:ident;)*) => {
        impl WebhookLayer {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                /// When a constant secret is not of the form that the provider gives out.
                #[track_caller]
                pub fn $name(secrets: impl SecretSource) -> Self {
                    Self::new(Provider::$provider, secrets)
                }
            )*
        }
    };
}

constructors! {
    /// Verifies Clerk's deliveries.
    clerk => CLERK;
    /// Verifies Dropbox's deliveries, and answers its GET challenge, which anyone may ask.
    ///
    /// Dropbox signs the body alone, which has no id and no time. A delivery that was overheard can be replayed.
    ///
    /// The body names the accounts that have changed and nothing else, so that it is the same for every change: with idempotency
    /// each delivery runs. Do not choose `MissingId::BodyDigest` here, nor a replay guard.
    dropbox => DROPBOX;
    /// Verifies GitHub's deliveries.
    ///
    /// GitHub signs the body alone: neither the delivery's id nor a time. A delivery that was overheard can be replayed.
    github => GITHUB;
    /// Verifies GitLab's deliveries by their signing token, which GitLab has from version 19.0. Prefer it to
    /// [`gitlab_token`](Self::gitlab_token).
    gitlab_signing => GITLAB_SIGNING;
    /// Does not bind the body: GitLab shows the secret token itself, and whoever reads one request can send any other. The
    /// token is compared in constant time. Prefer [`gitlab_signing`](Self::gitlab_signing).
    gitlab_token => GITLAB_TOKEN;
    /// Verifies Linear's deliveries, by the time in their signed body: a minute in either direction.
    ///
    /// The delivery's id is not signed.
    linear => LINEAR;
    /// Verifies Meta's deliveries: Facebook, Instagram, Messenger, Threads and WhatsApp. The secret is the app's.
    ///
    /// Meta confirms a subscription by GET with a token of your choice: add
    /// [`with_verify_token`](Self::with_verify_token), without which the layer wraps no service, and put the layer on the
    /// route with `post(handler).layer(…)`, which sees the GET.
    ///
    /// Meta signs the body alone, which has no id and no time of its own. A delivery that was overheard can be replayed. Whether two
    /// events can have equal bodies is not documented, so with idempotency each delivery runs, unless
    /// `IdempotencyLayer::with_missing_id` says otherwise.
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use tower_webhooks::{Secret, VerifiedEvent, WebhookLayer};
    ///
    /// async fn on_changes(event: VerifiedEvent<serde_json::Value>) {
    ///     println!("{} entries", event["entry"].as_array().map_or(0, Vec::len));
    /// }
    ///
    /// let layer = WebhookLayer::meta(Secret::new("a990ac141f174af0793efcfce0f94034")?)
    ///     .with_verify_token(Secret::new("the token that you told Meta")?);
    /// let app: Router = Router::new().route("/webhooks/meta", post(on_changes).layer(layer));
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    meta => META;
    /// Verifies OpenAI's deliveries. A secret without `whsec_` is taken as text.
    openai => OPENAI;
    /// Verifies the deliveries of Paddle Billing. Their time may be 5 seconds off, as in Paddle's own libraries;
    /// [`with_tolerance`](Self::with_tolerance) widens that.
    paddle => PADDLE;
    /// Verifies PagerDuty's deliveries, version 3. A wrong signature is answered with 403, so that it is not repeated.
    ///
    /// PagerDuty signs no time. A delivery that was overheard can be replayed, under its own id.
    pagerduty => PAGERDUTY;
    /// Verifies Resend's deliveries.
    resend => RESEND;
    /// Verifies Shopify's deliveries. The secret is the app's client secret.
    ///
    /// Shopify signs the body alone: neither the delivery's id nor its topic, its shop or a time. A delivery that was overheard
    /// can be replayed, also as another topic's or another shop's.
    shopify => SHOPIFY;
    /// Verifies Slack's deliveries, and answers `url_verification` once its signature has passed.
    slack => SLACK;
    /// Verifies Square's deliveries.
    ///
    /// Square signs the notification URL: add [`with_public_url`](Self::with_public_url), without which the layer wraps no
    /// service.
    ///
    /// Square signs no time. A delivery that was overheard can be replayed, under its own id.
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use tower_webhooks::{Secret, VerifiedEvent, WebhookLayer};
    ///
    /// async fn on_event(event: VerifiedEvent<serde_json::Value>) {
    ///     println!("{}", event["id"]);
    /// }
    ///
    /// // The URL that is registered with Square is https://example.com/webhooks/square.
    /// let layer = WebhookLayer::square(Secret::new("2gpxfBtfwhomtdd6mjf989")?).with_public_url("https://example.com");
    /// let app: Router = Router::new().route("/webhooks/square", post(on_event).layer(layer));
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    square => SQUARE;
    /// Verifies the deliveries of every sender that follows Standard Webhooks.
    standard_webhooks => STANDARD_WEBHOOKS;
    /// Verifies the deliveries of every sender that follows Standard Webhooks and signs with a private key, as version `v1a`. The
    /// secret is its public key, `whpk_…`; during a rotation there are two, and never more than 4.
    ///
    /// Other versions are not looked at: what is signed with a shared secret, `v1`, does not pass here, nor does this pass
    /// [`standard_webhooks`](Self::standard_webhooks).
    ///
    /// ```
    /// use tower_webhooks::{Secret, WebhookLayer};
    ///
    /// let layer = WebhookLayer::standard_webhooks_v1a(Secret::new("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")?);
    ///
    /// // A private key has no business here, and no other key fits.
    /// let private = Secret::new("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=")?;
    /// let error = WebhookLayer::try_new(tower_webhooks::Provider::STANDARD_WEBHOOKS_V1A, private).unwrap_err();
    /// assert!(error.to_string().contains("must never leave the sender"));
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    #[cfg(feature = "asymmetric")]
    standard_webhooks_v1a => STANDARD_WEBHOOKS_V1A;
    /// Verifies Stripe's deliveries. Each endpoint has a secret of its own, and so has the Stripe CLI.
    stripe => STRIPE;
    /// Verifies the deliveries of senders that use Svix.
    svix => SVIX;
    /// Verifies the deliveries of Twitch EventSub, and answers `webhook_callback_verification` once its signature has passed. A
    /// revocation is a delivery of type `revocation`, without an event.
    twitch => TWITCH;
    /// Verifies the deliveries of senders in the X-Webhook style, `X-Webhook-Signature: sha256=…`.
    ///
    /// No time is checked. A delivery that was overheard can be replayed, under its own id.
    x_webhook => X_WEBHOOK;
    /// Verifies Zoom's deliveries, and answers `endpoint.url_validation` once its signature has passed.
    ///
    /// Zoom sends no id. The time of the event is in the body, in milliseconds, so that a delivery is known by its body.
    zoom => ZOOM;
}
