//! The statements that lease and finish deliveries. `{}` is the prefix of the tables, and `{rows 3}` are rows of three values.

/// The columns of an endpoint and of how it is doing.
pub(super) const COLUMNS: &str = "id, tenant, url, events, description, style, sealing_key, sealed, revision, disabled, created_at, \
                       failures, failing_since, rests_until, rate_limit, api_version, proven, steady, steady_at, next_at, \
                       catching_up, epoch, url_epoch, strikes, struck_at, slow_at, urgent, in_order, metadata, labels";

/// What changes when another connection writes.
pub(super) const VERSION: &str = "PRAGMA data_version";

/// Reads the endpoints that may have something to lease, along an index of when they are to be looked at: those that
/// merely wait for their time are not read. The column `found` is 0 if something is due and there is room for it, 1 if
/// there is no room, and 2 if nothing may be leased now. The limit of each kind applies to the proven endpoints and to
/// the others separately, so that neither take the places of the others.
pub(super) const SEE: &str = "SELECT id, proven, found, look_at, tenant FROM (\
     SELECT e.id, e.proven, e.tenant, e.found, e.look_at, e.served_at, \
     row_number() OVER (PARTITION BY e.found, e.proven ORDER BY e.served_at, e.id) AS place FROM (\
     SELECT e.id, e.proven, e.tenant, e.look_at, e.served_at, CASE \
     WHEN e.ready_at > ?3 OR NOT EXISTS (\
     SELECT 1 FROM {}outbox_deliveries d WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.due_at <= ?3) THEN 2 \
     WHEN e.tenant IN (SELECT value FROM json_each(?8)) \
     OR (e.proven = 0 AND e.tenant IN (SELECT value FROM json_each(?9))) THEN 1 \
     WHEN (SELECT count(*) FROM {}outbox_deliveries d WHERE d.endpoint = e.id AND d.state = 1 AND d.due_at > ?3) \
     >= CASE WHEN e.failures >= ?4 OR e.in_order <> 0 THEN 1 ELSE ?5 END THEN 1 ELSE 0 END AS found \
     FROM {}outbox_endpoints e INDEXED BY {}outbox_endpoints_look \
     WHERE e.disabled IS NULL AND e.look_at <= ?3 ORDER BY e.look_at LIMIT ?6) e) \
     WHERE found <> 1 AND place <= ?7 ORDER BY served_at, id";

/// Moves the time at which endpoints are looked at to when something of them may be leased.
pub(super) const MOVE_ON: &str = "UPDATE {}outbox_endpoints SET look_at = (\
     SELECT max(d.due_at, {}outbox_endpoints.ready_at) FROM {}outbox_deliveries d \
     WHERE d.endpoint = {}outbox_endpoints.id AND d.state IN (0, 1) ORDER BY d.due_at LIMIT 1) \
     WHERE id IN (SELECT value FROM json_each(?1))";

/// The first deliveries of some endpoints that are due. Whether a message has its payload is in the head of its row.
pub(super) const DUE: &str = "SELECT d.endpoint, d.seq, d.attempt, d.due_at, d.created_at, d.resent_after, \
     m.created_at AS dispatched_at, m.payload IS NOT NULL AS has_content, d.order_key, \
     d.order_key IS NOT NULL AND EXISTS (\
     SELECT 1 FROM {}outbox_deliveries o INDEXED BY {}outbox_deliveries_keys WHERE o.endpoint = d.endpoint \
     AND o.order_key = d.order_key AND o.order_key IS NOT NULL AND o.state IN (0, 1, 2) AND o.seq < d.seq) AS is_behind, \
     d.order_key IS NOT NULL AND EXISTS (\
     SELECT 1 FROM {}outbox_deliveries o INDEXED BY {}outbox_deliveries_sending_keys WHERE o.endpoint = d.endpoint \
     AND o.order_key = d.order_key AND o.order_key IS NOT NULL AND o.state = 1 AND o.due_at > ?2 AND o.seq <> d.seq) AS is_beside \
     FROM json_each(?1) e CROSS JOIN {}outbox_deliveries d ON d.seq IN (\
     SELECT w.seq FROM {}outbox_deliveries w INDEXED BY {}outbox_deliveries_waiting \
     WHERE w.endpoint = e.value AND w.state IN (0, 1) AND w.due_at <= ?2 ORDER BY w.due_at, w.seq LIMIT ?3) \
     LEFT JOIN {}outbox_messages m ON m.seq = d.message";

