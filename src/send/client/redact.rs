use bytes::{Bytes, BytesMut};

/// Removes signing secrets from what an endpoint answered, since some receivers repeat their own configuration. What is kept of
/// an answer is also shown to people who must not know the secret.
pub(super) fn secrets(bytes: Bytes) -> Bytes {
    let Some(mut at) = find(&bytes) else { return bytes };
    let mut out = BytesMut::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    loop {
        out.extend_from_slice(&rest[..at + MARK.len()]);
        rest = &rest[at + MARK.len()..];
        let length = rest.iter().take_while(|byte| is_base64(**byte)).count();
        if length > 0 {
            out.extend_from_slice(b"[redacted]");
        }
        rest = &rest[length..];
        match find(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    out.freeze()
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MARK.len()).position(|window| window == MARK)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\' | b'%')
}

/// The prefix of every secret in the form of Standard Webhooks.
const MARK: &[u8] = b"whsec_";

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::secrets;

    #[test]
    fn a_secret_is_taken_out_wherever_it_stands() {
        for (answer, kept) in [
            ("", ""),
            ("ok", "ok"),
            ("whsec_", "whsec_"),
            ("whsec_MfKQ9r8GKYqr", "whsec_[redacted]"),
            (r#"{"a":"whsec_Mf+/==","b":1}"#, r#"{"a":"whsec_[redacted]","b":1}"#),
            ("whsec_a whsec_b whsec", "whsec_[redacted] whsec_[redacted] whsec"),
            ("whsec_whsec_a.", "whsec_[redacted]."),
            (r"whsec_MfK\/Q9", "whsec_[redacted]"),
        ] {
            assert_eq!(secrets(Bytes::from_static(answer.as_bytes())), kept, "{answer}");
        }
    }
}
