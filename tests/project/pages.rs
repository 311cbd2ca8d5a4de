//! Tests of the README and the guides: recipes work, tables and links are correct, and the English is plain.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use axum::{Router, routing::post};
use tokio::net::TcpListener;
use tower_webhooks::{Delivery, Provider, Scheme, Secret, WebhookLayer, scheme::Duplicates};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// The pages that users read: the README and the guides.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<_> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| Path::new("docs").join(entry.unwrap().file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.extend(["README.md", "SECURITY.md"].map(PathBuf::from));
    pages.sort();
    pages
}

// --- Recipes ------------------------------------------------------------------------------------------------------------

const GITHUB: &str = "It's a Secret to Everybody";
const STRIPE: &str = "whsec_of_an_endpoint";
const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Runs a recipe in a shell, as a reader does, against this server.
fn run(recipe: &str, base: &str, secrets: [&str; 3]) -> Output {
    let [github, stripe, standard] = secrets;
    let recipe = recipe.replace("http://localhost:3000", base);
    let output = Command::new("sh")
        .args(["-eu", "-c", &recipe])
        .env("GITHUB_WEBHOOK_SECRET", github)
        .env("STRIPE_WEBHOOK_SECRET", stripe)
        .env("WEBHOOK_SECRET", standard)
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`curl` and `openssl` must be installed; tests/run.sh does it: {errors}");
    output
}

// A command that a reader copies must work on the first try.
#[tokio::test(flavor = "multi_thread")]
async fn the_recipes_of_the_pages_sign_as_their_senders_do() {
    let secret = |text: &str| Secret::new(text).unwrap();
    let layers = [
        ("github", WebhookLayer::github(secret(GITHUB))),
        ("stripe", WebhookLayer::stripe(secret(STRIPE))),
        ("orders", WebhookLayer::standard_webhooks(secret(STANDARD))),
    ];
    let mut app = Router::new();
    for (path, layer) in layers {
        let handler = async |delivery: Delivery| {
            format!("{}/{}", delivery.provider(), delivery.event_type().map_or("", |event_type| event_type.as_str()))
        };
        app = app.route(&format!("/webhooks/{path}"), post(handler).layer(layer));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let pages = ["README.md", "docs/local-development.md"].map(read).concat();
    let recipes: Vec<_> = pages.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let expected = ["stripe/invoice.paid", "github/issues.opened", "standard-webhooks/order.completed"];
    assert_eq!(recipes.len(), expected.len());
    for (recipe, expected) in recipes.iter().zip(expected) {
        let answer = run(recipe, &base, [GITHUB, STRIPE, STANDARD]);
        let answer = String::from_utf8_lossy(&answer.stdout);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(expected), "{answer}");

        let answer = run(recipe, &base, ["another", "whsec_another", "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXM="]);
        let answer = String::from_utf8_lossy(&answer.stdout);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    server.abort();
}

/// Two handlers that read an order and then write it, at the same time. How long the second one waited, or why it failed.
#[cfg(feature = "sqlite")]
async fn read_and_write(begin: &'static str) -> Result<(), sqlx::Error> {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("orders.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let db = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
    sqlx::query("CREATE TABLE orders (paid INTEGER)").execute(&db).await?;
    sqlx::query("INSERT INTO orders VALUES (0)").execute(&db).await?;

    let first = async {
        let mut tx = db.begin_with(begin).await?;
        let paid: i64 = sqlx::query_scalar("SELECT paid FROM orders").fetch_one(&mut *tx).await?;
        // Long enough for the other to write, if it is not made to wait.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        sqlx::query("UPDATE orders SET paid = ?").bind(paid + 1).execute(&mut *tx).await?;
        tx.commit().await
    };
    let second = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        sqlx::query("UPDATE orders SET paid = paid + 1").execute(&db).await
    };
    let (first, second) = tokio::join!(first, second);
    second?;
    first?;
    let paid: i64 = sqlx::query_scalar("SELECT paid FROM orders").fetch_one(&db).await?;
    assert_eq!(paid, 2);
    Ok(())
}

// Why every page begins its transactions in SQLite with `BEGIN IMMEDIATE`: a deferred one that reads first cannot write any more
// once somebody else has, and the patience of `busy_timeout` does not help it.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_transaction_that_reads_before_it_writes_has_to_be_immediate() {
    let error = read_and_write("BEGIN DEFERRED").await.unwrap_err();
    assert!(error.to_string().contains("database is locked"), "{error}");

    read_and_write("BEGIN IMMEDIATE").await.unwrap();
    for page in pages() {
        assert!(!read(&page).contains(".begin()"), "{}", page.display());
    }
}

