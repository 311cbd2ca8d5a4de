//! The catalogue: one row for each provider.
//!
//! A row is `CONSTANT constructor "name" "Title" ["signature-header", …]`, then `if "feature"` where it needs one, and in braces what
//! differs from [`Entry::BLANK`]. The comment above it is that of the constructor; say there what weakens the scheme, and what else
//! the layer needs. `scheme` is given a declaration with the algorithm and the signature headers. What several providers have in
//! common is in `families`; one with quirks has a file of its own, which quotes its documentation.
//!
//! The constants, [`Provider::ALL`], the constructors of [`WebhookLayer`](crate::WebhookLayer) and the table of docs/providers.md
//! come from here. Whatever names one provider is not linked with the schemes of the others: only [`Provider::ALL`] names them all,
//! and with it the parser of names.

use std::time::Duration;

use super::{
    Provider, dropbox,
    entry::{
        Entry,
        Evidence::{Documentation, Library},
    },
    github, gitlab, linear, meta, paddle, pagerduty, shopify, slack, square, standard_webhooks, stripe, twitch,
    x_webhook, zoom,
};
use crate::scheme::template::Algorithm;

/// Passes every row to a macro.
macro_rules! catalogue {
    ($each:ident) => {
        $each! {
            CLERK clerk "clerk" "Clerk" ["svix-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["svix"]),
                page: "https://clerk.com/docs/guides/development/webhooks/overview",
                evidence: Library,
                own_vectors: "@clerk/backend 3.25.0",
            }
            /// It also answers Dropbox's GET challenge, which anyone may ask.
            ///
            /// Dropbox signs the body alone, which has no id and no time. A delivery that was overheard can be replayed.
            ///
            /// The body names the accounts that have changed and nothing else, so that it is the same for every change: with idempotency
            /// each delivery runs. Do not choose `MissingId::BodyDigest` here, nor a replay guard.
            DROPBOX dropbox "dropbox" "Dropbox" ["x-dropbox-signature"] {
                scheme: dropbox::declare,
                page: "https://www.dropbox.com/developers/reference/webhooks",
                evidence: Documentation,
                other_vectors: "nuxt-webhook-validators 0.2.12",
                deadline: seconds(10),
            }
            /// GitHub signs the body alone: neither the delivery's id nor a time. A delivery that was overheard can be replayed.
            GITHUB github "github" "GitHub" ["x-hub-signature-256"] {
                scheme: github::declare,
                page: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
                evidence: Library,
                own_vectors: "@octokit/webhooks-methods 6.0.0",
                deadline: seconds(10),
                retries: NEVER,
            }
            /// This is the signing token, which GitLab has from version 19.0. Prefer it to [`gitlab_token`](Self::gitlab_token).
            GITLAB_SIGNING gitlab_signing "gitlab-signing" "GitLab, signing token" ["webhook-signature"] {
                scheme: gitlab::signing,
                page: "https://docs.gitlab.com/user/project/integrations/webhooks/",
                evidence: Documentation,
                deadline: seconds(10),
            }
            /// Does not bind the body: GitLab shows the secret token itself, and whoever reads one request can send any other. The
            /// token is compared in constant time. Prefer [`gitlab_signing`](Self::gitlab_signing).
            GITLAB_TOKEN gitlab_token "gitlab-token" "GitLab, secret token" ["x-gitlab-token"] {
                aliases: &["gitlab"],
                algorithm: Algorithm::Token,
                scheme: gitlab::token,
                page: "https://docs.gitlab.com/user/project/integrations/webhooks/",
                evidence: Documentation,
                other_vectors: "nuxt-webhook-validators 0.2.12",
                deadline: seconds(10),
            }
            /// The time is in the signed body, and may be a minute off in either direction. The delivery's id is not signed.
            LINEAR linear "linear" "Linear" ["linear-signature"] {
                scheme: linear::declare,
                page: "https://linear.app/developers/webhooks",
                evidence: Library,
                own_vectors: "@linear/sdk 98.0.0",
                deadline: seconds(5),
            }
            /// These are Facebook, Instagram, Messenger, Threads and WhatsApp. The secret is the app's.
            ///
            /// Meta confirms a subscription by GET with a token of your choice: add
            /// [`with_verify_token`](Self::with_verify_token), without which the layer wraps no service, and put the layer on the
            /// route with `post(handler).layer(…)`, which sees the GET.
            ///
            /// Meta signs the body alone, which has no id and no time of its own. A delivery that was overheard can be replayed. Whether
            /// two events can have equal bodies is not documented, so with idempotency each delivery runs, unless
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
            META meta "meta" "Meta" ["x-hub-signature-256"] {
                scheme: meta::declare,
                page: "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
                evidence: Library,
                other_vectors: "nuxt-webhook-validators 0.2.12",
                retries: hours(36),
            }
            /// A secret without `whsec_` is taken as text.
            OPENAI openai "openai" "OpenAI" ["webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook"]).key_standard_webhooks_or_text(),
                page: "https://platform.openai.com/docs/guides/webhooks",
                evidence: Library,
                own_vectors: "openai 6.49.0",
            }
            /// The time may be 5 seconds off, as in Paddle's own libraries; [`with_tolerance`](Self::with_tolerance) widens that.
            PADDLE paddle "paddle" "Paddle Billing" ["paddle-signature"] {
                scheme: paddle::declare,
                page: "https://developer.paddle.com/webhooks/signature-verification",
                evidence: Library,
                own_vectors: "@paddle/paddle-node-sdk 3.10.0",
            }
            /// This is version 3. A wrong signature is answered with 403, so that it is not repeated.
            ///
            /// PagerDuty signs no time. A delivery that was overheard can be replayed, under its own id.
            PAGERDUTY pagerduty "pagerduty" "PagerDuty" ["x-pagerduty-signature"] {
                scheme: pagerduty::declare,
                page: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
                evidence: Library,
            }
            RESEND resend "resend" "Resend" ["svix-signature", "webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["svix", "webhook"]),
                page: "https://resend.com/docs/webhooks/verify-webhooks-requests",
                evidence: Library,
                own_vectors: "resend 6.38.0",
            }
            /// The secret is the app's client secret.
            ///
            /// Shopify signs the body alone: neither the delivery's id nor its topic, its shop or a time. A delivery that was overheard
            /// can be replayed, also as another topic's or another shop's.
            SHOPIFY shopify "shopify" "Shopify" ["x-shopify-hmac-sha256", "shopify-hmac-sha256"] {
                scheme: shopify::declare,
                page: "https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
                evidence: Library,
                own_vectors: "@shopify/shopify-api 13.1.0",
                deadline: seconds(5),
                retries: hours(4),
            }
            /// It also answers `url_verification`, once its signature has passed.
            SLACK slack "slack" "Slack" ["x-slack-signature"] {
                scheme: slack::declare,
                page: "https://docs.slack.dev/authentication/verifying-requests-from-slack",
                evidence: Library,
                own_vectors: "@slack/bolt 5.1.0",
                deadline: seconds(3),
            }
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
            SQUARE square "square" "Square" ["x-square-hmacsha256-signature"] {
                scheme: square::declare,
                page: "https://developer.squareup.com/docs/webhooks/step3validate",
                evidence: Library,
                own_vectors: "square 46.0.0",
            }
            /// This is for every sender that follows Standard Webhooks.
            STANDARD_WEBHOOKS standard_webhooks "standard-webhooks" "Standard Webhooks" ["webhook-signature", "svix-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook", "svix"]),
                page: "https://www.standardwebhooks.com",
                evidence: Library,
                own_vectors: "standardwebhooks 1.1.1",
            }
            /// This is for every sender that follows Standard Webhooks and signs with a private key, as version `v1a`. The secret is its
            /// public key, `whpk_…`; during a rotation there are two, and never more than 4.
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
            STANDARD_WEBHOOKS_V1A standard_webhooks_v1a "standard-webhooks-v1a" "Standard Webhooks with public keys, `v1a`" ["webhook-signature", "svix-signature"] if "asymmetric" {
                algorithm: Algorithm::Ed25519,
                scheme: standard_webhooks::v1a,
                page: "https://www.standardwebhooks.com",
                evidence: Documentation,
            }
            /// Each endpoint has a secret of its own, and so has the Stripe CLI.
            STRIPE stripe "stripe" "Stripe" ["stripe-signature"] {
                scheme: stripe::declare,
                page: "https://docs.stripe.com/webhooks/signature",
                evidence: Library,
                own_vectors: "stripe 23.1.0",
                retries: days(3),
            }
            /// This is for all senders that use Svix.
            SVIX svix "svix" "Svix" ["svix-signature", "webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["svix", "webhook"]),
                page: "https://docs.svix.com/receiving/verifying-payloads/how-manual",
                evidence: Library,
                own_vectors: "svix 1.99.1",
                deadline: seconds(15),
            }
            /// It also answers `webhook_callback_verification`, once its signature has passed. A revocation is a delivery of type
            /// `revocation`, without an event.
            TWITCH twitch "twitch" "Twitch EventSub" ["twitch-eventsub-message-signature"] {
                scheme: twitch::declare,
                page: "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
                evidence: Library,
                other_vectors: "nuxt-webhook-validators 0.2.12",
            }
            /// This is the style of many in-house senders, `X-Webhook-Signature: sha256=…`.
            ///
            /// No time is checked. A delivery that was overheard can be replayed, under its own id.
            X_WEBHOOK x_webhook "x-webhook" "X-Webhook style" ["x-webhook-signature"] {
                scheme: x_webhook::declare,
                evidence: Documentation,
            }
            /// It also answers `endpoint.url_validation`, once its signature has passed.
            ///
            /// Zoom sends no id. The time of the event is in the body, in milliseconds, so that a delivery is known by its body.
            ZOOM zoom "zoom" "Zoom" ["x-zm-signature"] {
                scheme: zoom::declare,
                page: "https://developers.zoom.us/docs/api/webhooks/",
                evidence: Library,
                own_vectors: "@zoom/rivet 0.4.0",
                deadline: seconds(3),
            }
        }
    };
}
pub(crate) use catalogue;

