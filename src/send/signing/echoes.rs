use bytes::{Bytes, BytesMut};
use zeroize::Zeroizing;

/// What a receiver could repeat in its answer: an endpoint's secrets, and the values of its own headers. What is kept of an
/// answer is also shown to people who must not see them.
#[derive(Default)]
pub(crate) struct Echoes(Vec<Zeroizing<Vec<u8>>>);

impl Echoes {
    /// Looks for a secret, with `whsec_` and without.
    pub(crate) fn secret(&mut self, text: &[u8]) {
        self.text(text);
        if let Some(text) = text.strip_prefix(b"whsec_") {
            self.text(text);
        }
    }

    /// Looks for the value of a header, and for what follows `Bearer` or the like in one.
    pub(crate) fn header(&mut self, name: &str, value: &[u8]) {
        self.text(value);
        if name == "authorization"
            && let Some(space) = value.iter().position(|byte| *byte == b' ')
        {
            self.text(&value[space + 1..]);
        }
    }

    fn text(&mut self, text: &[u8]) {
        if text.len() < SHORTEST {
            return;
        }
        self.0.push(text.to_vec().into());
        // Some writers of JSON escape every slash.
        let escaped: Vec<u8> =
            text.iter().flat_map(|byte| [b'\\', *byte].into_iter().skip(usize::from(*byte != b'/'))).collect();
        if escaped != text {
            self.0.push(escaped.into());
        }
        // If two begin alike, the longer one is removed.
        self.0.sort_by_key(|known| std::cmp::Reverse(known.len()));
    }

    /// Removes all of them, also one that is cut off at the end.
    pub(crate) fn take_out(&self, answer: Bytes) -> Bytes {
        let mut begins = [false; 256];
        self.0.iter().for_each(|known| begins[usize::from(known[0])] = true);
        let mut out: Option<BytesMut> = None;
        let (mut at, mut copied) = (0, 0);
        while at < answer.len() {
            let rest = &answer[at..];
            match begins[usize::from(rest[0])].then(|| self.length_at(rest)).flatten() {
                None => at += 1,
                Some(length) => {
                    let out = out.get_or_insert_with(|| BytesMut::with_capacity(answer.len()));
                    out.extend_from_slice(&answer[copied..at]);
                    out.extend_from_slice(b"[redacted]");
                    at += length;
                    copied = at;
                }
            }
        }
        match out {
            None => answer,
            Some(mut out) => {
                out.extend_from_slice(&answer[copied..]);
                out.freeze()
            }
        }
    }

    fn length_at(&self, rest: &[u8]) -> Option<usize> {
        let cut_off = |known: &[u8]| rest.len() >= SHORTEST && known.starts_with(rest);
        self.0.iter().find_map(|known| {
            if rest.starts_with(known) {
                return Some(known.len());
            }
            cut_off(known).then_some(rest.len())
        })
    }
}

/// Shorter texts occur in answers by chance.
const SHORTEST: usize = 8;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Echoes;

    #[test]
    fn what_an_endpoint_was_told_is_taken_out_wherever_it_stands() {
        let mut echoes = Echoes::default();
        echoes.secret(b"whsec_MfKQ9r8G/Yqr");
        echoes.header("authorization", b"Bearer token-of-the-gateway");
        echoes.header("x-team", b"a-team");
        echoes.header("x-key", b"token-of-the-gateway-and-more");

        for (answer, kept) in [
            ("", ""),
            ("nothing of it", "nothing of it"),
            ("MfKQ9r8G/Yqr", "[redacted]"),
            ("whsec_MfKQ9r8G/Yqr", "[redacted]"),
            (r#"{"a":"MfKQ9r8G\/Yqr","b":1}"#, r#"{"a":"[redacted]","b":1}"#),
            ("MfKQ9r8G/YqrMfKQ9r8G/Yqr.", "[redacted][redacted]."),
            ("Authorization: Bearer token-of-the-gateway.", "Authorization: [redacted]."),
            ("token-of-the-gateway.", "[redacted]."),
            ("token-of-the-gateway-and-more.", "[redacted]."),
            ("MfKQ9r8G/YqMfKQ9r8G/Yqr", "MfKQ9r8G/Yq[redacted]"),
            // It is cut off at the end of the kept bytes.
            ("the key is MfKQ9r8G", "the key is [redacted]"),
            ("the key is MfKQ9r8", "the key is MfKQ9r8"),
            ("a-team", "a-team"),
        ] {
            assert_eq!(echoes.take_out(Bytes::from_static(answer.as_bytes())), kept, "{answer}");
        }
        assert_eq!(Echoes::default().take_out(Bytes::from_static(b"ok")), "ok");
    }
}
