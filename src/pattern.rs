//! The rule by which patterns match event types, in routers, enums and filters.
//!
//! 1. An exact name has the highest precedence: `invoice.paid`. If a sender's type has two parts (GitHub's header and
//!    action), the first part alone is also a name of it, with the next precedence: `issues` for `issues.opened`.
//! 2. Otherwise the longest prefix that ends with a separator and `*` matches, at any depth: `customer.*` for
//!    `customer.subscription.created`. The separators are those that senders use: `.`, `/` and `:`. A pattern has the
//!    separator of the type that it matches: `orders/*` matches `orders/create`, and `orders.*` does not.
//! 3. Otherwise `*` matches, also for an event without a type.
//!
//! A `*` anywhere else is not a pattern.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// An event type that is compared with patterns: its text, and its first part if the sender's type has two.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Subject<'a> {
    /// Empty if the event has no type.
    pub(crate) whole: &'a str,
    pub(crate) first: Option<&'a str>,
}

/// The separators between the parts of an event type: Stripe's `invoice.paid`, Shopify's `orders/create`, `order:paid`.
pub(crate) const SEPARATORS: [char; 3] = ['.', '/', ':'];

/// A parsed pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern<'a> {
    Any,
    Exact(&'a str),
    /// The prefix, including the separator at its end.
    Prefix(&'a str),
}

impl<'a> Pattern<'a> {
    /// Parses a pattern. Returns `None` if the text is not a pattern.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let pattern = match text.strip_suffix('*') {
            Some("") => return Some(Self::Any),
            // Types may begin with a slash, as Slack's commands do, but with no other separator.
            Some("/") => return Some(Self::Prefix("/")),
            Some(prefix) if prefix.len() > 1 && prefix.ends_with(SEPARATORS) => Self::Prefix(prefix),
            Some(_) => return None,
            None => Self::Exact(text),
        };
        let (Self::Exact(name) | Self::Prefix(name)) = pattern else { return Some(pattern) };
        (!name.is_empty() && !name.contains('*')).then_some(pattern)
    }

    /// Returns the precedence of the pattern, the highest first, or `None` if it does not match.
    fn rank(self, subject: Subject<'_>) -> Option<usize> {
        match self {
            Self::Any => Some(0),
            Self::Exact(name) if name == subject.whole => Some(usize::MAX),
            Self::Exact(name) if Some(name) == subject.first => Some(usize::MAX - 1),
            Self::Exact(_) => None,
            Self::Prefix(prefix) => subject.whole.starts_with(prefix).then_some(prefix.len()),
        }
    }
}

/// Returns every prefix of an event type that a pattern can have, including the separator, the shortest first.
pub(crate) fn prefixes(event_type: &str) -> impl DoubleEndedIterator<Item = &str> {
    // Each separator is one byte long.
    event_type.match_indices(SEPARATORS).map(|(at, _)| &event_type[..=at])
}

/// Returns the best of a few patterns, for lists that are too short for a table.
pub(crate) fn best<'p>(patterns: &[&'p str], subject: Subject<'_>) -> Option<&'p str> {
    patterns
        .iter()
        .filter_map(|text| Some((Pattern::parse(text)?.rank(subject)?, *text)))
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, text)| text)
}

/// Why no pattern matches an event type, if that looks like a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake<'p> {
    /// None of the patterns has parts, but the sender's event types have.
    NoneHasParts,
    /// This pattern is the event type, written in another way.
    Written(&'p str),
}

/// Looks for a mistake in patterns if none of them matches.
pub(crate) fn mistake<'p>(
    patterns: impl Iterator<Item = &'p str> + Clone,
    subject: Subject<'_>,
) -> Option<Mistake<'p>> {
    let skeleton = |text: &str| -> String {
        text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    if subject.whole.is_empty() {
        return None;
    }
    let wanted = skeleton(subject.whole);
    let written = patterns.clone().find(|text| match text.strip_suffix('*') {
        None => skeleton(text) == wanted,
        Some(prefix) => {
            prefixes(subject.whole).any(|ours| ours.len() == prefix.len() && skeleton(ours) == skeleton(prefix))
        }
    });
    if let Some(text) = written {
        return Some(Mistake::Written(text));
    }
    let mut patterns = patterns.peekable();
    let without_parts = subject.first.is_none()
        && subject.whole.contains(SEPARATORS)
        && patterns.peek().is_some()
        && patterns.all(|text| !text.contains(SEPARATORS) && text != "*");
    without_parts.then_some(Mistake::NoneHasParts)
}

/// A table of values, by pattern.
#[derive(Debug, Clone)]
pub(crate) struct PatternTable<V> {
    any: Option<V>,
    exact: HashMap<Box<str>, V>,
    prefix: HashMap<Box<str>, V>,
}

