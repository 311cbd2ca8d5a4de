use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    clock::millis,
    error::RandomnessError,
    net::identity::ClientIdentity,
    secret::{Secret, Secrets},
    send::{
        error::{SendError, SendErrorKind},
        message::style::Style,
        outbox::store::{endpoint::Sealed, ids::EndpointId},
        signing::{credentials::ClientCredentials, custom_headers::CustomHeaders, echoes::Echoes, seal::Sealer},
    },
    signature::{Encoding, PrivateKey},
};

/// The sealed part of an endpoint: its secrets and its own headers.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Profile {
    secrets: Vec<Kept>,
    headers: Vec<(String, String)>,
    /// Versions without identities have sealed nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<KeptIdentity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credentials: Option<KeptCredentials>,
}

/// How a token for the endpoint is obtained.
#[derive(Serialize, Deserialize)]
struct KeptCredentials {
    token_url: String,
    client_id: String,
    secret: String,
    scope: Option<String>,
}

/// The client certificate for the endpoint's receiver, in PEM.
#[derive(Serialize, Deserialize)]
struct KeptIdentity {
    certificates: String,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    secret: String,
    /// Milliseconds since the epoch.
    until: Option<u64>,
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.secrets.iter_mut().for_each(|kept| kept.secret.zeroize());
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
        self.identity.iter_mut().for_each(|kept| kept.key.zeroize());
        self.credentials.iter_mut().for_each(|kept| kept.secret.zeroize());
    }
}

impl Profile {
    pub(crate) fn new(secret: &Secret) -> Result<Self, SendError> {
        Ok(Self {
            secrets: vec![Kept { secret: text(secret)?, until: None }],
            headers: Vec::new(),
            identity: None,
            credentials: None,
        })
    }

    /// Makes `secret` the one that signs; those before it go on until `until`.
    pub(crate) fn rotate(&mut self, secret: &Secret, now: SystemTime, until: SystemTime) -> Result<(), SendError> {
        let (now, until) = (unix_millis(now), unix_millis(until));
        for kept in &mut self.secrets {
            kept.until = Some(kept.until.map_or(until, |before| before.min(until)));
        }
        self.secrets.retain(|kept| kept.until.is_some_and(|until| until > now));
        self.secrets.insert(0, Kept { secret: text(secret)?, until: None });
        self.secrets.truncate(MOST_SECRETS);
        Ok(())
    }

    /// Checks that every secret that still signs also has the form of another style, and drops those that have ended. A change
    /// between shared secrets and private keys is not possible, since the owner has a key of another kind.
    pub(crate) fn fit(&mut self, from: Style, to: Style, now: SystemTime) -> Result<(), SendError> {
        if from == to {
            return Ok(());
        }
        if [from, to].contains(&Style::StandardWebhooksV1a) {
            return Err(SendError::invalid(
                "an endpoint stays in the style `standard-webhooks-v1a`, and none comes to it: its key is of another kind; \
                 register another endpoint",
            ));
        }
        let now = unix_millis(now);
        self.secrets.retain(|kept| kept.until.is_none_or(|until| until > now));
        self.secrets
            .iter()
            .try_for_each(|kept| check_secret(to, &Secret::new(kept.secret.clone()).map_err(unreadable)?))
    }

    /// Returns what must not be kept if a receiver repeats it.
    pub(crate) fn echoes(&self) -> Echoes {
        let mut echoes = Echoes::default();
        self.secrets.iter().for_each(|kept| echoes.secret(kept.secret.as_bytes()));
        self.headers.iter().for_each(|(name, value)| echoes.header(name, value.as_bytes()));
        self.credentials.iter().for_each(|kept| echoes.secret(kept.secret.as_bytes()));
        echoes
    }

    pub(crate) fn set_headers(&mut self, headers: &CustomHeaders) {
        self.headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
    }

    pub(crate) fn set_identity(&mut self, identity: Option<&ClientIdentity>) -> Result<(), SendError> {
        // What is replaced is wiped.
        self.identity.iter_mut().for_each(|kept| kept.key.zeroize());
        let kept = |identity: &ClientIdentity| {
            let (certificates, key) = identity.pem();
            let not_text = |_| SendError::invalid("the client's identity is not text").with_field("client_identity");
            let certificates = String::from_utf8(certificates.to_vec()).map_err(not_text)?;
            Ok::<_, SendError>(KeptIdentity { certificates, key: text(key)? })
        };
        self.identity = identity.map(kept).transpose()?;
        Ok(())
    }

