//! The catalogue: one row for each provider.
//!
//! A row is `CONSTANT constructor "name" "Title" ["signature-header", …]`, then `if "feature"` where it needs one, and in braces what
//! differs from [`Entry::BLANK`]. The comment above it is that of the constructor; say there what weakens the scheme, and what else
//! the layer needs. `scheme` is given a declaration with the algorithm and the signature headers. What several providers have in
//! common is in `families`; one with quirks has a file of its own, which quotes its documentation.
//! `duplicates` says what identifies a duplicate, according to the sender's own page or source; every row has it.
//!
//! The constants, [`Provider::ALL`], the constructors of [`WebhookLayer`](crate::WebhookLayer) and the table of docs/providers.md
//! come from here. Whatever names one provider is not linked with the schemes of the others: only [`Provider::ALL`] names them all,
//! and with it the parser of names.

use std::time::Duration;

use super::{
    adyen_payments, braintree, cloudevents, contentful, dropbox, dropbox_sign,
    entry::{
        Duplicates::{Attempt, Delivery, Event, Items, RepeatedBodies, Undocumented, UniqueBodies},
        Entry,
        Evidence::{Documentation, Library, ThirdParty},
    },
    families::{base64_body, basic, header, hex_body, json, param, stamped, standard},
    front, github, gitlab, hook0, hubspot, linear, mailgun, meta, nylas, okta, paddle, pagerduty, plivo,
    provider::Provider,
    shopify, slack, square, standard_webhooks, stripe, trello, twilio, twitch, x_twitter, x_webhook, zoom,
};
#[cfg(feature = "asymmetric")]
use super::{aws_sns, paypal, truelayer};
use crate::{
    field::Field,
    form::Form,
    scheme::{
        answer::Answer,
        freshness::TimestampUnit::{HttpDate, Milliseconds, Rfc3339, Rfc3339OrUtc},
        handshake::Handshake,
        template::Algorithm,
    },
    signature::{HashAlgorithm, MacAlgorithm},
};
#[cfg(feature = "asymmetric")]
use crate::{
    scheme::content::{Fields, Part},
    signature::PublicAlgorithm,
};

