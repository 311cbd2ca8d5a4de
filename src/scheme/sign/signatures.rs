use http::HeaderValue;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Draft, FILLER, Shape};
use crate::{
    error::ConfigError,
    form,
    scheme::{
        arrived::Arrived,
        look::{Look, Piece, Render},
        template::{Algorithm, Locate},
    },
    secret::Secret,
    signature::{Encoding, MacState, PlainHash, PrivateKey, Tag},
};

impl Draft<'_> {
    pub(super) fn place_signatures(&mut self, secrets: &[Secret], tampered: bool) -> Result<(), ConfigError> {
        let template = self.template;
        if template.algorithm == Algorithm::Unsigned {
            return Ok(());
        }
        if let Some(jwt) = &template.jwt {
            let mut header = self.token_header.clone();
            header.insert("alg".to_owned(), jwt.algorithm.into());
            header.insert("typ".to_owned(), "JWT".into());
            let header = serde_json::Value::Object(header).to_string();
            let claims = match jwt.detached {
                Some(_) => String::new(),
                None => serde_json::Value::Object(self.claims.clone()).to_string(),
            };
            let part = |text: &str| Encoding::Base64Url.encode(text.as_bytes());
            // With a signature of some form, so that it is a token.
            self.token = format!("{}.{}", part(&header), part(&claims));
        }
        if let Some(message) = &template.message {
            let [secret] = secrets else {
                return Err(self.scheme.unsignable("a request of it has room for one signature"));
            };
            let has_digest = self.headers.contains_key("content-digest");
            let input = message.input(self.uri.query().is_some(), has_digest, &self.params);
            let header = |text: &str| {
                HeaderValue::from_str(text).map_err(|_| self.scheme.unsignable("it is not a valid header value"))
            };
            let (input, unsigned) = (header(&input)?, header(&format!("{}=:AAAA:", message.label()))?);
            self.headers.insert("signature-input", input);
            self.headers.insert("signature", unsigned);
            let signature = Encoding::Base64.encode(&self.signature(secret)?);
            let signed = HeaderValue::from_str(&format!("{}=:{signature}:", message.label()));
            self.headers
                .insert("signature", signed.map_err(|_| self.scheme.unsignable("it is not a valid header value"))?);
            if tampered {
                self.body.push(b' ');
            }
            return Ok(());
        }
        // Parameters of the signature header are looked up in it, so that it is there, unsigned, before the text is rendered.
        if let Some(name) = self.signature_header() {
            let is_named = template.jwt.is_some() || template.grammar.first_key_alone;
            let unsigned = is_named.then(|| "AAAA".to_owned());
            let value = self.header_value(unsigned.as_slice())?;
            self.headers.insert(name, value);
        }
        let tamper_body = tampered && template.coverage.body;
        let mut signatures = Vec::new();
        if template.grammar.keys_are_ids {
            let id = secrets.first().and_then(|secret| template.key.id(secret.expose())).unwrap_or(FILLER.as_bytes());
            self.secret_id = Some(String::from_utf8_lossy(id).into_owned());
        }
        for secret in secrets {
            let mut signature = self.signature(secret)?;
            if tampered && !tamper_body {
                spoil(&mut signature);
            }
            signatures.push(template.encoding.map_or_else(
                || String::from_utf8_lossy(&signature).into_owned(),
                |encoding| encoding.encode(&signature),
            ));
        }
        match &template.locate {
            Locate::Headers(names) => {
                let name = names[self.family].clone();
                if template.every_line && template.grammar.items.is_none() {
                    self.headers.remove(&name);
                    for signature in signatures {
                        let value = self.header_value(&[signature])?;
                        self.headers.append(name.clone(), value);
                    }
                } else {
                    let value = self.header_value(&signatures)?;
                    self.headers.insert(name, value);
                }
            }
            Locate::EachHeader(names) | Locate::Numbered(names) => {
                if signatures.len() > names.len() {
                    return Err(self.scheme.unsignable("it has fewer signature headers than there are secrets"));
                }
                for (name, signature) in names.iter().zip(signatures) {
                    let value = self.header_value(&[signature])?;
                    self.headers.insert(name.clone(), value);
                }
            }
            Locate::Query(key) => {
                let text = self.write(&signatures)?;
                self.add_query(key, &text)?;
            }
            Locate::Json(pointers) => {
                let text = self.write(&signatures)?;
                let pointer = self.pointer(&pointers[0]);
                match (self.shape, pointer.tokens()) {
                    (Shape::Fields, [name]) => {
                        self.body.extend_from_slice(if self.body.is_empty() { b"" } else { b"&" });
                        self.body.extend(form::write([(name.as_str(), text.as_bytes())]));
                    }
                    _ => self.edit_body(&pointer, text.into())?,
                }
            }
        }
        if tamper_body {
            // White space changes the bytes, and leaves JSON what it was: what then rejects is the signature.
            self.body.push(b' ');
        }
        Ok(())
    }

    /// The bytes of one secret's signature.
    fn signature(&self, secret: &Secret) -> Result<Vec<u8>, ConfigError> {
        let template = self.template;
        let key = match template.algorithm {
            // The receiver's secret is the public key, which cannot sign.
            Algorithm::Public(_) => Zeroizing::default(),
            _ => template.key.decode(secret.expose())?,
        };
        let item;
        let content = template.layout.form().map(|form| form.read(&self.body));
        let arrived = match &content {
            _ if template.signs_items() => {
                let pointer = template.items.clone().unwrap_or_default();
                let items = crate::json::payload::<Vec<&RawValue>>(&self.body, &pointer, &[]).ok();
                item =
                    items.and_then(|(items, _)| items?.first().map(|item| item.get().to_owned())).unwrap_or_default();
                Arrived::whole(self.head(), item.as_bytes())
            }
            Some(content) => Arrived::form(self.head(), &self.body, content),
            None => Arrived::whole(self.head(), &self.body),
        };
        let look = Look { template, arrived, family: self.family, timestamp: None, claims: None, with_port: false };
        let render = |sink: &mut dyn FnMut(Piece<'_>)| {
            look.render(Render::All, sink)
                .map_err(|cause| self.scheme.unsignable(&format!("{cause}")).with_source(cause))
        };
        let tag: Tag = match template.algorithm {
            Algorithm::Public(algorithm) => {
                let key = PrivateKey::parse_for(algorithm, secret.expose())?;
                let mut text = Vec::new();
                render(&mut |piece| {
                    if let Piece::Bytes(bytes) = piece {
                        text.extend_from_slice(bytes);
                    }
                })?;
                key.sign(&text)
            }
            Algorithm::Hash(algorithm) => {
                let mut hash = PlainHash::new(algorithm);
                render(&mut |piece| {
                    hash.update(match piece {
                        Piece::Bytes(bytes) => bytes,
                        Piece::Secret => secret.expose(),
                    });
                })?;
                hash.finish()
            }
            Algorithm::Mac(algorithm) => {
                let mut mac = MacState::new(algorithm, &key);
                render(&mut |piece| {
                    if let Piece::Bytes(bytes) = piece {
                        mac.update(bytes);
                    }
                })?;
                mac.finish()
            }
            Algorithm::Token => return Ok(key.to_vec()),
            Algorithm::Unsigned => return Ok(Vec::new()),
        };
        Ok(tag.as_bytes().to_vec())
    }

    pub(super) fn header_value(&self, signatures: &[String]) -> Result<HeaderValue, ConfigError> {
        let text = self.write(signatures)?;
        HeaderValue::from_str(&text).map_err(|_| self.scheme.unsignable("its signature does not fit into a header"))
    }

    /// Parameters and signatures by the scheme's grammar.
    fn write(&self, signatures: &[String]) -> Result<String, ConfigError> {
        let grammar = &self.template.grammar;
        let mut items = Vec::new();
        let before = grammar.before.as_deref().unwrap_or_default();
        if let Some(pairs) = &grammar.pairs {
            let id = self.secret_id.as_deref();
            items.extend(self.params.iter().map(|(key, text)| format!("{key}{pairs}{text}")));
            let of_any = grammar.any_key.then_some(FILLER);
            let key = id.or(grammar.keys.first().map(String::as_str)).or(of_any).unwrap_or_default();
            items.extend(signatures.iter().map(|signature| format!("{key}{pairs}{before}{signature}")));
        } else if self.template.jwt.is_some() {
            items.extend(signatures.iter().map(|signature| format!("{}.{signature}", self.token)));
        } else {
            items.extend(
                self.params.iter().filter(|(key, _)| grammar.first.as_ref() == Some(key)).map(|(_, text)| text.clone()),
            );
            items.extend(signatures.iter().map(|signature| format!("{before}{signature}")));
        }
        let separator = match &grammar.items {
            Some(separator) => separator.as_str(),
            None if items.len() > 1 => {
                return Err(self.scheme.unsignable("a request of it has room for one signature"));
            }
            None => "",
        };
        Ok(format!("{}{}", grammar.prefix.as_deref().unwrap_or_default(), items.join(separator)))
    }
}

/// Changes a signature into a wrong one of the same form.
fn spoil(signature: &mut [u8]) {
    if let Some(last) = signature.last_mut() {
        *last = if *last == b'x' { b'y' } else { b'x' };
    }
}