    pub(crate) fn set_credentials(&mut self, credentials: Option<&ClientCredentials>) -> Result<(), SendError> {
        // What is replaced is wiped.
        self.credentials.iter_mut().for_each(|kept| kept.secret.zeroize());
        let kept = |credentials: &ClientCredentials| {
            Ok::<_, SendError>(KeptCredentials {
                token_url: credentials.token_url.as_str().to_owned(),
                client_id: credentials.client_id.clone(),
                secret: text(&credentials.secret)?,
                scope: credentials.scope.clone(),
            })
        };
        self.credentials = credentials.map(kept).transpose()?;
        Ok(())
    }

    /// Returns `true` if the endpoint has credentials and also its own `Authorization` header.
    pub(crate) fn authorizes_twice(&self) -> bool {
        self.credentials.is_some() && self.headers.iter().any(|(name, _)| name == "authorization")
    }

    pub(crate) fn credentials(&self) -> Result<Option<ClientCredentials>, SendError> {
        let load = |kept: &KeptCredentials| {
            let secret = Secret::new(kept.secret.clone()).map_err(unreadable)?;
            let credentials = ClientCredentials::new(&kept.token_url, &*kept.client_id, secret).map_err(unreadable)?;
            match &kept.scope {
                Some(scope) => credentials.scope(&**scope).map_err(unreadable),
                None => Ok(credentials),
            }
        };
        self.credentials.as_ref().map(load).transpose()
    }

    pub(crate) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    pub(crate) fn identity(&self) -> Result<Option<ClientIdentity>, SendError> {
        let load = |kept: &KeptIdentity| {
            let key = Secret::new(kept.key.clone()).map_err(unreadable)?;
            ClientIdentity::from_pem(kept.certificates.as_str(), key).map_err(unreadable)
        };
        self.identity.as_ref().map(load).transpose()
    }

    pub(crate) fn secrets(&self) -> Result<Secrets, SendError> {
        let mut secrets = Secrets::none();
        for kept in &self.secrets {
            let secret = Secret::new(kept.secret.clone()).map_err(unreadable)?;
            secrets = match kept.until {
                None => secrets.and(secret),
                Some(until) => secrets.and_until(secret, UNIX_EPOCH + Duration::from_millis(until)),
            };
        }
        Ok(secrets)
    }

    pub(crate) fn headers(&self) -> Result<CustomHeaders, SendError> {
        let mut headers = CustomHeaders::default();
        for (name, value) in &self.headers {
            headers.insert(name, value).map_err(unreadable)?;
        }
        Ok(headers)
    }

    pub(crate) fn seal(&self, sealer: &Sealer, id: EndpointId) -> Result<Sealed, SendError> {
        let plain = Zeroizing::new(serde_json::to_vec(self).map_err(unreadable)?);
        sealer.seal(id, &plain)
    }

    pub(crate) fn open(sealer: &Sealer, id: EndpointId, sealed: &Sealed) -> Result<Self, SendError> {
        serde_json::from_slice(&sealer.open(id, sealed)?).map_err(unreadable)
    }
}

/// Returns the secret that the owner has chosen, if it is strong enough, or a new one.
pub(crate) fn chosen_or_random(style: Style, chosen: Option<Secret>) -> Result<Secret, SendError> {
    match chosen {
        Some(secret) => check_secret(style, &secret).map(|()| secret).map_err(|error| error.with_field("secret")),
        None => random_secret(style),
    }
}

/// Creates a random secret: `whsec_` and 32 random bytes in base64, or `whsk_` and the seed of a private key.
fn random_secret(style: Style) -> Result<Secret, SendError> {
    let mut bytes = Zeroizing::new([0; 32]);
    RandomnessError::fill(&mut *bytes).map_err(SendError::randomness)?;
    let prefix = if style == Style::StandardWebhooksV1a { "whsk_" } else { "whsec_" };
    Secret::new(format!("{prefix}{}", Encoding::Base64.encode(&*bytes))).map_err(unreadable)
}

/// Returns what the owner is shown: the secret, or the public key of a private key. The private key itself is never shown.
pub(crate) fn shown_secret(style: Style, secret: &Secret) -> Result<Secret, SendError> {
    match style {
        Style::StandardWebhooksV1a => {
            let key = PrivateKey::parse(secret.expose()).map_err(unreadable)?;
            Secret::new(key.public_text()).map_err(unreadable)
        }
        Style::StandardWebhooks | Style::XWebhook => Ok(secret.clone()),
    }
}

