use std::{env, path::Path, sync::OnceLock, time::Duration};

use tokio::time::Instant;

use super::{bounded::BoundedStore, key::ClaimKey};
use crate::{mutex::Mutex, observe};

/// When the name of the program that claims for a consumer has to be written to the store again.
///
/// If two applications share a store and have a route of the same name, each skips deliveries that the other has
/// handled. Their claims do not differ, so the names of their programs are compared, if the application has no name.
#[derive(Debug, Default)]
pub(super) struct Introductions {
    // Consumers are names in the application's code: a few.
    known: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    consumer: Box<str>,
    provider: Box<str>,
    next: Instant,
}

/// The first deliveries of a process are answered without it.
const FIRST: Duration = Duration::from_secs(60);
/// The store remembers a program for a day.
const EVERY: Duration = Duration::from_secs(60 * 60);

impl Introductions {
    /// Whether it is time; if so, it is the caller's turn.
    pub(super) fn are_due(&self, consumer: &str, provider: &str) -> bool {
        let now = Instant::now();
        let mut known = self.known.lock();
        match known.iter_mut().find(|known| *known.consumer == *consumer && *known.provider == *provider) {
            Some(known) if now < known.next => false,
            Some(known) => {
                known.next = now + EVERY;
                true
            }
            None => {
                known.push(Known { consumer: consumer.into(), provider: provider.into(), next: now + FIRST });
                false
            }
        }
    }
}

/// Notes in `store` which program this is, and warns the operator if the store knows another one.
pub(super) async fn introduce(store: &BoundedStore, key: ClaimKey, consumer: &str, provider: &str) {
    let Some(program) = program() else { return };
    // A failure is not logged here: the next call of the store will report it.
    if let Ok(Some(other)) = store.introduce(key, program).await {
        observe::shared_store(provider, consumer, program, &other);
    }
}

/// The name of the running program, as far as the operating system knows it.
fn program() -> Option<&'static str> {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    NAME.get_or_init(|| env::current_exe().ok().and_then(|path| name(&path))).as_deref()
}

/// The file's name without its extension, and without the hash that cargo puts behind the name of a test.
fn name(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = name.rsplit_once('-').filter(|(_, hash)| is_hash(hash)).map_or(name, |(name, _)| name);
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::name;

    #[test]
    fn a_program_is_known_by_the_name_of_its_file() {
        for (path, expected) in [
            ("/usr/bin/billing", Some("billing")),
            ("/srv/crm-api", Some("crm-api")),
            ("target/debug/deps/once_sqlite-0123456789abcdef", Some("once_sqlite")),
            ("/", None),
        ] {
            assert_eq!(name(Path::new(path)).as_deref(), expected, "{path}");
        }
    }
}
