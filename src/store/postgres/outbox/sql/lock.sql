-- $1 offset of the clock, $2 endpoints
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now, e.*
FROM {outbox_endpoints} AS e
WHERE e.id = ANY ($2::text[]) AND e.disabled IS NULL
ORDER BY e.id
FOR UPDATE SKIP LOCKED
