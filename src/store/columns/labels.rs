use std::collections::BTreeMap;

use sqlx::Error;

use super::row::corrupt;

/// Returns labels as the text that a column keeps: pairs of name and value, each on a line. No name contains a `=`, and no value a line
/// break. `None` if there are no labels.
pub(in crate::store) fn labels_text(labels: &BTreeMap<String, String>) -> Option<String> {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (!pairs.is_empty()).then(|| pairs.join("\n"))
}

pub(in crate::store) fn labels(text: Option<&str>) -> Result<BTreeMap<String, String>, Error> {
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.into_iter().flat_map(str::lines).map(|line| pair(line).ok_or_else(|| corrupt("invalid labels"))).collect()
}
