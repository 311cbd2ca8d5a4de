use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};

use super::tag::{LONGEST, Tag};

/// The encoding of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Base64,
    Base64Url,
    Hex,
}

impl Encoding {
    /// Decodes a tag of exactly `length` bytes.
    ///
    /// Hex digits may be of either case: they are data, not algorithm names. Base64 is strict (RFC 4648 section 4, with
    /// its padding and with zero trailing bits), and so is base64url, with or without padding.
    pub(crate) fn decode_tag(self, text: &[u8], length: usize) -> Option<Tag> {
        // Decoders need space for the largest result of a text of this length, which is at most two bytes longer.
        let mut bytes = [0; LONGEST + 2];
        let encoding = self.strict(text);
        let room = encoding.decode_len(text.len()).ok()?;
        let decoded = encoding.decode_mut(text, bytes.get_mut(..room)?).ok()?;
        if decoded != length {
            return None;
        }
        Tag::new(&bytes[..decoded])
    }

    /// Decodes a signature of any length, as strictly as a tag.
    pub(crate) fn decode_signature(self, text: &[u8]) -> Option<Tag> {
        let bytes = self.strict(text).decode(text).ok()?;
        if bytes.is_empty() { None } else { Tag::new(&bytes) }
    }

    /// Returns the strict encoding, in which a signature can be written in only one way.
    fn strict(self, text: &[u8]) -> data_encoding::Encoding {
        match self {
            Self::Base64 => BASE64,
            Self::Base64Url if text.ends_with(b"=") => BASE64URL,
            Self::Base64Url => BASE64URL_NOPAD,
            Self::Hex => HEXLOWER_PERMISSIVE,
        }
    }

    /// Decodes bytes of any length.
    pub(crate) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Base64 => {
                // The padding of a key is often lost when it is copied.
                let unpadded = if text.len().is_multiple_of(4) {
                    text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text)
                } else {
                    text
                };
                BASE64_NOPAD.decode(unpadded)
            }
            Self::Base64Url => BASE64URL_NOPAD.decode(text.trim_ascii_end()),
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text),
        }
        .ok()
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64Url => BASE64URL_NOPAD.encode(bytes),
            Self::Hex => HEXLOWER.encode(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding;

    #[test]
    fn a_tag_has_one_length() {
        let hex = "00".repeat(32);

        assert!(Encoding::Hex.decode_tag(hex.as_bytes(), 32).is_some());
        assert!(Encoding::Hex.decode_tag(&hex.as_bytes()[2..], 32).is_none());
        assert!(Encoding::Hex.decode_tag(&hex.as_bytes()[1..], 32).is_none());
        assert!(Encoding::Hex.decode_tag(format!("{hex}00").as_bytes(), 32).is_none());
        assert!(Encoding::Hex.decode_tag("00".repeat(4096).as_bytes(), 32).is_none());
        assert!(Encoding::Hex.decode_tag("ä".repeat(32).as_bytes(), 32).is_none());
    }

    #[test]
    fn base64_of_a_tag_is_strict() {
        let text = Encoding::Base64.encode(&[0xff; 32]);

        assert!(Encoding::Base64.decode_tag(text.as_bytes(), 32).is_some());
        assert!(Encoding::Base64.decode_tag(text.trim_end_matches('=').as_bytes(), 32).is_none());
        assert!(Encoding::Base64.decode_tag(text.replace('/', "_").as_bytes(), 32).is_none());
        assert!(Encoding::Base64.decode_tag(format!("{text}\n").as_bytes(), 32).is_none());
        // The last character before the padding has four unused bits; they must be zero.
        let trailing_bits = text.replace("8=", "9=");
        assert_ne!(trailing_bits, text);
        assert!(Encoding::Base64.decode_tag(trailing_bits.as_bytes(), 32).is_none());
    }

    #[test]
    fn a_key_may_have_lost_its_padding_and_not_more() {
        assert_eq!(Encoding::Base64.decode(b"AAECAw==").as_deref(), Some(&[0, 1, 2, 3][..]));
        assert_eq!(Encoding::Base64.decode(b"AAECAw").as_deref(), Some(&[0, 1, 2, 3][..]));
        assert_eq!(Encoding::Base64.decode(b"="), None);
        assert_eq!(Encoding::Base64.decode(b"AAEC Aw=="), None);
    }
}
