use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use url::form_urlencoded;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    boxed::BoxError,
    clock,
    net::identity::ClientIdentity,
    send::{
        attempt::{AttemptError, AttemptErrorKind, AttemptRequest, EndpointResponse, ResponseEnd, Transport},
        signing::credentials::ClientCredentials,
    },
    signature::Encoding,
};

/// The access token of one endpoint, at one revision of it (RFC 6749, section 4.4).
///
/// 1. Attempts that need a token at the same time share one request.
/// 2. It is kept until shortly before it expires, or until the endpoint answers 401 to it.
/// 3. What failed is not asked for again for some seconds.
pub(crate) struct Grant {
    credentials: ClientCredentials,
    kept: tokio::sync::Mutex<Kept>,
}

/// Times are by the monotonic clock.
enum Kept {
    Nothing,
    Token { value: HeaderValue, until: Duration },
    Failed { error: AttemptError, until: Duration },
}

impl Grant {
    pub(crate) fn new(credentials: ClientCredentials) -> Self {
        Self { credentials, kept: tokio::sync::Mutex::new(Kept::Nothing) }
    }

    /// Returns the value of the `Authorization` header. The request goes by the transport of deliveries: it is checked, dialled and limited as
    /// they are.
    pub(crate) async fn value(
        &self,
        transport: &dyn Transport,
        identity: Option<&ClientIdentity>,
        timeout: Duration,
    ) -> Result<HeaderValue, AttemptError> {
        if !transport.fetches_tokens() {
            return Err(
                AttemptError::new(AttemptErrorKind::Token).with_source("the transport fetches no access tokens")
            );
        }
        // Locked during the request, so that attempts that need a token at the same time share one request.
        let mut kept = self.kept.lock().await;
        let now = clock::monotonic();
        match &*kept {
            Kept::Token { value, until } if now < *until => return Ok(value.clone()),
            Kept::Failed { error, until } if now < *until => return Err(error.clone()),
            _ => {}
        }
        let mut request = self.request().timeout(timeout);
        request.identity = identity.cloned();
        let answer = transport.send(request).await;
        let read = match (answer.response(), answer.error()) {
            (Some(answer), _) => read(answer),
            (None, Some(error)) => Err(error.clone().into()),
            (None, None) => Err("no answer".into()),
        };
        match read {
            Ok((value, lives)) => {
                let until = clock::monotonic().saturating_add(lives);
                *kept = Kept::Token { value: value.clone(), until };
                Ok(value)
            }
            Err(cause) => {
                let error = AttemptError::new(AttemptErrorKind::Token).with_source(cause);
                let until = clock::monotonic().saturating_add(FAILED_FOR);
                *kept = Kept::Failed { error: error.clone(), until };
                Err(error)
            }
        }
    }

    /// Drops a token that the endpoint did not accept, if it is still the one that is kept.
    pub(crate) async fn refused(&self, value: &HeaderValue) {
        let mut kept = self.kept.lock().await;
        if matches!(&*kept, Kept::Token { value: current, .. } if current == value) {
            *kept = Kept::Nothing;
        }
    }

    fn request(&self) -> AttemptRequest {
        let ClientCredentials { token_url, client_id, secret, scope } = &self.credentials;
        // RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined, unlike in other uses of
        // `Basic`.
        let encoded = |bytes: &[u8]| Zeroizing::new(form_urlencoded::byte_serialize(bytes).collect::<String>());
        let pair = Zeroizing::new(format!("{}:{}", *encoded(client_id.as_bytes()), *encoded(secret.expose())));
        let basic = Zeroizing::new(format!("Basic {}", Encoding::Base64.encode(pair.as_bytes())));
        let mut basic = HeaderValue::from_str(&basic).expect("base64 is visible ASCII");
        basic.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, basic);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("grant_type", "client_credentials");
        if let Some(scope) = scope {
            body.append_pair("scope", scope);
        }
        AttemptRequest::new(token_url.clone(), headers, body.finish().into())
    }
}

