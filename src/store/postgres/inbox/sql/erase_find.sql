-- $1 consumer, $2 tenant, $3 limit
SELECT e.seq, e.order_key FROM {inbox_events} AS e
WHERE e.consumer = $1::text AND e.tenant = $2::text AND e.tenant IS NOT NULL AND e.state <> 1
ORDER BY e.seq
LIMIT $3::bigint
