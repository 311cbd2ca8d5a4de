-- $1 offset of the clock, $2 lock_timeout, or empty to leave it; of each message: $3 tenant, $4 id, $5 event type,
-- $6 version, $7 payload, $8 digest, $9 when it happened or nothing, $10 the patterns that match its type, $11 labels, $12 order key
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
           CASE WHEN $2::text <> '' THEN set_config('lock_timeout', $2::text, true) END AS lock_timeout
),
message AS MATERIALIZED (
    SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::text[], $10::text[], $11::text[], $12::text[])
        WITH ORDINALITY AS m (tenant, id, event_type, version, payload, digest, happened_at, patterns, labels, order_key, place)
),
-- Of those who store the same message at the same moment one does, and the others wait for what becomes of it. All in one
-- order, so that no two wait for each other.
fresh AS (
    INSERT INTO {outbox_messages} (tenant, id, event_type, version, payload, digest, happened_at, created_at, labels, order_key)
    SELECT m.tenant, m.id, m.event_type, m.version, m.payload, m.digest,
           coalesce(m.happened_at::bigint, clock.now), clock.now, m.labels, m.order_key
    FROM message AS m, clock
    ORDER BY m.tenant, m.id
    ON CONFLICT (tenant, id) DO NOTHING
    RETURNING seq, tenant, id
),
-- No endpoint is locked: an application's transaction may stay open for long.
made AS (
    INSERT INTO {outbox_deliveries} (message, tenant, event_type, endpoint, state, due_at, created_at, order_key)
    SELECT fresh.seq, e.tenant, m.event_type, e.id, 0, clock.now, clock.now, m.order_key
    FROM fresh
    JOIN message AS m ON m.tenant = fresh.tenant AND m.id = fresh.id
    JOIN {outbox_endpoints} AS e ON e.tenant = fresh.tenant AND e.disabled IS NULL
        AND string_to_array(e.events, ' ') && string_to_array(m.patterns, ' ')
        AND (e.labels IS NULL OR string_to_array(e.labels, chr(10)) <@ string_to_array(coalesce(m.labels, ''), chr(10))),
    clock
    -- Their numbers are in the order of the messages, and so are their leases.
    ORDER BY m.place, e.id
    RETURNING message
),
counted AS MATERIALIZED (
    SELECT made.message, count(*) AS deliveries FROM made GROUP BY made.message
)
-- A plain read: what has been committed since the statement began is not in it, and has to be asked for once more.
SELECT m.place, fresh.seq, coalesce(counted.deliveries, 0) AS deliveries,
       known.digest = m.digest AS is_same,
       CASE WHEN known.seq IS NOT NULL
           THEN (SELECT count(*) FROM {outbox_deliveries} AS d WHERE d.message = known.seq) END AS known_deliveries
FROM message AS m
LEFT JOIN fresh ON fresh.tenant = m.tenant AND fresh.id = m.id
LEFT JOIN counted ON counted.message = fresh.seq
LEFT JOIN {outbox_messages} AS known ON known.tenant = m.tenant AND known.id = m.id COLLATE "C"
ORDER BY m.place
