//! The table of docs/providers.md, which is made of the catalogue.

use std::collections::BTreeSet;
#[cfg(feature = "asymmetric")]
#[cfg(test)]
use std::{env, fs, path::Path};

use super::{Duplicates, Evidence, Provider};
use crate::{
    delivery::Fact,
    field::{Place, Places},
    scheme::{
        key_form::KeyForm,
        scheme::{Kind, Scheme},
        template::{Algorithm, Locate, Template},
    },
    signature::{Encoding, HashAlgorithm, MacAlgorithm, PublicAlgorithm},
};

const BEGIN: &str = "<!-- This table is made of the catalogue: see CONTRIBUTING.md. -->\n";
const END: &str = "<!-- End of the table. -->\n";

/// The text of a provider in a column.
type Cell = fn(Provider, &Template) -> String;

/// The columns, each with its text for a provider.
const COLUMNS: &[(&str, Cell)] = &[
    ("sender", sender),
    ("`WebhookLayer::`", constructor),
    ("signed: body", |_, template| if template.coverage.body { "yes".into() } else { "**no**".into() }),
    ("id", |provider, template| {
        let without = if provider.duplicates() == Duplicates::Attempt { "none that is stable" } else { "none is sent" };
        signed(template.layout.places(Fact::Id), template.coverage.id, without)
    }),
    ("timestamp", |_, template| {
        let places = template.freshness.as_ref().map(|freshness| &freshness.places);
        signed(places, template.coverage.timestamp, "no")
    }),
    ("algorithm", |_, template| algorithm(template)),
    ("signature", |_, template| signature(template)),
    ("key", |_, template| key(template)),
    ("yours by", |provider, template| bound_by(provider, template)),
    ("handshake", |_, template| handshake(template)),
    ("several events", |provider, _| match provider.batch() {
        None => String::new(),
        Some("") => "an array".into(),
        Some(pointer) => format!("`{pointer}`"),
    }),
    ("a duplicate is known by", |provider, template| duplicates(provider, template).into()),
    ("waits; repeats", |provider, _| patience(provider)),
    ("shown by", |provider, _| shown_by(provider)),
];

fn sender(provider: Provider, _: &Template) -> String {
    match provider.official_page() {
        "" => provider.title().to_owned(),
        page => format!("<{page}>").replace('<', &format!("[{}](", provider.title())).replace('>', ")"),
    }
}

fn constructor(provider: Provider, template: &Template) -> String {
    let mut text = format!("`{}`", provider.0.constructor);
    let feature =
        super::catalogue::KNOWN.iter().find(|(name, _)| *name == provider.name()).and_then(|(_, needs)| needs.first());
    if let Some(feature) = feature {
        text.push_str(&format!(", with the feature `{feature}`"));
    }
    if template.signs_url() {
        text.push_str(", and `with_public_url`");
    }
    if template.signs_endpoint_id() {
        text.push_str(", and `with_endpoint_id`");
    }
    for name in template.jwt.iter().flat_map(|jwt| jwt.of_application) {
        text.push_str(&format!(", and `with_claim(\"{name}\", …)`"));
    }
    if template.shared_key.is_some() {
        text.push_str(", and `with_account`");
    }
    if template.needs_verify_token() {
        text.push_str(", and `with_verify_token`");
    }
    text
}

fn signed(places: Option<&Places>, is_signed: bool, without: &str) -> String {
    let Some(places) = places else { return without.into() };
    let in_body = places.places.iter().all(|place| matches!(place, Place::Json(_)));
    match (is_signed, in_body) {
        (true, true) => "yes, in the body".into(),
        (true, false) => "yes".into(),
        (false, _) => "no".into(),
    }
}

/// What shows that a message is made for this receiver, and not for another customer of the sender.
fn bound_by(provider: Provider, template: &Template) -> String {
    match template.algorithm {
        Algorithm::Unsigned => "**nothing**".into(),
        Algorithm::Hash(_) | Algorithm::Mac(_) | Algorithm::Token => "your secret".into(),
        Algorithm::Public(_) if provider.0.own_key => "your key".into(),
        Algorithm::Public(_) if template.shared_key.is_some() => "the account".into(),
        Algorithm::Public(_) if template.signs_endpoint_id() => "the endpoint id".into(),
        Algorithm::Public(_) if template.jwt.as_ref().is_some_and(|jwt| !jwt.of_application.is_empty()) => {
            "the claims".into()
        }
        Algorithm::Public(_) => "**nothing**".into(),
    }
}

fn duplicates(provider: Provider, template: &Template) -> &'static str {
    match provider.duplicates() {
        Duplicates::Event => "the id, which is the event's",
        Duplicates::Delivery => "the id, which is the delivery's and the same on retries",
        Duplicates::Attempt => "nothing: its id is another one on each attempt, or shared",
        Duplicates::Items => "the ids of the events in it",
        Duplicates::UniqueBodies => "the body, which is unique",
        Duplicates::RepeatedBodies => "nothing: bodies may repeat",
        Duplicates::Undocumented if template.id.is_some() => "the id; the sender documents nothing",
        Duplicates::Undocumented => "nothing: the sender documents nothing",
    }
}

