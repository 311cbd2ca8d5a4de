//! Prints the public interface of a crate, one item a line, from the file of rustdoc's JSON that is its one argument.
//!
//! With `--crates`, prints the names of the other crates whose types it shows.

use std::{collections::BTreeSet, env, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (json, wants_crates) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [json] => (json.to_owned(), false),
        ["--crates", json] => (json.to_owned(), true),
        _ => {
            eprintln!("usage: tower-webhooks-public-api [--crates] JSON");
            return ExitCode::FAILURE;
        }
    };
    let items = public_api::Builder::from_rustdoc_json(json)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .sorted(true)
        .build();
    let items = match items {
        Ok(items) => items,
        Err(error) => {
            eprintln!("cannot read rustdoc's JSON: {error}");
            eprintln!("after a change of the compiler, `public-api` in .ci/public-api/Cargo.toml has to follow it");
            return ExitCode::FAILURE;
        }
    };
    let lines: Vec<String> = items.items().map(|item| item.to_string()).filter(|line| !follows_from_its_impl(line)).collect();
    if wants_crates {
        for name in crates(&lines) {
            println!("{name}");
        }
    } else {
        for line in lines {
            println!("{line}");
        }
    }
    ExitCode::SUCCESS
}

/// The one method of a trait of the standard library. The line of the `impl` stands before it.
fn follows_from_its_impl(line: &str) -> bool {
    let methods = ["clone(&self)", "cmp(&self", "eq(&self", "fmt(&self", "hash<", "partial_cmp(&self"];
    methods.iter().any(|method| line.contains(&format!("::{method}"))) || line.contains("StructuralPartialEq")
}

/// The first parts of all paths.
fn crates(lines: &[String]) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    lines
        .iter()
        .flat_map(|line| line.match_indices("::").map(move |(at, _)| &line[..at]))
        .filter_map(|before| {
            let name = before.rsplit(|c| !is_name(c)).next().unwrap_or_default();
            let is_first = !before[..before.len() - name.len()].ends_with("::");
            (is_first && name.starts_with(|c: char| c.is_ascii_lowercase())).then_some(name)
        })
        .collect()
}
