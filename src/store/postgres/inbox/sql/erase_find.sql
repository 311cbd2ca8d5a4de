-- $1 consumer, $2 tenant, $3 limit
-- Chosen in the order of the index, and returned in that of locks.
SELECT e.seq, e.order_key FROM (
    SELECT e.seq, e.order_key FROM {inbox_events} AS e
    WHERE e.consumer = $1::text AND e.tenant = $2::text AND e.tenant IS NOT NULL AND e.state <> 1
    ORDER BY e.tenant, e.consumer, e.state, e.seq
    LIMIT $3::bigint
) AS e
ORDER BY e.seq
