use std::{borrow::Cow, time::Duration};

use http::{Method, StatusCode};

use super::{
    answer::Answer,
    content::Part,
    freshness::{JsonForm, TimestampUnit},
    grammar::Grammar,
    handshake::Handshake,
    jwt::{Detached, UrlClaim},
    key_form::KeyForm,
    message::MessageSignature,
    template::{Algorithm, SameAccount},
};
use crate::{
    field::Field,
    form::Form,
    signature::{Encoding, MOST_PUBLIC_KEYS, MacAlgorithm, PublicAlgorithm},
};

/// Declares how a sender signs, with a method for each fact.
///
/// Begin with the algorithm, which is [`Scheme::hmac_sha256`](crate::Scheme::hmac_sha256) for most senders. End with
/// [`build`](Self::build), or pass the builder to [`WebhookLayer::new`](crate::WebhookLayer::new).
///
/// ```
/// use tower_webhooks::{Scheme, scheme::Field};
///
/// // X-Acme-Signature: t=1700000000,v1=5257a8…,v1=6ffbb5…   over   1700000000.{"id":…}
/// let scheme = Scheme::hmac_sha256()
///     .name("acme")
///     .header("x-acme-signature")
///     .items(",")
///     .pairs("=")
///     .key("v1")
///     .hex()
///     .timestamp(Field::param("t"))
///     .signs("{timestamp}.{body}")
///     .id(Field::json("/id"))
///     .event_type(Field::json("/type"))
///     .payload("/data")
///     .build()?;
///
/// assert!(scheme.covers_body() && scheme.timestamp_is_signed() && scheme.id_is_signed());
/// # Ok::<(), tower_webhooks::error::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SchemeBuilder {
    pub(super) algorithm: Algorithm,
    pub(super) name: Cow<'static, str>,
    pub(super) locate: Option<RawLocate>,
    pub(super) every_line: bool,
    pub(super) grammar: Grammar,
    pub(super) encoding: Option<Encoding>,
    pub(super) key_form: KeyForm,
    pub(super) key_prefix: Option<Cow<'static, str>>,
    pub(super) key_without: Vec<String>,
    pub(super) key_id: Option<Field>,
    /// Which URLs are those of the sender's certificates.
    pub(super) key_url: Option<fn(&str) -> bool>,
    /// Headers that must have one value.
    pub(super) shared_key: Option<SameAccount>,
    pub(super) required_headers: Vec<(&'static str, &'static str)>,
    pub(super) secret_prefix: Option<Cow<'static, str>>,
    pub(super) secret_length: Option<usize>,
    pub(super) content: Option<Cow<'static, str>>,
    /// The content, where no template expresses it.
    pub(super) parts: Option<Vec<Part>>,
    pub(super) free: Option<Cow<'static, str>>,
    pub(super) digest: Option<(Field, Encoding)>,
    pub(super) empty_without_digest: bool,
    pub(super) jwt: bool,
    pub(super) detached: Option<Detached>,
    pub(super) message: Option<MessageSignature>,
    pub(super) jwt_macs: &'static [MacAlgorithm],
    pub(super) claims: Vec<(Cow<'static, str>, Option<Cow<'static, str>>)>,
    pub(super) claims_of_application: &'static [&'static str],
    pub(super) url_claim: Option<(Cow<'static, str>, UrlClaim)>,
    pub(super) items: Option<Cow<'static, str>>,
    pub(super) either_port: bool,
    pub(super) forms_alone: bool,
    pub(super) whole_event: bool,
    pub(super) timestamp: Option<Field>,
    pub(super) unit: Option<TimestampUnit>,
    pub(super) timestamp_json: Option<JsonForm>,
    /// The outer one says whether it was named.
    pub(super) tolerance: Option<Option<Duration>>,
    pub(super) id: Option<Field>,
    pub(super) event_type: Option<Field>,
    pub(super) api_version: Option<Field>,
    pub(super) attempt: Option<(Field, u32)>,
    pub(super) live: Option<(Field, Cow<'static, str>)>,
    pub(super) payload: Cow<'static, str>,
    pub(super) or_envelope: bool,
    pub(super) form: Option<Form>,
    pub(super) account: Option<Field>,
    pub(super) batch: Option<Cow<'static, str>>,
    pub(super) handshakes: Vec<Handshake>,
    pub(super) methods: Vec<Method>,
    pub(super) success: Option<Answer>,
    pub(super) rejected: StatusCode,
    pub(super) body_limit: usize,
    pub(super) retention: Option<Duration>,
    pub(super) unique_bodies: bool,
    pub(super) encoded_bodies: bool,
    pub(super) json_alone: bool,
    pub(super) indented_json: Option<&'static str>,
}

/// Where signatures are, before names are parsed.
#[derive(Debug, Clone)]
pub(super) enum RawLocate {
    EachHeader(Vec<Cow<'static, str>>),
    Headers(Vec<Cow<'static, str>>),
    Json(Vec<Cow<'static, str>>),
    Numbered(Cow<'static, str>),
    Query(Cow<'static, str>),
}

/// Larger events are not known, except from providers that document them.
pub(crate) const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;

/// What almost every sender's own library takes.
pub(crate) const DEFAULT_TOLERANCE: Duration = Duration::from_secs(5 * 60);

impl SchemeBuilder {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            name: Cow::Borrowed("custom"),
            locate: None,
            every_line: false,
            grammar: match algorithm {
                Algorithm::Public(_) => Grammar { most: MOST_PUBLIC_KEYS, ..Grammar::default() },
                _ => Grammar::default(),
            },
            encoding: None,
            key_form: KeyForm::Utf8,
            key_prefix: None,
            key_without: Vec::new(),
            key_id: None,
            key_url: None,
            shared_key: None,
            required_headers: Vec::new(),
            secret_prefix: None,
            secret_length: None,
            content: None,
            parts: None,
            free: None,
            digest: None,
            empty_without_digest: false,
            jwt: false,
            detached: None,
            message: None,
            jwt_macs: &[],
            claims: Vec::new(),
            claims_of_application: &[],
            url_claim: None,
            items: None,
            either_port: false,
            forms_alone: false,
            whole_event: false,
            timestamp: None,
            unit: None,
            timestamp_json: None,
            tolerance: None,
            id: None,
            event_type: None,
            api_version: None,
            attempt: None,
            live: None,
            payload: Cow::Borrowed(""),
            or_envelope: false,
            form: None,
            account: None,
            batch: None,
            handshakes: Vec::new(),
            methods: vec![Method::POST],
            success: None,
            rejected: StatusCode::UNAUTHORIZED,
            body_limit: DEFAULT_BODY_LIMIT,
            retention: None,
            unique_bodies: false,
            encoded_bodies: false,
            json_alone: false,
            indented_json: None,
        }
    }

    /// Sets the name of the scheme, for [`Delivery::provider`](crate::Delivery::provider), logs and store keys; `custom` by default.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    // Where the signature is.

    /// Sets the header that contains the signature. A request must have it exactly once.
    pub fn header(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.locate = Some(RawLocate::Headers(vec![name.into()]));
        self
    }

    /// Adds a header for the signature, which is used if the request has none of the headers before it.
    ///
    /// The headers form families: if a [`Field`] has as many headers as there are signature headers, it is read from
    /// the header at the same position, so that the timestamp of one family is never used with the signature of
    /// another.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// // Senders that use Svix call the headers of Standard Webhooks by another name.
    /// Scheme::hmac_sha256()
    ///     .header("webhook-signature")
    ///     .or_header("svix-signature")
    ///     .items(" ")
    ///     .pairs(",")
    ///     .key("v1")
    ///     .base64()
    ///     .id(Field::header("webhook-id").or(Field::header("svix-id")))
    ///     .timestamp(Field::header("webhook-timestamp").or(Field::header("svix-timestamp")))
    ///     .signs("{id}.{timestamp}.{body}")
    ///     .key_standard_webhooks()
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn or_header(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        match &mut self.locate {
            Some(RawLocate::Headers(names)) => names.push(name.into()),
            _ => self.locate = Some(RawLocate::Headers(vec![name.into()])),
        }
        self
    }

    /// Sets a header for each key in use. A request may have any of them, and one that matches is enough.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::Scheme;
    ///
    /// // The sender signs with its old and its new key during a rotation.
    /// Scheme::hmac_sha256()
    ///     .header_for_each_key(["x-acme-signature-primary", "x-acme-signature-secondary"])
    ///     .hex()
    ///     .signs("{body}")
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn header_for_each_key<N: Into<Cow<'static, str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.locate = Some(RawLocate::EachHeader(names.into_iter().map(Into::into).collect()));
        self
    }

    /// Sets a prefix of headers: the signatures are in `prefix1`, `prefix2` and so on, any of which may match.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::Scheme;
    ///
    /// // X-Acme-Signature-1: 5257a8…   X-Acme-Signature-2: 6ffbb5…
    /// Scheme::hmac_sha256().numbered_headers("x-acme-signature-").hex().signs("{body}").build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn numbered_headers(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.locate = Some(RawLocate::Numbered(prefix.into()));
        self
    }

    /// Sets the parameter of the URL's query that contains the signature.
    pub fn query(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.locate = Some(RawLocate::Query(key.into()));
        self
    }

    /// Sets the place of the signature in the JSON body. Such a signature cannot cover the body.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// // {"token":"…","timestamp":"1700000000","signature":"5257a8…","event":{…}}
    /// Scheme::hmac_sha256()
    ///     .json_pointer("/signature")
    ///     .hex()
    ///     .timestamp(Field::json("/timestamp"))
    ///     .signs("{timestamp}.{json:/token}")
    ///     .payload("/event")
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn json_pointer(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        self.locate = Some(RawLocate::Json(vec![pointer.into()]));
        self
    }

    /// Adds another place of the JSON body where a signature may be. All signatures that are present are tried, and one
    /// that matches is enough.
    pub fn or_json_pointer(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        match &mut self.locate {
            Some(RawLocate::Json(pointers)) => pointers.push(pointer.into()),
            _ => self.locate = Some(RawLocate::Json(vec![pointer.into()])),
        }
        self
    }

    /// Allows several lines of the signature header. One that matches is enough.
    pub fn every_line(mut self) -> Self {
        self.every_line = true;
        self
    }

    // How it is written.

    /// Sets the text that the header value begins with, such as `sha256=`.
    pub fn prefix(mut self, text: impl Into<String>) -> Self {
        self.grammar.prefix = Some(text.into());
        self
    }

    /// Sets the text between the items of the header value, which is then a list.
    pub fn items(mut self, separator: impl Into<String>) -> Self {
        self.grammar.items = Some(separator.into());
        self
    }

    /// Sets the text between key and value of an item, which is then a pair.
    pub fn pairs(mut self, separator: impl Into<String>) -> Self {
        self.grammar.pairs = Some(separator.into());
        self
    }

    /// Adds a key: items with it are signatures. Items with other keys are skipped.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.grammar.keys.push(key.into());
        self
    }

    /// Sets a second separator of items, for senders that write several lists one after the other. A parameter that all
    /// lists have with the same value counts as one.
    pub fn or_items(mut self, separator: impl Into<String>) -> Self {
        self.grammar.also_items = Some(separator.into());
        self
    }

    /// Declares that the first item of a list without keys is not a signature but a parameter with this name, which
    /// [`Field::param`](crate::scheme::Field::param) reads.
    ///
    /// ```
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// // `X-Signature: 1700000000,<hex>,<hex>`
    /// let scheme = Scheme::hmac_sha256().header("x-signature").items(",").first_item("t").hex()
    ///     .timestamp(Field::param("t"))
    ///     .signs("{timestamp}.{body}")
    ///     .build()?;
    /// # let _ = scheme;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn first_item(mut self, name: impl Into<String>) -> Self {
        self.grammar.first = Some(name.into());
        self
    }

    /// Declares that an item with any key is a signature, for senders whose keys are names of secrets. Every secret is
    /// tried with each of them.
    pub fn any_key(mut self) -> Self {
        self.grammar.any_key = true;
        self
    }

    /// Sets the text before each signature of a list, such as `sha256/`. An item without it is skipped.
    pub fn signature_prefix(mut self, text: impl Into<String>) -> Self {
        self.grammar.before = Some(text.into());
        self
    }

    /// Declares that the signature is written in hexadecimal digits, in upper or lower case.
    pub fn hex(mut self) -> Self {
        self.encoding = Some(Encoding::Hex);
        self
    }

    /// Declares that the signature is written in base64 (RFC 4648 section 4), with padding.
    pub fn base64(mut self) -> Self {
        self.encoding = Some(Encoding::Base64);
        self
    }

    /// Declares that the signature is written in base64url (RFC 4648 section 5), with or without padding.
    pub fn base64url(mut self) -> Self {
        self.encoding = Some(Encoding::Base64Url);
        self
    }

    // What is signed, and with which key.

    /// Sets the signed text, with placeholders: `{body}` (the raw bytes), `{timestamp}` and `{id}` (as sent, from
    /// [`timestamp`](Self::timestamp) and [`id`](Self::id)), `{header:NAME}`, `{param:KEY}` (of the signature header),
    /// `{query:KEY}`, `{json:/POINTER}`, `{json?:/POINTER}` (empty if it is absent), `{url}` (under the public URL),
    /// `{path}` (path and query), `{method}`, `{fields}` (those of a form, sorted: each name and its value, without
    /// separators), and for plain hashes `{secret}`.
    ///
    /// If the signed text could be split into its parts in another way, other values would have the same signature. So
    /// a template without separators between its parts, such as `{header:x-id}{body}`, does not build. In a request, a
    /// part must not contain the literal that ends it. Before a timestamp it may, unless another fresh timestamp
    /// follows. If there is no literal between a part and the timestamp, no timestamp may begin in the part. If there
    /// is none between `{url}` and `{body}`, path and query must not contain a character with which JSON begins, and
    /// the body must begin like JSON or be empty.
    ///
    /// A signed id may have at most 512 bytes, and another signed part of the head at most 4,096.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// let scheme = Scheme::hmac_sha256()
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .timestamp(Field::header("x-acme-timestamp"))
    ///     .signs("{timestamp}.{method}.{header:x-acme-topic}.{body}")
    ///     .event_type(Field::header("x-acme-topic"))
    ///     .build()?;
    /// assert!(scheme.covers_body() && scheme.timestamp_is_signed());
    ///
    /// // The end of the topic and the start of the body cannot be told apart.
    /// let mistake = Scheme::hmac_sha256().header("x-acme-signature").hex().signs("{header:x-acme-topic}{body}").build();
    /// assert!(mistake.is_err());
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn signs(mut self, template: impl Into<Cow<'static, str>>) -> Self {
        self.content = Some(template.into());
        self
    }

    /// Declares that the signature is a JSON Web Token (RFC 7519). It signs only its claims: to cover the body, declare
    /// a digest of it, such as [`hex_digest`](Self::hex_digest).
    ///
    /// The algorithm is the scheme's: HS256 for [`Scheme::hmac_sha256`](crate::Scheme::hmac_sha256), HS512 for
    /// [`hmac_sha512`](crate::Scheme::hmac_sha512), and likewise RS256, RS512 and EdDSA. A token that names another one
    /// is rejected. `exp`, `nbf` and `iat` are checked if they are present, with a tolerance of 5 seconds for clocks
    /// that differ; [`required_claim`](Self::required_claim) makes a claim mandatory.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// // Authorization: Bearer eyJ…, with {"iss":"acme","exp":1700000300,"body":"5257a8…"}
    /// let scheme = Scheme::hmac_sha256()
    ///     .header("authorization")
    ///     .prefix("Bearer ")
    ///     .jwt()
    ///     .required_claim("exp")
    ///     .claim("iss", "acme")
    ///     .hex_digest(Field::claim("body"))
    ///     .id(Field::json("/id"))
    ///     .build()?;
    ///
    /// assert!(scheme.covers_body() && scheme.id_is_signed());
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn jwt(mut self) -> Self {
        self.two_numbers();
        self.jwt = true;
        self.encoding = Some(Encoding::Base64Url);
        self.parts = Some(vec![Part::Jwt]);
        self
    }

    /// Signatures of ECDSA are two numbers of 32 bytes, and not DER.
    fn two_numbers(&mut self) {
        self.algorithm = match self.algorithm {
            Algorithm::Public(PublicAlgorithm::EcdsaP256) => Algorithm::Public(PublicAlgorithm::EcdsaP256Fixed),
            Algorithm::Public(PublicAlgorithm::EcdsaP521) => Algorithm::Public(PublicAlgorithm::EcdsaP521Fixed),
            other => other,
        };
    }

    /// Declares that the signature is a JSON Web Signature with detached content (RFC 7515, appendix F) in the header: `<header>..<signature>`,
    /// over that header and the body. `.signs(…)` and the encoding are not declared. The algorithm is that of the scheme, and a signature
    /// that names another one, or a critical extension, is rejected. [`Field::token_header`](crate::scheme::Field::token_header) reads the
    /// header of the signature, for example the id of the key.
    ///
    /// ```
    /// # #[cfg(feature = "asymmetric")] {
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// let scheme = Scheme::rsa_sha512().header("x-jws-signature").key_pem().detached_jws()
    ///     .key_id(Field::token_header("kid"))
    ///     .id(Field::json("/id"))
    ///     .build()?;
    /// assert!(scheme.covers_body() && scheme.id_is_signed());
    /// # }
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn detached_jws(self) -> Self {
        self.detached(Detached::Body)
    }

    /// Like [`detached_jws`](Self::detached_jws), for a sender that signs more than the body.
    pub(crate) fn detached(mut self, detached: Detached) -> Self {
        self = self.jwt();
        self.detached = Some(detached);
        self.parts = Some(vec![Part::DetachedJws(detached)]);
        self
    }

    /// Declares that the sender signs HTTP messages (RFC 9421), with the digest of the body of RFC 9530. The headers are
    /// `Signature`, `Signature-Input` and `Content-Digest`, and the algorithm is `hmac-sha256`, `ed25519`, `ecdsa-p256-sha256`,
    /// `rsa-v1_5-sha256` or `rsa-pss-sha512`.
    ///
    /// A signature must cover the method; the whole target, as `@target-uri`, `@request-target`, or `@path` with `@query` where the
    /// request has a query; and `content-digest`, which a request with a body must have. It must have a time (`created`), of the
    /// last 5 minutes unless [`tolerance`](Self::tolerance) says otherwise, and must not have expired. Its parameters are fields:
    /// `Field::param("nonce")`, and `Field::param("keyid")` for [`key_id`](Self::key_id).
    ///
    /// `@target-uri` and `@scheme` need [`with_public_url`](crate::WebhookLayer::with_public_url).
    ///
    /// ```
    /// use tower_webhooks::{Scheme, Secret, WebhookLayer, scheme::Field};
    ///
    /// let scheme = Scheme::hmac_sha256().name("acme").key_base64().message_signature().id(Field::param("nonce"));
    /// let layer = WebhookLayer::new(scheme, Secret::new("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YU=")?);
    /// # let _ = layer;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    #[cfg(feature = "message-signatures")]
    pub fn message_signature(mut self) -> Self {
        self.two_numbers();
        let algorithm = match self.algorithm {
            Algorithm::Mac(MacAlgorithm::Sha256) => "hmac-sha256",
            Algorithm::Public(PublicAlgorithm::EcdsaP256Fixed) => "ecdsa-p256-sha256",
            Algorithm::Public(PublicAlgorithm::Ed25519) => "ed25519",
            Algorithm::Public(PublicAlgorithm::RsaSha256) => "rsa-v1_5-sha256",
            Algorithm::Public(PublicAlgorithm::RsaPssSha512) => "rsa-pss-sha512",
            // It has no name in the RFC, so that no request can name it.
            _ => "",
        };
        self.message = Some(MessageSignature { algorithm, label: None, tag: None, components: None });
        self.encoding = Some(Encoding::Base64);
        self.parts = Some(vec![Part::MessageBase]);
        self.header("signature").timestamp(Field::param("created"))
    }

    /// Sets the label of the signature that is verified, such as `sig1`, for a sender whose requests may have several.
    #[cfg(feature = "message-signatures")]
    pub fn message_label(mut self, label: impl Into<String>) -> Self {
        if let Some(message) = &mut self.message {
            message.label = Some(label.into());
        }
        self
    }

    /// Sets the `tag` of the signature that is verified, for a sender whose requests may have several.
    #[cfg(feature = "message-signatures")]
    pub fn message_tag(mut self, tag: impl Into<String>) -> Self {
        if let Some(message) = &mut self.message {
            message.tag = Some(tag.into());
        }
        self
    }

    /// Sets the components that a signature must cover, instead of the method and the target. Anyone who has one
    /// genuine request can change what is not covered; for example, without the target, it can be sent to another
    /// route. The digest of a body is always required.
    #[cfg(feature = "message-signatures")]
    pub fn insecure_message_components<N: Into<String>>(mut self, components: impl IntoIterator<Item = N>) -> Self {
        if let Some(message) = &mut self.message {
            message.components = Some(components.into_iter().map(Into::into).collect());
        }
        self
    }

    /// Requires a claim of the token to have this value.
    pub fn claim(mut self, name: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        self.claims.push((name.into(), Some(text.into())));
        self
    }

    /// Requires a claim of the token, with any value.
    pub fn required_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.claims.push((name.into(), None));
        self
    }

    /// Claims of the token whose text only the application knows; see
    /// [`with_claim`](crate::WebhookLayer::with_claim).
    pub(crate) fn claims_of_application(mut self, names: &'static [&'static str]) -> Self {
        self.claims_of_application = names;
        self
    }

    /// Requires a claim of the token to be the URL that the sender called, which starts with that of
    /// [`with_public_url`](crate::WebhookLayer::with_public_url).
    pub fn url_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.url_claim = Some((name.into(), UrlClaim::Itself));
        self
    }

    /// Sets the place of the body's SHA-256, in hexadecimal digits: a claim, or a signed header or query parameter. It
    /// is compared in constant time, and must be present. If the fields of a form are signed (`{fields}`), it is
    /// required only for bodies that are not forms.
    pub fn hex_digest(mut self, field: Field) -> Self {
        self.digest = Some((field, Encoding::Hex));
        self
    }

    /// As [`hex_digest`](Self::hex_digest), in base64 with padding.
    pub fn base64_digest(mut self, field: Field) -> Self {
        self.digest = Some((field, Encoding::Base64));
        self
    }

    /// As [`hex_digest`](Self::hex_digest), in base64url.
    pub fn base64url_digest(mut self, field: Field) -> Self {
        self.digest = Some((field, Encoding::Base64Url));
        self
    }

    /// Declares that the secret is the key in base64. Without one of these methods the secret's text is the key.
    pub fn key_base64(mut self) -> Self {
        self.key_form = KeyForm::Base64;
        self
    }

    /// Declares that the secret is the key in hexadecimal digits.
    pub fn key_hex(mut self) -> Self {
        self.key_form = KeyForm::Hex;
        self
    }

    /// Declares that the secret has the form of Standard Webhooks: `whsec_`, which may be missing, and base64.
    pub fn key_standard_webhooks(mut self) -> Self {
        self.key_form = KeyForm::StandardWebhooks;
        self
    }

    /// Declares that the sender's secrets begin with this text, which is not a part of the key: it is stripped, if it
    /// is present, before the rest is read.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::Scheme;
    ///
    /// // The key of `acme_5257a8…` is the bytes that its hexadecimal digits encode.
    /// Scheme::hmac_sha256()
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .signs("{body}")
    ///     .key_prefix("acme_")
    ///     .key_hex()
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn key_prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.key_prefix = Some(prefix.into());
        self
    }

    /// Sets the place, in a header or the query, where a request names the key that signed it. A secret can then be
    /// written with the id of its key, as `id:secret`, and is only tried with requests that name this id; a secret
    /// without an id is tried with all requests. A request that does not name a key is rejected. The id is not signed.
    pub fn key_id(mut self, field: Field) -> Self {
        self.key_id = Some(field);
        self
    }

    /// Declares that the sender removes these texts from a secret, wherever they occur and in this order, before it
    /// reads the rest; for example dashes between groups of digits.
    pub fn key_without<T: Into<String>>(mut self, texts: impl IntoIterator<Item = T>) -> Self {
        self.key_without.extend(texts.into_iter().map(Into::into));
        self
    }

    /// Declares that the sender's secrets begin with this text, which is a part of the key. Nothing is stripped or
    /// rejected because of it: it only allows a [`Hint`](crate::error::Hint) to say that a secret which does not match
    /// looks like that of another sender. See [`key_prefix`](Self::key_prefix) for a prefix that is not a part of the
    /// key.
    pub fn expects_secret_prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.secret_prefix = Some(prefix.into());
        self
    }

    /// Sets how many characters the sender's secrets have, for the same purpose.
    pub fn secret_length(mut self, characters: usize) -> Self {
        self.secret_length = Some(characters);
        self
    }

    /// Declares that a secret which begins with `whsec_` has the form of Standard Webhooks; the text of any other
    /// secret is the key.
    pub fn key_standard_webhooks_or_text(mut self) -> Self {
        self.key_form = KeyForm::StandardWebhooksOrText;
        self
    }

    /// Declares that the secret is a public key in the form of Standard Webhooks: `whpk_` and base64. The prefix is
    /// required, since a private key without its prefix could otherwise be accepted as a public one.
    #[cfg(feature = "asymmetric")]
    pub fn key_standard_webhooks_public(mut self) -> Self {
        self.key_form = KeyForm::StandardWebhooksPublic;
        self
    }

    /// Declares that the secret is a public key as SubjectPublicKeyInfo (RFC 5280), for ECDSA and RSA: PEM,
    /// `-----BEGIN PUBLIC KEY-----`, or the same base64 without its lines.
    #[cfg(feature = "asymmetric")]
    pub fn key_pem(mut self) -> Self {
        self.key_form = KeyForm::PublicKeyInfo;
        self
    }

    // Freshness.

    /// Sets the place of the signed timestamp. It must be in the signed text, or in a body that is signed.
    pub fn timestamp(mut self, field: Field) -> Self {
        self.timestamp = Some(field);
        self
    }

    /// Sets the unit of the timestamp; [`Seconds`](TimestampUnit::Seconds) by default.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{
    ///     Scheme,
    ///     scheme::{Field, TimestampUnit},
    /// };
    ///
    /// Scheme::hmac_sha256()
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .timestamp(Field::header("x-acme-timestamp"))
    ///     .unit(TimestampUnit::Milliseconds)
    ///     .signs("{timestamp}.{body}")
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn unit(mut self, unit: TimestampUnit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Sets how far the timestamp may be from the current time, in either direction; 5 minutes by default.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = Some(Some(tolerance));
        self
    }

    /// Accepts any timestamp: a recorded delivery can be replayed forever, unless the application sets a window with
    /// [`with_tolerance`](crate::Scheme::with_tolerance).
    pub fn insecure_no_replay_window(mut self) -> Self {
        self.tolerance = Some(None);
        self
    }

    /// Sets how a timestamp in a JSON body is written: as a number, as a string, or as either, which is the default.
    /// With one of the two named, the other is rejected as malformed.
    pub fn timestamp_json(mut self, form: JsonForm) -> Self {
        self.timestamp_json = Some(form);
        self
    }

    // What the delivery says about itself.

    /// Sets the place of the delivery's id, which must be the same on every attempt.
    pub fn id(mut self, field: Field) -> Self {
        self.id = Some(field);
        self
    }

    /// Sets the place of the event type.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// // X-Acme-Event: issues and {"action":"opened"} are `issues.opened`.
    /// Scheme::hmac_sha256()
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .signs("{body}")
    ///     .event_type(Field::header("x-acme-event").joined(Field::json("/action")))
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn event_type(mut self, field: Field) -> Self {
        self.event_type = Some(field);
        self
    }

    /// Sets the place of the version of the sender's API.
    pub fn api_version(mut self, field: Field) -> Self {
        self.api_version = Some(field);
        self
    }

    /// Sets the place of the sender's count of attempts, and its value on the first attempt.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// // X-Acme-Retry: 0 is the first attempt, for which `Delivery::attempt` is 1.
    /// Scheme::hmac_sha256()
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .signs("{body}")
    ///     .attempt(Field::header("x-acme-retry"), 0)
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn attempt(mut self, field: Field, first: u32) -> Self {
        self.attempt = Some((field, first));
        self
    }

    /// Sets the place that distinguishes live data from test data, and its value for live data.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{Scheme, Secret, Secrets, WebhookLayer, scheme::Field};
    ///
    /// let scheme = Scheme::hmac_sha256()
    ///     .name("acme")
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .signs("{body}")
    ///     .live(Field::json("/livemode"), "true")
    ///     .build()?;
    ///
    /// // A secret for test data then passes deliveries without live data alone.
    /// let secrets = Secrets::new(Secret::new("the live secret of acme")?).and_test(Secret::new("the test secret of acme")?);
    /// WebhookLayer::try_new(scheme, secrets)?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn live(mut self, field: Field, value: impl Into<Cow<'static, str>>) -> Self {
        self.live = Some((field, value.into()));
        self
    }

    /// Sets the place of the sender's account that an event is about, for
    /// [`Delivery::account`](crate::Delivery::account).
    pub fn account(mut self, field: Field) -> Self {
        self.account = Some(field);
        self
    }

    /// Declares that the sender signs for all its customers with the same key. The layer then needs
    /// [`with_account`](crate::WebhookLayer::with_account), and rejects the messages of other accounts. The field of
    /// [`account`](Self::account) must be signed. It cannot be combined with [`batch`](Self::batch).
    ///
    /// ```
    /// # #[cfg(feature = "asymmetric")] {
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// let scheme = Scheme::rsa_sha256().header("x-acme-signature").base64().key_pem().signs("{body}")
    ///     .account(Field::json("/subscription_id"))
    ///     .shared_key()
    ///     .build()?;
    /// assert!(scheme.needs_account());
    /// # }
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn shared_key(self) -> Self {
        self.shared_key_of(|wanted, found| wanted == found)
    }

    /// Like [`shared_key`](Self::shared_key), if an account can be written in more than one way.
    pub(crate) fn shared_key_of(mut self, is_same: SameAccount) -> Self {
        self.shared_key = Some(is_same);
        self
    }

    /// Sets the place of the payload in the JSON body; the whole body by default. If an event does not have this place,
    /// a handler that takes the payload does not run: the answer is 422.
    pub fn payload(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        (self.payload, self.or_envelope) = (pointer.into(), false);
        self
    }

    /// Sets the place of the payload in the JSON body, for a sender that also has events without this place: their
    /// payload is the envelope, which is the whole body.
    pub fn payload_or_envelope(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        (self.payload, self.or_envelope) = (pointer.into(), true);
        self
    }

    /// Sets how forms (`application/x-www-form-urlencoded`) are read, for a sender that posts them, with or without
    /// JSON as well. The signature covers the raw form.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{
    ///     Scheme,
    ///     scheme::{Field, Form},
    /// };
    ///
    /// // payload=%7B%22id%22%3A…
    /// Scheme::hmac_sha256()
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .signs("{body}")
    ///     .form(Form::json("payload"))
    ///     .id(Field::json("/id"))
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn form(mut self, form: Form) -> Self {
        self.form = Some(form);
        self
    }

    /// Sets the place of the array in the JSON body, for a sender that puts several deliveries into one request. The
    /// handler runs once for each item, in order. The request is answered with a success if all of them succeed,
    /// otherwise with the first failure.
    ///
    /// JSON pointers of [`id`](Self::id), [`event_type`](Self::event_type), [`payload`](Self::payload) and the like are then
    /// those of an item. An id that is not in the item is ignored.
    ///
    /// # Examples
    /// ```
    /// use tower_webhooks::{Scheme, scheme::Field};
    ///
    /// // {"events":[{"id":"1","type":"opened","data":{…}},{"id":"2",…}]}
    /// Scheme::hmac_sha256()
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .signs("{body}")
    ///     .batch("/events")
    ///     .id(Field::json("/id"))
    ///     .event_type(Field::json("/type"))
    ///     .payload("/data")
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn batch(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        self.batch = Some(pointer.into());
        self
    }

    // What is answered.

    /// Adds a handshake.
    pub fn handshake(mut self, handshake: Handshake) -> Self {
        self.handshakes.push(handshake);
        self
    }

    /// Sets the methods of deliveries; POST by default. The methods of handshakes do not have to be included.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Sets the answer that the provider requires for a delivery that the crate itself acknowledges. By default the
    /// answer is 200 with the reason in its body.
    ///
    /// # Examples
    /// ```
    /// use http::StatusCode;
    /// use tower_webhooks::{Scheme, scheme::Answer};
    ///
    /// Scheme::hmac_sha256()
    ///     .header("x-acme-signature")
    ///     .hex()
    ///     .signs("{body}")
    ///     .success(Answer::new(StatusCode::ACCEPTED).json(r#"{"received":true}"#))
    ///     .build()?;
    /// # Ok::<(), tower_webhooks::ConfigError>(())
    /// ```
    pub fn success(mut self, answer: Answer) -> Self {
        self.success = Some(answer);
        self
    }

    /// Sets the status of the response if authentication fails; 401 by default.
    pub fn rejected(mut self, status: StatusCode) -> Self {
        self.rejected = status;
        self
    }

    /// Sets the size of the largest body that the provider sends, in bytes; 1 MiB by default.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets how long the provider may retry a delivery, if that is longer than the 7 days for which an id is kept
    /// anyway.
    pub fn retries_for(mut self, span: Duration) -> Self {
        self.retention = Some(span);
        self
    }

    /// Declares that no two events of this sender have equal bodies, so that a delivery without an id can be identified
    /// by its body. Use it only if the sender's documentation shows this: the body contains a time in milliseconds, or
    /// a unique name of the event.
    ///
    /// Without it, idempotency runs a delivery without an id each time that it arrives, unless the application chooses
    /// otherwise (`IdempotencyLayer::with_missing_id`): an event that runs twice can be detected, but an event that is
    /// mistaken for a duplicate is lost.
    pub fn bodies_are_unique(mut self) -> Self {
        self.unique_bodies = true;
        self
    }

    /// Declares that the sender signs the encoded bytes, so that a body with a `Content-Encoding` is accepted. It is
    /// not decoded.
    pub fn signs_encoded_bodies(mut self) -> Self {
        self.encoded_bodies = true;
        self
    }

    /// A request names the URL of the certificate that it was signed with, which may be in the body. `is_own` says which URLs are those
    /// of the sender's certificates; a request that names another one is rejected.
    pub(crate) fn key_url(mut self, field: Field, is_own: fn(&str) -> bool) -> Self {
        self.key_id = Some(field);
        self.key_url = Some(is_own);
        self
    }

    /// A header must be there and have this value.
    pub(crate) fn required_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.required_headers.push((name, value));
        self
    }

    /// Sets the signed text, where no template expresses it.
    pub(crate) fn signs_parts(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.parts = Some(parts.into_iter().collect());
        self
    }

    /// The signed scalar at this place may hold anything, also what ends it: the text is read from both sides of it.
    pub(crate) fn free(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        self.free = Some(pointer.into());
        self
    }

    /// A body without a byte needs no digest.
    pub(crate) fn digest_unless_empty(mut self) -> Self {
        self.empty_without_digest = true;
        self
    }

    /// A token may also be signed with one of these MACs and the same key.
    pub(crate) fn jwt_macs(mut self, macs: &'static [MacAlgorithm]) -> Self {
        self.jwt_macs = macs;
        self
    }

    /// A claim is the SHA-256 of the URL in hexadecimal digits.
    pub(crate) fn url_digest_claim(mut self, name: &'static str) -> Self {
        self.url_claim = Some((Cow::Borrowed(name), UrlClaim::HexDigest));
        self
    }

    /// Each item of the array at this place has a signature of its own. What is signed, and the signature, are looked for in an item.
    pub(crate) fn signs_items(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        self.items = Some(pointer.into());
        self
    }

    /// The sender may sign the URL with the port that its scheme has anyway.
    pub(crate) fn either_port(mut self) -> Self {
        self.either_port = true;
        self
    }

    /// The sender sends only forms.
    pub(crate) fn forms_alone(mut self, form: Form) -> Self {
        self.forms_alone = true;
        self.form(form)
    }

    /// The signed text contains the whole event, but not the whole body.
    pub(crate) fn signs_whole_event(mut self) -> Self {
        self.whole_event = true;
        self
    }

    /// The SHA-1 digest of the secret's text is the key.
    pub(crate) fn key_sha1(mut self) -> Self {
        self.key_form = KeyForm::Sha1;
        self
    }

    /// Of the keys the first one that a header has counts alone: no weaker signature rescues a wrong stronger one.
    pub(crate) fn first_key_alone(mut self) -> Self {
        self.grammar.first_key_alone = true;
        self
    }

    /// The keys of the pairs are the ids of secrets. A secret is written with its id, as `id:secret`; one without an id is tried with each pair.
    pub(crate) fn keys_are_ids(mut self) -> Self {
        self.grammar.keys_are_ids = true;
        self
    }

    /// The sender signs JSON objects alone. Where its URL stands directly before the body, no text that it has signed can then be
    /// cut in another way, whatever body comes.
    pub(crate) fn json_alone(mut self) -> Self {
        self.json_alone = true;
        self
    }

    /// The sender's JSON has line breaks, so that a body without one is not as it was sent, unless it holds `mark`.
    pub(crate) fn indented_json_unless(mut self, mark: &'static str) -> Self {
        self.indented_json = Some(mark);
        self
    }
}
