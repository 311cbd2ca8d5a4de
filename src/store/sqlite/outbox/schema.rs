use crate::store::sqlite::migration::{Migration, Part};

pub(in crate::store::sqlite) const PARTS: &[&Part] = &[&OUTBOX];

pub(super) const OUTBOX: Part = Part { name: "outbox", version: 11, migrations };

/// Never change an entry: append.
fn migrations(prefix: &str) -> Vec<Migration> {
    // The versions before the third find their way by an index that it drops; those before the ninth know no order keys.
    let steps = [
        (1, FIRST),
        (1, SECOND),
        (3, THIRD),
        (3, FOURTH),
        (3, FIFTH),
        (3, SIXTH),
        (3, SEVENTH),
        (3, EIGHTH),
        (9, NINTH),
        (9, TENTH),
        (9, ELEVENTH),
    ];
    let with_prefix = |statements: &[&str]| statements.iter().map(|text| text.replace("{}", prefix)).collect();
    steps.map(|(needs, statements)| Migration { needs, statements: with_prefix(statements) }).into()
}

const FIRST: &[&str] = &[
    "CREATE TABLE {}outbox_endpoints (\
             id TEXT NOT NULL PRIMARY KEY, \
             tenant TEXT NOT NULL, \
             url TEXT NOT NULL, \
             events TEXT NOT NULL, \
             description TEXT NOT NULL, \
             style TEXT NOT NULL, \
             sealing_key TEXT NOT NULL, \
             sealed BLOB NOT NULL, \
             rate_limit TEXT, \
             api_version TEXT, \
             revision INTEGER NOT NULL DEFAULT 1, \
             disabled TEXT, \
             created_at INTEGER NOT NULL, \
             failures INTEGER NOT NULL DEFAULT 0, \
             failing_since INTEGER, \
             rests_until INTEGER NOT NULL DEFAULT 0, \
             proven INTEGER NOT NULL DEFAULT 0, \
             steady REAL NOT NULL DEFAULT 0, \
             steady_at INTEGER NOT NULL DEFAULT 0, \
             next_at INTEGER NOT NULL DEFAULT 0, \
             catching_up INTEGER NOT NULL DEFAULT 0, \
             ready_at INTEGER NOT NULL DEFAULT 0, \
             served_at INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID",
    "CREATE INDEX {}outbox_endpoints_tenant ON {}outbox_endpoints (tenant, id)",
    "CREATE INDEX {}outbox_endpoints_ready ON {}outbox_endpoints (ready_at)",
    // The payload is last, so that what stands before it is read without it.
    "CREATE TABLE {}outbox_messages (\
             seq INTEGER PRIMARY KEY AUTOINCREMENT, \
             tenant TEXT NOT NULL, \
             id TEXT NOT NULL, \
             event_type TEXT NOT NULL, \
             version TEXT, \
             addressed TEXT, \
             digest BLOB NOT NULL, \
             happened_at INTEGER NOT NULL, \
             created_at INTEGER NOT NULL, \
             payload TEXT, \
             UNIQUE (tenant, id)) STRICT",
    "CREATE INDEX {}outbox_messages_tenant ON {}outbox_messages (tenant, created_at)",
    // These two serve purge.
    "CREATE INDEX {}outbox_messages_full ON {}outbox_messages (created_at) WHERE payload IS NOT NULL",
    "CREATE INDEX {}outbox_messages_emptied ON {}outbox_messages (created_at) WHERE payload IS NULL",
    // The number is the id that is shown, so it is never given twice.
    "CREATE TABLE {}outbox_deliveries (\
             seq INTEGER PRIMARY KEY AUTOINCREMENT, \
             message INTEGER NOT NULL, \
             tenant TEXT NOT NULL, \
             endpoint TEXT NOT NULL, \
             state INTEGER NOT NULL, \
             due_at INTEGER NOT NULL, \
             attempt INTEGER NOT NULL DEFAULT 0, \
             token BLOB, \
             created_at INTEGER NOT NULL, \
             UNIQUE (message, endpoint)) STRICT",
    "CREATE INDEX {}outbox_deliveries_endpoint ON {}outbox_deliveries (endpoint, state, due_at)",
    // Ends with the number, so a tenant's are in it in the order in which they are listed.
    "CREATE INDEX {}outbox_deliveries_tenant ON {}outbox_deliveries (tenant)",
    // The index has few rows at any time, since it does not contain delivered ones.
    "CREATE INDEX {}outbox_deliveries_active ON {}outbox_deliveries (endpoint) WHERE state IN (0, 1)",
    "CREATE INDEX {}outbox_deliveries_due ON {}outbox_deliveries (due_at) WHERE state IN (0, 1)",
    "CREATE INDEX {}outbox_deliveries_held ON {}outbox_deliveries (due_at) WHERE state = 2",
    "CREATE TABLE {}outbox_attempts (\
             seq INTEGER PRIMARY KEY, \
             delivery INTEGER NOT NULL, \
             attempt INTEGER NOT NULL, \
             ended_at INTEGER NOT NULL, \
             status INTEGER, \
             error TEXT, \
             millis INTEGER NOT NULL, \
             answer BLOB NOT NULL) STRICT",
    "CREATE INDEX {}outbox_attempts_delivery ON {}outbox_attempts (delivery)",
    "CREATE TABLE {}outbox_event_types (\
             name TEXT NOT NULL PRIMARY KEY, \
             description TEXT NOT NULL, \
             version TEXT, \
             schema TEXT) STRICT, WITHOUT ROWID",
];

