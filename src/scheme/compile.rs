use std::{borrow::Cow, sync::Arc};

use http::{HeaderName, Method};

use super::{
    builder::{DEFAULT_TOLERANCE, RawLocate, SchemeBuilder},
    content::{self, Listed, Part, Rule},
    cuts,
    freshness::{Freshness, JsonForm, TimestampUnit, WIDEST_WINDOW},
    grammar::MOST_CANDIDATES,
    handshake::{Handshake, is_in_challenges},
    jwt::Jwt,
    key_form::{KeyForm, KeyText},
    scheme::Scheme,
    settings::Settings,
    template::{Algorithm, BodyDigest, Locate, Needed, Template},
    texts::sns,
};
use crate::{
    delivery::{Coverage, Fact, Layout},
    error::{ConfigError, ConfigErrorKind},
    field::{Field, Place, Places, header_name, json_pointer},
    json::Pointer,
    signature::{MacAlgorithm, PublicAlgorithm},
};

impl SchemeBuilder {
    /// Checks the declaration and creates the scheme.
    ///
    /// # Errors
    /// If something is missing, or two declarations contradict each other; the message says which.
    pub fn build(self) -> Result<Scheme, ConfigError> {
        let places = |field: &Option<Field>| field.as_ref().map(Field::compile).transpose();
        let content = self.compile_content()?;
        let (timestamp, id) = (places(&self.timestamp)?, places(&self.id)?);
        let key_id = self.compile_key_id()?;
        let locate = self.compile_locate()?;
        if self.message.is_some() && (self.jwt || self.digest.is_some() || self.content.is_some()) {
            return Err(error(
                "the signature of an HTTP message says itself what it covers; take `.signs(…)` and its like away",
            ));
        }
        let coverage = self.check(&content, timestamp.as_ref(), id.as_ref())?;
        self.check_account(&content)?;
        let signs_challenges = self.signs_challenges(&content)?;
        let payload = json_pointer(&self.payload)?;
        let families = Template::families(&locate);
        check_families(families, timestamp.iter().chain(&id))?;

        let layout = self.layout(families, payload, id.clone())?;
        let digest = self.compile_digest(&content)?;
        let jwt = self.compile_jwt()?;
        let items = self.items.as_deref().map(json_pointer).transpose()?;
        let is_form = self.form.is_some();
        let deferred = is_deferred(&content, timestamp.as_ref(), id.as_ref());
        let unit = self.unit.unwrap_or(TimestampUnit::Seconds);
        let tolerance = self.tolerance.unwrap_or(Some(DEFAULT_TOLERANCE));
        let json = self.timestamp_json.unwrap_or(JsonForm::Either);
        let freshness = timestamp.map(|places| Freshness { places, unit, tolerance, json });
        let with_id = self.key_id.is_some() || self.grammar.keys_are_ids;
        let compile = |handshake: Handshake| handshake.compile(&self.methods);
        let handshakes = self.handshakes.into_iter().map(compile).collect::<Result<_, _>>()?;
        let rules = compile_rules(&content, freshness.as_ref(), &self.methods, self.free.as_deref(), is_form)?;
        Ok(Scheme::declared(Template {
            settings: Settings::default(),
            layout: Arc::new(layout),
            algorithm: self.algorithm,
            locate,
            every_line: self.every_line,
            grammar: self.grammar,
            encoding: self.encoding,
            key: KeyText {
                form: self.key_form,
                prefix: self.key_prefix.map(Cow::into_owned),
                with_id,
                without: self.key_without,
            },
            key_id,
            key_url: self.key_url,
            shared_key: self.shared_key,
            required_headers: self
                .required_headers
                .iter()
                .map(|(name, value)| Ok((header_name(name)?, *value)))
                .collect::<Result<_, ConfigError>>()?,
            secret_prefix: self.secret_prefix.map(Cow::into_owned),
            secret_length: self.secret_length,
            indented_json: self.indented_json,
            hashes_body: content.iter().any(|part| matches!(part, Part::Body)),
            jwt,
            message: self.message,
            digest,
            items,
            either_port: self.either_port,
            forms_alone: self.forms_alone,
            content,
            rules,
            json_alone: self.json_alone,
            deferred,
            freshness,
            id,
            coverage,
            signs_challenges,
            handshakes,
            methods: self.methods,
            success: self.success,
            rejected: self.rejected,
            body_limit: self.body_limit,
            retention: self.retention,
            unique_bodies: self.unique_bodies,
            encoded_bodies: self.encoded_bodies,
        }))
    }

