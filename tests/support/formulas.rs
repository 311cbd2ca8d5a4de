//! How the providers sign whose scheme has nothing of its own: a formula each, written from their documentation and
//! apart from the crate's own code.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Digest;

/// Name, algorithm, form of the key, signed text, headers. Without an algorithm the secret itself is sent.
pub(crate) struct Formula(
    pub(crate) &'static str,
    &'static str,
    pub(crate) &'static str,
    &'static str,
    pub(crate) &'static [(&'static str, &'static str)],
);

/// The facts of a request besides its body.
pub(crate) struct Facts<'a> {
    pub(crate) id: &'a str,
    pub(crate) seconds: u64,
    pub(crate) date: &'a str,
    pub(crate) http_date: &'a str,
    pub(crate) url: &'a str,
}

pub(crate) fn of(name: &str) -> Option<&'static Formula> {
    FORMULAS.iter().find(|formula| formula.0 == name)
}

impl Formula {
    /// A secret in the provider's format.
    pub(crate) fn secret(&self) -> &'static str {
        match self.2 {
            "base64" => "YW4gZW5kcG9pbnQncyBzaWduaW5nIGtleQ==",
            "hex" => "616e20656e64706f696e742773207369676e696e67206b6579",
            "openfort" => "sk_test_f2ce0192-cd4b-4422-af44-47f25cdd62c7",
            "id" => "an-app-key:an endpoint's signing key",
            "whsec" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            _ => "an endpoint's signing key",
        }
    }

    fn key(&self) -> Vec<u8> {
        let secret = self.secret();
        match self.2 {
            "base64" => BASE64.decode(secret.as_bytes()).expect("it is base64"),
            "hex" => HEXLOWER.decode(secret.as_bytes()).expect("it is hexadecimal"),
            "id" => b"an endpoint's signing key".to_vec(),
            "openfort" => b"f2ce0192cd4b4422af4447f25cdd62c7".to_vec(),
            "whsec" => BASE64.decode(secret.trim_start_matches("whsec_").as_bytes()).expect("it is base64"),
            _ => secret.as_bytes().to_vec(),
        }
    }

    /// The headers that prove a body.
    pub(crate) fn sign(&self, body: &str, facts: &Facts<'_>) -> Vec<(&'static str, String)> {
        let tag = self.tag(fill(self.3, body, self.secret(), facts).as_bytes());
        let write = |text: &str| {
            let text = text.replace("{hex}", &HEXLOWER.encode(&tag));
            let text = text.replace("{base64}", &BASE64.encode(&tag));
            let text = text.replace("{base64url}", &BASE64URL_NOPAD.encode(&tag));
            fill(&text.replace("{secret64}", &BASE64.encode(self.secret().as_bytes())), body, self.secret(), facts)
        };
        self.4.iter().map(|(name, value)| (*name, write(value))).collect()
    }

    pub(crate) fn tag(&self, text: &[u8]) -> Vec<u8> {
        fn mac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
            let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        }
        match self.1 {
            "" => Vec::new(),
            "hash-sha1" => sha1::Sha1::digest(text).to_vec(),
            "hash-sha256" => sha2::Sha256::digest(text).to_vec(),
            "sha1" => mac::<Hmac<sha1::Sha1>>(&self.key(), text),
            "sha256" => mac::<Hmac<sha2::Sha256>>(&self.key(), text),
            "sha512" => mac::<Hmac<sha2::Sha512>>(&self.key(), text),
            other => panic!("no algorithm is `{other}`"),
        }
    }
}