const SECOND: &[&str] = &[
    "ALTER TABLE {}outbox_endpoints ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE {}outbox_endpoints ADD COLUMN url_epoch INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE {}outbox_endpoints ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE {}outbox_endpoints ADD COLUMN struck_at INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE {}outbox_endpoints ADD COLUMN slow_at INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE {}outbox_endpoints ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE {}outbox_endpoints ADD COLUMN in_order INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE {}outbox_deliveries ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE {}outbox_deliveries ADD COLUMN resent_after INTEGER",
    "ALTER TABLE {}outbox_attempts ADD COLUMN manual INTEGER NOT NULL DEFAULT 0",
    // Few at any time: it finds leases that end later than any can.
    "CREATE INDEX {}outbox_deliveries_sending ON {}outbox_deliveries (due_at) WHERE state = 1",
];

/// Nothing costs more since there is much that merely waits, is held, or was.
const THIRD: &[&str] = &[
    // When the endpoint is looked at next; nothing where nothing of it waits. It is never later than something of the
    // endpoint may be leased, whoever makes it due: the triggers see to that.
    "ALTER TABLE {}outbox_endpoints ADD COLUMN look_at INTEGER",
    "CREATE INDEX {}outbox_endpoints_look ON {}outbox_endpoints (look_at) WHERE disabled IS NULL",
    "CREATE TRIGGER {}outbox_endpoints_sooner AFTER UPDATE OF ready_at ON {}outbox_endpoints \
             WHEN new.ready_at < old.ready_at AND new.look_at IS old.look_at AND new.look_at > new.ready_at BEGIN \
             UPDATE {}outbox_endpoints SET look_at = new.ready_at WHERE id = new.id; END",
    // From when on purge looks at a message, where that is not when it was dispatched. Never, where a delivery of it
    // says so (`blocks`), until that has ended.
    "ALTER TABLE {}outbox_messages ADD COLUMN purge_after INTEGER",
    "DROP INDEX {}outbox_messages_full",
    "DROP INDEX {}outbox_messages_emptied",
    "CREATE INDEX {}outbox_messages_content ON {}outbox_messages (coalesce(purge_after, created_at)) \
             WHERE payload IS NOT NULL",
    "CREATE INDEX {}outbox_messages_rows ON {}outbox_messages (coalesce(purge_after, created_at)) \
             WHERE payload IS NULL",
    "ALTER TABLE {}outbox_deliveries ADD COLUMN event_type TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE {}outbox_deliveries ADD COLUMN blocks INTEGER NOT NULL DEFAULT 0",
    "UPDATE {}outbox_deliveries SET event_type = coalesce(\
             (SELECT m.event_type FROM {}outbox_messages m WHERE m.seq = message), '')",
    "DROP INDEX {}outbox_deliveries_endpoint",
    "DROP INDEX {}outbox_deliveries_tenant",
    "DROP INDEX {}outbox_deliveries_active",
    "DROP INDEX {}outbox_deliveries_due",
    "CREATE INDEX {}outbox_deliveries_waiting ON {}outbox_deliveries (endpoint, due_at) WHERE state IN (0, 1)",
    // Each ends with the number, so the deliveries of a state are in it in the order in which they are listed.
    "CREATE INDEX {}outbox_deliveries_tenant ON {}outbox_deliveries (tenant, state)",
    "CREATE INDEX {}outbox_deliveries_endpoint ON {}outbox_deliveries (endpoint, state)",
    "CREATE INDEX {}outbox_deliveries_tenant_type ON {}outbox_deliveries (tenant, event_type, state)",
    "CREATE INDEX {}outbox_deliveries_endpoint_type ON {}outbox_deliveries (endpoint, event_type, state)",
    // Those that kept purge from their message, and have ended.
    "CREATE INDEX {}outbox_deliveries_unblocked ON {}outbox_deliveries (message) WHERE blocks = 1 AND state > 2",
    // The endpoints whose deliveries are being moved to another state, since they were disabled, enabled or deleted.
    "CREATE TABLE {}outbox_moves (\
             endpoint TEXT NOT NULL PRIMARY KEY, \
             tenant TEXT NOT NULL, \
             target INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE INDEX {}outbox_moves_tenant ON {}outbox_moves (tenant)",
    "UPDATE {}outbox_endpoints SET look_at = (\
             SELECT max(d.due_at, {}outbox_endpoints.ready_at) FROM {}outbox_deliveries d \
             WHERE d.endpoint = {}outbox_endpoints.id AND d.state IN (0, 1) ORDER BY d.due_at LIMIT 1)",
    "CREATE TRIGGER {}outbox_deliveries_made AFTER INSERT ON {}outbox_deliveries WHEN new.state IN (0, 1) BEGIN \
             UPDATE {}outbox_endpoints SET look_at = max(ready_at, new.due_at) \
             WHERE id = new.endpoint AND (look_at IS NULL OR look_at > max(ready_at, new.due_at)); END",
    "CREATE TRIGGER {}outbox_deliveries_changed AFTER UPDATE OF state, due_at ON {}outbox_deliveries \
             WHEN new.state IN (0, 1) BEGIN \
             UPDATE {}outbox_endpoints SET look_at = max(ready_at, new.due_at) \
             WHERE id = new.endpoint AND (look_at IS NULL OR look_at > max(ready_at, new.due_at)); END",
];