/// Passes every row to a macro.
macro_rules! catalogue {
    ($each:ident) => {
        $each! {
            /// The secret is the whole API key, `name:secret`. Only batched requests are signed.
            ABLY ably "ably" "Ably" ["x-ably-signature"] {
                scheme: |s| base64_body(s).key_id(header("x-ably-key")).api_version(header("x-ably-version")),
                page: "https://ably.com/docs/platform/integrations/webhooks",
                duplicates: Some(Undocumented),
                batch: Some("/items"),
                evidence: Documentation,
            }
            /// Does not cover the whole body: eight fields of each item are signed, and nothing else. A delivery
            /// holds many events, in `/notificationItems`, each of which must be rightly signed.
            ADYEN_PAYMENTS adyen_payments "adyen-payments" "Adyen, payments" [] {
                aliases: &["adyen-standard"],
                scheme: adyen_payments::declare,
                page: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
                batch: Some("/notificationItems"),
                duplicates: Some(Items),
                evidence: Library,
                own_vectors: "@adyen/api-library 32.1.0",
            }
            /// This is for the webhooks of the balance platform and of management; the older payment notifications, whose signature
            /// is in the body, are others.
            ADYEN_PLATFORM adyen_platform "adyen-platform" "Adyen, platforms and management" ["hmacsignature"] {
                scheme: |s| base64_body(s).key_hex().event_type(json("/type")),
                page: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "@adyen/api-library 32.1.0",
            }
            AFTERSHIP aftership "aftership" "AfterShip Tracking" ["aftership-hmac-sha256"] {
                scheme: |s| base64_body(s).id(json("/event_id")).event_type(json("/event")),
                page: "https://www.aftership.com/docs/tracking/webhook/webhook-signature",
                // `event_id`: "UUID v4 format, to uniquely identify the webhook event" ("Webhook Specifications").
                duplicates: Some(Event),
                evidence: Documentation,
            }
            AGORA agora "agora" "Agora notifications" ["agora-signature-v2"] {
                scheme: |s| hex_body(s).id(json("/noticeId")).event_type(json("/eventType")),
                page: "https://docs.agora.io/en/video-calling/advanced-features/receive-notifications",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// The secret is `macSecretBase64`. A delivery only says that there is something new, which is fetched.
            AIRTABLE airtable "airtable" "Airtable" ["x-airtable-content-mac"] {
                scheme: |s| hex_body(s).prefix("hmac-sha256=").key_base64(),
                page: "https://airtable.com/developers/web/api/webhooks-overview",
                // A notification says only that there is something to fetch, so that a repetition does no harm.
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            ALCHEMY alchemy "alchemy" "Alchemy Notify" ["x-alchemy-signature"] {
                scheme: |s| hex_body(s).id(json("/id")).event_type(json("/type")),
                page: "https://www.alchemy.com/docs/reference/notify-api-quickstart",
                duplicates: Some(Event),
                evidence: Library,
            }
            ANTHROPIC anthropic "anthropic" "Anthropic" ["webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook"]),
                page: "https://platform.claude.com/docs/en/api/webhooks",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@anthropic-ai/sdk 1.14.0",
            }
            /// The secret comes with the request that establishes the webhook, in `X-Hook-Secret`, which is not signed: answer it on
            /// a route of your own with the same header, and keep the secret. A delivery holds many events, in `/events`, or none.
            ASANA asana "asana" "Asana" ["x-hook-signature"] {
                scheme: hex_body,
                page: "https://developers.asana.com/docs/webhooks-guide",
                // Events have no id, and the heartbeat `{"events":[]}` is the same each time.
                duplicates: Some(RepeatedBodies),
                batch: Some("/events"),
                evidence: Library,
            }
            ATTIO attio "attio" "Attio" ["attio-signature", "x-attio-signature"] {
                scheme: hex_body,
                page: "https://docs.attio.com/rest-api/guides/webhooks",
                duplicates: Some(Undocumented),
                batch: Some("/events"),
                evidence: ThirdParty,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is the whole
            /// value of the `Authorization` header. A delivery holds many events, in an array.
            AUTH0 auth0 "auth0" "Auth0 log streams" ["authorization"] {
                algorithm: Algorithm::Token,
                page: "https://auth0.com/docs/customize/log-streams/custom-log-streams",
                // Each event has its `log_id`.
                duplicates: Some(Items),
                batch: Some(""),
                evidence: ThirdParty,
            }
            AUTHORIZE_NET authorize_net "authorize-net" "Authorize.Net" ["x-anet-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha512),
                scheme: |s| hex_body(s).prefix("sha512=").id(json("/notificationId")).event_type(json("/eventType")),
                page: "https://developer.authorize.net/api/reference/features/webhooks.html",
                // `notificationId` is that of the notification, by which it can also be fetched.
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            AUTOTASK autotask "autotask" "Datto Autotask PSA" ["x-hook-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| base64_body(s).prefix("sha1="),
                page: "https://www.autotask.net/help/developerhelp/Content/APIs/Webhooks/Webhooks_Overview.htm",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// Does not bind the whole body: `MessageAttributes` and `UnsubscribeURL` are not signed. The certificate
            /// is fetched by `keys::CertificateKeys::aws_sns` (feature `remote-keys`), or its public key is passed as
            /// PEM. `with_confirmation` confirms subscriptions. SNS signs for all its customers with the same keys:
            /// pass your topics to `with_account`. Messages of topics with `SignatureVersion` 1, the default of SNS,
            /// are signed with SHA-1; `aws_sns_v2` accepts only version 2. Raw message delivery is not signed, and is
            /// rejected.
            AWS_SNS aws_sns "aws-sns" "Amazon SNS" [] if "asymmetric" {
                aliases: &["sns"],
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha256OrSha1),
                scheme: |s| aws_sns::declare(s).key_pem(),
                page: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// As `aws_sns`, but for topics whose `SignatureVersion` is 2: a message that is signed with SHA-1 is rejected.
            AWS_SNS_V2 aws_sns_v2 "aws-sns-v2" "Amazon SNS, signature version 2" [] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha256),
                scheme: |s| aws_sns::declare(s).key_pem(),
                page: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is
            /// `user:password`.
            AZURE_DEVOPS azure_devops "azure-devops" "Azure DevOps service hooks" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| basic(s).id(json("/id")).event_type(json("/eventType")),
                page: "https://learn.microsoft.com/en-us/azure/devops/service-hooks/services/webhooks",
                // `id`, beside `notificationId` and `subscriptionId`, is the event's.
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            BITBUCKET bitbucket "bitbucket" "Bitbucket Cloud" ["x-hub-signature"] {
                scheme: |s| hex_body(s)
                    .prefix("sha256=")
                    .id(header("x-request-uuid"))
                    .event_type(header("x-event-key"))
                    .attempt(header("x-attempt-number"), 1),
                page: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
                // A request has several attempts, each with its `X-Attempt-Number`.
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            BITBUCKET_SERVER bitbucket_server "bitbucket-server" "Bitbucket Data Center" ["x-hub-signature"] {
                scheme: |s| hex_body(s).prefix("sha256=").id(header("x-request-id")).event_type(header("x-event-key")),
                page: "https://confluence.atlassian.com/bitbucketserver/manage-webhooks-938025878.html",
                // `X-Request-Id`: "A unique UUID for each webhook request" ("Event payload"); of repetitions nothing is said.
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// The id is that in the body: `BOX-DELIVERY-ID` is another one on each attempt. Give both signature keys, the primary
            /// and the secondary one.
            BOX box_com "box" "Box" ["box-signature-primary", "box-signature-secondary"] {
                scheme: |s| s.base64()
                    .header_for_each_key(["box-signature-primary", "box-signature-secondary"])
                    .timestamp(header("box-delivery-timestamp"))
                    .unit(Rfc3339)
                    .tolerance(Duration::from_secs(600))
                    .signs("{body}{timestamp}")
                    .id(json("/id"))
                    .event_type(json("/trigger")),
                page: "https://developer.box.com/guides/webhooks/v2/signatures-v2/",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// The secret is `public key:private key`. It also answers the challenge by GET when a URL is registered; put the layer on the route
            /// with `post(handler).layer(…)`, which sees the GET. What the form holds in `bt_payload` is XML in base64.
            BRAINTREE braintree "braintree" "Braintree" [] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: braintree::declare,
                page: "https://developer.paypal.com/braintree/docs/guides/webhooks/overview",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "braintree 3.40.0",
            }
            /// Does not cover the body: anyone who has seen one request can send any other.
            BRAZE braze "braze" "Braze Currents" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.prefix("Bearer "),
                page: "https://www.braze.com/docs/user_guide/data/distribution/braze_currents/",
                batch: Some("/events"),
                // Each event has an `id`.
                duplicates: Some(Items),
                evidence: ThirdParty,
            }
            /// Does not cover the body: anyone who has seen one request can send any other.
            BREVO brevo "brevo" "Brevo" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.prefix("Bearer ").event_type(json("/event")),
                page: "https://developers.brevo.com/docs/how-to-use-webhooks",
                // The body's `id` is that of the webhook, the same in all deliveries.
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
                // Four retries, after 10 minutes and 1, 2 and 8 hours ("Retry mechanism").
                retries: minutes(670),
            }
            BREX brex "brex" "Brex" ["webhook-signature"] {
                scheme: |s| standard(s, &["webhook"]).event_type(json("/event_type")),
                page: "https://developer.brex.com/docs/webhooks/",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            BUILDKITE buildkite "buildkite" "Buildkite, signature" ["x-buildkite-signature"] {
                scheme: |s| stamped(s, "signature", "timestamp").event_type(header("x-buildkite-event")),
                page: "https://buildkite.com/docs/apis/webhooks/pipelines",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. Prefer
            /// [`buildkite`](Self::buildkite).
            BUILDKITE_TOKEN buildkite_token "buildkite-token" "Buildkite, token" ["x-buildkite-token"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.event_type(header("x-buildkite-event")),
                page: "https://buildkite.com/docs/apis/webhooks/pipelines",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            CALENDLY calendly "calendly" "Calendly" ["calendly-webhook-signature"] {
                scheme: |s| stamped(s, "v1", "t").event_type(json("/event")),
                page: "https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
                // "Read timeout 15 seconds" ("Webhook Timeouts"); "for 24 hours with an exponential back-off" ("Webhook Errors").
                deadline: seconds(15),
                retries: hours(24),
            }
            CAL_COM cal_com "cal-com" "Cal.com" ["x-cal-signature-256"] {
                scheme: |s| hex_body(s).event_type(json("/triggerEvent")),
                page: "https://cal.com/docs/developing/guides/automation/webhooks",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            CASHFREE cashfree "cashfree" "Cashfree" ["x-webhook-signature"] {
                scheme: |s| s.base64()
                    .timestamp(header("x-webhook-timestamp"))
                    .unit(Milliseconds)
                    .signs("{timestamp}{body}")
                    .event_type(json("/type")),
                page: "https://www.cashfree.com/docs/api-reference/webhooks/payloads-and-signatures",
                // Duplicates are told by `cf_payment_id` with the status ("Webhook Idempotency"), which only the handler knows.
                duplicates: Some(RepeatedBodies),
                evidence: Documentation,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is
            /// `user:password`.
            CHARGEBEE chargebee "chargebee" "Chargebee" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| basic(s).id(json("/id")).event_type(json("/event_type")).api_version(json("/api_version")),
                page: "https://www.chargebee.com/docs/2.0/webhook_settings.html",
                duplicates: Some(Event),
                evidence: Library,
            }
            CHECKOUT_COM checkout_com "checkout-com" "Checkout.com" ["cko-signature"] {
                scheme: |s| hex_body(s).id(json("/id")).event_type(json("/type")),
                page: "https://www.checkout.com/docs/developer-resources/webhooks",
                duplicates: Some(Event),
                evidence: Documentation,
                retries: minutes(1_800),
            }
            CHECKR checkr "checkr" "Checkr" ["x-checkr-signature"] {
                scheme: |s| hex_body(s).id(json("/id")).event_type(json("/type")),
                page: "https://docs.checkr.com/#section/Webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            CIRCLECI circleci "circleci" "CircleCI" ["circleci-signature"] {
                scheme: |s| s
                    .items(",")
                    .pairs("=")
                    .key("v1")
                    .hex()
                    .signs("{body}")
                    .id(json("/id"))
                    .event_type(header("circleci-event-type").or(json("/type"))),
                page: "https://circleci.com/docs/webhooks/",
                // "ID used to uniquely identify each event from the system (the client can use this to dedupe events)"
                // ("Webhooks").
                duplicates: Some(Event),
                evidence: Documentation,
            }
            CLERK clerk "clerk" "Clerk" ["svix-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["svix"]),
                page: "https://clerk.com/docs/guides/development/webhooks/overview",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@clerk/backend 3.25.0",
            }
            CLICKUP clickup "clickup" "ClickUp" ["x-signature"] {
                scheme: |s| hex_body(s).event_type(json("/event")),
                page: "https://developer.clickup.com/docs/webhooksignature",
                batch: Some("/history_items"),
                // Each of the `history_items` has an id.
                duplicates: Some(Items),
                evidence: Documentation,
            }
            CLOSE close "close" "Close" ["close-sig-hash"] {
                scheme: |s| s
                    .hex()
                    .key_hex()
                    .timestamp(header("close-sig-timestamp"))
                    .signs("{timestamp}{body}")
                    .id(json("/event/id"))
                    .event_type(json("/event/object_type").joined(json("/event/action"))),
                page: "https://developer.close.com/topics/webhooks/",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is the access
            /// token behind `Bearer `, where the sender has one that stays the same. It also answers the OPTIONS
            /// request by which a sender asks for leave to deliver, which anyone can send; put the layer on the route
            /// with `post(handler).layer(…)`, which sees it.
            CLOUDEVENTS cloudevents "cloudevents" "CloudEvents HTTP webhooks" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: cloudevents::declare,
                page: "https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
                duplicates: Some(Event),
                evidence: Documentation,
            }
            /// Does not cover the body: anyone who has seen one request can send any other.
            CLOUDFLARE_NOTIFICATIONS cloudflare_notifications "cloudflare-notifications" "Cloudflare Notifications" ["cf-webhook-auth"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.event_type(json("/alert_type")),
                page: "https://developers.cloudflare.com/notifications/get-started/configure-webhooks/",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// The video's `uid` is the same in all notifications about it, so it does not serve as an id.
            CLOUDFLARE_STREAM cloudflare_stream "cloudflare-stream" "Cloudflare Stream" ["webhook-signature"] {
                scheme: |s| stamped(s, "sig1", "time").event_type(json("/status/state")),
                page: "https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// The secret is the API secret. For accounts with SHA-256 see [`cloudinary_sha256`](Self::cloudinary_sha256). The time
            /// may be two hours off.
            CLOUDINARY cloudinary "cloudinary" "Cloudinary, SHA-1" ["x-cld-signature"] {
                algorithm: Algorithm::Hash(HashAlgorithm::Sha1),
                scheme: |s| s
                    .hex()
                    .timestamp(header("x-cld-timestamp"))
                    .tolerance(Duration::from_secs(2 * 60 * 60))
                    .signs("{body}{timestamp}{secret}")
                    .event_type(json("/notification_type")),
                page: "https://cloudinary.com/documentation/notification_signatures",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// The secret is the API secret. The time may be two hours off.
            CLOUDINARY_SHA256 cloudinary_sha256 "cloudinary-sha256" "Cloudinary, SHA-256" ["x-cld-signature"] {
                algorithm: Algorithm::Hash(HashAlgorithm::Sha256),
                scheme: |s| s
                    .hex()
                    .timestamp(header("x-cld-timestamp"))
                    .tolerance(Duration::from_secs(2 * 60 * 60))
                    .signs("{body}{timestamp}{secret}")
                    .event_type(json("/notification_type")),
                page: "https://cloudinary.com/documentation/notification_signatures",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// The deliveries come from Hook0: see [`hook0`](Self::hook0).
            COINBASE_CDP coinbase_cdp "coinbase-cdp" "Coinbase Developer Platform" ["x-hook0-signature"] {
                scheme: hook0::declare,
                page: "https://docs.cdp.coinbase.com/webhooks/verify-signatures",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            COINBASE_COMMERCE coinbase_commerce "coinbase-commerce" "Coinbase Commerce" ["x-cc-webhook-signature"] {
                scheme: |s| hex_body(s).id(json("/event/id")).event_type(json("/event/type")),
                page: "https://docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-security",
                duplicates: Some(Event),
                evidence: Library,
            }
            COINIFY coinify "coinify" "Coinify" ["x-coinify-webhook-signature"] {
                scheme: hex_body,
                page: "https://coinify.readme.io/docs/webhook-signature",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            COMMERCELAYER commercelayer "commercelayer" "Commerce Layer" ["x-commercelayer-signature"] {
                scheme: |s| base64_body(s).event_type(header("x-commercelayer-topic")),
                page: "https://docs.commercelayer.io/core/callbacks-security",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
                deadline: seconds(5),
            }
            /// A time may be 30 seconds away. Path and query are signed as the sender called them: say
            /// [`with_replaced_prefix`](Self::with_replaced_prefix) where a proxy changes the path.
            CONTENTFUL contentful "contentful" "Contentful" ["x-contentful-signature"] {
                scheme: contentful::declare,
                page: "https://www.contentful.com/developers/docs/webhooks/request-verification/",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "@contentful/node-apps-toolkit 3.16.1",
            }
            /// The sender can choose another header, hash or encoding; this is its default. For advanced signatures see
            /// [`convoy_advanced`](Self::convoy_advanced).
            CONVOY convoy "convoy" "Convoy, simple signatures" ["x-convoy-signature"] {
                scheme: hex_body,
                page: "https://www.getconvoy.io/docs/product-manual/signatures",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            CONVOY_ADVANCED convoy_advanced "convoy-advanced" "Convoy, advanced signatures" ["x-convoy-signature"] {
                scheme: |s| s
                    .items(",")
                    .pairs("=")
                    .key("v1")
                    .key("v2")
                    .key("v3")
                    .hex()
                    .timestamp(param("t"))
                    .signs("{timestamp},{body}"),
                page: "https://www.getconvoy.io/docs/product-manual/signatures",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            CURSOR cursor "cursor" "Cursor background agents" ["x-webhook-signature"] {
                scheme: |s| hex_body(s).prefix("sha256=").id(header("x-webhook-id")).event_type(header("x-webhook-event")),
                page: "https://cursor.com/docs/cloud-agent/api/webhooks",
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            CUSTOMER_IO customer_io "customer-io" "Customer.io reporting webhooks" ["x-cio-signature"] {
                scheme: |s| s
                    .hex()
                    .timestamp(header("x-cio-timestamp"))
                    .signs("v0:{timestamp}:{body}")
                    .id(json("/event_id"))
                    .event_type(json("/object_type").joined(json("/metric"))),
                page: "https://docs.customer.io/integrations/api/webhooks/",
                duplicates: Some(Event),
                evidence: Documentation,
                deadline: seconds(4),
                retries: days(7),
            }
            DAILY daily "daily" "Daily.co" ["x-webhook-signature"] {
                scheme: |s| s.base64().key_base64()
                    .timestamp(header("x-webhook-timestamp"))
                    .signs("{timestamp}.{body}")
                    .id(json("/id"))
                    .event_type(json("/type")),
                page: "https://docs.daily.co/reference/rest-api/webhooks",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// The secret is the application's public key, in hexadecimal digits. It also answers a ping, after its
            /// signature was verified. Discord wants 204 for a delivery.
            DISCORD_EVENTS discord_events "discord-events" "Discord webhook events" ["x-signature-ed25519"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::Ed25519),
                scheme: super::discord::events,
                own_key: true,
                page: "https://docs.discord.com/developers/events/webhook-events",
                duplicates: Some(Undocumented),
                evidence: Library,
                deadline: seconds(3),
                retries: minutes(10),
            }
            /// The secret is the application's public key, in hexadecimal digits. It also answers a ping, after its
            /// signature was verified. Discord sends wrong signatures on purpose and wants 401 for them, which is what
            /// it gets.
            DISCORD_INTERACTIONS discord_interactions "discord-interactions" "Discord interactions" ["x-signature-ed25519"] if "asymmetric" {
                aliases: &["discord"],
                algorithm: Algorithm::Public(PublicAlgorithm::Ed25519),
                scheme: super::discord::interactions,
                own_key: true,
                page: "https://docs.discord.com/developers/interactions/overview",
                // An interaction is sent once.
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "discord-interactions 4.4.0",
                deadline: seconds(3),
            }
            /// The secret is not decoded, although it looks like base64. There is one signature header for each active
            /// key.
            DOCUSIGN docusign "docusign" "DocuSign Connect" ["x-docusign-signature-1"] {
                scheme: |s| base64_body(s).numbered_headers("x-docusign-signature-").event_type(json("/event")),
                page: "https://developers.docusign.com/platform/webhooks/connect/hmac/",
                duplicates: Some(Undocumented),
                evidence: Documentation,
                other_vectors: "nuxt-webhook-validators 0.2.12",
            }
            DODO_PAYMENTS dodo_payments "dodo-payments" "Dodo Payments" ["webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook"]),
                page: "https://docs.dodopayments.com/developer-resources/webhooks",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            DOPPLER doppler "doppler" "Doppler" ["x-doppler-signature"] {
                scheme: |s| hex_body(s).prefix("sha256="),
                page: "https://docs.doppler.com/docs/webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// It also answers Dropbox's GET challenge, which anyone can send.
            ///
            /// Dropbox signs the body alone, which has no id and no time. A recorded delivery can be replayed.
            ///
            /// The body names the accounts that have changed and nothing else, so that it is the same for every change: with idempotency
            /// each delivery runs. Do not choose `MissingId::BodyDigest` here, nor a replay guard.
            DROPBOX dropbox "dropbox" "Dropbox" ["x-dropbox-signature"] {
                scheme: dropbox::declare,
                page: "https://www.dropbox.com/developers/reference/webhooks",
                duplicates: Some(RepeatedBodies),
                evidence: Documentation,
                other_vectors: "nuxt-webhook-validators 0.2.12",
                deadline: seconds(10),
            }
            /// Does not cover the body: time and type of an event are signed, and nothing else. The secret is the API
            /// key. The handler's answer must be `Hello API Event Received`.
            DROPBOX_SIGN dropbox_sign "dropbox-sign" "Dropbox Sign" [] {
                scheme: dropbox_sign::declare,
                page: "https://developers.hellosign.com/docs/events/walkthrough/",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "@dropbox/sign 1.11.0",
            }
            DWOLLA dwolla "dwolla" "Dwolla" ["x-request-signature-sha-256"] {
                scheme: |s| hex_body(s).id(json("/id")).event_type(json("/topic")),
                page: "https://developers.dwolla.com/docs/working-with-webhooks",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// EasyPost normalizes secrets (Unicode NFKD). A secret of ASCII letters is used as it is; give another one in that form.
            EASYPOST easypost "easypost" "EasyPost" ["x-hmac-signature"] {
                scheme: |s| hex_body(s).prefix("hmac-sha256-hex=").id(json("/id")).event_type(json("/description")),
                page: "https://docs.easypost.com/guides/webhooks-guide",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@easypost/api 8.9.0",
            }
            /// The time may be half an hour off, as in ElevenLabs' own library.
            ELEVENLABS elevenlabs "elevenlabs" "ElevenLabs" ["elevenlabs-signature"] {
                scheme: |s| stamped(s, "v0", "t").tolerance(Duration::from_secs(30 * 60)).event_type(json("/type")),
                page: "https://elevenlabs.io/docs/product-guides/administration/webhooks",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// The keys are fetched by `keys::JwksKeys::fal` (feature `remote-keys`), or one of them is passed in base64. fal signs for all its
            /// users with them: pass your own user's id at fal, which is signed, with `with_endpoint_id`.
            FAL fal "fal" "fal" ["x-fal-webhook-signature"] if "asymmetric" {
                aliases: &["fal-ai"],
                algorithm: Algorithm::Public(PublicAlgorithm::Ed25519),
                scheme: |s| {
                    let line = || Part::Literal("\n".to_owned());
                    let header_of = |name| Part::Header(http::HeaderName::from_static(name));
                    s.hex()
                        .key_base64()
                        .timestamp(header("x-fal-webhook-timestamp"))
                        .signs_parts([
                            header_of("x-fal-webhook-request-id"),
                            line(),
                            Part::EndpointId,
                            line(),
                            Part::Timestamp,
                            line(),
                            Part::BodySha256,
                        ])
                        .id(header("x-fal-webhook-request-id"))
                        .payload_or_envelope("/payload")
                },
                page: "https://fal.ai/docs/documentation/model-apis/inference/webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
                // "it will retry 10 times in the span of 2 hours".
                retries: Some(Duration::from_secs(2 * 3600)),
            }
            FASTSPRING fastspring "fastspring" "FastSpring" ["x-fs-signature"] {
                scheme: base64_body,
                page: "https://developer.fastspring.com/reference/message-security",
                batch: Some("/events"),
                // Each of the `events` has an id.
                duplicates: Some(Items),
                evidence: ThirdParty,
            }
            FATHOM fathom "fathom" "Fathom" ["webhook-signature", "svix-signature"] {
                scheme: |s| standard(s, &["webhook", "svix"]),
                page: "https://developers.fathom.ai/webhooks",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// Does not cover the body, in which the passcode is: anyone who has seen one request can send any other.
            FIGMA figma "figma" "Figma" [] {
                algorithm: Algorithm::Token,
                scheme: |s| s.json_pointer("/passcode").event_type(json("/event_type")),
                page: "https://developers.figma.com/docs/rest-api/webhooks-security/",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            FINCH finch "finch" "Finch" ["finch-signature"] {
                scheme: standard_webhooks::finch,
                page: "https://developer.tryfinch.com/developer-resources/Webhooks",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@tryfinch/finch-api 10.7.0",
            }
            /// The secret is the public key that Fireblocks publishes for the environment, as PEM. Fireblocks signs for
            /// all its customers with it: pass your workspace, which is `tenantId` in a message, to `with_account`.
            FIREBLOCKS_V1 fireblocks_v1 "fireblocks-v1" "Fireblocks, version 1" ["fireblocks-signature"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha512),
                scheme: |s| base64_body(s).key_pem().event_type(json("/type")).account(json("/tenantId")).shared_key(),
                page: "https://developers.fireblocks.com/reference/validating-webhooks",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// The keys are fetched by `keys::JwksKeys::fireblocks` (feature `remote-keys`), or one of them is passed
            /// as PEM. Fireblocks signs for all its customers with the same keys: pass your workspace to
            /// `with_account`.
            FIREBLOCKS_V2 fireblocks_v2 "fireblocks-v2" "Fireblocks, version 2" ["fireblocks-webhook-signature"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha512),
                scheme: |s| s
                    .key_pem()
                    .detached_jws()
                    .key_id(Field::token_header("kid"))
                    .id(json("/id"))
                    .event_type(json("/eventType"))
                    .account(json("/workspaceId"))
                    .shared_key(),
                page: "https://developers.fireblocks.com/reference/validating-webhooks",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            FLUTTERWAVE_V3 flutterwave_v3 "flutterwave-v3" "Flutterwave, version 3" ["verif-hash"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.event_type(json("/event")),
                page: "https://developer.flutterwave.com/v3.0/docs/webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// The secret is the secret hash that you set in the dashboard.
            FLUTTERWAVE_V4 flutterwave_v4 "flutterwave-v4" "Flutterwave, version 4" ["flutterwave-signature"] {
                scheme: |s| base64_body(s).event_type(json("/type")),
                page: "https://developer.flutterwave.com/docs/webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            FOLK folk "folk" "folk" ["webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook"]),
                page: "https://developer.folk.app/api-reference/webhooks/signature-verification",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// Choose the content type `application/json`.
            FORGEJO forgejo "forgejo" "Forgejo" ["x-forgejo-signature", "x-gitea-signature"] {
                scheme: |s| hex_body(s)
                    .id(header("x-forgejo-delivery").or(header("x-gitea-delivery")))
                    .event_type(header("x-forgejo-event").or(header("x-gitea-event"))),
                page: "https://forgejo.org/docs/latest/user/webhooks/",
                // As Gitea, of which it is a fork.
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            FOURTHWALL fourthwall "fourthwall" "Fourthwall" ["x-fourthwall-hmac-sha256"] {
                scheme: |s| base64_body(s).id(json("/id")).event_type(json("/type")),
                page: "https://docs.fourthwall.com/webhooks/signature-verification",
                // "If you receive multiple events with the same id, treat them as duplicates" ("Webhook Model").
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is
            /// `user:password`.
            ///
            /// The body of an automation's webhook is what its administrator wrote, as JSON or as a form whose fields are the payload. Choose no
            /// XML as its encoding, which is rejected.
            FRESHDESK freshdesk "freshdesk" "Freshdesk" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| basic(s).form(Form::fields()),
                page: "https://support.freshdesk.com/support/solutions/articles/132589-using-webhooks-in-automation-rules-that-run-on-ticket-updates",
                // The body is what an administrator wrote.
                duplicates: Some(RepeatedBodies),
                evidence: ThirdParty,
            }
            /// It also answers the challenge of a new subscription, after its signature was verified.
            FRONT front "front" "Front application webhooks" ["x-front-signature"] {
                scheme: front::declare,
                page: "https://dev.frontapp.com/docs/application-webhooks",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// The secret is the key's value, for keys of HS256, HS384 and HS512.
            FUSIONAUTH fusionauth "fusionauth" "FusionAuth" ["x-fusionauth-signature-jwt"] {
                scheme: |s| s
                    .jwt()
                    .jwt_macs(&[MacAlgorithm::Sha384, MacAlgorithm::Sha512])
                    .base64_digest(Field::claim("request_body_sha256"))
                    .id(json("/event/id"))
                    .event_type(json("/event/type")),
                page: "https://fusionauth.io/docs/extend/events-and-webhooks/signing",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// Choose the content type `application/json`: of a form Gitea signs the JSON in it and not the form, which is rejected.
            GITEA gitea "gitea" "Gitea" ["x-gitea-signature"] {
                scheme: |s| hex_body(s).id(header("x-gitea-delivery")).event_type(header("x-gitea-event")),
                page: "https://docs.gitea.com/usage/webhooks",
                // Each hook has its own, and a replay has a new one (its source, `ReplayHookTask`).
                duplicates: Some(Delivery),
                evidence: Library,
            }
            /// GitHub signs the body alone: neither the delivery's id nor a time. A recorded delivery can be replayed.
            GITHUB github "github" "GitHub" ["x-hub-signature-256"] {
                scheme: github::declare,
                page: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@octokit/webhooks-methods 6.0.0",
                deadline: seconds(10),
                retries: NEVER,
            }
            /// This is the signing token, which GitLab has from version 19.0. Prefer it to [`gitlab_token`](Self::gitlab_token).
            GITLAB_SIGNING gitlab_signing "gitlab-signing" "GitLab, signing token" ["webhook-signature"] {
                scheme: gitlab::signing,
                page: "https://docs.gitlab.com/user/project/integrations/webhooks/",
                duplicates: Some(Delivery),
                evidence: Documentation,
                deadline: seconds(10),
            }
            /// Does not cover the body: GitLab shows the secret token itself, and anyone who has seen one request can
            /// send any other. The token is compared in constant time. Prefer [`gitlab_signing`](Self::gitlab_signing).
            GITLAB_TOKEN gitlab_token "gitlab-token" "GitLab, secret token" ["x-gitlab-token"] {
                aliases: &["gitlab"],
                algorithm: Algorithm::Token,
                scheme: gitlab::token,
                page: "https://docs.gitlab.com/user/project/integrations/webhooks/",
                duplicates: Some(Delivery),
                evidence: Documentation,
                other_vectors: "nuxt-webhook-validators 0.2.12",
                deadline: seconds(10),
            }
            /// A delivery holds many events, in `/events`. Its id is that of the delivery.
            GOCARDLESS gocardless "gocardless" "GoCardless" ["webhook-signature"] {
                scheme: |s| hex_body(s).id(json("/meta/webhook_id")),
                page: "https://developer.gocardless.com/getting-started/staying-up-to-date-with-webhooks/",
                // Each of the `events` has an id of its own beside it.
                duplicates: Some(Delivery),
                batch: Some("/events"),
                evidence: Library,
                own_vectors: "gocardless-nodejs 10.1.2",
            }
            /// Choose the content type `application/json`: of a form Gogs signs the JSON in it and not the form, which is rejected.
            GOGS gogs "gogs" "Gogs" ["x-gogs-signature"] {
                scheme: |s| hex_body(s).id(header("x-gogs-delivery")).event_type(header("x-gogs-event")),
                page: "https://gogs.io/docs/features/webhook",
                duplicates: Some(Delivery),
                evidence: Library,
            }
            /// Does not cover the body: the token of a request that somebody has read can be sent with any other body
            /// while it is valid, which is an hour. The keys are Google's, by `keys::JwksKeys::google` (feature
            /// `remote-keys`); or pass one of them. The token must be for this subscription: `with_claim("aud", …)`
            /// takes its audience, and `with_claim("email", …)` its service account. Others get tokens of Google as
            /// well. The payload is `/message`, whose `data` is base64; without it, the whole body.
            GOOGLE_PUBSUB google_pubsub "google-pubsub" "Google Cloud Pub/Sub push" ["authorization"] if "asymmetric" {
                aliases: &["google-pubsub-push"],
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha256),
                scheme: |s| {
                    s.prefix("Bearer ")
                        .jwt()
                        .key_pem()
                        .key_id(Field::token_header("kid"))
                        .claim("iss", "https://accounts.google.com")
                        .claim("email_verified", "true")
                        .required_claim("exp")
                        .claims_of_application(&["aud", "email"])
                        .id(json("/message/messageId"))
                        .payload_or_envelope("/message")
                },
                page: "https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
                // "messageId: ID of this message, assigned by the server when the message is published. Guaranteed to be unique within the
                // topic" (`PubsubMessage`).
                duplicates: Some(Event),
                evidence: Documentation,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The body is empty: what has
            /// changed is fetched.
            GOOGLE_WORKSPACE_CHANNELS google_workspace_channels "google-workspace-channels" "Google Calendar and Drive channels" ["x-goog-channel-token"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.event_type(header("x-goog-resource-state")),
                page: "https://developers.google.com/workspace/calendar/api/guides/push",
                // The body is empty; `X-Goog-Message-Number` counts the messages of a channel.
                duplicates: Some(RepeatedBodies),
                evidence: ThirdParty,
            }
            /// This is the signature without a timestamp header, which is the default.
            GRAFANA grafana "grafana" "Grafana Alerting" ["x-grafana-alerting-signature"] {
                scheme: |s| hex_body(s).event_type(json("/status")),
                page: "https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/",
                // While an alert goes on firing, its notification is repeated by design.
                duplicates: Some(RepeatedBodies),
                evidence: Library,
            }
            HELP_SCOUT help_scout "help-scout" "Help Scout" ["x-helpscout-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| base64_body(s).event_type(header("x-helpscout-event")),
                page: "https://developer.helpscout.com/webhooks/",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            HEROKU heroku "heroku" "Heroku app webhooks" ["heroku-webhook-hmac-sha256"] {
                scheme: |s| base64_body(s).id(json("/id")).event_type(json("/webhook_metadata/event/include")),
                page: "https://devcenter.heroku.com/articles/app-webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// Where a delivery has only the older signature `v0`, its headers are not signed, and its id is one of them. The text of `v1` does not say
            /// where headers end and the body begins, so a signed header other than `x-event-type` with a dot, and a body that does not begin with `{` or
            /// `[`, are refused.
            HOOK0 hook0 "hook0" "Hook0" ["x-hook0-signature"] {
                scheme: hook0::declare,
                page: "https://documentation.hook0.com/tutorials/webhook-authentication",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "the shared conformance suite of Hook0's clients",
            }
            /// The body is that of the sender behind it, which may be a form; its fields are the payload then.
            HOOKDECK hookdeck "hookdeck" "Hookdeck Event Gateway" ["x-hookdeck-signature", "x-hookdeck-signature-2"] {
                scheme: |s| base64_body(s)
                    .header_for_each_key(["x-hookdeck-signature", "x-hookdeck-signature-2"])
                    .id(header("x-hookdeck-eventid"))
                    .form(Form::fields()),
                page: "https://hookdeck.com/docs/authentication",
                // An event is that of one connection, and keeps its id over its attempts.
                duplicates: Some(Delivery),
                evidence: Documentation,
            }
            /// The secret is the app's client secret. The signature is a plain hash, which version 3 replaces: it signs no time. A
            /// delivery holds many events, in an array.
            HUBSPOT_V1 hubspot_v1 "hubspot-v1" "HubSpot, version 1" ["x-hubspot-signature"] {
                algorithm: Algorithm::Hash(HashAlgorithm::Sha256),
                scheme: |s| s.hex().signs("{secret}{body}"),
                page: "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
                // `eventId` "is not guaranteed to be unique", and `attemptNumber` changes the body ("Webhooks API").
                duplicates: Some(Attempt),
                batch: Some(""),
                evidence: Library,
                own_vectors: "@hubspot/api-client 13.5.0",
            }
            /// The secret is the app's client secret. The signature is a plain hash, which version 3 replaces: it signs
            /// no time. HubSpot signs the URL: add [`with_public_url`](Self::with_public_url), without which the layer
            /// panics at start.
            HUBSPOT_V2 hubspot_v2 "hubspot-v2" "HubSpot, version 2" ["x-hubspot-signature"] {
                algorithm: Algorithm::Hash(HashAlgorithm::Sha256),
                scheme: hubspot::version_2,
                page: "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "@hubspot/api-client 13.5.0",
            }
            /// The secret is the app's client secret. HubSpot signs the URL: add
            /// [`with_public_url`](Self::with_public_url), without which the layer panics at start. Register a URL
            /// without percent-encoding: HubSpot decodes some of it before it signs. A delivery holds many events, in
            /// an array.
            HUBSPOT_V3 hubspot_v3 "hubspot-v3" "HubSpot, version 3" ["x-hubspot-signature-v3"] {
                scheme: hubspot::version_3,
                page: "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
                // As in version 1.
                duplicates: Some(Attempt),
                batch: Some(""),
                evidence: Library,
                own_vectors: "@hubspot/api-client 13.5.0",
            }
            /// Does not cover the body: anyone who has seen one request can send any other.
            HUGGINGFACE huggingface "huggingface" "Hugging Face" ["x-webhook-secret"] {
                algorithm: Algorithm::Token,
                page: "https://huggingface.co/docs/hub/webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// The secret is the app's client secret.
            INTERCOM intercom "intercom" "Intercom" ["x-hub-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| hex_body(s).prefix("sha1=").id(json("/id")).event_type(json("/topic")),
                page: "https://developers.intercom.com/docs/webhooks/webhook-notifications",
                // `id` is the notification's; `delivery_attempts` counts beside it.
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            /// Only webhooks that an administrator registers with a secret are signed.
            JIRA jira "jira" "Jira Cloud" ["x-hub-signature"] {
                scheme: |s| hex_body(s)
                    .prefix("sha256=")
                    .id(header("x-atlassian-webhook-identifier"))
                    .event_type(json("/webhookEvent"))
                    .attempt(header("x-atlassian-webhook-retry"), 0),
                page: "https://developer.atlassian.com/cloud/jira/platform/webhooks/",
                // The identifier is unique in a site, and the same in all retries.
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            /// The secret is the app's OAuth client secret.
            JOBBER jobber "jobber" "Jobber" ["x-jobber-hmac-sha256"] {
                scheme: base64_body,
                page: "https://developer.getjobber.com/docs/using_jobbers_api/setting_up_webhooks/",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// The secret is the webhook's token.
            KATANA katana "katana" "Katana" ["x-sha2-signature"] {
                scheme: |s| hex_body(s).event_type(json("/action")),
                page: "https://developer.katanamrp.com/docs/verifying-webhook-signature",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// The secret is the public key that Kick publishes, as PEM. Kick signs for all its applications with it:
            /// pass the user ids of the broadcasters to `with_account`, or compare `Delivery::account` yourself.
            KICK kick "kick" "Kick" ["kick-event-signature"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha256),
                scheme: |s| s.base64()
                    .key_pem()
                    .id(header("kick-event-message-id"))
                    .timestamp(header("kick-event-message-timestamp"))
                    .unit(Rfc3339)
                    .signs("{id}.{timestamp}.{body}")
                    .event_type(header("kick-event-type"))
                    .account(json("/broadcaster/user_id"))
                    .shared_key(),
                page: "https://docs.kick.com/events/webhook-security",
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            /// A delivery holds many events, in `/data`.
            KLAVIYO klaviyo "klaviyo" "Klaviyo system webhooks" ["klaviyo-signature"] {
                scheme: |s| s.hex().timestamp(header("klaviyo-timestamp")).unit(HttpDate).signs("{body}{timestamp}"),
                page: "https://developers.klaviyo.com/en/docs/working_with_system_webhooks",
                // `external_id`: "ID of the event" ("Working with system webhooks").
                duplicates: Some(Items),
                batch: Some("/data"),
                evidence: ThirdParty,
            }
            /// For webhook endpoints whose signature is set to HMAC. The secret is the HMAC signature token.
            LAGO lago "lago" "Lago, HMAC" ["x-lago-signature"] {
                scheme: |s| base64_body(s)
                    .required_header("x-lago-signature-algorithm", "hmac")
                    .id(header("x-lago-unique-key"))
                    .event_type(json("/webhook_type")),
                page: "https://getlago.com/docs/api-reference/webhooks/format---signature",
                // "This key can be used to ensure you process a webhook only once" ("Unique Key").
                duplicates: Some(Delivery),
                evidence: Documentation,
            }
            LEMON_SQUEEZY lemon_squeezy "lemon-squeezy" "Lemon Squeezy" ["x-signature"] {
                scheme: |s| hex_body(s).event_type(header("x-event-name").or(json("/meta/event_name"))),
                page: "https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
                other_vectors: "@hookflo/tern 4.1.0",
            }
            /// The secret is the channel secret. A delivery holds many events, in `/events`, or none.
            LINE line "line" "LINE Messaging API" ["x-line-signature"] {
                scheme: |s| base64_body(s).account(json("/destination")),
                page: "https://developers.line.biz/en/docs/messaging-api/receiving-messages/",
                // Each event has a `webhookEventId`, and says with `isRedelivery` that it comes again.
                duplicates: Some(Items),
                batch: Some("/events"),
                evidence: Library,
                own_vectors: "@line/bot-sdk 11.0.0",
            }
            /// The time is in the signed body, and may be a minute off in either direction. The delivery's id is not signed.
            LINEAR linear "linear" "Linear" ["linear-signature"] {
                scheme: linear::declare,
                page: "https://linear.app/developers/webhooks",
                duplicates: Some(Delivery),
                evidence: Library,
                own_vectors: "@linear/sdk 98.0.0",
                deadline: seconds(5),
            }
            LITHIC lithic "lithic" "Lithic" ["webhook-signature"] {
                scheme: |s| standard(s, &["webhook"]).event_type(json("/event_type")),
                page: "https://docs.lithic.com/docs/events-api",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// The secret is `API key:API secret`, or the secret alone. The token names its key, and is one of 5 minutes.
            LIVEKIT livekit "livekit" "LiveKit" ["authorization"] {
                scheme: |s| s
                    .jwt()
                    .required_claim("exp")
                    .key_id(Field::claim("iss"))
                    .timestamp(Field::claim("nbf"))
                    .insecure_no_replay_window()
                    .base64_digest(Field::claim("sha256"))
                    .id(json("/id"))
                    .event_type(json("/event")),
                page: "https://docs.livekit.io/home/server/webhooks/",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "livekit-server-sdk 2.19.2",
            }
            LOB lob "lob" "Lob" ["lob-signature"] {
                scheme: |s| s
                    .hex()
                    .timestamp(header("lob-signature-timestamp"))
                    .unit(Milliseconds)
                    .signs("{timestamp}.{body}")
                    .id(json("/id"))
                    .event_type(json("/event_type/id")),
                page: "https://docs.lob.com/#tag/Webhooks",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            LOGTO logto "logto" "Logto" ["logto-signature-sha-256"] {
                scheme: |s| hex_body(s).event_type(json("/event")),
                page: "https://docs.logto.io/developers/webhooks/secure-webhooks",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            LOOPS loops "loops" "Loops" ["webhook-signature"] {
                scheme: |s| standard(s, &["webhook"]).event_type(json("/eventName")),
                page: "https://loops.so/docs/webhooks",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            MAILERSEND mailersend "mailersend" "MailerSend" ["x-mailersend-signature", "signature"] {
                scheme: |s| hex_body(s).event_type(json("/type")),
                page: "https://developers.mailersend.com/api/v1/webhooks.html",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// Does not cover the body: token and time are signed, and nothing of the event. The token is the
            /// delivery's id.
            MAILGUN mailgun "mailgun" "Mailgun" [] {
                scheme: mailgun::declare,
                page: "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
                duplicates: Some(Delivery),
                evidence: Documentation,
                other_vectors: "mailgun 1.10.0",
                // "During 8 hours" ("Automatic Retries"); 406 ends them.
                retries: hours(8),
            }
            MAILTRAP mailtrap "mailtrap" "Mailtrap" ["mailtrap-signature"] {
                scheme: hex_body,
                page: "https://docs.mailtrap.io/developers/email-sending/webhooks",
                batch: Some("/events"),
                // Each of the `events` has an `event_id`.
                duplicates: Some(Items),
                evidence: Library,
                own_vectors: "mailtrap 4.10.0",
            }
            /// These are the signatures in `MessageBird-Signature-JWT`. MessageBird signs the URL: add
            /// [`with_public_url`](Self::with_public_url), without which the layer panics at start. A token is of
            /// HS256, HS384 or HS512.
            MESSAGEBIRD messagebird "messagebird" "MessageBird" ["messagebird-signature-jwt"] {
                scheme: |s| s
                    .jwt()
                    .jwt_macs(&[MacAlgorithm::Sha384, MacAlgorithm::Sha512])
                    .claim("iss", "MessageBird")
                    .required_claim("exp")
                    .required_claim("jti")
                    .timestamp(Field::claim("nbf"))
                    .insecure_no_replay_window()
                    .url_digest_claim("url_hash")
                    .hex_digest(Field::claim("payload_hash"))
                    .digest_unless_empty()
                    .methods([http::Method::POST, http::Method::GET]),
                page: "https://developers.messagebird.com/api/#verifying-http-requests",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "messagebird 4.0.1",
            }
            /// Mandrill signs the URL: add [`with_public_url`](Self::with_public_url), without which the layer panics
            /// at start. It also answers the HEAD request by which a URL is checked, which anyone can send; put the
            /// layer on the route with `post(handler).layer(…)`, which sees it. A delivery holds many events, in an
            /// array, or none.
            MANDRILL mandrill "mandrill" "Mailchimp Transactional (Mandrill)" ["x-mandrill-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| s
                    .base64()
                    .signs("{url}{fields}")
                    .forms_alone(Form::json("mandrill_events"))
                    .handshake(Handshake::fixed(Answer::new(http::StatusCode::OK)).method(http::Method::HEAD)),
                page: "https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/",
                batch: Some(""),
                duplicates: Some(Items),
                evidence: ThirdParty,
            }
            /// These are Facebook, Instagram, Messenger, Threads and WhatsApp. The secret is the app's.
            ///
            /// Meta confirms a subscription by GET with a token of your choice: add
            /// [`with_verify_token`](Self::with_verify_token), without which the layer panics at start, and put the
            /// layer on the route with `post(handler).layer(…)`, which sees the GET.
            ///
            /// Meta signs the body alone, which has no id and no time of its own. A recorded delivery can be replayed.
            /// Whether two events can have equal bodies is not documented, so with idempotency each delivery runs,
            /// unless `IdempotencyLayer::with_missing_id` says otherwise.
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
                duplicates: Some(Undocumented),
                batch: Some("/entry"),
                evidence: Library,
                other_vectors: "nuxt-webhook-validators 0.2.12",
                retries: hours(36),
            }
            METRONOME metronome "metronome" "Metronome" ["metronome-webhook-signature"] {
                scheme: |s| s
                    .hex()
                    .timestamp(header("x-metronome-date"))
                    .unit(HttpDate)
                    .signs("{timestamp}\n{body}")
                    .id(json("/id"))
                    .event_type(json("/type")),
                page: "https://docs.metronome.com/guides/implement-metronome/set-up-webhooks",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// Does not bind the body: whoever reads one request can send any other. The secret is the `clientState` of
            /// the subscription, which every notification of a delivery must have. It also answers the request that
            /// validates a URL, which anyone may send. Rich notifications have tokens of their own in
            /// `/validationTokens`, which are not checked.
            MICROSOFT_GRAPH microsoft_graph "microsoft-graph" "Microsoft Graph change notifications" [] {
                algorithm: Algorithm::Token,
                scheme: |s| s
                    .json_pointer("/clientState")
                    .signs_items("/value")
                    .handshake(Handshake::echo_text(Field::query("validationToken")).present(Field::query("validationToken"))),
                page: "https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
                batch: Some("/value"),
                // A notification names a resource and its change, and has no id of its own.
                duplicates: Some(RepeatedBodies),
                evidence: Library,
            }
            /// The delivery's id is `<message>.<conversation>`: a message is numbered by the millisecond in its conversation.
            MICROSOFT_TEAMS_OUTGOING microsoft_teams_outgoing "microsoft-teams-outgoing" "Microsoft Teams, outgoing webhook" ["authorization"] {
                scheme: |s| base64_body(s)
                    .prefix("HMAC ")
                    .key_base64()
                    .id(json("/id").joined(json("/conversation/id")))
                    .event_type(json("/type")),
                page: "https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-outgoing-webhook",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            MODERN_TREASURY modern_treasury "modern-treasury" "Modern Treasury" ["x-signature"] {
                scheme: |s| hex_body(s).event_type(json("/event")),
                page: "https://docs.moderntreasury.com/platform/docs/verifying-webhooks",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// Mollie's classic webhooks are not signed, and are rejected.
            MOLLIE_NEXT mollie_next "mollie-next" "Mollie, next-generation webhooks" ["x-mollie-signature"] {
                scheme: |s| hex_body(s).prefix("sha256=").every_line().id(json("/id")).event_type(json("/type")),
                page: "https://docs.mollie.com/reference/webhooks-new",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// The body's `id` is that of the alert, and the same in all deliveries about it, so it is not used as an
            /// id.
            MONGODB_ATLAS mongodb_atlas "mongodb-atlas" "MongoDB Atlas alerts" ["x-mms-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| base64_body(s).event_type(header("x-mms-event")),
                page: "https://www.mongodb.com/docs/atlas/tutorial/webhook-integration/",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            MOONPAY moonpay "moonpay" "MoonPay" ["moonpay-signature-v2"] {
                scheme: |s| stamped(s, "s", "t").event_type(json("/type")),
                page: "https://dev.moonpay.com/reference/reference-webhooks-signature",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            MUX mux "mux" "Mux" ["mux-signature"] {
                scheme: |s| stamped(s, "v1", "t").id(json("/id")).event_type(json("/type")),
                page: "https://www.mux.com/docs/core/verify-webhook-signatures",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@mux/mux-node 15.3.0",
            }
            NANGO nango "nango" "Nango" ["x-nango-hmac-sha256"] {
                scheme: |s| hex_body(s).event_type(json("/type")),
                page: "https://nango.dev/docs/implementation-guides/use-cases/webhooks-from-nango",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "@nangohq/node 0.71.10",
            }
            /// The token has no time: a delivery that was overheard can be replayed.
            NETLIFY netlify "netlify" "Netlify" ["x-webhook-signature"] {
                scheme: |s| s.jwt().claim("iss", "netlify").hex_digest(Field::claim("sha256")).event_type(header("x-netlify-event")),
                page: "https://docs.netlify.com/deploy/deploy-notifications/",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
                other_vectors: "nuxt-webhook-validators 0.2.12",
            }
            /// The secret is the verification token, which Notion posts once, unsigned, when the subscription is made: read it from a
            /// route of your own.
            NOTION notion "notion" "Notion" ["x-notion-signature"] {
                scheme: |s| hex_body(s).prefix("sha256=").id(json("/id")).event_type(json("/type")),
                page: "https://developers.notion.com/reference/webhooks",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// Nylas confirms an endpoint by a GET challenge, which anyone can send. Of a compressed notification it
            /// signs the compressed bytes, which are not decoded here.
            NYLAS nylas "nylas" "Nylas, version 3" ["x-nylas-signature"] {
                scheme: nylas::declare,
                page: "https://developer.nylas.com/docs/v3/notifications/",
                // The same notification is sent up to three times, and is told by its `id` ("Handle duplicate webhook
                // deliveries").
                duplicates: Some(Event),
                evidence: ThirdParty,
                deadline: seconds(10),
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is the whole
            /// value of the `Authorization` header. It also answers the GET that verifies a hook, which anyone can
            /// send.
            OKTA okta "okta" "Okta event hooks" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: okta::declare,
                page: "https://developer.okta.com/docs/concepts/event-hooks/",
                // Each of the events has a `uuid` beside it.
                duplicates: Some(Delivery),
                batch: Some("/data/events"),
                evidence: Documentation,
                deadline: seconds(3),
            }
            ONFIDO onfido "onfido" "Onfido" ["x-sha2-signature"] {
                scheme: |s| hex_body(s).event_type(json("/payload/action")),
                page: "https://documentation.onfido.com/api/latest/#webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// A secret without `whsec_` is taken as text.
            OPENAI openai "openai" "OpenAI" ["webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook"]).key_standard_webhooks_or_text(),
                page: "https://platform.openai.com/docs/guides/webhooks",
                duplicates: Some(Delivery),
                evidence: Library,
                own_vectors: "openai 6.49.0",
            }
            /// The secret is the API key.
            OPENFORT openfort "openfort" "Openfort" ["openfort-signature"] {
                scheme: |s| hex_body(s).key_without(["sk_", "test_", "-"]).event_type(json("/type")),
                page: "https://www.openfort.io/docs/configuration/webhooks",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "@openfort/openfort-node 0.10.8",
            }
            ORB orb "orb" "Orb" ["x-orb-signature"] {
                scheme: |s| s
                    .items(" ")
                    .pairs("=")
                    .key("v1")
                    .hex()
                    .timestamp(header("x-orb-timestamp"))
                    .unit(Rfc3339OrUtc)
                    .signs("v1:{timestamp}:{body}")
                    .id(json("/id"))
                    .event_type(json("/type")),
                page: "https://docs.withorb.com/integrations-and-exports/webhooks",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "orb-billing 6.11.0",
            }
            ORDERGROOVE ordergroove "ordergroove" "Ordergroove" ["ordergroove-signature"] {
                scheme: |s| stamped(s, "sig", "ts"),
                page: "https://developer.ordergroove.com/reference/webhooks-verification",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// The whole secret is the key, with its `whsec_`.
            OUTPOST outpost "outpost" "Hookdeck Outpost" ["x-outpost-signature"] {
                scheme: |s| hex_body(s)
                    .prefix("v0=")
                    .items(",")
                    .id(header("x-outpost-event-id"))
                    .event_type(header("x-outpost-topic")),
                page: "https://outpost.hookdeck.com/docs/destinations/webhook",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// The time may be 5 seconds off, as in Paddle's own libraries; [`with_tolerance`](Self::with_tolerance) widens that.
            PADDLE paddle "paddle" "Paddle Billing" ["paddle-signature"] {
                scheme: paddle::declare,
                page: "https://developer.paddle.com/webhooks/signature-verification",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@paddle/paddle-node-sdk 3.10.0",
            }
            /// This is version 3. A wrong signature is answered with 403, so that it is not repeated.
            ///
            /// PagerDuty signs no time. A recorded delivery can be replayed, under its own id.
            /// The secret is the account's public key, as PEM. These are the alerts of Paddle Classic; [`paddle`](Self::paddle) is for Paddle Billing.
            PADDLE_CLASSIC paddle_classic "paddle-classic" "Paddle Classic" [] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha1),
                scheme: |s| s
                    .json_pointer("/p_signature")
                    .base64()
                    .key_pem()
                    .signs_parts([Part::Fields(Fields::Php("p_signature"))])
                    .forms_alone(Form::fields())
                    .id(json("/alert_id"))
                    .event_type(json("/alert_name")),
                own_key: true,
                page: "https://developer.paddle.com/classic/webhook-reference/verifying-webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
                other_vectors: "verify-paddle-webhook 1.1.0",
            }
            PAGERDUTY pagerduty "pagerduty" "PagerDuty" ["x-pagerduty-signature"] {
                scheme: pagerduty::declare,
                page: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
                duplicates: Some(Event),
                evidence: Library,
            }
            PANDADOC pandadoc "pandadoc" "PandaDoc" [] {
                scheme: |s| hex_body(s).query("signature").id(header("x-pandadoc-webhook-event-id")),
                page: "https://developers.pandadoc.com/docs/webhook-verification",
                // "The same delivery keeps the same ID across automatic and manual retries" (changelog of 2026-07-20).
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            /// A delivery has a signature for test mode or for live mode; either passes, and each endpoint has a secret of one mode.
            PAYMONGO paymongo "paymongo" "PayMongo" ["paymongo-signature"] {
                scheme: |s| s
                    .items(",")
                    .pairs("=")
                    .key("li")
                    .key("te")
                    .hex()
                    .timestamp(param("t"))
                    .signs("{timestamp}.{body}")
                    .id(json("/data/id"))
                    .event_type(json("/data/attributes/type"))
                    .live(json("/data/attributes/livemode"), "true"),
                page: "https://developers.paymongo.com/docs/securing-webhook",
                duplicates: Some(Event),
                evidence: Documentation,
                // "12 retries … the full cycle lasting up to 136.5 minutes" ("Webhook Retry Logic").
                deadline: seconds(30),
                retries: minutes(137),
            }
            /// Does not cover the body: a checksum of it is signed (CRC-32), and anybody can write another body with
            /// the same checksum. Anyone who has seen one request can send others. The certificate is fetched by
            /// `keys::CertificateKeys::paypal` (feature `remote-keys`), or its public key is passed as PEM. The id of
            /// the webhook is set with `with_endpoint_id`.
            PAYPAL paypal "paypal" "PayPal" ["paypal-transmission-sig"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha256),
                scheme: |s| paypal::declare(s).key_pem(),
                page: "https://developer.paypal.com/api/rest/webhooks/rest/",
                duplicates: Some(Undocumented),
                evidence: Library,
                // "PayPal will retry each delivery up to 25 times over 3 days".
                retries: Some(Duration::from_secs(3 * 24 * 3600)),
            }
            /// The secret is the account's secret key, `sk_…`.
            PAYSTACK paystack "paystack" "Paystack" ["x-paystack-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha512),
                scheme: |s| hex_body(s).event_type(json("/event")),
                page: "https://paystack.com/docs/payments/webhooks/",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            PERSONA persona "persona" "Persona" ["persona-signature"] {
                scheme: |s| stamped(s, "v1", "t")
                    // During a rotation there is a list for each secret.
                    .or_items(" ")
                    .id(json("/data/id"))
                    .event_type(json("/data/attributes/name")),
                page: "https://docs.withpersona.com/v2022-09-01/docs/best-practices",
                // "Log events that you've processed" ("Handling duplicate events"): `/data` is the event.
                duplicates: Some(Event),
                evidence: Documentation,
            }
            /// Does not bind the body: whoever reads one request can send any other. The secret is `user:password`.
            PIPEDRIVE pipedrive "pipedrive" "Pipedrive" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| basic(s).event_type(json("/meta/entity").joined(json("/meta/action"))),
                page: "https://pipedrive.readme.io/docs/guide-for-webhooks-v2",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// The keys are fetched from Plaid's API by `keys::PlaidKeys` (feature `remote-keys`), or one of them is passed as PEM. Nothing that
            /// is signed names the receiver: look up the item or the other object that a delivery is about in your own records.
            PLAID plaid "plaid" "Plaid" ["plaid-verification"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::EcdsaP256Fixed),
                scheme: |s| {
                    s.jwt()
                        .key_pem()
                        .key_id(Field::token_header("kid"))
                        .timestamp(Field::claim("iat"))
                        .hex_digest(Field::claim("request_body_sha256"))
                        .event_type(json("/webhook_type").joined(json("/webhook_code")))
                },
                page: "https://plaid.com/docs/api/webhooks/webhook-verification/",
                // Webhooks have no id, and some are the same again, such as `DEFAULT_UPDATE`.
                duplicates: Some(RepeatedBodies),
                evidence: Documentation,
                deadline: Some(Duration::from_secs(10)),
                retries: Some(Duration::from_secs(24 * 3600)),
            }
            /// Plivo signs the URL: add [`with_public_url`](Self::with_public_url), without which the layer panics at
            /// start. The secret is an auth token. Where a name or a value of a field ends is not signed.
            PLIVO plivo "plivo" "Plivo, version 3" ["x-plivo-signature-v3", "x-plivo-signature-ma-v3"] {
                scheme: plivo::declare,
                page: "https://www.plivo.com/docs/voice/concepts/signature-validation",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "plivo 4.79.0",
            }
            /// The whole secret is the key, as text.
            POLAR polar "polar" "Polar" ["webhook-signature"] {
                scheme: |s| standard_webhooks::with_text_key(s, &["webhook"]),
                page: "https://polar.sh/docs/integrate/webhooks/delivery",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@polar-sh/sdk 0.49.0",
            }
            PORTONE portone "portone" "PortOne, version 2" ["webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook"]),
                page: "https://developers.portone.io/opi/ko/integration/webhook/readme-v2",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@portone/server-sdk 0.19.0",
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is
            /// `user:password`.
            POSTMARK postmark "postmark" "Postmark" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| basic(s).event_type(json("/RecordType")),
                page: "https://postmarkapp.com/developer/webhooks/webhooks-overview",
                // `MessageID` is that of the mail, the same in all events about it.
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            PRIVY privy "privy" "Privy" ["svix-signature"] {
                scheme: |s| standard(s, &["svix"]).event_type(json("/type")),
                page: "https://docs.privy.io/guide/server/webhooks",
                duplicates: Some(Event),
                evidence: Library,
            }
            /// The secret is `key:secret` of the app, so that no other app's deliveries pass. Of a secret alone the key is not looked
            /// at.
            PUSHER pusher "pusher" "Pusher Channels" ["x-pusher-signature"] {
                scheme: |s| hex_body(s).key_id(header("x-pusher-key")),
                page: "https://pusher.com/docs/channels/server_api/webhooks/",
                duplicates: Some(Undocumented),
                batch: Some("/events"),
                evidence: Library,
                own_vectors: "pusher 5.3.4",
                // "Within 4 seconds"; "for 5 minutes" ("Channels Webhook Timeouts and Retries").
                deadline: seconds(4),
                retries: minutes(5),
            }
            QONTO qonto "qonto" "Qonto" ["x-qonto-signature"] {
                scheme: |s| stamped(s, "v1", "t"),
                page: "https://docs.qonto.com/api-reference/business-api/webhooks/overview",
                duplicates: Some(Undocumented),
                evidence: Documentation,
                deadline: seconds(1),
            }
            /// Give both signing keys, the current and the next one. QStash signs the URL: add
            /// [`with_public_url`](Self::with_public_url), without which the layer panics at start.
            QSTASH qstash "qstash" "Upstash QStash" ["upstash-signature"] {
                aliases: &["upstash-qstash"],
                scheme: |s| s
                    .jwt()
                    .claim("iss", "Upstash")
                    .required_claim("exp")
                    .timestamp(Field::claim("nbf"))
                    .insecure_no_replay_window()
                    .url_claim("sub")
                    .base64url_digest(Field::claim("body"))
                    .id(header("upstash-message-id"))
                    .attempt(header("upstash-retried"), 0),
                page: "https://upstash.com/docs/qstash/howto/signature",
                duplicates: Some(Undocumented),
                evidence: Library,
                own_vectors: "@upstash/qstash 2.12.0",
            }
            /// The secret is the verifier token.
            QUICKBOOKS quickbooks "quickbooks" "Intuit QuickBooks Online" ["intuit-signature"] {
                scheme: base64_body,
                page: "https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks",
                duplicates: Some(Undocumented),
                batch: Some("/eventNotifications"),
                evidence: Library,
            }
            RAZORPAY razorpay "razorpay" "Razorpay" ["x-razorpay-signature"] {
                scheme: |s| hex_body(s).id(header("x-razorpay-event-id")).event_type(json("/event")),
                page: "https://razorpay.com/docs/webhooks/validate-test/",
                // "Ignore duplicates using the x-razorpay-event-id header" ("Webhooks and fetch APIs").
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "razorpay 2.9.8",
                // "We retry the delivery in exponential backoff policy for 24 hours" ("Best Practices").
                retries: hours(24),
            }
            RECALL_AI recall_ai "recall-ai" "Recall.ai" ["webhook-signature"] {
                scheme: |s| standard(s, &["webhook"]).event_type(json("/event")),
                page: "https://docs.recall.ai/docs/authenticating-requests-from-recallai",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// For webhooks in JSON: those in XML are not signed.
            RECURLY recurly "recurly" "Recurly" ["recurly-signature"] {
                scheme: |s| s
                    .items(",")
                    .first_item("t")
                    .hex()
                    .timestamp(param("t"))
                    .unit(Milliseconds)
                    .signs("{timestamp}.{body}")
                    .id(json("/id"))
                    .event_type(json("/event_type")),
                page: "https://docs.recurly.com/recurly-subscriptions/docs/signature-verification",
                duplicates: Some(Undocumented),
                evidence: Library,
                // 10 retries, each `10 + x * 2^(x + 5)` seconds after the one before ("Automatic retries").
                retries: hours(73),
            }
            RENDER render "render" "Render" ["webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook"]),
                page: "https://render.com/docs/webhooks",
                duplicates: Some(Event),
                evidence: Documentation,
            }
            REPLICATE replicate "replicate" "Replicate" ["webhook-signature"] {
                scheme: |s| standard(s, &["webhook"]).event_type(json("/status")),
                page: "https://replicate.com/docs/topics/webhooks/verify-webhook",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "replicate 1.4.0",
            }
            RESEND resend "resend" "Resend" ["svix-signature", "webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["svix", "webhook"]),
                page: "https://resend.com/docs/webhooks/verify-webhooks-requests",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "resend 6.38.0",
                // Seven retries, the last of them 27 hours and 35 minutes after the first attempt ("Automatic Retries").
                retries: minutes(1_655),
            }
            RETELL retell "retell" "Retell AI" ["x-retell-signature"] {
                scheme: |s| s
                    .items(",")
                    .pairs("=")
                    .key("d")
                    .hex()
                    .timestamp(param("v"))
                    .unit(Milliseconds)
                    .signs("{body}{timestamp}")
                    .event_type(json("/event")),
                page: "https://docs.retellai.com/features/secure-webhook",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is the whole
            /// value of the `Authorization` header.
            REVENUECAT revenuecat "revenuecat" "RevenueCat" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.id(json("/event/id")).event_type(json("/event/type")).api_version(json("/api_version")),
                page: "https://www.revenuecat.com/docs/integrations/webhooks",
                // "Deduplicate by `event.id`" (its own guide for webhooks).
                duplicates: Some(Event),
                evidence: Documentation,
            }
            REVOLUT revolut "revolut" "Revolut Business and Merchant" ["revolut-signature"] {
                scheme: |s| s
                    .items(",")
                    .pairs("=")
                    .key("v1")
                    .hex()
                    .timestamp(header("revolut-request-timestamp"))
                    .unit(Milliseconds)
                    .signs("v1.{timestamp}.{body}")
                    .event_type(json("/event")),
                page: "https://developer.revolut.com/docs/guides/manage-accounts/webhooks/verify-the-payload-signature",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            SANITY sanity "sanity" "Sanity" ["sanity-webhook-signature"] {
                scheme: |s| s
                    .items(",")
                    .pairs("=")
                    .key("v1").base64url()
                    .timestamp(param("t"))
                    .unit(Milliseconds)
                    .signs("{timestamp}.{body}")
                    .id(header("idempotency-key")),
                page: "https://www.sanity.io/docs/content-lake/webhooks",
                duplicates: Some(Delivery),
                evidence: Library,
                own_vectors: "@sanity/webhook 4.0.4",
                // "Retried twice at 30-second intervals" ("Webhooks now retry twice at 30-second intervals").
                retries: minutes(1),
            }
            SCHEMATIC schematic "schematic" "Schematic" ["x-schematic-webhook-signature"] {
                scheme: |s| s
                    .hex()
                    .timestamp(header("x-schematic-webhook-timestamp"))
                    .signs("{body}+{timestamp}"),
                page: "https://docs.schematichq.com/integrations/webhooks",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            SCRAPFLY scrapfly "scrapfly" "Scrapfly" ["x-scrapfly-webhook-signature"] {
                scheme: hex_body,
                page: "https://scrapfly.io/docs/scrape-api/webhook",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// Turn batching off: of a batch Segment signs the first event alone, so that it is rejected.
            SEGMENT segment "segment" "Segment" ["x-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| hex_body(s).id(json("/messageId")).event_type(json("/type")),
                page: "https://segment.com/docs/connections/destinations/catalog/actions-webhook/",
                duplicates: Some(Event),
                evidence: Documentation,
                deadline: seconds(5),
                retries: hours(4),
            }
            /// The secret is the verification key that SendGrid shows, in base64. A delivery holds many events, in an array.
            SENDGRID sendgrid "sendgrid" "SendGrid Event Webhook" ["x-twilio-email-event-webhook-signature"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::EcdsaP256),
                scheme: |s| s.base64()
                    .key_pem()
                    .timestamp(header("x-twilio-email-event-webhook-timestamp"))
                    .signs("{timestamp}{body}"),
                own_key: true,
                page: "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
                // Each event has an `sg_event_id`.
                duplicates: Some(Items),
                batch: Some(""),
                evidence: Library,
                own_vectors: "@sendgrid/eventwebhook 8.0.0",
            }
            /// The secret is the integration's client secret.
            ///
            /// `Request-ID` is made for each request: the retry of a delivery has a new one (Sentry's source, `AppPlatformEvent`). So it is
            /// no id here, and with idempotency each delivery runs.
            SENTRY sentry "sentry" "Sentry" ["sentry-hook-signature"] {
                scheme: |s| hex_body(s).event_type(header("sentry-hook-resource").joined(json("/action"))),
                page: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
                duplicates: Some(Attempt),
                evidence: Library,
            }
            /// The keys are fetched by `keys::JwksKeys::shipstation` (feature `remote-keys`), or one of them is passed as PEM. Nothing that is signed
            /// names the receiver: look up the shipment or the other object that a delivery is about in your own records.
            SHIPSTATION shipstation "shipstation" "ShipStation" ["x-shipengine-rsa-sha256-signature"] if "asymmetric" {
                aliases: &["shipengine"],
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha256),
                scheme: |s| s
                    .base64()
                    .key_pem()
                    .key_id(header("x-shipengine-rsa-sha256-key-id"))
                    .timestamp(header("x-shipengine-timestamp"))
                    .unit(Rfc3339)
                    .signs("{timestamp}.{body}")
                    .event_type(json("/resource_type")),
                page: "https://docs.shipstation.com/apis/docs/guides/webhooks-validation",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// The secret is the app's client secret.
            ///
            /// Shopify signs the body alone: neither the delivery's id nor its topic, its shop or a time. A recorded
            /// delivery can be replayed, also as another topic's or another shop's.
            SHOPIFY shopify "shopify" "Shopify" ["x-shopify-hmac-sha256", "shopify-hmac-sha256"] {
                scheme: shopify::declare,
                page: "https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@shopify/shopify-api 13.1.0",
                deadline: seconds(5),
                retries: hours(4),
            }
            SINCH sinch "sinch" "Sinch Conversation API" ["x-sinch-webhook-signature"] {
                scheme: |s| s.base64()
                    .timestamp(header("x-sinch-webhook-signature-timestamp"))
                    .signs("{body}.{header:x-sinch-webhook-signature-nonce}.{timestamp}"),
                page: "https://developers.sinch.com/docs/conversation/callbacks",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// It also answers `url_verification`, after its signature was verified.
            SLACK slack "slack" "Slack" ["x-slack-signature"] {
                scheme: slack::declare,
                page: "https://docs.slack.dev/authentication/verifying-requests-from-slack",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@slack/bolt 5.1.0",
                deadline: seconds(3),
            }
            SNYK snyk "snyk" "Snyk" ["x-hub-signature"] {
                scheme: |s| hex_body(s).prefix("sha256=").id(header("x-snyk-transport-id")).event_type(header("x-snyk-event")),
                page: "https://docs.snyk.io/snyk-api/snyk-webhooks",
                // "A GUID to identify this delivery" ("Webhook events and payloads").
                duplicates: Some(Delivery),
                evidence: ThirdParty,
            }
            /// This is its default signer; an application may have one of its own.
            SPATIE_LARAVEL spatie_laravel "spatie-laravel" "Laravel applications with spatie/laravel-webhook-server" ["signature"] {
                scheme: hex_body,
                page: "https://github.com/spatie/laravel-webhook-server",
                // The body is what the application sends.
                duplicates: Some(RepeatedBodies),
                evidence: Library,
                deadline: seconds(3),
            }
            /// Square signs the notification URL: add [`with_public_url`](Self::with_public_url), without which the
            /// layer panics at start.
            ///
            /// Square signs no time. A recorded delivery can be replayed, under its own id.
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
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "square 46.0.0",
                // "Unsuccessful deliveries are retried for up to 24 hours" ("Troubleshoot Webhooks").
                retries: hours(24),
            }
            /// This is for every sender that follows Standard Webhooks.
            STANDARD_WEBHOOKS standard_webhooks "standard-webhooks" "Standard Webhooks" ["webhook-signature", "svix-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["webhook", "svix"]),
                page: "https://www.standardwebhooks.com",
                duplicates: Some(Event),
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
                algorithm: Algorithm::Public(PublicAlgorithm::Ed25519),
                scheme: standard_webhooks::v1a,
                own_key: true,
                page: "https://www.standardwebhooks.com",
                duplicates: Some(Event),
                evidence: Documentation,
            }
            STORYBLOK storyblok "storyblok" "Storyblok" ["webhook-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| hex_body(s).event_type(json("/action")),
                page: "https://www.storyblok.com/docs/concepts/webhooks",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// Does not cover the body: anyone who has seen one request can send any other. The secret is the whole
            /// value of the `Authorization` header that you configure.
            STRAPI strapi "strapi" "Strapi" ["authorization"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.event_type(header("x-strapi-event").or(json("/event"))),
                page: "https://docs.strapi.io/cms/backend-customization/webhooks",
                duplicates: Some(Undocumented),
                evidence: Library,
                deadline: seconds(10),
                retries: NEVER,
            }
            /// Each endpoint has a secret of its own, and so has the Stripe CLI.
            STRIPE stripe "stripe" "Stripe" ["stripe-signature"] {
                scheme: stripe::declare,
                page: "https://docs.stripe.com/webhooks/signature",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "stripe 23.1.0",
                retries: days(3),
            }
            STYTCH stytch "stytch" "Stytch" ["svix-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["svix"]),
                page: "https://stytch.com/docs/guides/dashboard/webhooks",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// Choose HMAC-SHA-256 as the algorithm. `X-Payload-Digest-Alg` names it and is not looked at.
            SUMSUB sumsub "sumsub" "Sumsub" ["x-payload-digest"] {
                scheme: |s| hex_body(s).event_type(json("/type")),
                page: "https://docs.sumsub.com/docs/webhooks",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            SUPABASE_AUTH_HOOKS supabase_auth_hooks "supabase-auth-hooks" "Supabase Auth hooks" ["webhook-signature"] {
                scheme: |s| standard(s, &["webhook"]),
                page: "https://supabase.com/docs/guides/auth/auth-hooks",
                // A hook is one call, whose attempts share the id.
                duplicates: Some(Delivery),
                evidence: Library,
            }
            /// This is for all senders that use Svix.
            SVIX svix "svix" "Svix" ["svix-signature", "webhook-signature"] {
                scheme: |s| standard_webhooks::enveloped(s, &["svix", "webhook"]),
                page: "https://docs.svix.com/receiving/verifying-payloads/how-manual",
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "svix 1.99.1",
                deadline: seconds(15),
            }
            /// During a rotation `v2` is a signature with the previous secret; either passes.
            TABAPAY tabapay "tabapay" "TabaPay" ["x-hmac-signature"] {
                scheme: |s| stamped(s, "v1", "t").key("v2").id(header("idempotency-key")),
                page: "https://developers.tabapay.com/reference/verifying-webhook-signatures",
                // "Unique identifier for the webhook event. The value remains the same across retry attempts" ("Webhook Signature
                // Headers").
                duplicates: Some(Event),
                evidence: Documentation,
            }
            TALLY tally "tally" "Tally" ["tally-signature"] {
                scheme: |s| base64_body(s).id(json("/eventId")).event_type(json("/eventType")),
                page: "https://tally.so/help/webhooks",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// Does not cover the body: anyone who has seen one request can send any other.
            TELEGRAM telegram "telegram" "Telegram Bot API" ["x-telegram-bot-api-secret-token"] {
                algorithm: Algorithm::Token,
                scheme: |s| s.id(json("/update_id")),
                page: "https://core.telegram.org/bots/api#setwebhook",
                // `update_id` "allows you to ignore repeated updates" ("Update").
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// The secret is the account's public key, in base64.
            TELNYX telnyx "telnyx" "Telnyx, version 2" ["telnyx-signature-ed25519"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::Ed25519),
                scheme: |s| s.base64().key_base64()
                    .timestamp(header("telnyx-timestamp"))
                    .signs("{timestamp}|{body}")
                    .id(json("/data/id"))
                    .event_type(json("/data/event_type"))
                    .attempt(json("/meta/attempt"), 1),
                own_key: true,
                page: "https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks",
                // "Record the event identifier" and process idempotently ("Webhook Fundamentals").
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "telnyx 7.24.0",
            }
            /// The secret is the token of the notification configuration.
            TERRAFORM_CLOUD terraform_cloud "terraform-cloud" "HCP Terraform" ["x-tfe-notification-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha512),
                scheme: hex_body,
                page: "https://developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            /// The secret is the application's OAuth secret. Trello signs the callback URL behind the body: add
            /// [`with_public_url`](Self::with_public_url), without which the layer panics at start. It also answers the
            /// HEAD request by which Trello checks a callback URL, which anyone can send; put the layer on the route
            /// with `post(handler).layer(…)`, which sees it.
            TRELLO trello "trello" "Trello" ["x-trello-webhook"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: trello::declare,
                page: "https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/",
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            /// The keys are fetched by `keys::JwksKeys::truelayer` (feature `remote-keys`), or one of them is passed as PEM. Nothing that is signed names
            /// the receiver but the path: look up the payment that a delivery is about in your own records.
            TRUELAYER truelayer "truelayer" "TrueLayer" ["tl-signature"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::EcdsaP521Fixed),
                scheme: |s| truelayer::declare(s.key_pem()),
                page: "https://docs.truelayer.com/docs/verify-the-signature-of-a-payment-webhook",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// The secret is the account's auth token. Twilio signs the URL: add [`with_public_url`](Self::with_public_url), without which the layer
            /// wraps no service. Where a name or a value of a field ends is not signed.
            TWILIO twilio "twilio" "Twilio" ["x-twilio-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: twilio::declare,
                page: "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
                duplicates: Some(Delivery),
                evidence: Library,
                own_vectors: "twilio 6.2.0",
            }
            /// This is for URLs for which a rule of Twilio's names a shared key and HMAC-SHA-256; the secret is that key. See
            /// [`twilio`](Self::twilio) for the others.
            TWILIO_SHARED_KEY twilio_shared_key "twilio-shared-key" "Twilio, shared key of a rule" ["x-twilio-signature"] {
                scheme: twilio::declare,
                page: "https://www.twilio.com/docs/usage/webhooks/webhook-rules",
                duplicates: Some(Delivery),
                evidence: Library,
            }
            /// It also answers `webhook_callback_verification`, after its signature was verified. A revocation is a
            /// delivery of type `revocation`, without an event.
            TWITCH twitch "twitch" "Twitch EventSub" ["twitch-eventsub-message-signature"] {
                scheme: twitch::declare,
                page: "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
                duplicates: Some(Delivery),
                evidence: Library,
                other_vectors: "nuxt-webhook-validators 0.2.12",
            }
            TYPEFORM typeform "typeform" "Typeform" ["typeform-signature"] {
                scheme: |s| base64_body(s).prefix("sha256=").id(json("/event_id")).event_type(json("/event_type")),
                page: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
                // "Unique ID for the webhook. Automatically assigned by Typeform."
                duplicates: Some(Event),
                evidence: ThirdParty,
            }
            VAPI vapi "vapi" "Vapi" ["x-vapi-signature"] {
                scheme: |s| hex_body(s).event_type(json("/message/type")),
                page: "https://docs.vapi.ai/server-url/server-authentication",
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            VERCEL vercel "vercel" "Vercel" ["x-vercel-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| hex_body(s).id(json("/id")).event_type(json("/type")),
                page: "https://vercel.com/docs/webhooks/webhooks-api",
                duplicates: Some(Delivery),
                evidence: ThirdParty,
                other_vectors: "nuxt-webhook-validators 0.2.12",
            }
            /// The secret is `API key:shared secret`, or the shared secret alone.
            VERIFF veriff "veriff" "Veriff" ["x-hmac-signature"] {
                scheme: |s| hex_body(s).key_id(header("x-auth-client")),
                page: "https://devdocs.veriff.com/docs/hmac-authentication-and-endpoint-security",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// A message's token is the same in all events about it, so it does not serve as an id. The secret is the account's authentication
            /// token.
            VIBER viber "viber" "Viber" ["x-viber-content-signature"] {
                scheme: |s| hex_body(s).event_type(json("/event")),
                page: "https://developers.viber.com/docs/api/rest-bot-api/",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// These are the signed webhooks of Messages and Voice. The secret is the account's signature secret, alone or as `API key:secret`: a
            /// token names its API key.
            VONAGE vonage "vonage" "Vonage" ["authorization"] {
                scheme: |s| s
                    .prefix("Bearer ")
                    .jwt()
                    .required_claim("jti")
                    .key_id(Field::claim("api_key"))
                    .timestamp(Field::claim("iat"))
                    .hex_digest(Field::claim("payload_hash")),
                page: "https://developer.vonage.com/en/getting-started/concepts/webhooks",
                duplicates: Some(Undocumented),
                evidence: Documentation,
                own_vectors: "@vonage/jwt 1.14.0",
            }
            WEBEX webex "webex" "Cisco Webex" ["x-spark-signature"] {
                algorithm: Algorithm::Mac(MacAlgorithm::Sha1),
                scheme: |s| hex_body(s).event_type(json("/resource").joined(json("/event"))),
                page: "https://developer.webex.com/docs/api/guides/webhooks",
                // The body's `id` is that of the webhook, the same in all deliveries.
                duplicates: Some(Undocumented),
                evidence: ThirdParty,
            }
            WEBFLOW webflow "webflow" "Webflow" ["x-webflow-signature"] {
                scheme: |s| s
                    .hex()
                    .timestamp(header("x-webflow-timestamp"))
                    .unit(Milliseconds)
                    .signs("{timestamp}:{body}")
                    .event_type(json("/triggerType")),
                page: "https://developers.webflow.com/data/docs/working-with-webhooks",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// The whole secret is the key, as text, with its prefix.
            WHOP whop "whop" "Whop" ["webhook-signature"] {
                scheme: |s| standard_webhooks::with_text_key(s, &["webhook"]),
                page: "https://docs.whop.com/developer/guides/webhooks",
                // A replay keeps it too ("Replay Delivery").
                duplicates: Some(Event),
                evidence: Library,
            }
            /// The secret is the public key that Wise publishes, as PEM; production and sandbox have one each. Wise signs for all its customers
            /// with it: name your subscriptions, by their ids, with `with_account`.
            WISE wise "wise" "Wise" ["x-signature-sha256"] if "asymmetric" {
                algorithm: Algorithm::Public(PublicAlgorithm::RsaSha256),
                scheme: |s| base64_body(s)
                    .key_pem()
                    .event_type(json("/event_type"))
                    .account(json("/subscription_id"))
                    .shared_key(),
                page: "https://docs.wise.com/api-docs/webhooks-notifications/event-handling",
                duplicates: Some(Undocumented),
                evidence: Library,
            }
            /// `X-WC-Webhook-Delivery-ID` is a hash of the webhook's number and the second in which the delivery is sent (WooCommerce's source,
            /// `get_new_delivery_id`): two orders of one second have the same one. So it is not used as an id, and with idempotency each delivery
            /// runs.
            WOOCOMMERCE woocommerce "woocommerce" "WooCommerce" ["x-wc-webhook-signature"] {
                scheme: |s| base64_body(s).event_type(header("x-wc-webhook-topic")),
                page: "https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks",
                duplicates: Some(Attempt),
                evidence: Library,
                other_vectors: "@hookflo/tern 4.1.0",
                deadline: seconds(60),
            }
            WORKOS workos "workos" "WorkOS" ["workos-signature"] {
                scheme: |s| stamped(s, "v1", "t")
                    .items(", ")
                    .unit(Milliseconds)
                    .tolerance(Duration::from_secs(180))
                    .id(json("/id"))
                    .event_type(json("/event")),
                page: "https://workos.com/docs/events/data-syncing/webhooks",
                // "Ignore duplicate events" ("Sync data with webhooks"), by the id of the event.
                duplicates: Some(Event),
                evidence: Library,
                own_vectors: "@workos-inc/node 8.13.0",
            }
            /// The secret is `key id:secret key`, or the secret key alone.
            WORLDLINE_CONNECT worldline_connect "worldline-connect" "Worldline Connect" ["x-gcs-signature"] {
                scheme: |s| base64_body(s).key_id(header("x-gcs-keyid")).id(json("/id")).event_type(json("/type")),
                page: "https://docs.connect.worldline-solutions.com/documentation/webhooks/event-structure/",
                // "You should use this id to verify that you did not already receive this event" ("Event metadata").
                duplicates: Some(Event),
                evidence: Library,
            }
            /// Which of the secrets a signature names is not looked at: each is tried.
            WORLDPAY worldpay "worldpay" "Worldpay, Access events" ["event-signature"] {
                scheme: |s| s
                    .items(",")
                    .pairs("/")
                    .any_key()
                    .signature_prefix("SHA256/")
                    .hex()
                    .signs("{body}")
                    .id(json("/eventId"))
                    .event_type(json("/eventDetails/type")),
                page: "https://docs.worldpay.com/access/products/account-payouts/hmac-signature",
                duplicates: Some(Undocumented),
                evidence: Documentation,
            }
            /// Xero sends requests with wrong signatures on purpose, and wants 401 for them, which is what it gets.
            XERO xero "xero" "Xero" ["x-xero-signature"] {
                scheme: base64_body,
                page: "https://developer.xero.com/documentation/guides/webhooks/overview/",
                duplicates: Some(Undocumented),
                batch: Some("/events"),
                evidence: ThirdParty,
                deadline: seconds(5),
            }
            /// The secret is the app's consumer secret. X asks for a challenge by GET when a webhook is registered, and every hour
            /// after; put the layer on the route with `post(handler).layer(…)`, which sees the GET.
            X_TWITTER x_twitter "x-twitter" "X (Twitter)" ["x-twitter-webhooks-signature"] {
                scheme: x_twitter::declare,
                page: "https://docs.x.com/x-api/webhooks/introduction",
                duplicates: Some(Undocumented),
                evidence: Documentation,
                deadline: seconds(3),
            }
            /// This is the style of many in-house senders, `X-Webhook-Signature: sha256=…`.
            ///
            /// No time is checked. A recorded delivery can be replayed, under its own id.
            X_WEBHOOK x_webhook "x-webhook" "X-Webhook style" ["x-webhook-signature"] {
                scheme: x_webhook::declare,
                duplicates: Some(Event),
                evidence: Documentation,
            }
            /// The body of a trigger or an automation is what its administrator wrote: it may have any `id`, and the same one in each. The
            /// delivery's id is that of the invocation, which its attempts share. It is in a header, and is not signed.
            ZENDESK zendesk "zendesk" "Zendesk" ["x-zendesk-webhook-signature"] {
                scheme: |s| s.base64()
                    .timestamp(header("x-zendesk-webhook-signature-timestamp"))
                    .unit(Rfc3339)
                    .signs("{timestamp}{body}")
                    .id(header("x-zendesk-webhook-invocation-id"))
                    .event_type(json("/type"))
                    .form(Form::fields()),
                page: "https://developer.zendesk.com/documentation/webhooks/verifying/",
                duplicates: Some(Delivery),
                evidence: Documentation,
            }
            ZOHO_PAYMENTS zoho_payments "zoho-payments" "Zoho Payments" ["x-zoho-webhook-signature"] {
                scheme: |s| stamped(s, "v", "t")
                    .unit(Milliseconds)
                    .id(json("/event_id"))
                    .event_type(json("/event_type"))
                    .live(json("/live_mode"), "true"),
                page: "https://www.zoho.com/in/payments/developerdocs/webhooks/verification/",
                // "Logging the `event_id` can help ensure that you don't process the same event more than once" ("Best
                // Practices").
                duplicates: Some(Event),
                evidence: Documentation,
                deadline: seconds(15),
            }
            /// It also answers `endpoint.url_validation`, after its signature was verified.
            ///
            /// Zoom sends no id. The time of the event is in the body, in milliseconds, so that a delivery is known by its body.
            ZOOM zoom "zoom" "Zoom" ["x-zm-signature"] {
                scheme: zoom::declare,
                page: "https://developers.zoom.us/docs/api/webhooks/",
                duplicates: Some(UniqueBodies),
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

const fn minutes(count: u64) -> Option<Duration> {
    seconds(count * 60)
}

const fn hours(count: u64) -> Option<Duration> {
    minutes(count * 60)
}

const fn days(count: u64) -> Option<Duration> {
    hours(count * 24)
}
