//! The dependencies of the default build, and the compiler that it needs.
//!
//! Rules:
//!
//! 1. Without features of their own choosing, users get no HTTP client, no database driver and no TLS.
//! 2. No dependency of the default features requires a newer compiler than our own `rust-version`. Drivers may: their
//!    version then holds for everyone who turns on their feature, and SECURITY.md says so.

use std::{collections::BTreeSet, env, process::Command};

use serde_json::Value;

/// What rule 1 forbids, by crate name.
const FORBIDDEN: &[&str] = &[
    // HTTP clients and the crates below them. `hyper` itself is not among axum's parts without its `tokio` feature.
    "curl",
    "hyper",
    "hyper-util",
    "isahc",
    "reqwest",
    "ureq",
    // TLS and the cryptography that comes with it.
    "aws-lc-rs",
    "aws-lc-sys",
    "boring",
    "hyper-rustls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "rustls",
    "tokio-native-tls",
    "tokio-rustls",
    // Clients of queues.
    "async-nats",
    "aws-sdk-sqs",
    // Database drivers.
    "diesel",
    "libsqlite3-sys",
    "mongodb",
    "postgres",
    "redis",
    "rusqlite",
    "sqlx",
    "sqlx-core",
    "tokio-postgres",
    // Build tools that a database driver or a TLS library would need.
    "bindgen",
    "cc",
    "cmake",
    "pkg-config",
];

#[test]
fn the_default_build_holds_no_client_no_driver_and_no_tls() {
    let packages = default_packages();

    let found: Vec<_> = packages.iter().filter(|(name, _)| FORBIDDEN.contains(&name.as_str())).collect();

    assert!(found.is_empty(), "the default features pull in {found:?}; put it behind a feature");
}

#[test]
fn the_list_of_the_forbidden_would_notice_a_driver() {
    let packages = packages(&["--features", "sqlite"]);

    assert!(packages.iter().any(|(name, _)| FORBIDDEN.contains(&name.as_str())));
}

#[test]
fn no_dependency_of_the_default_features_asks_for_a_newer_compiler() {
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", &host()]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo prints JSON");
    let packages = default_packages();
    let ours = parse_version(env!("CARGO_PKG_RUST_VERSION"));

    let mut seen = 0;
    for package in metadata["packages"].as_array().expect("cargo lists packages") {
        let text = |field: &str| package[field].as_str().map(str::to_owned);
        let (Some(name), Some(version)) = (text("name"), text("version")) else { panic!("a package without a name") };
        if !packages.contains(&(name.clone(), version.clone())) {
            continue;
        }
        seen += 1;
        if let Some(theirs) = text("rust_version") {
            assert!(parse_version(&theirs) <= ours, "{name} {version} asks for Rust {theirs}");
        }
    }

    assert_eq!(seen, packages.len(), "every package of the default build was looked at");
}

/// The packages that a user of the default features builds, by name and version.
fn default_packages() -> BTreeSet<(String, String)> {
    packages(&[])
}

fn packages(features: &[&str]) -> BTreeSet<(String, String)> {
    let mut arguments = vec!["tree", "--edges", "normal,build", "--prefix", "none", "--no-dedupe", "--format", "{p}"];
    arguments.extend(features);
    let packages: BTreeSet<_> = cargo(&arguments)
        .lines()
        .filter_map(|line| {
            // `name v1.2.3 (proc-macro)`
            let mut words = line.split(' ');
            Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
        })
        .collect();
    assert!(packages.len() > 10, "`cargo tree` lists the packages");
    packages
}

fn cargo(arguments: &[&str]) -> String {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .arg("--locked")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// The machine's own target: the packages of other platforms need not be there to be read.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc can be started");
    let text = String::from_utf8(output.stdout).expect("rustc prints UTF-8");
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

fn parse_version(text: &str) -> Vec<u64> {
    let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().expect("a version is of numbers")).collect();
    parts.resize(3, 0);
    parts
}
