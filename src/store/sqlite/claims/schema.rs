use crate::store::sqlite::migration::{Migration, Part};

pub(in crate::store::sqlite) const CLAIMS: Part = Part { name: "idempotency", version: 1, migrations };

/// What each version adds, and the version that a program must know to work with it. Never change an entry; append a
/// new one.
fn migrations(prefix: &str) -> Vec<Migration> {
    vec![Migration {
        needs: 1,
        // Without a rowid the record is in the tree of its key, so a claim changes one tree less. The index serves
        // purge; new entries come at the end of their state.
        statements: vec![
            format!(
                "CREATE TABLE {prefix}claims (\
                 key BLOB NOT NULL PRIMARY KEY, \
                 state INTEGER NOT NULL, \
                 token BLOB NOT NULL, \
                 attempt INTEGER NOT NULL, \
                 fingerprint BLOB NOT NULL, \
                 until INTEGER NOT NULL, \
                 response_status INTEGER, \
                 response_type TEXT, \
                 response_body BLOB) STRICT, WITHOUT ROWID"
            ),
            format!("CREATE INDEX {prefix}claims_until ON {prefix}claims (state, until)"),
        ],
    }]
}