// --- Tables -------------------------------------------------------------------------------------------------------------

#[test]
fn the_table_of_senders_is_that_of_the_catalogue() {
    let page = read("docs/providers.md");
    let rows: BTreeMap<String, Vec<&str>> = page
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
            let constructor = cells.get(1)?.strip_prefix('`')?.split('`').next()?.replace('_', "-");
            // A constructor cannot be called `box`.
            let constructor = if constructor == "box-com" { "box".to_owned() } else { constructor };
            (constructor != "WebhookLayer::").then_some((constructor, cells))
        })
        .collect();

    for provider in Provider::ALL {
        let row = rows.get(provider.name()).unwrap_or_else(|| panic!("{provider} is not in docs/providers.md"));
        let scheme = Scheme::from(*provider);
        let says_yes = |cell: &str| cell.starts_with("yes");
        assert_eq!(says_yes(row[2]), scheme.covers_body(), "{provider}: body");
        assert_eq!(says_yes(row[3]), scheme.id_is_signed(), "{provider}: id");
        assert_eq!(says_yes(row[4]), scheme.timestamp_is_signed(), "{provider}: timestamp");
        let duplicates = match provider.duplicates() {
            Duplicates::Event => "the id, which is the event's",
            Duplicates::Delivery => "the id, which is the delivery's",
            Duplicates::Items => "the ids of the events in it",
            Duplicates::UniqueBodies => "the body",
            Duplicates::Undocumented if row[3].starts_with("none") => "nothing",
            Duplicates::Undocumented => "the id",
            _ => "nothing",
        };
        assert!(row[11].starts_with(duplicates), "{provider}: {}", row[11]);
    }
    #[cfg(feature = "asymmetric")]
    {
        assert_eq!(rows.len(), Provider::ALL.len(), "a row is of no provider");
        let count = format!("[{} senders][providers]", rows.len());
        assert!(read("README.md").contains(&count), "the README counts them");
    }
}

// --- Links --------------------------------------------------------------------------------------------------------------

/// The anchors of a page, as GitHub and rustdoc make them of its headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        })
        .collect()
}

