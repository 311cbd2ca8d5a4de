//! Providers by their names, as a configuration has them.

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

use super::{catalogue::KNOWN, provider::Provider};
use crate::error::{ConfigError, ConfigErrorKind};

impl FromStr for Provider {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wanted = plain(text);
        Self::ALL
            .iter()
            .find(|provider| {
                plain(provider.0.name) == wanted || provider.0.aliases.iter().any(|alias| plain(alias) == wanted)
            })
            .copied()
            .ok_or_else(|| {
                let missing =
                    KNOWN.iter().find(|(name, _)| plain(name) == wanted).and_then(|(_, features)| features.first());
                let message = match missing {
                    Some(feature) => format!("the provider `{text}` needs the feature `{feature}`"),
                    None => unknown(text),
                };
                ConfigError::new(ConfigErrorKind::Provider, message)
            })
    }
}

/// What to say of a name that nobody has, with those that are written nearly like it.
fn unknown(text: &str) -> String {
    const CLOSEST: usize = 5;
    let text: String = text.chars().take(64).collect();
    let wanted = plain(&text);
    let mut names: Vec<_> = Provider::ALL.iter().map(|provider| provider.name()).collect();
    names.sort_by_key(|name| distance(&plain(name), &wanted));
    let closest: Vec<_> = names.iter().take(CLOSEST).map(|name| format!("`{name}`")).collect();
    let count = names.len();
    format!(
        "there is no provider {text:?}; the closest of {count} names are {}; `Provider::ALL` has all",
        closest.join(", ")
    )
}

/// How many letters have to be added, taken away or changed to make one of two names the other (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, there) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *there);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// As its name.
impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

/// From any of its names, as by [`FromStr`].
impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Provider;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a provider")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Provider, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Name)
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, Provider, plain};
    use crate::scheme::scheme::Scheme;

    #[test]
    fn every_entry_is_whole_and_every_name_is_its_own() {
        let mut names = Vec::new();
        for provider in Provider::ALL {
            let scheme = Scheme::from(*provider);
            assert_eq!(scheme.name(), provider.name());
            names.push(plain(provider.name()));
            names.extend(provider.0.aliases.iter().map(|alias| plain(alias)));
        }
        let count = names.len();
        names.sort();
        names.dedup();

        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_provider_that_this_build_leaves_out_is_told_from_one_that_nobody_knows() {
        for (name, features) in KNOWN {
            match name.parse::<Provider>() {
                Ok(provider) => assert_eq!(provider.name(), *name),
                Err(error) => assert!(features.iter().any(|feature| error.to_string().contains(feature)), "{error}"),
            }
        }
        let error = "no-such-sender".parse::<Provider>().unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("there is no provider \"no-such-sender\"; the closest of "), "{text}");
        for (wrong, right) in [("strype", "stripe"), ("git hub", "github"), ("Standard Webhook", "standard-webhooks")] {
            let text = wrong.parse::<Provider>().unwrap_err().to_string();
            assert!(text.contains(&format!("names are `{right}`")) && text.len() < 500, "{text}");
        }
        assert!("x".repeat(100_000).parse::<Provider>().unwrap_err().to_string().len() < 2000);
    }
}
