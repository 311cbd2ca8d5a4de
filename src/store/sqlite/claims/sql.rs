use std::sync::Arc;

use sqlx::AssertSqlSafe;

use crate::store::name::Prefix;

/// Every statement of the store, with the names of its tables put in once.
pub(super) struct Sql {
    /// By the logarithm of how many keys it takes.
    select: [Arc<str>; SIZES],
    /// By the logarithm of how many records it takes.
    upsert: [Arc<str>; SIZES],
    pub(super) complete: Arc<str>,
    pub(super) is_done: Arc<str>,
    pub(super) purge: Arc<str>,
}

/// How many keys or records one statement takes at most.
pub(super) const MAX_ROWS: usize = 1 << (SIZES - 1);
const SIZES: usize = 9;

impl Sql {
    pub(super) fn new(prefix: &Prefix) -> Self {
        let claims = format!("{}claims", prefix.as_str());
        let columns = "key, state, token, attempt, fingerprint, until, response_status, response_type, response_body";
        // There are few sizes, so that each statement is prepared once and kept. Unused places repeat the last key or
        // record.
        let list = |item: &str, size: usize| vec![item; 1 << size].join(", ");

        Self {
            select: std::array::from_fn(|size| {
                format!("SELECT {columns} FROM {claims} WHERE key IN ({})", list("?", size)).into()
            }),
            upsert: std::array::from_fn(|size| {
                format!(
                    "INSERT INTO {claims} ({columns}) VALUES {} ON CONFLICT (key) DO UPDATE SET \
                     state = excluded.state, token = excluded.token, attempt = excluded.attempt, \
                     fingerprint = excluded.fingerprint, until = excluded.until, \
                     response_status = excluded.response_status, response_type = excluded.response_type, \
                     response_body = excluded.response_body",
                    list("(?, ?, ?, ?, ?, ?, ?, ?, ?)", size),
                )
                .into()
            }),
            complete: format!(
                "UPDATE {claims} SET state = 2, until = ?, response_status = ?, response_type = ?, response_body = ? \
                 WHERE key = ? AND token = ? AND state = 0"
            )
            .into(),
            is_done: format!("SELECT 1 FROM {claims} WHERE key = ? AND token = ? AND state = 2 AND until > ?").into(),
            purge: format!(
                "DELETE FROM {claims} WHERE key IN (\
                 SELECT key FROM {claims} WHERE state = 2 AND until <= ? \
                 UNION ALL SELECT key FROM {claims} WHERE state IN (0, 1) AND until <= ? LIMIT ?)"
            )
            .into(),
        }
    }

    pub(super) fn select(&self, keys: usize) -> (AssertSqlSafe<Arc<str>>, usize) {
        sized(&self.select, keys)
    }

    pub(super) fn upsert(&self, records: usize) -> (AssertSqlSafe<Arc<str>>, usize) {
        sized(&self.upsert, records)
    }
}

/// The statement that takes `count`, and how many it takes.
fn sized(statements: &[Arc<str>; SIZES], count: usize) -> (AssertSqlSafe<Arc<str>>, usize) {
    let size = count.max(1).next_power_of_two();
    (AssertSqlSafe(statements[size.trailing_zeros() as usize].clone()), size)
}