/// Returns deliveries of endpoints that get them in order, and whose worker died, to their places.
pub(super) const TAKE_BACK: &str = "UPDATE {}outbox_deliveries SET state = 0, token = NULL, due_at = created_at \
     WHERE endpoint IN (SELECT value FROM json_each(?1)) AND state = 1 AND due_at <= ?2";

/// Cancels what has lost its content, and puts aside what waits for another one with its order key.
pub(super) const SET_ASIDE: [&str; 2] = [
    "UPDATE {}outbox_deliveries SET state = 6, due_at = ?3, token = NULL WHERE seq IN (SELECT value FROM json_each(?1))",
    "UPDATE {}outbox_deliveries SET state = 0, due_at = ?4, token = NULL WHERE seq IN (SELECT value FROM json_each(?2))",
];

/// Leases deliveries, notes how their endpoints are doing and when they are looked at next, and reads the messages.
pub(super) const TAKE: [&str; 4] = [
    "WITH n (epoch, seq) AS (VALUES {rows 2}) \
     UPDATE {}outbox_deliveries AS d SET state = 1, token = ?, attempt = d.attempt + 1, due_at = ?, epoch = n.epoch \
     FROM n WHERE d.seq = n.seq RETURNING seq, message",
    NOTE,
    "WITH n (look_at, id) AS (VALUES {rows 2}) UPDATE {}outbox_endpoints AS e SET look_at = n.look_at FROM n WHERE e.id = n.id",
    "SELECT seq AS number, tenant, id, event_type, version, labels, order_key, payload, happened_at FROM {}outbox_messages \
     WHERE seq IN (SELECT message FROM {}outbox_deliveries WHERE seq IN (SELECT value FROM json_each(?)))",
];

/// Takes back the leases of deliveries whose messages cannot be read.
pub(super) const PUT_BACK: &str = "UPDATE {}outbox_deliveries SET state = 0, due_at = ?2, token = NULL, attempt = attempt - 1 \
     WHERE seq IN (SELECT value FROM json_each(?1))";

/// When an endpoint is to be looked at next, and when the next lease ends.
pub(super) const NEXT_DUE: [&str; 2] = [
    "SELECT min(look_at) FROM {}outbox_endpoints WHERE disabled IS NULL AND look_at > ?1",
    "SELECT min(due_at) FROM {}outbox_deliveries WHERE state = 1 AND due_at > ?1",
];

/// The rows of some endpoints by their ids, what is in flight, when the next delivery becomes due that is not due yet, whether there
/// is a delivery that goes in order and whose worker died, and to which state deliveries are being moved.
pub(super) fn waiting() -> String {
    format!(
        "SELECT {COLUMNS}, \
         (SELECT count(*) FROM {{}}outbox_deliveries d WHERE d.endpoint = e.id AND d.state = 1 AND d.due_at > ?2) AS in_flight, \
         (SELECT d.due_at FROM {{}}outbox_deliveries d INDEXED BY {{}}outbox_deliveries_waiting \
         WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.due_at > ?2 ORDER BY d.due_at LIMIT 1) AS later, \
         e.in_order <> 0 AND EXISTS (\
         SELECT 1 FROM {{}}outbox_deliveries d WHERE d.endpoint = e.id AND d.state = 1 AND d.due_at <= ?2) AS has_died, \
         (SELECT v.target FROM {{}}outbox_moves v WHERE v.endpoint = e.id) AS target \
         FROM {{}}outbox_endpoints e WHERE e.id IN (SELECT value FROM json_each(?1))"
    )
}