/// What had lost its content before there was a column for it is kept from its last attempt on, and not from when it was dispatched.
const FOURTH: &[&str] = &["UPDATE {}outbox_messages SET purge_after = (\
             SELECT max(a.ended_at) FROM {}outbox_deliveries d CROSS JOIN {}outbox_attempts a ON a.delivery = d.seq \
             WHERE d.message = {}outbox_messages.seq) WHERE payload IS NULL AND purge_after IS NULL"];

/// How many attempts ended in an hour, and how.
const FIFTH: &[&str] = &[
    // A tenant's hours lie together, since a tenant has many endpoints.
    "CREATE TABLE {}outbox_stats (\
     tenant TEXT NOT NULL, \
     hour INTEGER NOT NULL, \
     endpoint TEXT NOT NULL, \
     ended INTEGER NOT NULL, \
     bucket INTEGER NOT NULL, \
     count INTEGER NOT NULL, \
     PRIMARY KEY (tenant, hour, endpoint, ended, bucket)) STRICT, WITHOUT ROWID",
    "CREATE INDEX {}outbox_stats_endpoint ON {}outbox_stats (endpoint, hour)",
    "CREATE INDEX {}outbox_stats_hour ON {}outbox_stats (hour)",
];

const SIXTH: &[&str] = &[
    // An object of texts, or nothing where it would be empty.
    "ALTER TABLE {}outbox_endpoints ADD COLUMN metadata TEXT",
    "ALTER TABLE {}outbox_event_types ADD COLUMN example TEXT",
];

/// Deliveries that were given up are few, and are listed over all tenants.
const SEVENTH: &[&str] =
    &["CREATE INDEX {}outbox_deliveries_given_up ON {}outbox_deliveries (state) WHERE state IN (4, 5)"];

const EIGHTH: &[&str] = &[
    // Pairs of name and value, each on a line; nothing where there are none.
    "ALTER TABLE {}outbox_endpoints ADD COLUMN labels TEXT",
    "ALTER TABLE {}outbox_messages ADD COLUMN labels TEXT",
];