/// Without code, in which a bracket is no link.
fn prose(text: &str) -> String {
    let blocks: String = text.split("```").step_by(2).collect();
    blocks.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

// A page is read in the repository, where guides are files, and in the documentation, where they are modules. Only a reference
// has a definition that differs: see src/lib.rs.
#[test]
fn every_link_of_a_page_leads_somewhere_in_both_places() {
    let links = read("src/links.md");
    let mut faults = Vec::new();
    for page in pages() {
        let text = read(&page);
        let folder = page.parent().unwrap();
        let mut fault = |what: String| faults.push(format!("{}: {what}", page.display()));
        for target in prose(&text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if let Some(anchor) = target.strip_prefix('#') {
                if !anchors(&text).iter().any(|known| known == anchor) {
                    fault(format!("there is no `#{anchor}`"));
                }
            } else if !target.starts_with("https://") {
                fault(format!(
                    "write `[text][label]` instead of `({target})`, and define the label in src/links.md too"
                ));
            }
        }
        for (label, target) in text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            match fs::read_to_string(root().join(folder).join(file)) {
                Ok(other) if anchor.is_empty() || anchors(&other).iter().any(|known| known == anchor) => {}
                _ => fault(format!("`{target}` does not exist")),
            }
            if !links.lines().any(|line| line.starts_with(&format!("[{label}]: crate::"))) {
                fault(format!("`{label}` is not in src/links.md"));
            }
        }
    }
    let library = read("src/lib.rs");
    for page in pages().iter().filter(|page| !library.contains(&format!("\"../{}\"", page.display()))) {
        faults.push(format!("{} is not a module of `guides` in src/lib.rs", page.display()));
    }

    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

// --- Words --------------------------------------------------------------------------------------------------------------

/// Words that plain technical English does not use, with the usual ones.
const UNCOMMON: &[(&str, &str)] = &[
    ("all the same", "anyway"),
    ("an own", "its own"),
    ("anew", "again"),
    ("as ever", "as for other events"),
    ("as it came", "as received"),
    ("as they came", "as received"),
    ("beside each other", "side by side"),
    ("cannot be had", "is not available"),
    ("could be had", "is available"),
    ("can be had", "is available"),
    ("for ever", "forever"),
    ("for who", "for applications that"),
    ("in the hands of", "while … handles it"),
    ("knows no such", "does not know the"),
    ("mute to", "tells the network nothing"),
    ("no such one", "none"),
    ("nought", "zero, or 0"),
    ("stands on the internet", "is reachable from the internet"),
    ("true deliveries", "genuine deliveries"),
    ("true delivery", "genuine delivery"),
    ("true event", "genuine event"),
    ("true events", "genuine events"),
    ("true webhooks", "genuine webhooks"),
    ("went nowhere", "was not made"),
    ("what becomes of", "what happens to"),
    ("what became of", "the result of"),
    ("what to be woken for", "what to alert on"),
    ("woken for", "alert on"),
];

/// Words that are usual after "is no". Any other is a noun, for which "is not a" is usual.
const AFTER_IS_NO: &[&str] = &["higher", "larger", "less", "longer", "lower", "more", "other", "smaller"];

/// Returns the unusual words of a line, with usual ones.
fn uncommon(line: &str) -> Vec<String> {
    let line = line.to_lowercase();
    let is_word = |start: usize, length: usize| {
        let ends = |around: Option<char>| around.is_none_or(|character| !character.is_alphanumeric());
        ends(line[..start].chars().next_back()) && ends(line[start + length..].chars().next())
    };
    let has = |words: &str| line.match_indices(words).any(|(start, _)| is_word(start, words.len()));
    let mut found: Vec<_> = UNCOMMON
        .iter()
        .filter(|(words, _)| has(words))
        .map(|(words, instead)| format!("`{words}`; write {instead}"))
        .collect();

    let words: Vec<_> =
        line.split_whitespace().map(|word| word.trim_matches(['*', '(', ')', '"', ',', '.', ':', ';', '!'])).collect();
    for (at, pair) in words.windows(2).enumerate() {
        let before = at.checked_sub(1).map(|before| words[before]);
        let next = words.get(at + 2).copied().unwrap_or_default();
        match pair {
            // "There is no" is usual, may be broken before "is", and may begin a text in the code.
            _ if before.is_none_or(|before| before.ends_with("there")) => {}
            ["is", "no"] if !AFTER_IS_NO.contains(&next) => found.push(format!("`is no {next}`; write `is not a`")),
            ["is", "none"] => found.push("`is none`; write `is not one`, or `is invalid`".to_owned()),
            _ => {}
        }
    }
    found
}

#[test]
fn uncommon_words_are_found_and_usual_ones_are_not() {
    for line in
        ["It is none.", "a body that is no JSON", "right for ever", "Nought", "the true delivery", "drawn anew,"]
    {
        assert_eq!(uncommon(line).len(), 1, "{line}");
    }
    for line in ["there is no such endpoint", "There is none.", "it is no longer used", "renewal", "value.is_none()"] {
        assert_eq!(uncommon(line), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn the_pages_are_in_plain_english() {
    let mut faults = Vec::new();
    for page in pages().into_iter().chain(["CONTRIBUTING.md", "Cargo.toml", "findings/README.md"].map(PathBuf::from)) {
        // Findings are not in the package.
        if !root().join(&page).exists() {
            continue;
        }
        for (number, line) in read(&page).lines().enumerate() {
            faults
                .extend(uncommon(line).into_iter().map(|fault| format!("{}:{}: {fault}", page.display(), number + 1)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Folders whose documentation, comments and messages are held to the same words.
const CLEAN_SOURCES: &[&str] = &["benches", "examples", "src"];

/// Every Rust file below a path, or the file itself.
fn sources(path: &Path, into: &mut Vec<PathBuf>) {
    let full = root().join(path);
    if full.is_dir() {
        for entry in fs::read_dir(full).unwrap() {
            let name = entry.unwrap().file_name();
            // The separate crate in it has a build folder.
            if name != "target" {
                sources(&path.join(name), into);
            }
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        into.push(path.to_owned());
    }
}

#[test]
fn the_sources_are_in_plain_english() {
    let mut files = Vec::new();
    for path in CLEAN_SOURCES {
        let before = files.len();
        sources(Path::new(path), &mut files);
        assert!(files.len() > before, "{path} is gone; name what took its place");
    }

    let mut faults = Vec::new();
    for file in files {
        let text = read(&file);
        let mut is_summary = true;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            let mut fault = |what: String| faults.push(format!("{}:{}: {what}", file.display(), number + 1));
            let documentation = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            let begins_with_verb = |verb: &str| documentation.is_some_and(|text| text.trim_start().starts_with(verb));
            if is_summary && ["Tells ", "Gives "].into_iter().any(begins_with_verb) {
                fault("begin with `Returns`, `Creates` or `Sets`".to_owned());
            }
            uncommon(line.trim_start_matches(['/', '!'])).into_iter().for_each(&mut fault);
            is_summary = documentation.is_none();
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