/// A token and how it is used (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.access_token.zeroize();
    }
}

/// The error of a token request (section 5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Reads the answer of the token server. The errors contain nothing of it except a code of the standard.
fn read(answer: &EndpointResponse) -> Result<(HeaderValue, Duration), BoxError> {
    if !answer.status().is_success() {
        let refusal = serde_json::from_slice::<Refusal>(answer.start()).ok();
        let code = CODES.iter().find(|code| refusal.as_ref().is_some_and(|refusal| refusal.error == **code));
        let code = code.map(|code| format!(", `{code}`")).unwrap_or_default();
        return Err(format!("the token server answered {}{code}", answer.status().as_u16()).into());
    }
    if answer.end() != ResponseEnd::Whole {
        return Err("the token server's answer is too long, or was cut".into());
    }
    let token: Answer =
        serde_json::from_slice(answer.start()).map_err(|_| "the token server's answer is not a token")?;
    if !token.token_type.eq_ignore_ascii_case("bearer") {
        return Err("the token server's token is not a bearer token".into());
    }
    let is_token = |byte: u8| matches!(byte, b'!'..=b'~');
    if !(1..=LONGEST_TOKEN).contains(&token.access_token.len()) || !token.access_token.bytes().all(is_token) {
        return Err("the token server's token cannot be the value of a header".into());
    }
    let text = Zeroizing::new(format!("Bearer {}", token.access_token));
    let mut value = HeaderValue::from_str(&text)?;
    value.set_sensitive(true);
    let lives = token.expires_in.map_or(UNKNOWN_LIFE, Duration::from_secs).min(LONGEST_LIFE);
    Ok((value, lives - EARLY.min(lives / 2)))
}

const CODES: [&str; 6] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// How long before its expiry a token is replaced; half of its lifetime if that is less.
const EARLY: Duration = Duration::from_secs(60);

/// The assumed lifetime of a token without `expires_in`.
const UNKNOWN_LIFE: Duration = Duration::from_secs(300);

/// A token with a longer lifetime is replaced after this time.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a failure is remembered, so that the attempts of an endpoint do not send one failing request each.
const FAILED_FOR: Duration = Duration::from_secs(3);

const LONGEST_TOKEN: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::read;
    use crate::send::{EndpointResponse, ResponseEnd};

    fn answered(status: u16, body: &str) -> Result<(String, Duration), String> {
        let answer = EndpointResponse::new(StatusCode::from_u16(status).unwrap());
        let read = read(&answer.with_body(body.to_owned().into(), ResponseEnd::Whole));
        read.map(|(value, lives)| (value.to_str().unwrap().to_owned(), lives)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_its_end() {
        for (expires, kept) in [
            (r#","expires_in":3600"#, 3540),
            ("", 240),
            (r#","expires_in":60"#, 30),
            (r#","expires_in":9999999"#, 86_340),
        ] {
            let body = format!(r#"{{"access_token":"abc.DEF-1","token_type":"bearer"{expires}}}"#);
            assert_eq!(answered(200, &body).unwrap(), ("Bearer abc.DEF-1".to_owned(), Duration::from_secs(kept)));
        }
    }

    #[test]
    fn what_is_no_token_is_an_error_that_repeats_nothing_of_it() {
        for (status, body, word) in [
            (400, r#"{"error":"invalid_client"}"#, "400, `invalid_client`"),
            (400, r#"{"error":"a secret"}"#, "400"),
            (500, "a secret", "500"),
            (200, "a secret", "not a token"),
            (200, r#"{"access_token":"a secret","token_type":"Bearer"}"#, "header"),
            (200, r#"{"access_token":"","token_type":"Bearer"}"#, "header"),
            (200, r#"{"access_token":"secret","token_type":"mac"}"#, "bearer"),
            (302, "", "302"),
        ] {
            let error = answered(status, body).unwrap_err();
            assert!(error.contains(word) && !error.contains("secret"), "{error}");
        }
    }
}
