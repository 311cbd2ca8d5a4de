//! Puts much into an outbox, around it.

use tower_webhooks::send::EndpointId;

use crate::Kind;

/// Numbers from 1, the time in milliseconds, and no bytes, in the words of a database.
fn words(kind: Kind, count: u32) -> (String, String, &'static str, &'static str) {
    match kind {
        Kind::Postgres => (
            String::new(),
            format!("generate_series(1, {count}) AS n"),
            "(extract(epoch FROM now()) * 1000)::bigint",
            "''::bytea",
        ),
        Kind::Sqlite => (
            format!("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})"),
            "n".to_owned(),
            "unixepoch() * 1000",
            "x''",
        ),
    }
}

fn endpoint_id(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "'ep_' || lpad(to_hex(n), 32, '0')",
        Kind::Sqlite => "printf('ep_%032x', n)",
    }
}

/// Updates the statistics of the database.
pub(crate) fn settle(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "VACUUM ANALYZE",
        Kind::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)",
    }
}

/// Endpoints with a retry that is due in an hour.
pub(crate) fn waiting(kind: Kind, endpoints: u32) -> String {
    let (series, from, now, none) = words(kind, endpoints);
    let id = endpoint_id(kind);
    format!(
        "{series} INSERT INTO webhook_outbox_endpoints \
         (id, tenant, url, events, description, style, sealing_key, sealed, created_at) \
         SELECT {id}, 'waiting', 'https://example.com/', '*', '', 'standard-webhooks', '', {none}, 0 FROM {from};\n\
         INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
         VALUES ('waiting', 'waiting', 'order.completed', {none}, 0, {now}, '7');\n\
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, attempt, created_at) \
         SELECT 1, 'waiting', 'order.completed', id, 0, {now} + 3600000, 1, {now} \
         FROM webhook_outbox_endpoints WHERE tenant = 'waiting'"
    )
}

/// Deliveries that were dispatched and held 40 days ago.
pub(crate) fn held(kind: Kind, count: u32, endpoint: EndpointId) -> String {
    let (series, from, now, none) = words(kind, count);
    format!(
        "{series} INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
         SELECT 'held', 'm-' || n, 'order.completed', {none}, 0, {now} - 3456000000, '7' FROM {from};\n\
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at) \
         SELECT m.seq, m.tenant, m.event_type, '{endpoint}', 2, m.created_at, m.created_at \
         FROM webhook_outbox_messages AS m"
    )
}

/// Messages that were delivered 100 days ago.
pub(crate) fn old(kind: Kind, count: u32, endpoint: EndpointId) -> String {
    let (series, from, now, none) = words(kind, count);
    let bytes = if kind == Kind::Postgres { "'ok'::bytea" } else { "x'6f6b'" };
    format!(
        "{series} INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
         SELECT 'acme', 'm-' || n, 'order.completed', {none}, 0, {now} - 8640000000, '7' FROM {from};\n\
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, attempt, created_at) \
         SELECT m.seq, m.tenant, m.event_type, '{endpoint}', 3, m.created_at, 1, m.created_at \
         FROM webhook_outbox_messages AS m;\n\
         INSERT INTO webhook_outbox_attempts (delivery, attempt, ended_at, millis, answer) \
         SELECT d.seq, 1, d.created_at, 1, {bytes} FROM webhook_outbox_deliveries AS d"
    )
}

/// Pending deliveries of one endpoint, in SQLite.
pub(crate) fn pending(count: u32, endpoint: EndpointId) -> String {
    let (series, from, now, _) = words(Kind::Sqlite, count);
    format!(
        "{series} INSERT INTO webhook_outbox_deliveries \
         (message, tenant, event_type, endpoint, state, due_at, created_at) \
         SELECT -n, 'acme', 'order.completed', '{endpoint}', 0, {now}, {now} FROM {from}"
    )
}

/// A log: one in 1,000 is of a rare type, and one in 500 is exhausted.
pub(crate) fn log(kind: Kind, count: u32, endpoint: EndpointId) -> String {
    let (series, from, now, none) = words(kind, count);
    format!(
        "{series} INSERT INTO webhook_outbox_messages (tenant, id, event_type, digest, happened_at, created_at, payload) \
         SELECT 'acme', 'm-' || n, CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'order.completed' END, {none}, 0, {now}, '7' \
         FROM {from};\n\
         INSERT INTO webhook_outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at) \
         SELECT m.seq, m.tenant, m.event_type, CASE WHEN m.seq % 3 = 0 THEN '{endpoint}' ELSE 'ep_00000000000000000000000000000001' END, \
         CASE WHEN m.seq % 500 < 499 THEN 3 ELSE 5 END, {now}, {now} FROM webhook_outbox_messages AS m ORDER BY m.seq"
    )
}