macro_rules! providers {
    ($(
        $(#[$doc:meta])*
        $constant:ident $constructor:ident $name:literal $title:literal [$($header:literal),*] $(if $feature:literal)? { $($fields:tt)* }
    )*) => {
        impl Provider {
            $(
                #[doc = concat!($title, ". See [`WebhookLayer::", stringify!($constructor), "`](crate::WebhookLayer::", stringify!($constructor), ").")]
                $(#[cfg(feature = $feature)])?
                pub const $constant: Self =
                    Self(&Entry { name: $name, title: $title, constructor: stringify!($constructor), headers: &[$($header),*], $($fields)* ..Entry::BLANK });
            )*

            /// Every provider, by name.
            pub const ALL: &'static [Self] = &[$($(#[cfg(feature = $feature)])? Self::$constant),*];
        }

        /// The providers of any build, each with the feature that it needs, if it needs one.
        pub(super) const KNOWN: &[(&str, &[&str])] = &[$(($name, &[$($feature)?])),*];

        /// The headers that signatures are in, each with a provider that sends it.
        pub(crate) const SIGNATURE_HEADERS: &[(&str, &str)] = &[$($(($header, $name),)*)*];
    };
}

catalogue!(providers);

/// Returns `true` if a provider of any build has this name.
pub(crate) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

const NEVER: Option<Duration> = Some(Duration::ZERO);

const fn seconds(count: u64) -> Option<Duration> {
    Some(Duration::from_secs(count))
}

const fn hours(count: u64) -> Option<Duration> {
    seconds(count * 60 * 60)
}

const fn days(count: u64) -> Option<Duration> {
    hours(count * 24)
}
