use std::{fmt, sync::Arc, time::Duration};

use http::{Method, StatusCode};

use super::{
    answer::Answer,
    builder::{DEFAULT_BODY_LIMIT, SchemeBuilder},
    custom::CustomScheme,
    freshness::WIDEST_WINDOW,
    keys::KeyRing,
    settings::{Accounts, PublicUrl, ReplacedPrefix, Settings},
    template::{Algorithm, Template},
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    json::Pointer,
    secret::{Secret, Secrets, Unknown},
    signature::{HashAlgorithm, MacAlgorithm, PublicAlgorithm},
};

/// How one sender signs. Cheap to clone.
///
/// Create one from a [`Provider`](super::Provider), from a declaration that begins with one of the methods below, or
/// from a [`CustomScheme`].
///
/// ```
/// use tower_webhooks::{Provider, Scheme};
///
/// let scheme = Scheme::from(Provider::STRIPE);
/// assert_eq!(scheme.name(), "stripe");
/// assert!(scheme.covers_body() && scheme.timestamp_is_signed());
/// assert!(!scheme.signs_url());
/// ```
#[derive(Clone)]
pub struct Scheme {
    pub(super) kind: Kind,
}

#[derive(Clone)]
pub(super) enum Kind {
    Custom { code: Arc<dyn CustomScheme>, settings: Settings },
    Declared(Arc<Template>),
}

