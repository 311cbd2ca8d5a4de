-- Stores what is not there, and reads what is.
-- $1 offset of the clock, $2 lock_timeout, or empty to leave it; of each event: $3 key, $4 consumer, $5 whether it waits for another,
-- $6 fingerprint, $7 retention, $8 order key or nothing, $9 guard or nothing, $10 its window, $11 provider, $12 tenant, $13 the sender's
-- id, $14 event type, $15 head, $16 body
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
           CASE WHEN $2::text <> '' THEN set_config('lock_timeout', $2::text, true) END AS lock_timeout
),
draft AS MATERIALIZED (
    SELECT * FROM unnest(
        $3::bytea[], $4::text[], $5::bigint[], $6::bytea[], $7::bigint[], $8::bytea[], $9::bytea[], $10::bigint[],
        $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::bytea[]
    ) WITH ORDINALITY AS d (
        key, consumer, waits, fingerprint, retention, order_key, guard, guard_window,
        provider, tenant, delivery_id, event_type, head, body, place
    )
),
-- Of those who store one event at the same moment one does, and the others wait for what becomes of it. Numbers are in the order of
-- the events, and none is used for what is there.
fresh AS (
    INSERT INTO {inbox_events} (
        key, consumer, state, due_at, accepted_at, fingerprint, retention, order_key, guard, guard_until,
        provider, tenant, delivery_id, event_type, head, body
    )
    SELECT d.key, d.consumer, 0, CASE WHEN d.waits <> 0 THEN 9223372036854775807 ELSE clock.now END, clock.now, d.fingerprint, d.retention,
           nullif(d.order_key, ''::bytea), nullif(d.guard, ''::bytea), CASE WHEN d.guard <> ''::bytea THEN clock.now + d.guard_window END,
           d.provider, d.tenant, d.delivery_id, d.event_type, d.head, d.body
    FROM draft AS d, clock
    WHERE (SELECT e.seq FROM {inbox_events} AS e WHERE e.key = d.key LIMIT 1) IS NULL
    ORDER BY d.place
    ON CONFLICT (key) DO NOTHING
    RETURNING key
)
-- A plain read: what has been committed since the statement began is not in it, and has to be asked for once more.
SELECT d.place, fresh.key IS NOT NULL AS is_new, clock.now,
       known.seq, known.state, known.due_at, known.attempt, known.spent, known.token, known.order_key, known.retention, known.fingerprint,
       known.has_content
FROM clock CROSS JOIN draft AS d
LEFT JOIN fresh ON fresh.key = d.key
LEFT JOIN LATERAL (
    SELECT e.seq, e.state, e.due_at, e.attempt, e.spent, e.token, e.order_key, e.retention, e.fingerprint, e.body IS NOT NULL AS has_content
    FROM {inbox_events} AS e WHERE e.key = d.key LIMIT 1
) AS known ON true
ORDER BY d.place