fn algorithm(template: &Template) -> String {
    match template.algorithm {
        Algorithm::Hash(HashAlgorithm::Sha1) => "SHA-1 with the secret",
        Algorithm::Hash(HashAlgorithm::Sha256) => "SHA-256 with the secret",
        Algorithm::Mac(MacAlgorithm::Sha1) => "HMAC-SHA-1",
        Algorithm::Mac(MacAlgorithm::Sha256) => "HMAC-SHA-256",
        Algorithm::Mac(MacAlgorithm::Sha384) => "HMAC-SHA-384",
        Algorithm::Mac(MacAlgorithm::Sha512) => "HMAC-SHA-512",
        Algorithm::Public(PublicAlgorithm::EcdsaP256 | PublicAlgorithm::EcdsaP256Fixed) => "ECDSA P-256",
        Algorithm::Public(PublicAlgorithm::EcdsaP521 | PublicAlgorithm::EcdsaP521Fixed) => "ECDSA P-521",
        Algorithm::Public(PublicAlgorithm::Ed25519) => "Ed25519",
        Algorithm::Public(PublicAlgorithm::RsaPssSha512) => "RSA-PSS, SHA-512",
        Algorithm::Public(PublicAlgorithm::RsaSha1) => "RSA, SHA-1",
        Algorithm::Public(PublicAlgorithm::RsaSha256) => "RSA, SHA-256",
        Algorithm::Public(PublicAlgorithm::RsaSha256OrSha1) => "RSA, SHA-256 or SHA-1",
        Algorithm::Public(PublicAlgorithm::RsaSha512) => "RSA, SHA-512",
        Algorithm::Token if template.grammar.prefix.as_deref() == Some("Basic ") => "basic authentication",
        Algorithm::Token => "the secret itself",
        Algorithm::Unsigned => "none",
    }
    .into()
}

fn signature(template: &Template) -> String {
    let place = match &template.locate {
        Locate::EachHeader(names) | Locate::Headers(names) => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        }
        Locate::Json(pointers) => {
            let pointers: Vec<_> = pointers.iter().map(|pointer| format!("`{pointer}`")).collect();
            let whole = if template.signs_items() { "each item" } else { "the body" };
            format!("{} of {whole}", pointers.join(", "))
        }
        Locate::Numbered(names) => format!("`{}` and following", names[0]),
        Locate::Query(key) => format!("`?{key}=`"),
    };
    if template.message.is_some() {
        return format!("{place}, an HTTP message signature");
    }
    if template.jwt.as_ref().is_some_and(|jwt| jwt.detached.is_some()) {
        return format!("{place}, a detached JWS");
    }
    if template.jwt.is_some() {
        return format!("{place}, a JWT");
    }
    let encoding = match template.encoding {
        _ if matches!(template.algorithm, Algorithm::Token) => return place,
        Some(Encoding::Base64) => "base64",
        Some(Encoding::Base64Url) => "base64url",
        Some(Encoding::Hex) => "hex",
        None => return place,
    };
    format!("{place}, {encoding}")
}

fn key(template: &Template) -> String {
    let form = match template.key.form {
        _ if template.grammar.prefix.as_deref() == Some("Basic ") => "`user:password`",
        KeyForm::Base64 => "base64",
        KeyForm::Hex => "hex",
        KeyForm::Sha1 => "text",
        KeyForm::PublicKeyInfo => "PEM, or its base64",
        KeyForm::StandardWebhooks => "`whsec_`, which may be missing, and base64",
        KeyForm::StandardWebhooksOrText => "`whsec_` and base64, or text",
        KeyForm::StandardWebhooksPublic => "`whpk_` and base64",
        KeyForm::Utf8 => "text",
    };
    match &template.key.prefix {
        _ if template.grammar.keys_are_ids => format!("`id:` and {form}"),
        Some(prefix) => format!("{form} behind `{prefix}`"),
        None => form.into(),
    }
}

fn handshake(template: &Template) -> String {
    let shape = |handshake: &crate::scheme::handshake::CompiledHandshake| {
        let signed = if handshake.is_signed() { ", signed" } else { "" };
        format!("{}{signed}", handshake.comes_by())
    };
    let shapes: Vec<_> = template.handshakes.iter().map(shape).collect();
    shapes.join("; ")
}

fn patience(provider: Provider) -> String {
    let waits = provider.deadline().map(|deadline| format!("{} s", deadline.as_secs()));
    let repeats = provider.retries_for().map(|span| match span.as_secs() {
        0 => "never".to_owned(),
        seconds if seconds % 86_400 == 0 => format!("for {} days", seconds / 86_400),
        seconds if seconds % 3_600 == 0 => format!("for {} hours", seconds / 3_600),
        seconds => format!("for {} minutes", seconds / 60),
    });
    match (waits, repeats) {
        (None, None) => String::new(),
        (waits, repeats) => format!("{}; {}", waits.unwrap_or("?".into()), repeats.unwrap_or("?".into())),
    }
}