impl Scheme {
    /// Begins the declaration of a scheme with HMAC-SHA-256 (RFC 2104).
    pub fn hmac_sha256() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Mac(MacAlgorithm::Sha256))
    }

    /// Begins the declaration of a scheme with HMAC-SHA-512 (RFC 2104).
    pub fn hmac_sha512() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Mac(MacAlgorithm::Sha512))
    }

    /// Begins the declaration of a scheme with Ed25519 (RFC 8032): the sender signs with a private key that nobody else
    /// has, and the secret of this scheme is the public key, whose 32 bytes are read by
    /// [`key_hex`](SchemeBuilder::key_hex) or a similar method. It is passed as a [`Secret`], so that it can be rotated
    /// like a secret, although it need not be kept secret.
    ///
    /// A key of small order, with which anybody could sign, is an error at start. Since each key is tried with each
    /// signature, there are at most 4 keys, and a request with more than 4 signatures is rejected.
    #[cfg(feature = "asymmetric")]
    pub fn ed25519() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Public(PublicAlgorithm::Ed25519))
    }

    /// Begins the declaration of a scheme with ECDSA over P-256 and SHA-256 (FIPS 186-5), whose signatures are in DER.
    /// The secret is the public key, as [`key_pem`](SchemeBuilder::key_pem) reads it; the limits of
    /// [`ed25519`](Self::ed25519) apply.
    #[cfg(feature = "asymmetric")]
    pub fn ecdsa_p256() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Public(PublicAlgorithm::EcdsaP256))
    }

    /// Begins the declaration of a scheme with ECDSA over P-521 and SHA-512 (FIPS 186-5), as [`ecdsa_p256`](Self::ecdsa_p256) otherwise.
    #[cfg(feature = "asymmetric")]
    pub fn ecdsa_p521() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Public(PublicAlgorithm::EcdsaP521))
    }

    /// Begins the declaration of a scheme with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 8017). The secret is the public key, of 2048 to 8192
    /// bits, as [`key_pem`](SchemeBuilder::key_pem) reads it.
    #[cfg(feature = "asymmetric")]
    pub fn rsa_sha256() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Public(PublicAlgorithm::RsaSha256))
    }

    /// Begins the declaration of a scheme with RSASSA-PSS, SHA-512 and a salt of 64 bytes (RFC 8017), as in HTTP
    /// message signatures. The secret is the public key, as for [`rsa_sha256`](Self::rsa_sha256).
    #[cfg(feature = "asymmetric")]
    pub fn rsa_pss_sha512() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Public(PublicAlgorithm::RsaPssSha512))
    }

    /// Begins the declaration of a scheme with RSASSA-PKCS1-v1_5 and SHA-512 (RFC 8017). The secret is the public key,
    /// as for [`rsa_sha256`](Self::rsa_sha256).
    #[cfg(feature = "asymmetric")]
    pub fn rsa_sha512() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Public(PublicAlgorithm::RsaSha512))
    }

    /// Begins the declaration of a scheme with HMAC-SHA-1. No forgery of it is known, but SHA-1 is deprecated.
    pub fn insecure_hmac_sha1() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Mac(MacAlgorithm::Sha1))
    }

    /// Begins the declaration of a scheme with plain SHA-256 over a text that contains the secret. If the secret comes
    /// first, anyone can append to a signed text (length extension). Prefer another scheme if the sender has one.
    pub fn insecure_hash_sha256() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Hash(HashAlgorithm::Sha256))
    }

    /// Begins the declaration of a scheme with plain SHA-1 over a text that contains the secret.
    pub fn insecure_hash_sha1() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Hash(HashAlgorithm::Sha1))
    }

    /// Begins the declaration of a scheme whose sender sends the secret itself. It does not cover the body: anyone who
    /// has seen one request can send any other. The comparison takes constant time, for any length.
    pub fn insecure_token() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Token)
    }

    /// Begins the declaration of a scheme with basic authentication (RFC 7617); the secret is `user:password`. It does
    /// not cover the body.
    pub fn insecure_basic() -> SchemeBuilder {
        Self::insecure_token().header("authorization").prefix("Basic ").base64()
    }

    /// Begins the declaration of a scheme without any check. Anyone who knows the URL can send anything.
    pub fn insecure_unsigned() -> SchemeBuilder {
        SchemeBuilder::new(Algorithm::Unsigned)
    }

    /// Creates a scheme that is written in code.
    pub fn custom(scheme: impl CustomScheme) -> Self {
        Self { kind: Kind::Custom { code: Arc::new(scheme), settings: Settings::default() } }
    }

    pub(crate) fn declared(template: Template) -> Self {
        Self { kind: Kind::Declared(Arc::new(template)) }
    }

    /// Sets how far a signed timestamp may be from the current time, in either direction. Zero does not turn the check
    /// off: the timestamp must then be exact.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.settings_mut().tolerance = Some(tolerance);
        self
    }

    /// Sets the public base of this server's URLs, such as `https://example.com`, for a scheme that signs the URL.
    ///
    /// # Errors
    /// If `base` is not an http or https URL with a host and without a query.
    pub fn with_public_url(mut self, base: &str) -> Result<Self, ConfigError> {
        self.settings_mut().public_url = Some(PublicUrl::parse(base)?);
        Ok(self)
    }

    /// Declares that a proxy replaces `public` by `received` at the beginning of the path, for a scheme that signs the
    /// URL. Verification then uses the path that the sender called. A path that does not begin with `received` is not
    /// changed.
    ///
    /// # Errors
    /// If one of the two is not the beginning of a path, or both are the same.
    pub fn with_replaced_prefix(mut self, received: &str, public: &str) -> Result<Self, ConfigError> {
        self.settings_mut().replaced_prefix = Some(ReplacedPrefix::parse(received, public)?);
        Ok(self)
    }

    /// Sets the token that an unsigned handshake must contain.
    #[must_use]
    pub fn with_verify_token(mut self, token: Secret) -> Self {
        self.settings_mut().verify_token = Some(token);
        self
    }

    /// Sets the value that a claim of the token must have, for a scheme whose signature is a token. It replaces an
    /// earlier value for the same claim.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        let claims = &mut self.settings_mut().claims;
        claims.retain(|(known, _)| *known != name);
        claims.push((name, text));
        self
    }

    /// Sets the id that the sender has given to this endpoint, for a scheme that signs it. For PayPal it is the id of
    /// the webhook.
    #[must_use]
    pub fn with_endpoint_id(mut self, id: impl Into<String>) -> Self {
        self.settings_mut().endpoint_id = Some(id.into());
        self
    }

    /// Adds an account whose messages are accepted, for a sender that signs for all its customers with the same key. Messages of other
    /// accounts are rejected. See [`needs_account`](Self::needs_account).
    ///
    /// ```
    /// # #[cfg(feature = "asymmetric")] {
    /// use tower_webhooks::{Provider, Scheme};
    ///
    /// let scheme = Scheme::from(Provider::AWS_SNS_V2);
    /// assert!(scheme.needs_account());
    /// let scheme = scheme.with_account("arn:aws:sns:us-east-1:123456789012:orders");
    /// # let _ = scheme;
    /// # }
    /// ```
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        match &mut self.settings_mut().accounts {
            Accounts::These(accounts) => accounts.push(account.into()),
            accounts @ Accounts::Any => *accounts = Accounts::These(vec![account.into()]),
        }
        self
    }

    /// Accepts the messages of every account. **Any customer of the sender can then send messages that pass**, so the application must
    /// compare [`Delivery::account`](crate::Delivery::account) with the accounts that it knows.
    #[must_use]
    pub fn with_insecure_any_account(mut self) -> Self {
        self.settings_mut().accounts = Accounts::Any;
        self
    }

    fn settings_mut(&mut self) -> &mut Settings {
        match &mut self.kind {
            Kind::Custom { settings, .. } => settings,
            Kind::Declared(template) => &mut Arc::make_mut(template).settings,
        }
    }

    /// Returns the scheme's name.
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Custom { code, .. } => code.name(),
            Kind::Declared(template) => template.layout.provider(),
        }
    }

    /// Returns `true` if the signature covers the body.
    pub fn covers_body(&self) -> bool {
        match &self.kind {
            Kind::Custom { code, .. } => code.covers_body(),
            Kind::Declared(template) => template.coverage.body,
        }
    }

    /// Returns `true` if the signature covers the delivery's id. With a [`CustomScheme`], this can differ for each
    /// delivery: see its [`Binding`](super::Binding).
    pub fn id_is_signed(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.coverage.id)
    }

    /// Returns `true` if the signature covers a timestamp, which is checked. With a [`CustomScheme`], this can differ
    /// for each delivery: see its [`Binding`](super::Binding).
    pub fn timestamp_is_signed(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.coverage.timestamp)
    }

    /// The answer to a request that is acknowledged without a handler having been asked.
    pub(crate) fn acknowledge(&self) -> Answer {
        self.success().unwrap_or_else(|| Answer::new(StatusCode::OK))
    }

    /// What the sender prescribes as an answer to a delivery that the crate itself acknowledges.
    pub(crate) fn success(&self) -> Option<Answer> {
        match &self.kind {
            Kind::Custom { code, .. } => code.success(),
            Kind::Declared(template) => template.success.clone(),
        }
    }

    /// The status of an authentication failure.
    pub(crate) fn rejected(&self) -> StatusCode {
        match &self.kind {
            Kind::Custom { code, .. } => code.rejected(),
            Kind::Declared(template) => template.rejected,
        }
    }

    /// The largest body that the sender sends, in bytes.
    pub(crate) fn body_limit(&self) -> usize {
        match &self.kind {
            Kind::Custom { .. } => DEFAULT_BODY_LIMIT,
            Kind::Declared(template) => template.body_limit,
        }
    }

    /// How long the sender may repeat a delivery, where it is known to be long.
    #[cfg(feature = "idempotency")]
    pub(crate) fn retries_for(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Custom { .. } => None,
            Kind::Declared(template) => template.retention,
        }
    }

    /// Whether a delivery without an id is known by its body.
    #[cfg(feature = "idempotency")]
    pub(crate) fn bodies_are_unique(&self) -> bool {
        match &self.kind {
            Kind::Custom { code, .. } => code.bodies_are_unique(),
            Kind::Declared(template) => template.unique_bodies,
        }
    }

    /// Whether the sender's deliveries have no id. What is in code tells it with each delivery.
    #[cfg(feature = "idempotency")]
    pub(crate) fn has_no_ids(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.id.is_none())
    }

    /// The warning for the operator about a weak declaration.
    pub(crate) fn weaknesses(&self) -> impl Iterator<Item = &'static str> {
        let (algorithm, window) = match &self.kind {
            Kind::Custom { .. } => (None, None),
            Kind::Declared(template) => (
                match template.algorithm {
                    Algorithm::Hash(_) => Some("it is a plain hash over the secret, not a MAC"),
                    Algorithm::Mac(MacAlgorithm::Sha1) => Some("its MAC is made with SHA-1"),
                    Algorithm::Public(PublicAlgorithm::RsaSha256OrSha1) => {
                        Some("its signatures may be made with SHA-1, as the request says")
                    }
                    Algorithm::Mac(_) | Algorithm::Public(_) | Algorithm::Token | Algorithm::Unsigned => None,
                },
                match &template.freshness {
                    Some(freshness) if freshness.tolerance.is_none() => Some("it takes a timestamp of any age"),
                    _ => None,
                },
            ),
        };
        algorithm.into_iter().chain(window)
    }

    /// Whether anything is checked at all.
    pub(crate) fn is_unsigned(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.algorithm == Algorithm::Unsigned)
    }

    /// The methods that deliveries and handshakes come by, for `Allow`.
    pub(crate) fn methods(&self) -> Vec<Method> {
        match &self.kind {
            Kind::Custom { code, .. } => code.methods(),
            Kind::Declared(template) => {
                let mut methods = template.methods.clone();
                for handshake in &template.handshakes {
                    if !methods.contains(handshake.comes_by()) {
                        methods.push(handshake.comes_by().clone());
                    }
                }
                methods
            }
        }
    }

    /// Returns `true` if the scheme signs the URL, so that it needs [`with_public_url`](Self::with_public_url).
    pub fn signs_url(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.signs_url())
    }

    /// Returns `true` if the scheme has a handshake with a shared token, so that it needs
    /// [`with_verify_token`](Self::with_verify_token).
    pub fn needs_verify_token(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.needs_verify_token())
    }

    /// Returns the claims of the token whose values only the application knows. The scheme needs
    /// [`with_claim`](Self::with_claim) for each.
    pub fn needed_claims(&self) -> &'static [&'static str] {
        match &self.kind {
            Kind::Declared(template) => template.jwt.as_ref().map_or(&[], |jwt| jwt.of_application),
            Kind::Custom { .. } => &[],
        }
    }

    /// Returns `true` if the scheme signs the id that the sender has given to the endpoint, so that it needs
    /// [`with_endpoint_id`](Self::with_endpoint_id).
    pub fn signs_endpoint_id(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.signs_endpoint_id())
    }

    /// Returns `true` if the sender signs for all its customers with the same key, and names the customer in what it signs. The scheme then
    /// needs [`with_account`](Self::with_account): a signature alone only proves that some customer of the sender caused the message.
    pub fn needs_account(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.shared_key.is_some())
    }

    /// Returns `true` if the messages of every account are accepted.
    #[cfg(feature = "remote-keys")]
    pub(crate) fn accepts_any_account(&self) -> bool {
        match &self.kind {
            Kind::Custom { settings, .. } => matches!(settings.accounts, Accounts::Any),
            Kind::Declared(template) => matches!(template.settings.accounts, Accounts::Any),
        }
    }

    /// Returns `true` if the sender asks for the confirmation of subscriptions, as Amazon SNS does.
    pub fn has_subscriptions(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.has_subscriptions())
    }

    /// Returns `true` if a request names the key that signed it. A [`SecretSource`](crate::SecretSource) gets the name
    /// in [`RequestHead::key_id`](crate::RequestHead::key_id).
    pub fn names_key(&self) -> bool {
        matches!(&self.kind, Kind::Declared(template) if template.key_id.is_some())
    }

    /// Checks that what only the application can say has been said.
    pub(crate) fn check_missing(&self) -> Result<(), ConfigError> {
        let Kind::Declared(template) = &self.kind else { return Ok(()) };
        if template.signs_url() && template.settings.public_url.is_none() {
            return Err(self.option("signs the URL; add `.with_public_url(\"https://…\")`"));
        }
        if template.needs_verify_token() && template.settings.verify_token.is_none() {
            return Err(self.option("has a handshake with a shared token; add `.with_verify_token(…)`"));
        }
        if self.signs_endpoint_id() && template.settings.endpoint_id.is_none() {
            return Err(
                self.option("signs the id that the sender has given to this endpoint; add `.with_endpoint_id(…)`")
            );
        }
        if self.needs_account()
            && matches!(&template.settings.accounts, Accounts::These(accounts) if accounts.is_empty())
        {
            return Err(self.option(
                "is signed with the same key for all customers of the sender, so that anybody among them could send you messages; add \
                 `.with_account(…)` with what names yours",
            ));
        }
        let claims = &template.settings.claims;
        if let Some(name) = self.needed_claims().iter().find(|name| !claims.iter().any(|(known, _)| known == *name)) {
            return Err(self.option(&format!(
                "proves nothing without the claim `{name}`, since others get tokens of the same issuer; add `.with_claim(\"{name}\", …)`"
            )));
        }
        Ok(())
    }

    /// Checks that every setting of the application has an effect: an application that sets a replay window must not
    /// rely on one that is not there.
    pub(crate) fn check_unread(&self) -> Result<(), ConfigError> {
        let (settings, template) = match &self.kind {
            Kind::Custom { settings, .. } => (settings, None),
            Kind::Declared(template) => (&template.settings, Some(template)),
        };
        let code = if template.is_none() { "is written in code, which does not read it" } else { "" };
        let unread = |why: &'static str, option: &str| {
            let why = if code.is_empty() { why } else { code };
            Err(self.option(&format!("{why}; take `.{option}(…)` away")))
        };
        let has_times = |template: &Arc<Template>| template.freshness.is_some() || template.jwt.is_some();
        if settings.tolerance.is_some() && !template.is_some_and(has_times) {
            return unread("signs no timestamp, so that no window can be held", "with_tolerance");
        }
        if settings.tolerance.is_some_and(|tolerance| tolerance > WIDEST_WINDOW) {
            return Err(self
                .option("has a window of more than 10 years, which does not reject recorded deliveries; declare `.insecure_no_replay_window()`"));
        }
        let may_sign_url = |template: &Arc<Template>| template.signs_url() || template.message.is_some();
        let may_sign_path = |template: &Arc<Template>| may_sign_url(template) || template.signs_path();
        if settings.public_url.is_some() && !template.is_some_and(may_sign_url) {
            return unread("does not sign the URL", "with_public_url");
        }
        if settings.replaced_prefix.is_some() && !template.is_some_and(may_sign_path) {
            return unread("does not sign the URL or its path", "with_replaced_prefix");
        }
        if settings.endpoint_id.is_some() && template.is_none_or(|template| !template.signs_endpoint_id()) {
            return unread("does not sign the id of the endpoint", "with_endpoint_id");
        }
        let has_accounts = !matches!(&settings.accounts, Accounts::These(accounts) if accounts.is_empty());
        if has_accounts && !self.needs_account() {
            return unread("has a key of your own, or does not name the account in what it signs", "with_account");
        }
        if !settings.claims.is_empty() && template.is_none_or(|template| template.jwt.is_none()) {
            return unread("is not signed with a token", "with_claim");
        }
        if settings.verify_token.is_some() && template.is_none_or(|template| !template.needs_verify_token()) {
            return unread("has no handshake with a shared token", "with_verify_token");
        }
        Ok(())
    }

    /// Checks that the place of a scheme in code's payload is one.
    pub(crate) fn check_payload(&self) -> Result<(), ConfigError> {
        match &self.kind {
            Kind::Custom { code, .. } if Pointer::parse(code.payload()).is_none() => {
                let what = format!(
                    "has its payload at `{}`, which is not a JSON pointer; one begins with `/`",
                    code.payload()
                );
                Err(ConfigError::new(ConfigErrorKind::Scheme, format!("`{}` {what}", code.name())))
            }
            _ => Ok(()),
        }
    }

    fn option(&self, what: &str) -> ConfigError {
        ConfigError::new(ConfigErrorKind::Option, format!("`{}` {what}", self.name()))
    }

    /// The keys of a tenant or a key that does not exist.
    pub(crate) fn decoy_ring(&self, unknown: Unknown) -> KeyRing {
        let template = match &self.kind {
            Kind::Custom { .. } => None,
            Kind::Declared(template) => Some(&**template),
        };
        KeyRing::decoy(template, unknown)
    }

    /// Decodes and keys secrets.
    pub(crate) fn key_ring(&self, secrets: Secrets) -> Result<KeyRing, ConfigError> {
        match &self.kind {
            Kind::Custom { .. } => self.check_payload().and_then(|()| KeyRing::raw(secrets)),
            Kind::Declared(template) => KeyRing::for_template(template, secrets),
        }
    }
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheme").field("name", &self.name()).finish_non_exhaustive()
    }
}
