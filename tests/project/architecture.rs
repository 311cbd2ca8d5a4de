//! Who may import whom in `src/`, and what must not be there at all.
//!
//! ARCHITECTURE.md explains the map; the tables below are what holds. A module that is not in [`MODULES`] fails the
//! test, so a new one is put on the map on the day that it is made.
//!
//! The imports of a `#[cfg(test)]` module are not checked, since they are not part of the library.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

/// The leaves: anyone may import them, and they import only each other.
const LEAVES: &[&str] = &[
    "answers",
    "boxed",
    "claim",
    "clock",
    "delivery",
    "drain",
    "error",
    "fencing",
    "field",
    "form",
    "head",
    "host",
    "json",
    "mutex",
    "observe",
    "outcome",
    "panics",
    "pattern",
    "redaction",
    "secret",
    "transaction",
];

/// The other modules, in reading order, each with what it may import beside the leaves.
const MODULES: &[(&str, &[&str])] = &[
    ("signature", &[]),
    ("sealing", &["signature"]),
    ("scheme", &["signature"]),
    ("net", &[]),
    ("keys", &["net", "signature"]),
    ("verify", &["scheme", "keys"]),
    ("extract", &["scheme", "verify"]),
    ("route", &["scheme", "verify"]),
    ("idempotency", &["verify"]),
    ("queue", &[]),
    ("inbox", &["idempotency", "queue", "route", "sealing", "verify"]),
    ("sink", &["idempotency", "inbox", "queue", "verify"]),
    ("send", &["net", "queue", "sealing", "signature"]),
    ("api", &["idempotency", "inbox", "send"]),
    ("dashboard", &["api", "inbox", "send"]),
    ("store", &["idempotency", "inbox", "send"]),
    ("testing", &["extract", "scheme", "send", "verify"]),
    ("conformance", &["idempotency", "inbox", "send"]),
];

/// The rooms of `send/`, in reading order, each with the others that it may import. Inside `send/` a thing is imported from
/// its own file, and not by way of what `send/mod.rs` shows to users.
const SENDING: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("message", &["error"]),
    ("outbox/store", &["message"]),
    ("outbox/policy", &["message", "outbox/store"]),
    ("signing", &["error", "message", "outbox/store"]),
    ("attempt", &[]),
    ("retry", &["attempt"]),
    ("client", &["attempt", "retry"]),
    ("deliver", &["attempt", "message", "retry", "signing"]),
    ("outbox", &["attempt", "client", "error", "message", "outbox/store", "retry", "signing"]),
];

/// Where no file may import itself by way of others, but for [the options of a store](is_of_options).
const WITHOUT_CIRCLES: &[&str] = &[
    "api",
    "dashboard",
    "delivery",
    "extract",
    "idempotency",
    "inbox",
    "net",
    "observe",
    "queue",
    "route",
    "scheme",
    "secret",
    "send",
    "signature",
    "sink",
    "store",
    "verify",
];

/// What must not occur: in which modules (all, if none is named), except in which files, which path, and why.
const ABSENCES: &[Absence] = &[
    Absence::pure("std::env"),
    Absence::pure("std::fs"),
    Absence::pure("std::net"),
    Absence::pure("std::process"),
    Absence::pure("std::thread"),
    Absence::pure("tokio"),
    Absence::pure("Instant::now"),
    Absence::pure("SystemTime::now"),
    Absence {
        modules: &[],
        except: &["scheme/provider/names.rs", "scheme/provider/page.rs"],
        path: "Provider::ALL",
        why: "what names all providers is linked with all of their schemes; ask the tables of `provider::catalogue`",
    },
    Absence { modules: &["verify"], except: &[], path: "axum", why: NEUTRAL },
    Absence { modules: &["verify"], except: &[], path: "axum_core", why: NEUTRAL },
    Absence { modules: &[], except: &["clock.rs"], path: "SystemTime::now", why: "only `clock` reads the wall clock" },
    Absence { modules: &[], except: &[], path: "unsafe", why: "there is no `unsafe` anywhere" },
];

const NEUTRAL: &str = "`verify` names no axum type; what it needs of the framework is in `host`";

struct Absence {
    modules: &'static [&'static str],
    except: &'static [&'static str],
    path: &'static str,
    why: &'static str,
}

impl Absence {
    const fn pure(path: &'static str) -> Self {
        let why = "`signature` and `scheme` do no I/O and never read the clock";
        Self { modules: &["signature", "scheme"], except: &[], path, why }
    }
}

