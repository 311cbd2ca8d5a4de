-- $1 offset of the clock, $2 consumer
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
       (
           SELECT e.due_at FROM {inbox_events} AS e WHERE e.consumer = $2::text AND e.state <= 1
           ORDER BY e.due_at LIMIT 1
       ) AS next