/// One at a time of those with the same order key.
const NINTH: &[&str] = &[
    "ALTER TABLE {}outbox_messages ADD COLUMN order_key TEXT",
    "ALTER TABLE {}outbox_deliveries ADD COLUMN order_key TEXT",
    // Those that have not ended, in their order; and of these the ones that are being sent.
    "CREATE INDEX {}outbox_deliveries_keys ON {}outbox_deliveries (endpoint, order_key) \
             WHERE order_key IS NOT NULL AND state IN (0, 1, 2)",
    "CREATE INDEX {}outbox_deliveries_sending_keys ON {}outbox_deliveries (endpoint, order_key) \
             WHERE order_key IS NOT NULL AND state = 1",
    // When one has ended, whatever ended it, the next one is due.
    "CREATE TRIGGER {}outbox_deliveries_ended AFTER UPDATE OF state ON {}outbox_deliveries \
             WHEN new.order_key IS NOT NULL AND new.state > 2 AND old.state IN (0, 1, 2) BEGIN \
             UPDATE {}outbox_deliveries SET due_at = created_at WHERE state = 0 AND due_at = 9223372036854775807 AND seq = (\
             SELECT d.seq FROM {}outbox_deliveries d INDEXED BY {}outbox_deliveries_keys \
             WHERE d.endpoint = new.endpoint AND d.order_key = new.order_key AND d.order_key IS NOT NULL \
             AND d.state IN (0, 1, 2) ORDER BY d.seq LIMIT 1); END",
];

/// The counts in the order in which they are summed, so that nothing is sorted.
const TENTH: &[&str] = &[
    "CREATE TABLE {}outbox_stats_in_order (\
     tenant TEXT NOT NULL, \
     hour INTEGER NOT NULL, \
     endpoint TEXT NOT NULL, \
     ended INTEGER NOT NULL, \
     bucket INTEGER NOT NULL, \
     count INTEGER NOT NULL, \
     PRIMARY KEY (tenant, hour, ended, bucket, endpoint)) STRICT, WITHOUT ROWID",
    "INSERT INTO {}outbox_stats_in_order (tenant, hour, endpoint, ended, bucket, count) \
     SELECT tenant, hour, endpoint, ended, bucket, count FROM {}outbox_stats",
    "DROP TABLE {}outbox_stats",
    "ALTER TABLE {}outbox_stats_in_order RENAME TO {}outbox_stats",
    "CREATE INDEX {}outbox_stats_endpoint ON {}outbox_stats (endpoint, hour, ended, bucket)",
    "CREATE INDEX {}outbox_stats_hour ON {}outbox_stats (hour, ended, bucket)",
];

/// What waited: a sample of each minute (step 0), and the most of each quarter of an hour, two hours and day (1, 2 and 3). All are few. Times are
/// in milliseconds.
const ELEVENTH: &[&str] = &["CREATE TABLE {}outbox_backlog (\
     step INTEGER NOT NULL, \
     start INTEGER NOT NULL, \
     waiting INTEGER NOT NULL, \
     oldest_due INTEGER NOT NULL, \
     unserved INTEGER NOT NULL, \
     PRIMARY KEY (step, start)) STRICT, WITHOUT ROWID"];

#[cfg(test)]
pub(super) mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

    use super::PARTS;

    #[tokio::test]
    async fn counts_are_kept_when_their_table_is_put_in_order() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for (place, migration) in super::migrations("a_").into_iter().enumerate() {
            if place == 9 {
                let count = "INSERT INTO a_outbox_stats (tenant, hour, endpoint, ended, bucket, count) VALUES ('acme', 7, 'ep_1', 0, 3, 5)";
                sqlx::query(count).execute(&mut connection).await.unwrap();
            }
            for statement in migration.statements {
                sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
            }
        }
        let kept = "SELECT tenant || ' ' || hour || ' ' || endpoint || ' ' || ended || ' ' || bucket || ' ' || count FROM a_outbox_stats";
        let kept: Vec<String> = sqlx::query_scalar(kept).fetch_all(&mut connection).await.unwrap();
        assert_eq!(kept, ["acme 7 ep_1 0 3 5"]);
    }

    /// How SQLite goes about statements, step by step.
    pub(in super::super) async fn plans(statements: &[&str]) -> Vec<Vec<String>> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for statement in PARTS.iter().flat_map(|part| (part.migrations)("")).flat_map(|migration| migration.statements)
        {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        let mut plans = Vec::new();
        for statement in statements {
            let explain = format!("EXPLAIN QUERY PLAN {}", statement.replace("{}", ""));
            let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
            plans.push(plan.iter().map(|row| row.get("detail")).collect());
        }
        plans
    }
}
