-- What is being worked is left out before anybody waits for it.
-- $1 offset of the clock, $2 events
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
       e.seq, e.state, e.due_at, e.attempt, e.spent, e.token, e.order_key, e.retention, e.fingerprint, e.body IS NOT NULL AS has_content
FROM {inbox_events} AS e
WHERE e.seq = ANY ($2::bigint[]) AND e.state <> 1
ORDER BY e.seq
FOR UPDATE OF e