fn shown_by(provider: Provider) -> String {
    let mut text = match provider.evidence() {
        Evidence::Documentation => "official docs",
        Evidence::Library => "official library",
        Evidence::ThirdParty => "**third party**",
    }
    .to_owned();
    for (library, whose) in [(provider.0.own_vectors, ""), (provider.0.other_vectors, ", which is not the sender's")] {
        if !library.is_empty() {
            text.push_str(&format!("; vectors of `{library}`{whose}"));
        }
    }
    text
}

fn table() -> String {
    let mut text = String::new();
    let mut row = |cells: Vec<String>| text.push_str(&format!("| {} |\n", cells.join(" | ")));
    row(COLUMNS.iter().map(|(title, _)| (*title).to_owned()).collect());
    row(COLUMNS.iter().map(|_| "---".to_owned()).collect());
    let mut providers = Provider::ALL.to_vec();
    providers.sort_by_key(|provider| provider.title().to_lowercase());
    for provider in providers {
        let scheme = Scheme::from(provider);
        let Kind::Declared(template) = &scheme.kind else { panic!("{provider} is written in code") };
        row(COLUMNS.iter().map(|(_, cell)| cell(provider, template)).collect());
    }
    text.replace("|  |", "| |").replace("|  |", "| |")
}

#[cfg(feature = "asymmetric")]
#[test]
fn the_page_of_providers_is_made_of_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let page = fs::read_to_string(&path).expect("docs/providers.md can be read");
    let (before, rest) = page.split_once(BEGIN).expect("the table begins somewhere");
    let (_, after) = rest.split_once(END).expect("the table ends somewhere");
    let right = format!("{before}{BEGIN}\n{}\n{END}{after}", table());

    if env::var_os("UPDATE_PAGES").is_some() {
        fs::write(&path, &right).expect("docs/providers.md can be written");
    }
    let command = "UPDATE_PAGES=1 cargo test --all-features --lib provider::page";
    assert!(page == right || env::var_os("UPDATE_PAGES").is_some(), "docs/providers.md is stale; run `{command}`");
}

#[test]
fn the_signature_headers_of_the_catalogue_are_those_of_its_schemes() {
    for provider in Provider::ALL {
        let scheme = Scheme::from(*provider);
        let Kind::Declared(template) = &scheme.kind else { panic!("{provider} is written in code") };
        let declared: BTreeSet<_> = provider.0.headers.iter().copied().collect();
        let looked_at: BTreeSet<_> = match &template.locate {
            Locate::EachHeader(names) | Locate::Headers(names) => names.iter().map(|name| name.as_str()).collect(),
            // What follows the first of numbered headers is in no table.
            Locate::Numbered(names) => names.iter().take(1).map(|name| name.as_str()).collect(),
            Locate::Json(_) | Locate::Query(_) => BTreeSet::new(),
        };
        assert_eq!(declared, looked_at, "{provider}");
    }
}

#[test]
fn every_row_says_what_a_duplicate_is() {
    let silent: Vec<_> = Provider::ALL.iter().filter(|provider| provider.0.duplicates.is_none()).collect();
    assert!(silent.is_empty(), "these rows lack `duplicates`, see `Duplicates` in entry.rs: {silent:?}");

    for provider in Provider::ALL {
        let scheme = Scheme::from(*provider);
        let Kind::Declared(template) = &scheme.kind else { panic!("{provider} is written in code") };
        let answer = provider.duplicates();
        let needs_id = match answer {
            Duplicates::Event | Duplicates::Delivery => Some(true),
            Duplicates::Undocumented => None,
            _ => Some(false),
        };
        assert!(needs_id.is_none_or(|needs| needs == template.id.is_some()), "{provider}: {answer:?}");
        assert!(answer != Duplicates::Items || provider.batch().is_some(), "{provider}: {answer:?}");
    }
}

/// A public key that all customers of a sender share proves nothing about whose message it is.
#[test]
fn a_key_that_all_customers_share_does_not_bind_a_message_alone() {
    for provider in Provider::ALL {
        let scheme = Scheme::from(*provider);
        let Kind::Declared(template) = &scheme.kind else { panic!("{provider} is written in code") };
        // These sign nothing that names the receiver, as their constructors say.
        let is_unbound = ["plaid", "shipstation", "truelayer"].contains(&provider.name());
        assert_eq!(bound_by(*provider, template) == "**nothing**", is_unbound, "{provider}");
        let is_public = matches!(template.algorithm, Algorithm::Public(_));
        assert!(!provider.0.own_key || is_public && template.shared_key.is_none(), "{provider}");
    }
}

#[test]
fn every_row_says_where_it_was_read() {
    for provider in Provider::ALL {
        let is_ours = *provider == Provider::X_WEBHOOK;
        assert!(is_ours || provider.official_page().starts_with("https://"), "{provider}");
        assert!(!provider.title().is_empty(), "{provider}");
    }
}