#[test]
fn every_arrow_in_src_is_one_of_the_map() {
    let files = sources();

    let faults: Vec<_> =
        files.iter().flat_map(|(path, text)| check(path, text)).map(|fault| fault.to_string()).collect();

    assert!(files.iter().any(|(path, _)| path == Path::new("lib.rs")), "the sources were found");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_map_lets_no_receiving_module_import_a_sending_one_and_nobody_a_store() {
    let receiving = ["signature", "scheme", "keys", "verify", "extract", "route", "idempotency", "inbox", "sink"];

    for (module, targets) in MODULES {
        assert!(!targets.contains(&"store"), "{module}");
        assert!(!receiving.contains(module) || !targets.contains(&"send"), "{module}");
        assert!(!receiving.contains(module) || !targets.contains(&"api"), "{module}");
        assert!(
            targets.iter().all(|target| rule_of(target).is_some()),
            "{module} may import a module that is on no map"
        );
    }
}

#[test]
fn the_architecture_page_draws_the_same_map() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md can be read");
    // The second cell of the table row that the first cell begins.
    let row = |first: &str| {
        let row = page.lines().find_map(|line| line.strip_prefix(&format!("| `{first}` |")));
        row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for `{first}`")).trim_matches(['|', ' '])
    };

    for leaf in LEAVES {
        assert!(!row(leaf).is_empty(), "{leaf}");
    }
    for (module, targets) in MODULES {
        let cell = row(&format!("{module}/"));
        let cell = cell.rsplit(": ").next().unwrap_or_default();
        let drawn: BTreeSet<_> = cell.split(", ").filter(|target| !target.is_empty()).collect();
        assert_eq!(drawn, targets.iter().copied().collect(), "{module}");
    }
    for (room, targets) in SENDING {
        let drawn: BTreeSet<_> = row(&format!("send/{room}")).split(", ").filter(|target| !target.is_empty()).collect();
        assert_eq!(drawn, targets.iter().copied().collect(), "send/{room}");
    }
}

#[test]
fn every_arrow_inside_sending_is_one_of_its_map() {
    let faults: Vec<_> =
        sources().iter().flat_map(|(path, text)| check_sending(path, text)).map(|fault| fault.to_string()).collect();

    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_map_of_sending_has_no_circles() {
    for (index, (room, targets)) in SENDING.iter().enumerate() {
        for target in *targets {
            assert!(SENDING[..index].iter().any(|(before, _)| before == target), "{room} imports {target}");
        }
    }
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let files = sources();

    let circles: Vec<_> = circles(&files)
        .into_iter()
        .filter(|circle| circle.iter().any(|path| WITHOUT_CIRCLES.iter().any(|folder| path.starts_with(folder))))
        .filter(|circle| !is_of_options(circle))
        .collect();

    assert!(circles.is_empty(), "{circles:#?}");
}

/// The options of a store open it, and the store opens itself with the default ones.
fn is_of_options(circle: &[PathBuf]) -> bool {
    let [options, store] = circle else { return false };
    let folder = options.parent();
    folder == store.parent()
        && folder.and_then(Path::parent) == Some(Path::new("store"))
        && (options.ends_with("options.rs") && store.ends_with("store.rs"))
}

#[test]
fn forbidden_arrows_inside_sending_are_found() {
    let forbidden = [
        ("send/message/content.rs", "use crate::send::outbox::dispatcher::Dispatcher;"),
        ("send/message/content.rs", "use super::super::signing::signer::Signer;"),
        ("send/outbox/store/ids.rs", "use crate::send::{message::message::Message, outbox::dispatcher::Dispatcher};"),
        ("send/client/mod.rs", "use crate::send::Message;"),
        ("send/retry.rs", "use super::Outcome;"),
        ("send/nonsense/mod.rs", ""),
    ];
    let allowed = [
        ("send/mod.rs", "pub use self::outbox::dispatcher::Dispatcher; use crate::send::Message;"),
        ("send/outbox/dispatcher.rs", "use super::store::ids::EndpointId; use crate::send::signing::signer::Signer;"),
        ("send/client/mod.rs", "use crate::{clock::Clock, send::retry::RetryPolicy}; pub(crate) mod exchange;"),
        ("send/client/mod.rs", "#[cfg(test)] mod tests { use crate::send::Message; }"),
        ("store/memory/mod.rs", "use crate::send::Message;"),
    ];

    for (path, text) in forbidden {
        assert_eq!(check_sending(Path::new(path), text).len(), 1, "{path}: {text}");
    }
    for (path, text) in allowed {
        assert_eq!(check_sending(Path::new(path), text).len(), 0, "{path}: {text}");
    }
}

#[test]
fn circles_of_files_are_found() {
    let file = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let files = [
        file("a/mod.rs", "mod b; pub use self::b::B;"),
        file("a/b.rs", "use crate::{a::c::C, d};"),
        file("a/c.rs", "use super::e::E; use crate::a::c::C;"),
        file("a/e.rs", "fn f() -> crate::a::b::B { todo!() } #[cfg(test)] use crate::a::A;"),
        file("d.rs", "use std::fmt; pub(in crate::a) fn f() {}"),
    ];

    assert_eq!(circles(&files), [["a/b.rs", "a/c.rs", "a/e.rs"].map(PathBuf::from)]);
}

#[test]
fn every_test_that_the_contributors_page_names_is_there() {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).expect("CONTRIBUTING.md can be read");
    let sources = sources();
    let mut named = 0;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        // Every other part is between backticks.
        for path in line.split('`').skip(1).step_by(2) {
            let Some((place, test)) = path.rsplit_once("::") else { continue };
            let function = format!("fn {test}(");
            let topic = place.replace("::", "/");
            let there = match fs::read_to_string(root().join(format!("tests/{topic}.rs"))) {
                Ok(text) => text.contains(&function),
                Err(_) => sources.iter().any(|(path, text)| {
                    let module = module_path(path).join("::");
                    place.trim_end_matches("::tests") == module && text.contains(&function)
                }),
            };
            assert!(there, "CONTRIBUTING.md names `{path}`, which is not there");
            named += 1;
        }
    }
    assert!(named > 50, "{named}");
}

