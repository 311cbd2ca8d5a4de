use smallvec::SmallVec;

use crate::{
    error::{VerifyError, VerifyErrorKind},
    signature::Tag,
};

/// How a signature header is built: a prefix, then one value or a list, of values or of pairs.
#[derive(Debug, Clone)]
pub(crate) struct Grammar {
    /// Precedes the whole value once, as in `sha256=…`.
    pub(crate) prefix: Option<String>,
    /// Separates the items of a list.
    pub(crate) items: Option<String>,
    /// Also separates the items of a list.
    pub(crate) also_items: Option<String>,
    /// If the items have no keys: the name of the parameter that the first item is.
    pub(crate) first: Option<String>,
    /// Precedes each signature.
    pub(crate) before: Option<String>,
    /// Stands between key and value of an item.
    pub(crate) pairs: Option<String>,
    /// The keys whose values are signatures; all others are skipped.
    pub(crate) keys: Vec<String>,
    /// Whether the values of all keys are signatures.
    pub(crate) any_key: bool,
    /// Whether the keys are those of secrets: an item counts for the secret whose id is its key.
    pub(crate) keys_are_ids: bool,
    /// Whether the signatures of the first key that is there are the only ones that count.
    pub(crate) first_key_alone: bool,
    /// How many signatures are looked at.
    pub(crate) most: usize,
}

/// The signatures that a request claims to have, decoded. One is the rule, and is kept in place, so that the future which
/// holds it stays below the size up to which allocators are quick. More are a rotation.
pub(crate) type Candidates = SmallVec<[Tag; 1]>;

/// No sender rotates more keys than this at once, and each one costs a comparison.
pub(crate) const MOST_CANDIDATES: usize = 16;

/// No true signature header is longer.
pub(crate) const LONGEST_HEADER: usize = 4096;

impl Default for Grammar {
    fn default() -> Self {
        Self {
            prefix: None,
            items: None,
            also_items: None,
            first: None,
            before: None,
            pairs: None,
            keys: Vec::new(),
            any_key: false,
            keys_are_ids: false,
            first_key_alone: false,
            most: MOST_CANDIDATES,
        }
    }
}

impl Grammar {
    /// The text after the prefix, or `None` without the prefix.
    pub(crate) fn strip<'h>(&self, value: &'h [u8]) -> Option<&'h [u8]> {
        match &self.prefix {
            Some(prefix) => value.strip_prefix(prefix.as_bytes()),
            None => Some(value),
        }
    }

    /// The items of a header value, each with its key where the grammar has keys.
    fn items<'h>(&'h self, value: &'h [u8]) -> impl Iterator<Item = (Option<&'h [u8]>, &'h [u8])> {
        let rest = self.strip(value).unwrap_or_default();
        let items = split(rest, self.items.as_deref()).flat_map(|item| split(item, self.also_items.as_deref()));
        items.enumerate().map(|(index, item)| match (&self.pairs, &self.first) {
            (Some(pairs), _) => match find(item, pairs.as_bytes()) {
                Some(at) => (Some(&item[..at]), &item[at + pairs.len()..]),
                // An item without a separator has no key, and is nothing.
                None => (Some(&b""[..]), item),
            },
            (None, Some(first)) if index == 0 => (Some(first.as_bytes()), item),
            (None, _) => (None, item),
        })
    }

    /// Whether the values of this key are signatures.
    fn is_of_signatures(&self, key: &[u8]) -> bool {
        self.any_key || self.keys.iter().any(|ours| ours.as_bytes() == key)
    }

    /// Adds the signatures of one header value, each decoded by `decode`. Those that are not of the scheme's form are left
    /// out: a list may hold other versions, and a wrong one beside a right one is a rotation.
    pub(crate) fn collect(
        &self,
        value: &[u8],
        candidates: &mut Candidates,
        seen: &mut usize,
        decode: impl Fn(&[u8]) -> Option<Tag>,
    ) -> Result<(), VerifyError> {
        if value.len() > LONGEST_HEADER {
            return Err(VerifyError::new(VerifyErrorKind::MalformedSignature));
        }
        let strongest = match self.first_key_alone {
            true => self.keys.iter().find(|key| self.has_item(value, key.as_bytes())),
            false => None,
        };
        for (key, item) in self.items(value) {
            let Some(item) = item.strip_prefix(self.before.as_deref().unwrap_or_default().as_bytes()) else { continue };
            if key.is_some_and(|key| !self.is_of_signatures(key))
                || strongest.is_some_and(|strongest| key != Some(strongest.as_bytes()))
            {
                continue;
            }
            *seen += 1;
            if *seen > self.most {
                return Err(VerifyError::new(VerifyErrorKind::Ambiguous));
            }
            candidates.extend(decode(item));
        }
        Ok(())
    }

    /// Whether there is an item with this key.
    pub(crate) fn has_item(&self, value: &[u8], wanted: &[u8]) -> bool {
        self.items(value).any(|(key, _)| key == Some(wanted))
    }

    /// Adds the signatures of the secret with this id, or of any secret without an id.
    pub(crate) fn collect_for(
        &self,
        value: &[u8],
        id: Option<&[u8]>,
        candidates: &mut Candidates,
        decode: impl Fn(&[u8]) -> Option<Tag>,
    ) -> Result<(), VerifyError> {
        if value.len() > LONGEST_HEADER {
            return Err(VerifyError::new(VerifyErrorKind::MalformedSignature));
        }
        for (seen, (key, item)) in self.items(value).enumerate() {
            if seen >= self.most {
                return Err(VerifyError::new(VerifyErrorKind::Ambiguous));
            }
            if id.is_none() || key == id {
                candidates.extend(decode(item));
            }
        }
        Ok(())
    }

    /// The value of a parameter that may be there once; `Err` when it is there twice.
    pub(crate) fn param<'h>(&'h self, value: &'h [u8], name: &str) -> Result<Option<&'h [u8]>, ()> {
        let mut values = self.items(value).filter(|(key, _)| *key == Some(name.as_bytes())).map(|(_, item)| item);
        let first = values.next();
        // A sender that writes several lists one after the other repeats their common parameters.
        let may_repeat = self.also_items.is_some();
        if values.any(|other| !may_repeat || Some(other) != first) { Err(()) } else { Ok(first) }
    }
}