fn fill(text: &str, body: &str, secret: &str, facts: &Facts<'_>) -> String {
    let now = facts.seconds.to_string();
    let places = [
        ("{id}", facts.id),
        ("{now}", &now),
        ("{millis}", &format!("{now}000")),
        ("{date}", facts.date),
        ("{http-date}", facts.http_date),
        ("{nonce}", "a-nonce"),
        ("{key-id}", "an-app-key"),
        ("{method}", "POST"),
        ("{url}", facts.url),
        ("{secret}", secret),
        // Last, since a body may hold anything.
        ("{body}", body),
    ];
    places.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

const FORMULAS: &[Formula] = &[
    Formula("ably", "sha256", "id", "{body}", &[("x-ably-signature", "{base64}"), ("x-ably-key", "{key-id}")]),
    Formula("adyen-platform", "sha256", "hex", "{body}", &[("hmacsignature", "{base64}")]),
    Formula("aftership", "sha256", "text", "{body}", &[("aftership-hmac-sha256", "{base64}")]),
    Formula("agora", "sha256", "text", "{body}", &[("agora-signature-v2", "{hex}")]),
    Formula("airtable", "sha256", "base64", "{body}", &[("x-airtable-content-mac", "hmac-sha256={hex}")]),
    Formula("alchemy", "sha256", "text", "{body}", &[("x-alchemy-signature", "{hex}")]),
    Formula(
        "anthropic",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula("asana", "sha256", "text", "{body}", &[("x-hook-signature", "{hex}")]),
    Formula("attio", "sha256", "text", "{body}", &[("attio-signature", "{hex}")]),
    Formula("auth0", "", "text", "", &[("authorization", "{secret}")]),
    Formula("authorize-net", "sha512", "text", "{body}", &[("x-anet-signature", "sha512={hex}")]),
    Formula("autotask", "sha1", "text", "{body}", &[("x-hook-signature", "sha1={base64}")]),
    Formula("azure-devops", "", "text", "", &[("authorization", "Basic {secret64}")]),
    Formula("bitbucket", "sha256", "text", "{body}", &[("x-hub-signature", "sha256={hex}")]),
    Formula("bitbucket-server", "sha256", "text", "{body}", &[("x-hub-signature", "sha256={hex}")]),
    Formula(
        "box",
        "sha256",
        "text",
        "{body}{date}",
        &[("box-signature-primary", "{base64}"), ("box-delivery-timestamp", "{date}")],
    ),
    Formula("braze", "", "text", "", &[("authorization", "Bearer {secret}")]),
    Formula("brevo", "", "text", "", &[("authorization", "Bearer {secret}")]),
    Formula(
        "brex",
        "sha256",
        "base64",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula(
        "buildkite",
        "sha256",
        "text",
        "{now}.{body}",
        &[("x-buildkite-signature", "timestamp={now},signature={hex}")],
    ),
    Formula("buildkite-token", "", "text", "", &[("x-buildkite-token", "{secret}")]),
    Formula("cal-com", "sha256", "text", "{body}", &[("x-cal-signature-256", "{hex}")]),
    Formula("calendly", "sha256", "text", "{now}.{body}", &[("calendly-webhook-signature", "t={now},v1={hex}")]),
    Formula(
        "cashfree",
        "sha256",
        "text",
        "{millis}{body}",
        &[("x-webhook-signature", "{base64}"), ("x-webhook-timestamp", "{millis}")],
    ),
    Formula("chargebee", "", "text", "", &[("authorization", "Basic {secret64}")]),
    Formula("checkout-com", "sha256", "text", "{body}", &[("cko-signature", "{hex}")]),
    Formula("checkr", "sha256", "text", "{body}", &[("x-checkr-signature", "{hex}")]),
    Formula("circleci", "sha256", "text", "{body}", &[("circleci-signature", "v1={hex}")]),
    Formula("clickup", "sha256", "text", "{body}", &[("x-signature", "{hex}")]),
    Formula("close", "sha256", "hex", "{now}{body}", &[("close-sig-hash", "{hex}"), ("close-sig-timestamp", "{now}")]),
    Formula("cloudevents", "", "text", "", &[("authorization", "Bearer {secret}")]),
    Formula("cloudflare-notifications", "", "text", "", &[("cf-webhook-auth", "{secret}")]),
    Formula("cloudflare-stream", "sha256", "text", "{now}.{body}", &[("webhook-signature", "time={now},sig1={hex}")]),
    Formula(
        "cloudinary",
        "hash-sha1",
        "text",
        "{body}{now}{secret}",
        &[("x-cld-signature", "{hex}"), ("x-cld-timestamp", "{now}")],
    ),
    Formula(
        "cloudinary-sha256",
        "hash-sha256",
        "text",
        "{body}{now}{secret}",
        &[("x-cld-signature", "{hex}"), ("x-cld-timestamp", "{now}")],
    ),
    Formula("coinbase-commerce", "sha256", "text", "{body}", &[("x-cc-webhook-signature", "{hex}")]),
    Formula("coinify", "sha256", "text", "{body}", &[("x-coinify-webhook-signature", "{hex}")]),
    Formula("commercelayer", "sha256", "text", "{body}", &[("x-commercelayer-signature", "{base64}")]),
    Formula("convoy", "sha256", "text", "{body}", &[("x-convoy-signature", "{hex}")]),
    Formula("convoy-advanced", "sha256", "text", "{now},{body}", &[("x-convoy-signature", "t={now},v1={hex}")]),
    Formula("cursor", "sha256", "text", "{body}", &[("x-webhook-signature", "sha256={hex}")]),
    Formula(
        "customer-io",
        "sha256",
        "text",
        "v0:{now}:{body}",
        &[("x-cio-signature", "{hex}"), ("x-cio-timestamp", "{now}")],
    ),
    Formula(
        "daily",
        "sha256",
        "base64",
        "{now}.{body}",
        &[("x-webhook-signature", "{base64}"), ("x-webhook-timestamp", "{now}")],
    ),
    Formula("docusign", "sha256", "text", "{body}", &[("x-docusign-signature-1", "{base64}")]),
    Formula(
        "dodo-payments",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula("doppler", "sha256", "text", "{body}", &[("x-doppler-signature", "sha256={hex}")]),
    Formula("dwolla", "sha256", "text", "{body}", &[("x-request-signature-sha-256", "{hex}")]),
    Formula("easypost", "sha256", "text", "{body}", &[("x-hmac-signature", "hmac-sha256-hex={hex}")]),
    Formula("elevenlabs", "sha256", "text", "{now}.{body}", &[("elevenlabs-signature", "t={now},v0={hex}")]),
    Formula("fastspring", "sha256", "text", "{body}", &[("x-fs-signature", "{base64}")]),
    Formula(
        "fathom",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula("figma", "", "text", "", &[]),
    Formula(
        "finch",
        "sha256",
        "base64",
        "{id}.{now}.{body}",
        &[("finch-signature", "v1,{base64}"), ("finch-timestamp", "{now}"), ("finch-event-id", "{id}")],
    ),
    Formula("flutterwave-v3", "", "text", "", &[("verif-hash", "{secret}")]),
    Formula("flutterwave-v4", "sha256", "text", "{body}", &[("flutterwave-signature", "{base64}")]),
    Formula(
        "folk",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula("forgejo", "sha256", "text", "{body}", &[("x-forgejo-signature", "{hex}")]),
    Formula("fourthwall", "sha256", "text", "{body}", &[("x-fourthwall-hmac-sha256", "{base64}")]),
    Formula("freshdesk", "", "text", "", &[("authorization", "Basic {secret64}")]),
    Formula(
        "front",
        "sha256",
        "text",
        "{millis}:{body}",
        &[("x-front-signature", "{base64}"), ("x-front-request-timestamp", "{millis}")],
    ),
    Formula("gitea", "sha256", "text", "{body}", &[("x-gitea-signature", "{hex}")]),
    Formula("gocardless", "sha256", "text", "{body}", &[("webhook-signature", "{hex}")]),
    Formula("gogs", "sha256", "text", "{body}", &[("x-gogs-signature", "{hex}")]),
    Formula("google-workspace-channels", "", "text", "", &[("x-goog-channel-token", "{secret}")]),
    Formula("grafana", "sha256", "text", "{body}", &[("x-grafana-alerting-signature", "{hex}")]),
    Formula("help-scout", "sha1", "text", "{body}", &[("x-helpscout-signature", "{base64}")]),
    Formula("heroku", "sha256", "text", "{body}", &[("heroku-webhook-hmac-sha256", "{base64}")]),
    Formula("hookdeck", "sha256", "text", "{body}", &[("x-hookdeck-signature", "{base64}")]),
    Formula("hubspot-v1", "hash-sha256", "text", "{secret}{body}", &[("x-hubspot-signature", "{hex}")]),
    Formula("hubspot-v2", "hash-sha256", "text", "{secret}{method}{url}{body}", &[("x-hubspot-signature", "{hex}")]),
    Formula(
        "hubspot-v3",
        "sha256",
        "text",
        "{method}{url}{body}{millis}",
        &[("x-hubspot-request-timestamp", "{millis}"), ("x-hubspot-signature-v3", "{base64}")],
    ),
    Formula("huggingface", "", "text", "", &[("x-webhook-secret", "{secret}")]),
    Formula("intercom", "sha1", "text", "{body}", &[("x-hub-signature", "sha1={hex}")]),
    Formula("jira", "sha256", "text", "{body}", &[("x-hub-signature", "sha256={hex}")]),
    Formula("jobber", "sha256", "text", "{body}", &[("x-jobber-hmac-sha256", "{base64}")]),
    Formula("katana", "sha256", "text", "{body}", &[("x-sha2-signature", "{hex}")]),
    Formula(
        "klaviyo",
        "sha256",
        "text",
        "{body}{http-date}",
        &[("klaviyo-timestamp", "{http-date}"), ("klaviyo-signature", "{hex}")],
    ),
    Formula(
        "lago",
        "sha256",
        "text",
        "{body}",
        &[("x-lago-signature", "{base64}"), ("x-lago-signature-algorithm", "hmac")],
    ),
    Formula("lemon-squeezy", "sha256", "text", "{body}", &[("x-signature", "{hex}")]),
    Formula("line", "sha256", "text", "{body}", &[("x-line-signature", "{base64}")]),
    Formula(
        "lithic",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula(
        "lob",
        "sha256",
        "text",
        "{millis}.{body}",
        &[("lob-signature", "{hex}"), ("lob-signature-timestamp", "{millis}")],
    ),
    Formula(
        "loops",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula("mailersend", "sha256", "text", "{body}", &[("x-mailersend-signature", "{hex}")]),
    Formula("mailtrap", "sha256", "text", "{body}", &[("mailtrap-signature", "{hex}")]),
    Formula(
        "metronome",
        "sha256",
        "text",
        "{http-date}\n{body}",
        &[("x-metronome-date", "{http-date}"), ("metronome-webhook-signature", "{hex}")],
    ),
    Formula("microsoft-teams-outgoing", "sha256", "base64", "{body}", &[("authorization", "HMAC {base64}")]),
    Formula("modern-treasury", "sha256", "text", "{body}", &[("x-signature", "{hex}")]),
    Formula("mollie-next", "sha256", "text", "{body}", &[("x-mollie-signature", "sha256={hex}")]),
    Formula("mux", "sha256", "text", "{now}.{body}", &[("mux-signature", "t={now},v1={hex}")]),
    Formula("nango", "sha256", "text", "{body}", &[("x-nango-hmac-sha256", "{hex}")]),
    Formula("notion", "sha256", "text", "{body}", &[("x-notion-signature", "sha256={hex}")]),
    Formula("nylas", "sha256", "text", "{body}", &[("x-nylas-signature", "{hex}")]),
    Formula("okta", "", "text", "", &[("authorization", "{secret}")]),
    Formula("onfido", "sha256", "text", "{body}", &[("x-sha2-signature", "{hex}")]),
    Formula("openfort", "sha256", "openfort", "{body}", &[("openfort-signature", "{hex}")]),
    Formula(
        "orb",
        "sha256",
        "text",
        "v1:{date}:{body}",
        &[("x-orb-timestamp", "{date}"), ("x-orb-signature", "v1={hex}")],
    ),
    Formula("ordergroove", "sha256", "text", "{now}.{body}", &[("ordergroove-signature", "ts={now},sig={hex}")]),
    Formula("outpost", "sha256", "text", "{body}", &[("x-outpost-signature", "v0={hex}")]),
    Formula("pandadoc", "sha256", "text", "{body}", &[]),
    Formula("paymongo", "sha256", "text", "{now}.{body}", &[("paymongo-signature", "t={now},li={hex}")]),
    Formula("paystack", "sha512", "text", "{body}", &[("x-paystack-signature", "{hex}")]),
    Formula("pipedrive", "", "text", "", &[("authorization", "Basic {secret64}")]),
    Formula(
        "polar",
        "sha256",
        "text",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula(
        "portone",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-id", "{id}"), ("webhook-timestamp", "{now}"), ("webhook-signature", "v1,{base64}")],
    ),
    Formula("postmark", "", "text", "", &[("authorization", "Basic {secret64}")]),
    Formula(
        "privy",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("svix-id", "{id}"), ("svix-timestamp", "{now}"), ("svix-signature", "v1,{base64}")],
    ),
    Formula("pusher", "sha256", "id", "{body}", &[("x-pusher-signature", "{hex}"), ("x-pusher-key", "{key-id}")]),
    Formula("qonto", "sha256", "text", "{now}.{body}", &[("x-qonto-signature", "t={now},v1={hex}")]),
    Formula("quickbooks", "sha256", "text", "{body}", &[("intuit-signature", "{base64}")]),
    Formula("razorpay", "sha256", "text", "{body}", &[("x-razorpay-signature", "{hex}")]),
    Formula(
        "recall-ai",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula(
        "render",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula(
        "replicate",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula("retell", "sha256", "text", "{body}{millis}", &[("x-retell-signature", "v={millis},d={hex}")]),
    Formula("revenuecat", "", "text", "", &[("authorization", "{secret}")]),
    Formula(
        "revolut",
        "sha256",
        "text",
        "v1.{millis}.{body}",
        &[("revolut-signature", "v1={hex}"), ("revolut-request-timestamp", "{millis}")],
    ),
    Formula(
        "sanity",
        "sha256",
        "text",
        "{millis}.{body}",
        &[("sanity-webhook-signature", "t={millis},v1={base64url}")],
    ),
    Formula(
        "schematic",
        "sha256",
        "text",
        "{body}+{now}",
        &[("x-schematic-webhook-timestamp", "{now}"), ("x-schematic-webhook-signature", "{hex}")],
    ),
    Formula("logto", "sha256", "text", "{body}", &[("logto-signature-sha-256", "{hex}")]),
    Formula("mongodb-atlas", "sha1", "text", "{body}", &[("x-mms-signature", "{base64}")]),
    Formula("moonpay", "sha256", "text", "{now}.{body}", &[("moonpay-signature-v2", "t={now},s={hex}")]),
    Formula("persona", "sha256", "text", "{now}.{body}", &[("persona-signature", "t={now},v1={hex}")]),
    Formula("recurly", "sha256", "text", "{millis}.{body}", &[("recurly-signature", "{millis},{hex}")]),
    Formula("scrapfly", "sha256", "text", "{body}", &[("x-scrapfly-webhook-signature", "{hex}")]),
    Formula("segment", "sha1", "text", "{body}", &[("x-signature", "{hex}")]),
    Formula("sentry", "sha256", "text", "{body}", &[("sentry-hook-signature", "{hex}")]),
    Formula(
        "sinch",
        "sha256",
        "text",
        "{body}.{nonce}.{now}",
        &[
            ("x-sinch-webhook-signature", "{base64}"),
            ("x-sinch-webhook-signature-timestamp", "{now}"),
            ("x-sinch-webhook-signature-nonce", "{nonce}"),
        ],
    ),
    Formula("snyk", "sha256", "text", "{body}", &[("x-hub-signature", "sha256={hex}")]),
    Formula("spatie-laravel", "sha256", "text", "{body}", &[("signature", "{hex}")]),
    Formula("storyblok", "sha1", "text", "{body}", &[("webhook-signature", "{hex}")]),
    Formula("strapi", "", "text", "", &[("authorization", "{secret}")]),
    Formula(
        "stytch",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("svix-signature", "v1,{base64}"), ("svix-timestamp", "{now}"), ("svix-id", "{id}")],
    ),
    Formula("sumsub", "sha256", "text", "{body}", &[("x-payload-digest", "{hex}")]),
    Formula(
        "supabase-auth-hooks",
        "sha256",
        "whsec",
        "{id}.{now}.{body}",
        &[("webhook-signature", "v1,{base64}"), ("webhook-timestamp", "{now}"), ("webhook-id", "{id}")],
    ),
    Formula("tabapay", "sha256", "text", "{now}.{body}", &[("x-hmac-signature", "t={now},v1={hex}")]),
    Formula("tally", "sha256", "text", "{body}", &[("tally-signature", "{base64}")]),
    Formula("telegram", "", "text", "", &[("x-telegram-bot-api-secret-token", "{secret}")]),
    Formula("terraform-cloud", "sha512", "text", "{body}", &[("x-tfe-notification-signature", "{hex}")]),
    Formula("trello", "sha1", "text", "{body}{url}", &[("x-trello-webhook", "{base64}")]),
    Formula("typeform", "sha256", "text", "{body}", &[("typeform-signature", "sha256={base64}")]),
    Formula("vapi", "sha256", "text", "{body}", &[("x-vapi-signature", "{hex}")]),
    Formula("vercel", "sha1", "text", "{body}", &[("x-vercel-signature", "{hex}")]),
    Formula("veriff", "sha256", "id", "{body}", &[("x-hmac-signature", "{hex}"), ("x-auth-client", "{key-id}")]),
    Formula("viber", "sha256", "text", "{body}", &[("x-viber-content-signature", "{hex}")]),
    Formula("webex", "sha1", "text", "{body}", &[("x-spark-signature", "{hex}")]),
    Formula(
        "webflow",
        "sha256",
        "text",
        "{millis}:{body}",
        &[("x-webflow-signature", "{hex}"), ("x-webflow-timestamp", "{millis}")],
    ),
    Formula(
        "whop",
        "sha256",
        "text",
        "{id}.{now}.{body}",
        &[("webhook-id", "{id}"), ("webhook-timestamp", "{now}"), ("webhook-signature", "v1,{base64}")],
    ),
    Formula("woocommerce", "sha256", "text", "{body}", &[("x-wc-webhook-signature", "{base64}")]),
    Formula("workos", "sha256", "text", "{millis}.{body}", &[("workos-signature", "t={millis}, v1={hex}")]),
    Formula(
        "worldline-connect",
        "sha256",
        "id",
        "{body}",
        &[("x-gcs-signature", "{base64}"), ("x-gcs-keyid", "{key-id}")],
    ),
    Formula("worldpay", "sha256", "text", "{body}", &[("event-signature", "1/SHA256/{hex}")]),
    Formula("x-twitter", "sha256", "text", "{body}", &[("x-twitter-webhooks-signature", "sha256={base64}")]),
    Formula("xero", "sha256", "text", "{body}", &[("x-xero-signature", "{base64}")]),
    Formula(
        "zendesk",
        "sha256",
        "text",
        "{date}{body}",
        &[("x-zendesk-webhook-signature", "{base64}"), ("x-zendesk-webhook-signature-timestamp", "{date}")],
    ),
    Formula(
        "zoho-payments",
        "sha256",
        "text",
        "{millis}.{body}",
        &[("x-zoho-webhook-signature", "t={millis},v={hex}")],
    ),
];
