-- $1 offset of the clock, $2 consumer, $3 limit, $4 the time that was read before in this transaction, if it was
WITH clock AS MATERIALIZED (
    SELECT coalesce($4::bigint, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint) AS now
)
SELECT (SELECT clock.now FROM clock) AS now,
       e.seq, e.state, e.due_at, e.attempt, e.spent, e.token, e.order_key, e.retention, e.fingerprint, e.body IS NOT NULL AS has_content,
       e.key, e.accepted_at, e.head, e.body
FROM {inbox_events} AS e
WHERE e.consumer = $2::text AND e.state <= 1 AND e.due_at <= (SELECT clock.now FROM clock)
ORDER BY e.due_at, e.seq
LIMIT $3::bigint
FOR UPDATE OF e SKIP LOCKED