/// The pieces of a text between separators.
pub(crate) fn split<'h>(text: &'h [u8], separator: Option<&'h str>) -> impl Iterator<Item = &'h [u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match separator.and_then(|separator| Some((find(text, separator.as_bytes())?, separator.len()))) {
            Some((at, length)) => {
                rest = Some(&text[at + length..]);
                Some(&text[..at])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// Separators are one or two bytes long, so the plain search is linear.
fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    match what {
        [] => None,
        [byte] => memchr::memchr(*byte, text),
        _ => text.windows(what.len()).position(|window| window == what),
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidates, Grammar};
    use crate::signature::Tag;

    fn stripe() -> Grammar {
        Grammar { items: Some(",".into()), pairs: Some("=".into()), keys: vec!["v1".into()], ..Grammar::default() }
    }

    fn candidates(grammar: &Grammar, value: &str) -> Option<usize> {
        let mut candidates = Candidates::new();
        grammar.collect(value.as_bytes(), &mut candidates, &mut 0, Tag::new).ok()?;
        Some(candidates.len())
    }

    #[test]
    fn a_list_of_pairs_gives_the_values_of_its_key() {
        assert_eq!(candidates(&stripe(), "t=1,v1=a,v0=b,v1=c"), Some(2));
        assert_eq!(candidates(&stripe(), "t=1, v1=a"), Some(0));
        assert_eq!(candidates(&stripe(), "v1"), Some(0));
        assert_eq!(candidates(&stripe(), ",,,=,=="), Some(0));
        assert_eq!(stripe().param(b"t=1,v1=a", "t"), Ok(Some(&b"1"[..])));
        assert_eq!(stripe().param(b"t=1,t=1", "t"), Err(()));
        assert_eq!(stripe().param(b"v1=a", "t"), Ok(None));
    }

    #[test]
    fn the_first_item_may_be_a_parameter_and_the_others_signatures() {
        let recurly = Grammar { items: Some(",".into()), first: Some("t".into()), ..Grammar::default() };
        assert_eq!(recurly.param(b"17,a,b", "t"), Ok(Some(&b"17"[..])));
        assert_eq!(candidates(&recurly, "17,a,b"), Some(2));
        assert_eq!(candidates(&recurly, "17"), Some(0));
    }

    #[test]
    fn signatures_may_have_any_key_and_a_text_before_them() {
        let grammar = Grammar {
            items: Some(",".into()),
            pairs: Some("/".into()),
            any_key: true,
            before: Some("SHA256/".into()),
            ..Grammar::default()
        };
        assert_eq!(candidates(&grammar, "1/SHA256/a,2/SHA256/b,3/SHA512/c,SHA256/d"), Some(2));
    }

    #[test]
    fn lists_that_follow_each_other_share_what_is_equal_in_them() {
        let grammar = Grammar { also_items: Some(" ".into()), ..stripe() };
        assert_eq!(candidates(&grammar, "t=1,v1=a t=1,v1=b"), Some(2));
        assert_eq!(grammar.param(b"t=1,v1=a t=1,v1=b", "t"), Ok(Some(&b"1"[..])));
        assert_eq!(grammar.param(b"t=1,v1=a t=2,v1=b", "t"), Err(()));
    }

    #[test]
    fn more_than_sixteen_candidates_are_not_looked_at() {
        assert_eq!(candidates(&stripe(), &"v1=a,".repeat(16)), Some(16));
        assert_eq!(candidates(&stripe(), &"v1=a,".repeat(17)), None);
        assert_eq!(candidates(&stripe(), &"=".repeat(4096)), Some(0));
        assert_eq!(candidates(&stripe(), &"=".repeat(4097)), None);
    }
}