#[test]
fn forbidden_arrows_are_found() {
    let forbidden = [
        ("verify/layer.rs", "use crate::store::memory::MemoryStore;"),
        (
            "verify/layer.rs",
            "use crate::{\n    clock::Clock,\n    idempotency::{IdempotencyLayer, IdempotencyStore},\n};",
        ),
        ("verify/mod.rs", "use super::route::EventRouter;"),
        ("verify/layer.rs", "use super::super::extract::VerifiedEvent;"),
        ("verify/layer.rs", "fn f() -> crate::send::Dispatcher { todo!() }"),
        ("verify/layer.rs", "pub use crate::{store as hidden, clock};"),
        ("signature/hmac.rs", "use crate::scheme::Scheme;"),
        ("clock.rs", "use crate::verify::WebhookLayer;"),
        ("clock.rs", "mod sealed { use super::super::verify::WebhookLayer; }"),
        ("error/config.rs", "use crate::scheme::Scheme;"),
        ("inbox/worker.rs", "impl From<crate::send::Attempt> for u8 {}"),
        ("inbox/worker.rs", "macro_rules! m { () => { $crate::send::attempt() } }"),
        ("conformance/mod.rs", "use crate::store::memory::MemoryStore;"),
        ("extract/mod.rs", "use crate::VerifyError;"),
        ("extract/mod.rs", "use crate::*;"),
        ("nonsense/mod.rs", "use std::fmt;"),
        ("nonsense.rs", ""),
        ("route/mod.rs", "use r#crate_name::x; use crate::nonsense::x;"),
    ];

    for (path, text) in forbidden {
        assert_eq!(check(Path::new(path), text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn forbidden_things_are_found() {
    let forbidden = [
        ("signature/hmac.rs", "use std::fs;"),
        ("signature/hmac.rs", "use std::{env::var, fmt};"),
        ("scheme/template.rs", "fn f() { std::net::TcpStream::connect(x); }"),
        ("scheme/template.rs", "async fn f() { tokio::task::yield_now().await }"),
        ("scheme/template.rs", "let now = std::time::Instant::now();"),
        ("verify/service.rs", "use axum::body::Body;"),
        ("verify/service.rs", "use ::axum_core::body::Body;"),
        ("inbox/worker.rs", "let now = SystemTime::now();"),
        ("inbox/worker.rs", "#[cfg(test)]\nmod tests { fn f() { SystemTime::now(); } }"),
        ("send/mod.rs", "unsafe { f() }"),
        ("scheme/hint.rs", "for provider in Provider::ALL {}"),
    ];

    for (path, text) in forbidden {
        assert_eq!(check(Path::new(path), text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn a_fault_names_file_line_and_rule() {
    let faults = check(Path::new("verify/layer.rs"), "//! Prose.\n\nuse std::fmt;\nuse crate::store::memory;\n");

    assert_eq!(
        faults[0].to_string(),
        "src/verify/layer.rs:4: `crate::store`: `verify` may import the leaves, scheme, keys"
    );
}

#[test]
fn allowed_code_is_left_alone() {
    let allowed = [
        ("lib.rs", "pub mod store; pub use crate::{store::memory::MemoryStore, verify::WebhookLayer};"),
        (
            "verify/layer.rs",
            "use crate::{clock::Clock, keys, scheme::{Scheme, provider::Provider}, verify::body::Body};",
        ),
        ("verify/layer.rs", "use super::service::Webhook; use self::inner::X;"),
        ("verify/mod.rs", "mod layer; use super::scheme::Scheme;"),
        ("verify/layer.rs", "mod sealed { use super::Layer; use super::super::body::Body; }"),
        (
            "verify/layer.rs",
            "//! [`EventRouter`](crate::route::EventRouter)\n/* crate::store /* unsafe */ crate::send */",
        ),
        ("verify/layer.rs", r##"const A: &str = "crate::store \" unsafe"; const B: &str = r#"" crate::send "#;"##),
        ("verify/layer.rs", "fn f<'a>(x: &'a str) { let brace = '{'; let quote = '\\''; let _ = b'\"'; }"),
        ("verify/layer.rs", "#[cfg(feature = \"axum\")] mod x; #[cfg(test)] mod tests { use crate::store::memory; }"),
        ("verify/layer.rs", "#[cfg(test)]\nuse crate::store::memory::MemoryStore;\nuse crate::clock;"),
        ("verify/layer.rs", "pub(in crate::verify) fn f() { crate::some_macro!(); }"),
        ("clock.rs", "fn now() { SystemTime::now() }"),
        ("scheme/template.rs", "use std::time::{Duration, SystemTime}; #![forbid(unsafe_code)]"),
        ("host/axum.rs", "use axum::extract::OriginalUri;"),
        ("store/sqlite/mod.rs", "use crate::idempotency::{ClaimKey, IdempotencyStore};"),
    ];

    for (path, text) in allowed {
        let faults: Vec<_> = check(Path::new(path), text).iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{path}: {text}\n{faults:?}");
    }
}

// --- The checker --------------------------------------------------------------------------------------------------------

struct Fault {
    path: PathBuf,
    line: usize,
    found: String,
    rule: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: `{}`: {}", self.path.display(), self.line, self.found, self.rule)
    }
}

/// Checks one file, named by its path under `src/`.
fn check(path: &Path, text: &str) -> Vec<Fault> {
    let fault = |line, found: &str, rule| Fault { path: path.to_owned(), line, found: found.to_owned(), rule };
    let module = module_of(path);
    if let Some(module) = module.as_deref()
        && rule_of(module).is_none()
    {
        let rule = format!("put `{module}` into the table of tests/project/architecture.rs and into ARCHITECTURE.md");
        return vec![fault(1, module, rule)];
    }

    let all = tokens(text);
    let shipped = without_tests(&all);
    let mut faults = Vec::new();

    for reference in references(&shipped, &module_path(path)) {
        // `crate::x!` is a macro; it lives at the root, wherever it is written.
        let (Some(module), false) = (module.as_deref(), reference.is_macro) else { continue };
        let Some(target) = reference.path.first() else { continue };
        if target == module || LEAVES.contains(&target.as_str()) {
            continue;
        }
        let allowed = rule_of(module).unwrap_or_default();
        if rule_of(target).is_none() {
            let rule = "import it from its own module, so that the arrow can be seen".to_owned();
            faults.push(fault(reference.line, &format!("crate::{target}"), rule));
        } else if !allowed.contains(&target.as_str()) {
            let allowed: Vec<_> = std::iter::once("the leaves").chain(allowed.iter().copied()).collect();
            let rule = format!("`{module}` may import {}", allowed.join(", "));
            faults.push(fault(reference.line, &format!("crate::{target}"), rule));
        }
    }

    for absence in ABSENCES {
        let here =
            absence.modules.is_empty() || module.as_deref().is_some_and(|module| absence.modules.contains(&module));
        if !here || absence.except.iter().any(|except| path == Path::new(except)) {
            continue;
        }
        // Rules for single modules cover their code without tests; rules for all modules cover every line.
        let tokens = if absence.modules.is_empty() { &all } else { &shipped };
        for line in occurrences(tokens, absence.path) {
            // A clock in `scheme` breaks two rules; once is enough.
            if !faults.iter().any(|fault: &Fault| fault.line == line && fault.found == absence.path) {
                faults.push(fault(line, absence.path, absence.why.to_owned()));
            }
        }
    }
    faults
}

/// Checks what one file of `send/` imports of the others.
fn check_sending(path: &Path, text: &str) -> Vec<Fault> {
    let file = module_path(path);
    // The root of `send` re-exports items from all of its parts.
    if file.first().is_none_or(|module| module != "send") || file.len() == 1 {
        return Vec::new();
    }
    let fault = |line, found: &str, rule| Fault { path: path.to_owned(), line, found: found.to_owned(), rule };
    let Some((room, allowed)) = room_of(&file) else {
        let rule = "put the room into the table of tests/project/architecture.rs and into ARCHITECTURE.md".to_owned();
        return vec![fault(1, &file.join("::"), rule)];
    };
    let mut faults = Vec::new();
    for (line, target) in absolute_paths(&without_tests(&tokens(text)), &file) {
        if target.first().is_none_or(|module| module != "send") {
            continue;
        }
        match room_of(&target) {
            None => {
                let rule = "inside `send/`, import it from its own file".to_owned();
                faults.push(fault(line, &target.join("::"), rule));
            }
            Some((other, _)) if other != room && !allowed.contains(&other) => {
                let rule = format!("`send/{room}` may import {}", allowed.join(", "));
                faults.push(fault(line, &target.join("::"), rule));
            }
            Some(_) => {}
        }
    }
    faults
}

/// The room of sending that a path leads into, and what it may import.
fn room_of(path: &[String]) -> Option<(&'static str, &'static [&'static str])> {
    let inside = path.get(1..)?.join("/");
    let is_in = |room: &str| inside.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    // A room inside of another one has the longer name.
    SENDING.iter().filter(|(room, _)| is_in(room)).max_by_key(|(room, _)| room.len()).copied()
}

/// The paths into this crate, from its root. What stands in a module that is opened within the file is taken for what stands
/// in the file itself.
fn absolute_paths(tokens: &[Token], file: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (line, path) in paths(tokens) {
        let mut rest = path.as_slice();
        let mut base = match rest.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") if rest.len() > 1 => file.to_vec(),
            _ => continue,
        };
        while let Some(first) = rest.first().filter(|first| ["crate", "self", "super"].contains(&first.as_str())) {
            if first == "super" {
                base.pop();
            }
            rest = &rest[1..];
        }
        base.extend(rest.iter().filter(|name| *name != "self").cloned());
        found.push((line, base));
    }
    found
}

/// The groups of files in which each file imports all others, directly or indirectly.
fn circles(files: &[(PathBuf, String)]) -> Vec<Vec<PathBuf>> {
    let modules: Vec<_> = files.iter().map(|(path, _)| module_path(path)).collect();
    // The file in which a path ends, which is that of its longest beginning.
    let file_of = |target: &[String]| {
        let lengths = (1..=target.len()).rev();
        lengths.filter_map(|length| modules.iter().position(|module| module == &target[..length])).next()
    };
    let arrows: Vec<BTreeSet<usize>> = files
        .iter()
        .enumerate()
        .map(|(from, (_, text))| {
            let targets = absolute_paths(&without_visibilities(&without_tests(&tokens(text))), &modules[from]);
            targets.iter().filter_map(|(_, target)| file_of(target)).filter(|to| *to != from).collect()
        })
        .collect();
    let reached = |from: usize| {
        let mut reached = BTreeSet::new();
        let mut open: Vec<_> = arrows[from].iter().copied().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(&arrows[next]);
            }
        }
        reached
    };
    let reached: Vec<_> = (0..files.len()).map(reached).collect();
    let mut circles: Vec<Vec<PathBuf>> = Vec::new();
    for from in 0..files.len() {
        let members: Vec<_> = reached[from].iter().filter(|to| reached[**to].contains(&from)).copied().collect();
        // Each circle once, by its first file.
        if members.first() == Some(&from) {
            circles.push(members.into_iter().map(|member| files[member].0.clone()).collect());
        }
    }
    circles
}

/// The modules that a module may import besides the leaves, or `None` if it is not in the list.
fn rule_of(module: &str) -> Option<&'static [&'static str]> {
    if LEAVES.contains(&module) {
        return Some(&[]);
    }
    MODULES.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed)
}

/// The top-level module that a file belongs to; the crate root belongs to none and may import all.
fn module_of(path: &Path) -> Option<String> {
    module_path(path).into_iter().next()
}

fn module_path(path: &Path) -> Vec<String> {
    let mut parts: Vec<_> = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

/// A path into this crate, with `crate`, `super` and `self` resolved.
struct Reference {
    line: usize,
    path: Vec<String>,
    is_macro: bool,
}

fn references(tokens: &[Token], file: &[String]) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new(); // The modules opened in this file, with the depth of their braces.
    let mut depth = 0;

    let mut index = 0;
    while index < tokens.len() {
        let text = tokens[index].text.as_str();
        let next = tokens.get(index + 1).map_or("", |token| token.text.as_str());
        let before = index.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        match text {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.pop_if(|(_, opened)| *opened == depth);
            }
            "mod" if tokens.get(index + 2).is_some_and(|token| token.text == "{") => {
                inline.push((next.to_owned(), depth));
            }
            "crate" | "super" if before != "::" && next == "::" => {
                let mut base = Vec::new();
                let mut after = index + 2;
                if text == "super" {
                    base = file.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
                    base.pop();
                    while tokens.get(after).is_some_and(|token| token.text == "super") {
                        base.pop();
                        after += 2;
                    }
                }
                if base.is_empty() {
                    found.extend(first_names(tokens, after));
                } else {
                    found.push(Reference { line: tokens[index].line, path: base, is_macro: false });
                }
            }
            _ => {}
        }
        index += 1;
    }
    found
}

/// The first name, or the first names of a group, at `start`, directly after `crate::`.
fn first_names(tokens: &[Token], start: usize) -> Vec<Reference> {
    let name = |token: &Token, after: Option<&Token>| Reference {
        line: token.line,
        path: vec![token.text.clone()],
        is_macro: after.is_some_and(|token| token.text == "!"),
    };
    let Some(first) = tokens.get(start) else { return Vec::new() };
    if first.text != "{" {
        return vec![name(first, tokens.get(start + 1))];
    }
    let mut names = Vec::new();
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => {}
            // A name at the group's own depth starts an element only behind its brace or a comma.
            _ if depth == 1 && matches!(tokens[index - 1].text.as_str(), "{" | ",") => {
                names.push(name(token, tokens.get(index + 1)));
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// The lines on which `wanted` (`a::b`, or a single name) occurs, also inside the groups of a `use`.
fn occurrences(tokens: &[Token], wanted: &str) -> Vec<usize> {
    let wanted: Vec<_> = wanted.split("::").collect();
    let mut lines = Vec::new();
    for (line, path) in paths(tokens) {
        let hit = if wanted.len() == 1 {
            // A crate or a keyword: only where a path begins.
            path.first().is_some_and(|first| first == wanted[0])
        } else {
            path.windows(wanted.len()).any(|window| window.iter().eq(wanted.iter()))
        };
        if hit {
            lines.push(line);
        }
    }
    lines.dedup();
    lines
}

/// Every path in the code, with groups spread out: `std::{fs, io::{self, Read}}` is `std::fs`, `std::io::self`, ….
fn paths(tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        if tokens[index].is_name() {
            index = spread(tokens, index, &[], &mut found);
        } else {
            index += 1;
        }
    }
    found
}

/// Reads the path or path tree at `index` after `prefix`, and returns the index of its end.
fn spread(tokens: &[Token], mut index: usize, prefix: &[String], found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let line = tokens[index].line;
    let mut path = prefix.to_vec();
    loop {
        path.push(tokens[index].text.clone());
        index += 1;
        // `use ::axum` begins at the colons: a keyword is no part of a path.
        if text(index) != "::" || KEYWORDS.contains(&text(index - 1)) {
            break;
        }
        if text(index + 1) == "{" {
            index += 2;
            while index < tokens.len() && text(index) != "}" {
                if tokens[index].is_name() {
                    index = spread(tokens, index, &path, found);
                } else {
                    index += 1;
                }
            }
            return index + 1;
        }
        if !tokens.get(index + 1).is_some_and(Token::is_name) {
            break;
        }
        index += 1;
    }
    found.push((line, path));
    index
}

/// The keywords that a path from the outermost root, `::name`, can follow.
const KEYWORDS: &[&str] =
    &["as", "dyn", "else", "for", "if", "impl", "in", "let", "match", "mut", "return", "use", "where"];

/// The code without the places to which something is visible: `pub(in crate::store)` imports nothing.
fn without_visibilities(tokens: &[Token]) -> Vec<Token> {
    let mut kept: Vec<Token> = Vec::new();
    let mut is_place = false;
    for token in tokens {
        let follows = kept.last().is_some_and(|before| before.text == "(");
        is_place = (is_place && token.text != ")") || (follows && token.text == "in");
        if !is_place {
            kept.push(token.clone());
        }
    }
    kept
}

/// The code without its `#[cfg(test)]` items.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let here = tokens[index..].iter().take(ATTRIBUTE.len()).map(|token| token.text.as_str());
        if !here.eq(ATTRIBUTE) {
            kept.push(tokens[index].clone());
            index += 1;
            continue;
        }
        // The item ends with its `;`, or with the brace that closes its body.
        index += ATTRIBUTE.len();
        let (mut depth, mut is_use) = (0, false);
        while let Some(token) = tokens.get(index) {
            index += 1;
            match token.text.as_str() {
                "use" if depth == 0 => is_use = true,
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && (token.text == ";" || (token.text == "}" && !is_use)) {
                break;
            }
        }
    }
    kept
}

#[derive(Clone)]
struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Cuts Rust code into names, `::` and single characters, and drops comments, strings, characters and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut index = 0;
    while index < chars.len() {
        let start = index;
        let first = chars[index];
        match first {
            '/' if at(index + 1) == '/' => {
                while index < chars.len() && chars[index] != '\n' {
                    index += 1;
                }
            }
            '/' if at(index + 1) == '*' => {
                let mut depth = 0;
                while index < chars.len() {
                    match (chars[index], at(index + 1)) {
                        ('/', '*') => (depth, index) = (depth + 1, index + 2),
                        ('*', '/') => (depth, index) = (depth - 1, index + 2),
                        _ => index += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => index = end_of_string(&chars, index),
            // A character, unless it is a lifetime.
            '\'' if at(index + 1) == '\\' || at(index + 2) == '\'' => {
                index += if at(index + 1) == '\\' { 3 } else { 2 };
                while index < chars.len() && chars[index] != '\'' {
                    index += 1;
                }
                index += 1;
            }
            '\'' => {
                index += 1;
                while at(index).is_alphanumeric() || at(index) == '_' {
                    index += 1;
                }
            }
            ':' if at(index + 1) == ':' => {
                index += 2;
                tokens.push(Token { line, text: "::".to_owned() });
            }
            _ if first.is_alphanumeric() || first == '_' => {
                while at(index).is_alphanumeric() || at(index) == '_' {
                    index += 1;
                }
                let name: String = chars[start..index].iter().collect();
                let hashes = chars[index..].iter().take_while(|c| **c == '#').count();
                match name.as_str() {
                    "r" | "br" | "cr" if at(index + hashes) == '"' => index = end_of_raw_string(&chars, index, hashes),
                    // A raw name, `r#type`: the name follows.
                    "r" if hashes == 1 => index += 1,
                    // The quote of a byte or C string is read next.
                    "b" | "c" if matches!(at(index), '"' | '\'') => {}
                    _ => tokens.push(Token { line, text: name }),
                }
            }
            _ => {
                index += 1;
                if !first.is_whitespace() {
                    tokens.push(Token { line, text: first.to_string() });
                }
            }
        }
        line += chars[start..index.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut index = start + 1;
    while index < chars.len() && chars[index] != '"' {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    index + 1
}

fn end_of_raw_string(chars: &[char], start: usize, hashes: usize) -> usize {
    let mut index = start + hashes + 1;
    while index < chars.len() {
        let closed = chars[index] == '"' && chars[index + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        if closed {
            return index + 1 + hashes;
        }
        index += 1;
    }
    index
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `src/`, by its path there, in order.
fn sources() -> Vec<(PathBuf, String)> {
    let src = root().join("src");
    let mut folders = vec![src.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of src can be read") {
            let path = entry.expect("an entry of src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file can be read");
                files.push((path.strip_prefix(&src).expect("it is in src").to_owned(), text));
            }
        }
    }
    files.sort();
    files
}
