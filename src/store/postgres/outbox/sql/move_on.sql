-- Goes on to move what waits for an endpoint that was disabled, enabled or deleted.
-- $1 offset of the clock, $2 endpoint, or nothing for any that nobody else moves
SELECT v.endpoint, v.target, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now
FROM {outbox_moves} AS v
WHERE v.endpoint = coalesce($2::text, v.endpoint)
ORDER BY v.endpoint LIMIT 1
FOR UPDATE SKIP LOCKED
