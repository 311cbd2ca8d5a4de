-- Reads what decides about events that come. Whoever changes what is read has the locks of their order keys and guards.
-- $1 offset of the clock; of each event: $2 key, $3 order key or nothing, $4 guard or nothing; $5 consumer, $6 limit or NULL
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now
),
draft AS MATERIALIZED (
    SELECT * FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) WITH ORDINALITY AS d (key, order_key, guard, place)
)
SELECT d.place, clock.now,
       known.seq, known.state, known.due_at, known.attempt, known.spent, known.token, known.order_key, known.retention, known.fingerprint,
       known.has_content,
       d.guard <> ''::bytea AND (
           SELECT g.seq FROM {inbox_events} AS g
           WHERE g.guard = d.guard AND g.guard IS NOT NULL AND g.guard_until > clock.now AND g.key <> d.key LIMIT 1
       ) IS NOT NULL AS is_guarded,
       d.order_key <> ''::bytea AND (
           SELECT o.seq FROM {inbox_events} AS o
           WHERE o.order_key = d.order_key AND o.order_key IS NOT NULL AND o.state <= 1 LIMIT 1
       ) IS NOT NULL AS waits,
       -- No further than to the limit, along an index of what has not ended: the order keeps the planner from all of it.
       CASE WHEN $6::bigint IS NOT NULL THEN (
           SELECT count(*) FROM (
               SELECT FROM {inbox_events} AS w WHERE w.consumer = $5::text AND w.state <= 1
               ORDER BY w.accepted_at LIMIT $6::bigint + 1
           ) AS w
       ) END AS unfinished
FROM clock CROSS JOIN draft AS d
LEFT JOIN LATERAL (
    SELECT e.seq, e.state, e.due_at, e.attempt, e.spent, e.token, e.order_key, e.retention, e.fingerprint, e.body IS NOT NULL AS has_content
    FROM {inbox_events} AS e WHERE e.key = d.key LIMIT 1
) AS known ON true
ORDER BY d.place