    fn compile_content(&self) -> Result<Vec<Part>, ConfigError> {
        match &self.parts {
            Some(parts) => Ok(parts.clone()),
            None => Ok(self.content.as_deref().map(content::parse).transpose()?.unwrap_or_default()),
        }
    }

    /// Where a request names its key. In the body only a URL is one, since it is checked before anything is fetched.
    fn compile_key_id(&self) -> Result<Option<Places>, ConfigError> {
        let key_id = self.key_id.as_ref().map(Field::compile).transpose()?;
        let names_in_body = key_id.as_ref().is_some_and(|places| places.pointers().next().is_some());
        if names_in_body && self.key_url.is_none() {
            return Err(error(
                "the id of a key is looked for before the body is read; take a header or the query for it",
            ));
        }
        Ok(key_id)
    }

    /// Where the scheme keeps what it says about a delivery.
    fn layout(&self, families: usize, payload: Pointer, id: Option<Places>) -> Result<Layout, ConfigError> {
        let places = |field: &Option<Field>| field.as_ref().map(Field::compile).transpose();
        let mut layout = Layout::new(Arc::from(&*self.name), payload, families);
        if self.or_envelope {
            layout.set_or_envelope();
        }
        if let Some(form) = &self.form {
            layout.set_form(form.clone());
        }
        let facts = [
            (Fact::Account, places(&self.account)?),
            (Fact::ApiVersion, places(&self.api_version)?),
            (Fact::Attempt, self.attempt.as_ref().map(|(field, _)| field.compile()).transpose()?),
            (Fact::EventType, places(&self.event_type)?),
            (Fact::Id, id),
            (Fact::Mode, self.live.as_ref().map(|(field, _)| field.compile()).transpose()?),
        ];
        for (fact, places) in facts {
            if let Some(places) = places {
                layout.set(fact, places);
            }
        }
        if let Some(pointer) = &self.batch {
            layout.set_batch(json_pointer(pointer)?);
        }
        if let Some((_, first)) = &self.attempt {
            layout.set_first_attempt(*first);
        }
        if let Some((_, live)) = &self.live {
            layout.set_live(live.clone().into_owned());
        }
        Ok(layout)
    }

    /// Whether an unsigned challenge could be the signed text of a delivery, which then is looked at.
    fn signs_challenges(&self, content: &[Part]) -> Result<bool, ConfigError> {
        let same_mac = |handshake: &Handshake| {
            handshake.signs_for_anybody().is_some_and(|mac| self.algorithm == Algorithm::Mac(mac))
        };
        if !self.handshakes.iter().any(same_mac) {
            return Ok(false);
        }
        let is_apart = |part: &Part| matches!(part, Part::Literal(text) if !text.bytes().all(is_in_challenges));
        if content.iter().any(is_apart) {
            return Ok(false);
        }
        if self.whole_event || content.iter().any(|part| matches!(part, Part::Body)) {
            return Ok(true);
        }
        Err(error(
            "anybody could have a delivery signed by the unsigned challenge: its answer is made with the key that signs them, and \
             the signed text may be a challenge; add `.signed()` to the handshake",
        ))
    }

