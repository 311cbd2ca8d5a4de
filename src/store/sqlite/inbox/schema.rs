use crate::store::sqlite::migration::{Migration, Part};

pub(in crate::store::sqlite) const PARTS: &[&Part] = &[&INBOX];

pub(super) const INBOX: Part = Part { name: "inbox", version: 4, migrations };

/// Never change an entry: append.
fn migrations(prefix: &str) -> Vec<Migration> {
    let with_prefix = |statements: &[&str]| statements.iter().map(|text| text.replace("{}", prefix)).collect();
    vec![
        Migration { needs: 1, statements: with_prefix(FIRST) },
        Migration { needs: 1, statements: with_prefix(SECOND) },
        Migration { needs: 1, statements: with_prefix(THIRD) },
        Migration { needs: 1, statements: with_prefix(FOURTH) },
    ]
}

/// The states are numbers, so that the indexes of what has not ended stay small: 0 and 1.
const FIRST: &[&str] = &[
    // The body is last, so that what stands before it is read without it. The number is the id that is shown, so it is never given twice.
    "CREATE TABLE {}inbox_events (\
             seq INTEGER PRIMARY KEY AUTOINCREMENT, \
             key BLOB NOT NULL UNIQUE, \
             consumer TEXT NOT NULL, \
             state INTEGER NOT NULL, \
             due_at INTEGER NOT NULL, \
             attempt INTEGER NOT NULL DEFAULT 0, \
             spent INTEGER NOT NULL DEFAULT 0, \
             token BLOB, \
             accepted_at INTEGER NOT NULL, \
             fingerprint BLOB NOT NULL, \
             retention INTEGER NOT NULL, \
             order_key BLOB, \
             guard BLOB, \
             guard_until INTEGER, \
             provider TEXT NOT NULL, \
             tenant TEXT, \
             delivery_id TEXT, \
             event_type TEXT, \
             reason TEXT, \
             has_content INTEGER NOT NULL DEFAULT 1, \
             head TEXT, \
             body BLOB) STRICT",
    "CREATE INDEX {}inbox_events_due ON {}inbox_events (consumer, due_at, seq) WHERE state <= 1",
    "CREATE INDEX {}inbox_events_order ON {}inbox_events (order_key, due_at, seq) WHERE state <= 1 AND order_key IS NOT NULL",
    "CREATE INDEX {}inbox_events_guard ON {}inbox_events (guard, guard_until) WHERE guard IS NOT NULL",
    "CREATE INDEX {}inbox_events_state ON {}inbox_events (consumer, state, seq)",
    "CREATE INDEX {}inbox_events_tenant ON {}inbox_events (tenant) WHERE tenant IS NOT NULL",
    // These serve purge. Retentions are few, so that each is walked by itself, from what ended first.
    "CREATE INDEX {}inbox_events_ended ON {}inbox_events (consumer, retention, due_at) WHERE state > 1 AND state < 4",
    "CREATE INDEX {}inbox_events_full ON {}inbox_events (consumer, due_at) WHERE state > 1 AND state < 4 AND has_content = 1",
    "CREATE INDEX {}inbox_events_dead ON {}inbox_events (consumer, due_at) WHERE state = 4",
];

/// Finds the oldest that has not ended, and counts those up to a limit.
const SECOND: &[&str] =
    &["CREATE INDEX {}inbox_events_waiting ON {}inbox_events (consumer, accepted_at) WHERE state <= 1"];

/// Finds what is due of each source.
const THIRD: &[&str] =
    &["CREATE INDEX {}inbox_events_source ON {}inbox_events (consumer, provider, due_at, seq) WHERE state <= 1"];

/// Finds a page of each list: those of each state in their order, whatever else is asked for.
const FOURTH: &[&str] = &[
    "DROP INDEX {}inbox_events_tenant",
    "CREATE INDEX {}inbox_events_type ON {}inbox_events (consumer, event_type, state, seq) WHERE event_type IS NOT NULL",
    "CREATE INDEX {}inbox_events_tenant ON {}inbox_events (consumer, tenant, state, seq) WHERE tenant IS NOT NULL",
    "CREATE INDEX {}inbox_events_tenant_type ON {}inbox_events (consumer, tenant, event_type, state, seq) \
             WHERE tenant IS NOT NULL AND event_type IS NOT NULL",
];
