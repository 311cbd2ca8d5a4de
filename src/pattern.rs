//! The one rule by which event types are matched, in routing, in enums and in filters.
//!
//! 1. An exact name wins: `invoice.paid`. Where a sender's type has two parts (GitHub's header and action), the first part
//!    alone is a name of it too, after the whole one: `issues` for `issues.opened`.
//! 2. Else the longest `prefix.*`, at any depth: `customer.*` for `customer.subscription.created`.
//! 3. Else `*`.
//!
//! A `*` anywhere else is no pattern.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// An event type as patterns look at it: its text, and its first part where the sender's type has two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) whole: &'a str,
    pub(crate) first: Option<&'a str>,
}

/// A pattern, told apart by what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern<'a> {
    Any,
    Exact(&'a str),
    Prefix(&'a str),
}

impl<'a> Pattern<'a> {
    /// Parses a pattern; `None` for text that is none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let pattern = match text.strip_suffix('*') {
            Some("") => return Some(Self::Any),
            Some(rest) => Self::Prefix(rest.strip_suffix('.')?),
            None => Self::Exact(text),
        };
        let (Self::Exact(name) | Self::Prefix(name)) = pattern else { return Some(pattern) };
        (!name.is_empty() && !name.contains('*')).then_some(pattern)
    }

    /// How well the pattern fits, the larger the better; `None` when it does not.
    fn rank(self, subject: Subject<'_>) -> Option<usize> {
        match self {
            Self::Any => Some(0),
            Self::Exact(name) if name == subject.whole => Some(usize::MAX),
            Self::Exact(name) if Some(name) == subject.first => Some(usize::MAX - 1),
            Self::Exact(_) => None,
            Self::Prefix(prefix) => {
                let rest = subject.whole.strip_prefix(prefix)?;
                rest.starts_with('.').then_some(prefix.len())
            }
        }
    }
}

/// The best of some patterns, for lists that are too short to be worth a table.
pub(crate) fn best<'p>(patterns: &[&'p str], subject: Subject<'_>) -> Option<&'p str> {
    patterns
        .iter()
        .filter_map(|text| Some((Pattern::parse(text)?.rank(subject)?, *text)))
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, text)| text)
}

/// Values by pattern.
#[derive(Debug, Clone)]
pub(crate) struct PatternTable<V> {
    any: Option<V>,
    exact: HashMap<Box<str>, V>,
    prefix: HashMap<Box<str>, V>,
}

/// Why a pattern was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    NoPattern,
    Twice,
}

impl<V> PatternTable<V> {
    pub(crate) fn insert(&mut self, text: &str, value: V) -> Result<(), Refused> {
        let twice = match Pattern::parse(text).ok_or(Refused::NoPattern)? {
            Pattern::Any => self.any.replace(value).is_some(),
            Pattern::Exact(name) => self.exact.insert(name.into(), value).is_some(),
            Pattern::Prefix(prefix) => self.prefix.insert(prefix.into(), value).is_some(),
        };
        if twice { Err(Refused::Twice) } else { Ok(()) }
    }

    /// Takes a pattern's value out.
    pub(crate) fn remove(&mut self, text: &str) -> Option<V> {
        match Pattern::parse(text)? {
            Pattern::Any => self.any.take(),
            Pattern::Exact(name) => self.exact.remove(name),
            Pattern::Prefix(prefix) => self.prefix.remove(prefix),
        }
    }

    pub(crate) fn get(&self, subject: Subject<'_>) -> Option<&V> {
        find(&self.exact, subject.whole)
            .or_else(|| find(&self.exact, subject.first?))
            .or_else(|| self.longest_prefix(subject.whole))
            .or(self.any.as_ref())
    }

    fn longest_prefix(&self, whole: &str) -> Option<&V> {
        if self.prefix.is_empty() {
            return None;
        }
        let dots = whole.rmatch_indices('.').map(|(at, _)| at);
        dots.into_iter().find_map(|at| find(&self.prefix, &whole[..at]))
    }