    fn compile_locate(&self) -> Result<Locate, ConfigError> {
        let names =
            |names: &[Cow<'static, str>]| names.iter().map(|name| header_name(name)).collect::<Result<Vec<_>, _>>();
        Ok(match &self.locate {
            Some(RawLocate::Headers(headers)) => Locate::Headers(names(headers)?),
            Some(RawLocate::EachHeader(headers)) if headers.is_empty() => {
                return Err(error("the list of signature headers is empty"));
            }
            Some(RawLocate::EachHeader(headers)) => Locate::EachHeader(names(headers)?),
            Some(RawLocate::Numbered(prefix)) => Locate::Numbered(
                (1..=MOST_CANDIDATES)
                    .map(|number| header_name(&format!("{prefix}{number}")))
                    .collect::<Result<Vec<HeaderName>, _>>()?,
            ),
            Some(RawLocate::Query(key)) => Locate::Query(key.clone().into_owned()),
            Some(RawLocate::Json(pointers)) => {
                Locate::Json(pointers.iter().map(|pointer| json_pointer(pointer)).collect::<Result<_, _>>()?)
            }
            None if self.algorithm == Algorithm::Unsigned => Locate::Query(String::new()),
            None => return Err(error("it does not say where the signature is; add `.header(\"…\")`")),
        })
    }

    fn compile_digest(&self, content: &[Part]) -> Result<Option<BodyDigest>, ConfigError> {
        if self.message.is_some() {
            let place = Place::Header(header_name("content-digest")?);
            return Ok(Some(BodyDigest { place, encoding: None, needed: Needed::UnlessEmpty }));
        }
        let Some((field, encoding)) = &self.digest else { return Ok(None) };
        let places = field.compile()?.places;
        let [place] = &places[..] else { return Err(error("the digest of the body has one place")) };
        let in_url = matches!(place, Place::Query(_)) && content.iter().any(|part| matches!(part, Part::Url));
        let in_head = !matches!(place, Place::Json(_) | Place::Nowhere);
        if !in_head || !in_url && !is_signed(content, place) {
            return Err(error(
                "the digest of the body is not signed, so that it proves nothing; put its place into the signed text",
            ));
        }
        let needed = if content.iter().any(|part| matches!(part, Part::Fields(_))) {
            Needed::BesideForms
        } else if self.empty_without_digest {
            Needed::UnlessEmpty
        } else {
            Needed::Always
        };
        Ok(Some(BodyDigest { place: place.clone(), encoding: Some(*encoding), needed }))
    }

    fn compile_jwt(&self) -> Result<Option<Jwt>, ConfigError> {
        let in_header = |field: &Option<Field>| {
            field.as_ref().map(Field::compile).transpose().is_ok_and(|places| {
                places.is_some_and(|places| places.places.iter().any(|place| matches!(place, Place::TokenHeader(_))))
            })
        };
        let asks = !self.claims.is_empty()
            || !self.claims_of_application.is_empty()
            || self.url_claim.is_some()
            || in_header(&self.key_id);
        if !self.jwt {
            return if asks { Err(error("claims are those of a token; add `.jwt()`")) } else { Ok(None) };
        }
        let algorithm = match self.algorithm {
            Algorithm::Mac(MacAlgorithm::Sha256) => "HS256",
            Algorithm::Mac(MacAlgorithm::Sha384) => "HS384",
            Algorithm::Mac(MacAlgorithm::Sha512) => "HS512",
            Algorithm::Public(PublicAlgorithm::EcdsaP256Fixed) => "ES256",
            Algorithm::Public(PublicAlgorithm::EcdsaP521Fixed) => "ES512",
            Algorithm::Public(PublicAlgorithm::Ed25519) => "EdDSA",
            Algorithm::Public(PublicAlgorithm::RsaSha256) => "RS256",
            Algorithm::Public(PublicAlgorithm::RsaSha512) => "RS512",
            _ => return Err(error("no token is signed with this algorithm")),
        };
        if !matches!(self.locate, Some(RawLocate::Headers(_))) || self.every_line || self.grammar.items.is_some() {
            return Err(error("a token stands alone in a header"));
        }
        let has_claims = !self.claims.is_empty() || !self.claims_of_application.is_empty() || self.url_claim.is_some();
        if self.detached.is_some() && (has_claims || self.digest.is_some()) {
            return Err(error("a detached signature has no claims; it signs the body itself"));
        }
        Ok(Some(Jwt {
            detached: self.detached,
            algorithm,
            others: self.jwt_macs,
            claims: self.claims.clone(),
            of_application: self.claims_of_application,
            url: self.url_claim.clone(),
        }))
    }

    /// Checks that the parts fit, and returns what the signature covers.
    fn check(
        &self,
        content: &[Part],
        timestamp: Option<&Places>,
        id: Option<&Places>,
    ) -> Result<Coverage, ConfigError> {
        let has = |wanted: fn(&Part) -> bool| content.iter().any(wanted);
        let signed = matches!(self.algorithm, Algorithm::Hash(_) | Algorithm::Mac(_) | Algorithm::Public(_));
        if signed && content.is_empty() {
            return Err(error("it does not say what is signed; add `.signs(\"{body}\")`"));
        }
        if !signed && !content.is_empty() {
            return Err(error("a token or an unsigned scheme signs nothing; take `.signs(…)` away"));
        }
        if signed && self.encoding.is_none() {
            return Err(error("it does not say how the signature is written; add `.hex()` or `.base64()`"));
        }
        self.check_keys(content)?;
        self.check_grammar(content, timestamp, id)?;
        if has(|part| matches!(part, Part::Id)) && id.is_none() {
            return Err(error("`{id}` needs `.id(…)`"));
        }
        let body = self.whole_event
            || self.digest.is_some()
            || self.message.is_some()
            || has(|part| matches!(part, Part::Body | Part::BodySha256 | Part::DetachedJws(_) | Part::Fields(_)));
        if has(|part| matches!(part, Part::Body)) && matches!(self.locate, Some(RawLocate::Json(_))) {
            return Err(error("a signature in the body cannot sign that body"));
        }
        if self.batch.is_some()
            && id.is_some_and(|places| places.places.iter().any(|place| !matches!(place, Place::Json(_))))
        {
            return Err(error("in a batch the id is in the item, or all items would have one id"));
        }
        let timestamp = self.check_timestamp(content, timestamp)?;
        // `{id}` is the first part of an id that is joined from two.
        let id_is_signed = id.is_some_and(|places| {
            let is_signed =
                |place: &Place| is_signed(content, place) || self.digest.is_some() && matches!(place, Place::Json(_));
            let first = has(|part| matches!(part, Part::Id)) || places.places.iter().all(is_signed);
            first && places.joined.iter().flat_map(|joined| &joined.places).all(is_signed)
        });
        Ok(Coverage { body, id: id_is_signed, timestamp })
    }

    /// Checks that an account that is compared is signed: anybody could write another one.
    fn check_account(&self, content: &[Part]) -> Result<(), ConfigError> {
        if self.shared_key.is_none() {
            return Ok(());
        }
        if self.batch.is_some() || self.items.is_some() {
            // The account is compared in the whole body, and a handler reads that of its item.
            return Err(error(
                "`.shared_key()` compares one account for the whole body; take `.batch(…)` or the items away",
            ));
        }
        let account = self.account.as_ref().map(Field::compile).transpose()?;
        let Some(account) = account.filter(|account| account.joined.is_none()) else {
            return Err(error("`.shared_key()` needs `.account(…)` with one field, which says whose message it is"));
        };
        let in_body =
            |place: &Place| matches!(place, Place::Json(_)) && (self.digest.is_some() || self.message.is_some());
        if account.places.iter().all(|place| in_body(place) || is_signed(content, place)) {
            return Ok(());
        }
        Err(error("the account is not signed, so that anybody could write another one; take `.shared_key()` away"))
    }

    /// Checks that algorithm, form of the key and handshakes fit.
    fn check_keys(&self, content: &[Part]) -> Result<(), ConfigError> {
        let is_public = matches!(self.algorithm, Algorithm::Public(_));
        let is_ed25519 = self.algorithm == Algorithm::Public(PublicAlgorithm::Ed25519);
        if is_public && !is_ed25519 && self.key_form != KeyForm::PublicKeyInfo {
            return Err(error("a public key of this algorithm is written as PEM; add `.key_pem()`"));
        }
        if self.key_form == KeyForm::PublicKeyInfo && (!is_public || is_ed25519) {
            return Err(error("`.key_pem()` is for public keys of ECDSA and RSA"));
        }
        if self.key_form == KeyForm::StandardWebhooksPublic && !is_ed25519 {
            return Err(error(
                "`.key_standard_webhooks_public()` is for `Scheme::ed25519()`: a public key is not a secret",
            ));
        }
        if is_public && self.handshakes.iter().any(Handshake::needs_secret) {
            return Err(error("a challenge is answered with a shared secret, and a public key is not secret"));
        }
        if matches!(self.algorithm, Algorithm::Hash(_)) != content.iter().any(|part| matches!(part, Part::Secret)) {
            return Err(error("`{secret}` stands in the signed text of a plain hash, and nowhere else"));
        }
        let reads_key = self.key_form != KeyForm::Utf8
            || self.key_prefix.is_some()
            || !self.key_without.is_empty()
            || self.key_id.is_some();
        if reads_key && matches!(self.algorithm, Algorithm::Hash(_) | Algorithm::Unsigned) {
            return Err(error("a plain hash holds the secret's text as it is; take `.key_…(…)` away"));
        }
        if self.key_prefix.as_deref().is_some_and(str::is_empty) {
            return Err(error("`.key_prefix(…)` needs a text"));
        }
        if self.key_without.iter().any(String::is_empty) {
            return Err(error("`.key_without(…)` needs texts"));
        }
        Ok(())
    }

    /// Checks that the signature header can be read as it is declared.
    fn check_grammar(
        &self,
        content: &[Part],
        timestamp: Option<&Places>,
        id: Option<&Places>,
    ) -> Result<(), ConfigError> {
        if !self.grammar.keys.is_empty() && self.grammar.pairs.is_none() {
            return Err(error("`.key(…)` needs `.pairs(…)`"));
        }
        let has_keys = !self.grammar.keys.is_empty() || self.grammar.keys_are_ids || self.grammar.any_key;
        if self.grammar.any_key && self.grammar.pairs.is_none() {
            return Err(error("`.any_key()` needs `.pairs(…)`"));
        }
        if self.grammar.first.is_some() && (self.grammar.items.is_none() || self.grammar.pairs.is_some()) {
            return Err(error("`.first_item(…)` needs `.items(…)`, and is for items without keys"));
        }
        if self.grammar.pairs.is_some() && !has_keys {
            return Err(error("`.pairs(…)` needs `.key(…)`, to tell which of them is the signature"));
        }
        let in_signature = |places: Option<&Places>| {
            places.is_some_and(|places| places.places.iter().any(|place| matches!(place, Place::Param(_))))
        };
        let in_content = content.iter().any(|part| matches!(part, Part::Param(_)));
        let has_params = self.grammar.pairs.is_some() || self.grammar.first.is_some() || self.message.is_some();
        if (in_content || in_signature(timestamp) || in_signature(id)) && !has_params {
            return Err(error("a parameter of the signature header needs `.pairs(…)`"));
        }
        Ok(())
    }

    /// Checks the declaration of the timestamp, and returns whether it is signed.
    fn check_timestamp(&self, content: &[Part], timestamp: Option<&Places>) -> Result<bool, ConfigError> {
        let body = content.iter().any(|part| matches!(part, Part::Body));
        let in_signed_body =
            |places: &Places| body && places.places.iter().all(|place| matches!(place, Place::Json(_)));
        let is_part = content.iter().any(|part| matches!(part, Part::Timestamp));
        let in_list = |places: &Places| {
            let is_time = |place: &Place| matches!(place, Place::Header(name) if name == "x-contentful-timestamp");
            content.iter().any(|part| matches!(part, Part::Listed(Listed::Contentful)))
                && places.places.iter().all(is_time)
        };
        let in_claims =
            |places: &Places| self.jwt && places.places.iter().all(|place| matches!(place, Place::Claim(_)));
        let in_message = |places: &Places| {
            content.iter().any(|part| matches!(part, Part::AwsSns | Part::MessageBase))
                && places.places.iter().all(|place| is_signed(content, place))
        };
        let is_signed = is_part
            || timestamp.is_some_and(in_message)
            || timestamp.is_some_and(|places| in_signed_body(places) || in_claims(places) || in_list(places));
        if is_part && timestamp.is_none() {
            return Err(error("`{timestamp}` needs `.timestamp(…)`"));
        }
        if timestamp.is_none() && (self.unit.is_some() || self.tolerance.is_some()) {
            return Err(error("a unit or a window is that of a timestamp; add `.timestamp(…)`"));
        }
        if self.timestamp_json.is_some() && timestamp.is_none_or(|places| places.pointers().next().is_none()) {
            return Err(error("`.timestamp_json(…)` is for a timestamp in the body; add `.timestamp(Field::json(…))`"));
        }
        if self.tolerance.flatten().is_some_and(|tolerance| tolerance > WIDEST_WINDOW) {
            return Err(error(
                "a window of more than 10 years does not reject recorded deliveries; declare `.insecure_no_replay_window()`",
            ));
        }
        if timestamp.is_some_and(|places| places.joined.is_some()) {
            return Err(error("a timestamp is one field; take `.joined(…)` away"));
        }
        if timestamp.is_some() && !is_signed {
            return Err(error(
                "the timestamp is not signed, so that it proves nothing; put `{timestamp}` into the signed text",
            ));
        }
        Ok(is_signed)
    }
}

/// The rules that keep the signed text from being cut in another way. `free` is the part of the body that may hold anything.
fn compile_rules(
    content: &[Part],
    freshness: Option<&Freshness>,
    methods: &[Method],
    free: Option<&str>,
    is_form: bool,
) -> Result<Vec<Rule>, ConfigError> {
    let free = free.map(json_pointer).transpose()?;
    let free =
        free.and_then(|free| content.iter().position(|part| matches!(part, Part::Json(other) if *other == free)));
    let rules = cuts::rules(content, freshness, methods, free).map_err(error)?;
    if is_form && rules.iter().any(|rule| matches!(rule, Rule::UrlBeforeBody(_))) {
        return Err(error(
            "a form directly after `{url}` in the signed text can begin like the rest of a URL: an attacker could move the boundary, \
             and the signature would stay valid; remove `.form(…)`, or add the text that the sender has between them",
        ));
    }
    Ok(rules)
}

/// Whether the signed text holds what is in a place.
fn is_signed(content: &[Part], place: &Place) -> bool {
    matches!(place, Place::Nowhere)
        || content.iter().any(|part| match (place, part) {
            (Place::Claim(_) | Place::TokenHeader(_), Part::Jwt)
            | (Place::TokenHeader(_), Part::DetachedJws(_))
            | (Place::Json(_), Part::Body | Part::DetachedJws(_) | Part::Fields(_)) => true,
            (Place::Json(pointer), Part::Json(signed)) => signed == pointer,
            (Place::Param(_), Part::MessageBase) => true,
            (Place::Json(pointer), Part::AwsSns) => sns::signs(pointer),
            (Place::Header(name), Part::Header(signed)) => signed == name,
            (Place::Param(key), Part::Param(signed)) | (Place::Query(key), Part::Query(signed)) => signed == key,
            _ => false,
        })
}

impl TryFrom<SchemeBuilder> for Scheme {
    type Error = ConfigError;

    fn try_from(builder: SchemeBuilder) -> Result<Self, ConfigError> {
        builder.build()
    }
}

/// Whether the signed text needs the whole body before its first byte can be hashed.
fn is_deferred(content: &[Part], timestamp: Option<&Places>, id: Option<&Places>) -> bool {
    let in_body = |places: Option<&Places>| places.is_some_and(|places| places.pointers().next().is_some());
    content.iter().any(|part| match part {
        Part::AwsSns
        | Part::BodyCrc32
        | Part::BodySha256
        | Part::DetachedJws(_)
        | Part::Fields(_)
        | Part::Json(_)
        | Part::JsonOrNothing(_) => true,
        Part::Id => in_body(id),
        Part::Timestamp => in_body(timestamp),
        _ => false,
    })
}

fn check_families<'p>(families: usize, fields: impl Iterator<Item = &'p Places>) -> Result<(), ConfigError> {
    for places in fields {
        let headers = places.places.iter().filter(|place| matches!(place, Place::Header(_))).count();
        if families > 1 && headers > 1 && places.places.len() != families {
            return Err(error("a field has as many headers as there are signature headers, or one"));
        }
    }
    Ok(())
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Scheme, format!("the scheme is invalid: {message}"))
}