/// The deliveries by their numbers, with the tokens that hold them. The state is not a parameter: SQLite prepares a statement again each
/// time that a parameter is bound which is compared with what a partial index has.
pub(super) const HELD: &str = "SELECT seq, tenant, endpoint, attempt, epoch, resent_after, created_at, token FROM {}outbox_deliveries \
     WHERE seq IN (SELECT value FROM json_each(?1)) AND state = 1";

/// The endpoints of these deliveries.
pub(super) fn receivers() -> String {
    format!(
        "SELECT {COLUMNS}, ready_at FROM {{}}outbox_endpoints WHERE id IN (\
         SELECT endpoint FROM {{}}outbox_deliveries WHERE seq IN (SELECT value FROM json_each(?1)) AND state = 1)"
    )
}

/// Deliveries, attempts, counts and endpoints, each in one statement.
pub(super) const WRITE: [&str; 4] = [
    "WITH n (state, due_at, attempt, seq) AS (VALUES {rows 4}) \
     UPDATE {}outbox_deliveries AS d SET state = n.state, due_at = n.due_at, token = NULL, attempt = n.attempt \
     FROM n WHERE d.seq = n.seq",
    "WITH n (delivery, attempt, ended_at, status, error, millis, answer, manual) AS (VALUES {rows 8}) \
     INSERT INTO {}outbox_attempts (delivery, attempt, ended_at, status, error, millis, answer, manual) \
     SELECT * FROM n WHERE n.delivery IS NOT NULL",
    COUNT,
    NOTE,
];

/// Writes down how endpoints are doing, from when on something of them may be leased, and when they were served if they just were.
pub(super) const NOTE: &str = "WITH n (failures, failing_since, rests_until, proven, steady, steady_at, next_at, catching_up, epoch, \
     url_epoch, strikes, struck_at, slow_at, urgent, ready_at, served_at, id) AS (VALUES {rows 17}) \
     UPDATE {}outbox_endpoints AS e SET failures = n.failures, failing_since = n.failing_since, rests_until = n.rests_until, \
     proven = n.proven, steady = n.steady, steady_at = n.steady_at, next_at = n.next_at, catching_up = n.catching_up, \
     epoch = n.epoch, url_epoch = n.url_epoch, strikes = n.strikes, struck_at = n.struck_at, slow_at = n.slow_at, \
     urgent = n.urgent, ready_at = n.ready_at, served_at = coalesce(n.served_at, e.served_at) FROM n WHERE e.id = n.id";

/// Counts attempts, inside the transaction that notes them.
pub(super) const COUNT: &str = "WITH n (tenant, hour, endpoint, ended, bucket, count) AS (VALUES {rows 6}) \
     INSERT INTO {}outbox_stats (tenant, hour, endpoint, ended, bucket, count) SELECT * FROM n WHERE n.tenant IS NOT NULL \
     ON CONFLICT (tenant, hour, endpoint, ended, bucket) DO UPDATE SET count = count + excluded.count";

/// No lease or rest ends as late as this, except a rest of an endpoint that gets its deliveries in order: it began
/// before the clock was set back, and has ended. The time from which the next attempt is allowed under a limit is in
/// microseconds, so it is compared with a thousand times as much.
pub(super) const LATE: &str = "SELECT EXISTS (SELECT 1 FROM {}outbox_deliveries WHERE state = 1 AND due_at > ?1) \
                    OR EXISTS (SELECT 1 FROM {}outbox_endpoints WHERE ready_at > ?2 AND in_order = 0 AND (rests_until > ?2 OR next_at > ?2 * 1000)) AS is_late";

/// Ends what ends later than is possible.
pub(super) const END: [&str; 2] = [
    "UPDATE {}outbox_deliveries SET due_at = ?3 WHERE state = 1 AND due_at > ?1",
    "UPDATE {}outbox_endpoints SET ready_at = ?3, rests_until = CASE WHEN rests_until > ?2 THEN 0 ELSE rests_until END, \
     next_at = CASE WHEN next_at > ?2 * 1000 THEN 0 ELSE next_at END \
     WHERE ready_at > ?2 AND in_order = 0 AND (rests_until > ?2 OR next_at > ?2 * 1000)",
];