/// Why a pattern was rejected.
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

    /// Removes a pattern and returns its value.
    pub(crate) fn remove(&mut self, text: &str) -> Option<V> {
        match Pattern::parse(text)? {
            Pattern::Any => self.any.take(),
            Pattern::Exact(name) => self.exact.remove(name),
            Pattern::Prefix(prefix) => self.prefix.remove(prefix),
        }
    }

    /// Returns the value of the best pattern.
    pub(crate) fn get(&self, subject: Subject<'_>) -> Option<&V> {
        self.matching(subject).next()
    }

    /// Returns the values of all patterns that match, the best one first.
    pub(crate) fn matching<'t>(&'t self, subject: Subject<'_>) -> impl Iterator<Item = &'t V> {
        let first = subject.first.filter(|first| *first != subject.whole);
        let exact = [Some(subject.whole), first].into_iter().flatten().filter_map(|name| find(&self.exact, name));
        // Without prefixes there is nothing to search.
        let whole = if self.prefix.is_empty() { "" } else { subject.whole };
        let prefixes = prefixes(whole).rev().filter_map(|prefix| find(&self.prefix, prefix));
        exact.chain(prefixes).chain(self.any.as_ref())
    }

    /// Returns every pattern as text, except `*`.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = String> {
        let prefix = self.prefix.keys().map(|prefix| format!("{prefix}*"));
        self.exact.keys().map(|name| name.clone().into_string()).chain(prefix)
    }

    /// Returns every pattern as text, with its value.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, V)> {
        let any = self.any.map(|value| ("*".to_owned(), value));
        let exact = self.exact.into_iter().map(|(name, value)| (name.into_string(), value));
        let prefix = self.prefix.into_iter().map(|(prefix, value)| (format!("{prefix}*"), value));
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

    use super::{Mistake, Pattern, PatternTable, Refused, SEPARATORS, Subject, best, mistake};

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
    fn a_star_stands_alone_or_after_a_separator_at_the_end() {
        for text in ["", "a*", "*.a", "a.*.b", "**", ".*", ":*", "a.**", "a-*", "a_*", "*/a", "a/*/b"] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
        for text in ["a.b.*", "a/*", "a:*", "a.b/*", "/*"] {
            assert_eq!(Pattern::parse(text), Some(Pattern::Prefix(text.trim_end_matches('*'))));
        }
    }

    #[test]
    fn a_prefix_has_the_separator_of_the_type() {
        let patterns = ["orders/*", "orders.*", "orders:*", "a/b.*", "a/*", "/*"];

        for (text, expected) in [
            ("orders/create", Some("orders/*")),
            ("orders.create", Some("orders.*")),
            ("orders:create:now", Some("orders:*")),
            ("a/b.c", Some("a/b.*")),
            ("a/b/c", Some("a/*")),
            ("/weather", Some("/*")),
            ("orders", None),
            ("orders-create", None),
        ] {
            assert_eq!(best(&patterns, whole(text)), expected, "{text}");
        }
    }

    #[test]
    fn an_event_without_a_type_is_matched_by_the_star_alone() {
        assert_eq!(best(&["a", "a.*", "/*", "*"], whole("")), Some("*"));
        assert_eq!(best(&["a", "a.*", "/*"], whole("")), None);
    }

    #[test]
    fn patterns_that_are_written_in_another_way_are_noticed() {
        let find = |patterns: &'static [&'static str], text| mistake(patterns.iter().copied(), whole(text));

        assert_eq!(find(&["Ping", "InvoicePaid"], "invoice.paid"), Some(Mistake::Written("InvoicePaid")));
        assert_eq!(find(&["invoice_paid"], "invoice.paid"), Some(Mistake::Written("invoice_paid")));
        assert_eq!(find(&["orders.*"], "orders/create"), Some(Mistake::Written("orders.*")));
        assert_eq!(find(&["Ping", "Pong"], "invoice.paid"), Some(Mistake::NoneHasParts));
        assert_eq!(find(&["ping", "a.b"], "invoice.paid"), None);
        assert_eq!(find(&["ping"], "pong"), None);
        assert_eq!(find(&[], "invoice.paid"), None);
        assert_eq!(find(&["Ping"], ""), None);
        let github = Subject { whole: "issues.opened", first: Some("issues") };
        assert_eq!(mistake(["push"].into_iter(), github), None);
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
            patterns in prop::collection::hash_set("(([ab][./:]){0,3}(\\*|[ab]))|[ab]|/\\*", 0..6),
            text in "/?([ab][./:]){0,4}[ab]|",
            split in any::<bool>(),
        ) {
            let mut table = PatternTable::default();
            for pattern in &patterns {
                table.insert(pattern, pattern.as_str()).unwrap();
            }
            let list: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let first = text.split_once(SEPARATORS).filter(|_| split).map(|(first, _)| first);
            let subject = Subject { whole: &text, first };

            prop_assert_eq!(table.get(subject).copied(), best(&list, subject));
            let all: Vec<&str> = table.matching(subject).copied().collect();
            let mut rest = list.clone();
            for pattern in all {
                prop_assert_eq!(best(&rest, subject), Some(pattern));
                rest.retain(|other| *other != pattern);
            }
            prop_assert_eq!(best(&rest, subject), None);
        }
    }
}
