use std::collections::BTreeMap;

use crate::pattern::{self, Subject};

/// Returns `true` if one of an endpoint's patterns matches the event type.
///
/// ```
/// use tower_webhooks::send::policy::wants;
///
/// assert!(wants(["user.*", "order.*"].into_iter(), "order.completed"));
/// assert!(!wants(["order.*"].into_iter(), "order"));
/// ```
pub fn wants<'p>(patterns: impl Iterator<Item = &'p str>, event_type: &str) -> bool {
    let patterns: Vec<_> = patterns.collect();
    pattern::best(&patterns, Subject { whole: event_type, first: None }).is_some()
}

/// Returns `true` if a message has each of the labels that an endpoint asks for, with the same value.
///
/// ```
/// use std::collections::BTreeMap;
/// use tower_webhooks::send::policy::labelled;
///
/// let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
///     pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
/// };
/// let message = labels(&[("region", "eu"), ("plan", "pro")]);
/// assert!(labelled(&labels(&[("region", "eu")]), &message));
/// assert!(labelled(&labels(&[]), &message));
/// assert!(!labelled(&labels(&[("region", "us")]), &message));
/// ```
pub fn labelled(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Returns every pattern that matches an event type, for a store that compares patterns in a query.
pub fn matching(event_type: &str) -> Vec<String> {
    let prefixes = pattern::prefixes(event_type).map(|prefix| format!("{prefix}*"));
    [event_type.to_owned(), "*".to_owned()].into_iter().chain(prefixes).collect()
}

#[cfg(test)]
mod tests {

    /// PostgreSQL compares this list with an endpoint's patterns.
    #[test]
    fn the_patterns_that_match_are_those_by_which_a_type_is_wanted() {
        let patterns = [
            "*", "a", "a.*", "a.b", "a.b.*", "a.b.c", "a.b.c.*", "ab.*", "b.*", "a*", "*.b", "", "a/*", "a/b", "a:*",
            "a/b.*", "a.b:*",
        ];
        for event_type in ["a", "a.b", "a.b.c", "ab.c", "b", "a/b", "a/b.c", "a:b", "a.b:c", "a/b/c"] {
            let matching = super::matching(event_type);
            for pattern in patterns {
                let wanted = super::wants([pattern].into_iter(), event_type);
                assert_eq!(matching.iter().any(|text| text == pattern), wanted, "{event_type} {pattern}");
            }
        }
    }
}