    /// Every pattern as text, with its value.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, V)> {
        let any = self.any.map(|value| ("*".to_owned(), value));
        let exact = self.exact.into_iter().map(|(name, value)| (name.into_string(), value));
        let prefix = self.prefix.into_iter().map(|(prefix, value)| (format!("{prefix}.*"), value));
        any.into_iter().chain(exact).chain(prefix)
    }

    pub(crate) fn map<W>(self, mut change: impl FnMut(V) -> W) -> PatternTable<W> {
        PatternTable {
            any: self.any.map(&mut change),
            exact: self.exact.into_iter().map(|(name, value)| (name, change(value))).collect(),
            prefix: self.prefix.into_iter().map(|(prefix, value)| (prefix, change(value))).collect(),
        }
    }
}

impl<V> Default for PatternTable<V> {
    fn default() -> Self {
        Self { any: None, exact: HashMap::new(), prefix: HashMap::new() }
    }
}

fn find<'t, K: Borrow<str> + Eq + Hash, V>(table: &'t HashMap<K, V>, name: &str) -> Option<&'t V> {
    if table.is_empty() { None } else { table.get(name) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Pattern, PatternTable, Refused, Subject, best};

    fn whole(text: &str) -> Subject<'_> {
        Subject { whole: text, first: None }
    }

    #[test]
    fn the_most_exact_pattern_wins() {
        let patterns = ["*", "a.*", "a.b.*", "a.b.c", "a", "b"];

        for (text, expected) in [
            ("a.b.c", "a.b.c"),
            ("a.b.d", "a.b.*"),
            ("a.b.d.e", "a.b.*"),
            ("a.b", "a.*"),
            ("a", "a"),
            ("ab", "*"),
            ("a.", "a.*"),
            ("", "*"),
        ] {
            assert_eq!(best(&patterns, whole(text)), Some(expected), "{text}");
        }
        assert_eq!(best(&["a.*"], whole("ab.c")), None);
    }

    #[test]
    fn the_first_part_of_a_type_is_a_name_of_it_after_the_whole_one() {
        let opened = Subject { whole: "issues.opened", first: Some("issues") };

        assert_eq!(best(&["issues", "issues.opened"], opened), Some("issues.opened"));
        assert_eq!(best(&["issues.*", "issues"], opened), Some("issues"));
        assert_eq!(best(&["issues"], whole("issues.opened")), None);
    }

    #[test]
    fn a_star_stands_alone_or_after_a_dot_at_the_end() {
        for text in ["", "a*", "*.a", "a.*.b", "**", ".*", "a.**"] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
        assert_eq!(Pattern::parse("a.b.*"), Some(Pattern::Prefix("a.b")));
    }

    #[test]
    fn a_pattern_is_taken_once() {
        let mut table = PatternTable::default();

        assert_eq!(table.insert("a.*", 1), Ok(()));
        assert_eq!(table.insert("a", 2), Ok(()));
        assert_eq!(table.insert("a.*", 3), Err(Refused::Twice));
        assert_eq!(table.insert("*a", 4), Err(Refused::NoPattern));
    }

    proptest! {
        #[test]
        fn the_table_and_the_list_follow_one_rule(
            patterns in prop::collection::hash_set("(([ab]\\.){0,3}(\\*|[ab]))|[ab]", 0..6),
            text in "([ab]\\.){0,4}[ab]",
            split in any::<bool>(),
        ) {
            let mut table = PatternTable::default();
            for pattern in &patterns {
                table.insert(pattern, pattern.as_str()).unwrap();
            }
            let list: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let first = text.split_once('.').filter(|_| split).map(|(first, _)| first);
            let subject = Subject { whole: &text, first };

            prop_assert_eq!(table.get(subject).copied(), best(&list, subject));
        }
    }
}
