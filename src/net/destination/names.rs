//! Names that belong to internal networks, whatever a name server says of them.

/// Returns `true` if a name means this machine (RFC 6761, section 6.3, and what systems have in `/etc/hosts`).
pub(super) fn is_this_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let loopback = ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"];
    loopback.contains(&name) || name.ends_with(".localhost")
}

/// Returns why a name belongs to an internal network, if it does. The name is in lower case, as the URL standard writes it.
pub(super) fn inside(name: &str) -> Option<Inside> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.contains('.') {
        return Some(Inside::Single);
    }
    let suffix = SUFFIXES.iter().find(|suffix| name.ends_with(**suffix))?;
    Some(Inside::Suffix(suffix))
}

/// Why a name belongs to an internal network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// It has no dot. Only search lists and the names of containers and services look like this.
    Single,
    /// It ends with this suffix.
    Suffix(&'static str),
}

const SUFFIXES: &[&str] = &[
    ".internal",    // reserved for private use by ICANN; the metadata of Google's cloud
    ".local",       // link-local names, RFC 6762; `.svc.cluster.local` of Kubernetes
    ".localdomain", // what resolvers are set up with
    ".svc",         // services of Kubernetes
    ".home.arpa",   // home networks, RFC 8375
    // RFC 6762, appendix G: what private networks use.
    ".corp",
    ".home",
    ".intranet",
    ".lan",
    ".private",
];

/// A name that the operator allows, or all names below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowedName(String);

impl AllowedName {
    pub(super) fn new(pattern: &str) -> Self {
        let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
        Self(pattern.to_ascii_lowercase())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        match self.0.strip_prefix('*') {
            // The text before the suffix is not empty.
            Some(suffix) if suffix.starts_with('.') => name.len() > suffix.len() && name.ends_with(suffix),
            Some("") => true,
            _ => self.0 == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AllowedName, Inside, inside};

    #[test]
    fn a_name_of_an_internal_network_is_known_by_its_end() {
        for (name, why) in [
            ("metadata", Some(Inside::Single)),
            ("redis.", Some(Inside::Single)),
            ("metadata.google.internal", Some(Inside::Suffix(".internal"))),
            ("api.default.svc", Some(Inside::Suffix(".svc"))),
            ("api.default.svc.cluster.local.", Some(Inside::Suffix(".local"))),
            ("router.home.arpa", Some(Inside::Suffix(".home.arpa"))),
            ("example.com", None),
            ("internal.example.com", None),
            ("mylocal.com", None),
            ("a.xsvc", None),
        ] {
            assert_eq!(inside(name), why, "{name}");
        }
    }

    #[test]
    fn an_allowed_name_is_one_or_all_below_one() {
        for (pattern, name, matches) in [
            ("Receiver", "receiver", true),
            ("receiver", "receiver.", true),
            ("receiver", "a.receiver", false),
            ("*.corp.internal", "hooks.corp.internal", true),
            ("*.corp.internal", "corp.internal", false),
            ("*.corp.internal", "evilcorp.internal", false),
            ("*", "redis", true),
        ] {
            assert_eq!(AllowedName::new(pattern).matches(name), matches, "{pattern} {name}");
        }
    }
}