/// Checks a secret that an endpoint's owner chose: 24 to 64 bytes, in the form of the style. Nobody can
/// choose a private key: whoever has seen it can sign.
fn check_secret(style: Style, secret: &Secret) -> Result<(), SendError> {
    let text = secret.expose();
    let length = match style {
        Style::StandardWebhooksV1a => {
            return Err(SendError::invalid(
                "no secret can be chosen in the style `standard-webhooks-v1a`: a private key is drawn, and its public key shown",
            ));
        }
        Style::XWebhook => std::str::from_utf8(text).ok().map(str::len),
        _ => {
            let text = text.strip_prefix(b"whsec_").unwrap_or(text);
            Encoding::Base64.decode(text).map(|key| Zeroizing::new(key).len())
        }
    };
    match length {
        Some(24..=64) => Ok(()),
        Some(_) => Err(SendError::invalid("the secret has to be 24 to 64 bytes long")),
        None => Err(SendError::invalid("the secret is not base64 after an optional `whsec_`")),
    }
}

fn text(secret: &Secret) -> Result<String, SendError> {
    let text = std::str::from_utf8(secret.expose());
    text.map(str::to_owned).map_err(|_| SendError::invalid("the secret is not text"))
}

fn unix_millis(at: SystemTime) -> u64 {
    u64::try_from(millis(at.duration_since(UNIX_EPOCH).unwrap_or_default())).unwrap_or_default()
}

/// The cause may quote the text that could not be read, which may be a secret, so it is dropped.
fn unreadable<E>(_: E) -> SendError {
    SendError::new(SendErrorKind::Sealing, "an endpoint's secrets or headers are not in the form that they are kept in")
}

/// Receivers look at no more signatures than this.
const MOST_SECRETS: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Profile, check_secret, random_secret};
    use crate::{
        secret::Secret,
        send::{error::SendErrorKind, message::style::Style, outbox::store::ids::EndpointId, signing::seal::Sealer},
    };

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    #[test]
    fn a_chosen_secret_is_24_to_64_bytes_in_the_form_of_its_style() {
        for (text, style, fits) in [
            ("abc", Style::XWebhook, false),
            (&*"k".repeat(23), Style::XWebhook, false),
            (&*"k".repeat(24), Style::XWebhook, true),
            (&*"k".repeat(64), Style::XWebhook, true),
            (&*"k".repeat(65), Style::XWebhook, false),
            ("whsec_AAAA", Style::StandardWebhooks, false),
            (&*"AAAA".repeat(8), Style::StandardWebhooks, true),
            (&*format!("whsec_{}", "AAAA".repeat(21)), Style::StandardWebhooks, true),
            (&*"AAAA".repeat(22), Style::StandardWebhooks, false),
            (&*"AAAA".repeat(400_000), Style::StandardWebhooks, false),
            ("not base64, but certainly long enough", Style::StandardWebhooks, false),
            (&*format!("whsk_{}=", "A".repeat(43)), Style::StandardWebhooksV1a, false),
        ] {
            let checked = check_secret(style, &secret(text));
            assert_eq!(checked.as_ref().err().map(|error| error.kind()), (!fits).then_some(SendErrorKind::Invalid));
        }
        assert!(check_secret(Style::StandardWebhooks, &random_secret(Style::StandardWebhooks).unwrap()).is_ok());
    }

    #[test]
    fn a_rotation_keeps_the_old_secret_until_the_overlap_ends() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut profile = Profile::new(&secret("one")).unwrap();
        profile.rotate(&secret("two"), at(0), at(100)).unwrap();
        assert_eq!(profile.secrets().unwrap().len(), 2);

        profile.rotate(&secret("three"), at(50), at(500)).unwrap();
        let ends: Vec<_> = profile.secrets().unwrap().entries().iter().map(|entry| entry.until).collect();
        assert_eq!(ends, [None, Some(at(500)), Some(at(100))]);

        profile.rotate(&secret("four"), at(200), at(200)).unwrap();
        assert_eq!(profile.secrets().unwrap().len(), 1);
    }

    #[test]
    fn a_profile_comes_back_as_it_was_sealed() {
        let id = EndpointId::random().unwrap();
        let mut profile = Profile::new(&secret("one")).unwrap();
        let mut headers = crate::send::CustomHeaders::default();
        headers.insert("x-team", "a team").unwrap();
        profile.set_headers(&headers);

        let sealed = profile.seal(&Sealer::default(), id).unwrap();
        let opened = Profile::open(&Sealer::default(), id, &sealed).unwrap();

        assert_eq!(opened.headers().unwrap(), headers);
        assert_eq!(opened.secrets().unwrap().entries()[0].secret.expose(), b"one");
    }
}
