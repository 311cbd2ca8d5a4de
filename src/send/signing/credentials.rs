use std::fmt;

use crate::{
    net::destination::{EndpointUrl, Origin},
    secret::Secret,
    send::error::SendError,
};

/// The credentials with which an access token for an endpoint is obtained: the client credentials grant of OAuth 2.0
/// (RFC 6749, section 4.4).
///
/// The worker asks the authorization server for an access token, with the client's id and secret in an
/// `Authorization: Basic` header (section 2.3.1), and sends it with each delivery as `Authorization: Bearer` (RFC
/// 6750). The destination policy for endpoints applies to the token server too.
///
/// ```
/// use tower_webhooks::{Secret, send::{ClientCredentials, NewEndpoint}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = Secret::new("the secret that the endpoint's owner has issued")?;
/// let credentials = ClientCredentials::new("https://login.example.com/token", "acme", secret)?.scope("webhooks")?;
/// let endpoint = NewEndpoint::new("https://example.com/hook")?.client_credentials(credentials);
/// # let _ = endpoint;
///
/// assert!(ClientCredentials::new("login.example.com", "acme", Secret::new("a")?).is_err());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ClientCredentials {
    pub(crate) token_url: EndpointUrl,
    pub(crate) client_id: String,
    pub(crate) secret: Secret,
    pub(crate) scope: Option<String>,
}

impl ClientCredentials {
    /// Creates credentials for a token server.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) when the URL is not one that an endpoint can have, the id is not 1 to 256 characters
    /// of visible ASCII and spaces, or the secret is not 1 to 1,024 of them.
    pub fn new(token_url: &str, client_id: impl Into<String>, secret: Secret) -> Result<Self, SendError> {
        let invalid = |field, text: String| SendError::invalid(text).with_field(format!("client_credentials/{field}"));
        let token_url = EndpointUrl::parse(token_url)
            .map_err(|cause| invalid("token_url", cause.to_string()).with_source(cause))?;
        let client_id = client_id.into();
        if !fits(client_id.as_bytes(), LONGEST_ID) {
            let text = "a client id is 1 to 256 characters of visible ASCII and spaces";
            return Err(invalid("client_id", text.to_owned()));
        }
        if !fits(secret.expose(), LONGEST_SECRET) {
            let text = "a client secret is 1 to 1,024 characters of visible ASCII and spaces";
            return Err(invalid("client_secret", text.to_owned()));
        }
        Ok(Self { token_url, client_id, secret, scope: None })
    }

    /// Sets the scope to request: names with a space between them.
    ///
    /// # Errors
    /// [`Invalid`](crate::send::SendErrorKind::Invalid) when it is not 1 to 1,024 characters of visible ASCII other than `"` and `\`, in names
    /// with one space between them (RFC 6749, section 3.3).
    pub fn scope(mut self, scope: impl Into<String>) -> Result<Self, SendError> {
        let scope = scope.into();
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\'))
        };
        if scope.len() > LONGEST_SCOPE || !scope.split(' ').all(is_name) {
            let text = "a scope is 1 to 1,024 characters of visible ASCII other than `\"` and `\\`, in names with one space between them";
            return Err(SendError::invalid(text).with_field("client_credentials/scope"));
        }
        self.scope = Some(scope);
        Ok(self)
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").field("token_url", &Origin(self.token_url.as_str())).finish_non_exhaustive()
    }
}

/// Returns `true` if an id or secret has the characters that RFC 6749 allows (appendix A).
fn fits(text: &[u8], most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

const LONGEST_ID: usize = 256;
const LONGEST_SECRET: usize = 1024;
const LONGEST_SCOPE: usize = 1024;
