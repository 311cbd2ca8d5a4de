-- The next larger retention of what has ended.
-- $1 consumer, $2 after
SELECT e.retention FROM {inbox_events} AS e
WHERE e.consumer = $1::text AND e.state IN (2, 3) AND e.retention > $2::bigint
ORDER BY e.retention LIMIT 1
