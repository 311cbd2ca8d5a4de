-- $1 offset of the clock, $2 endpoint
WITH endpoint AS MATERIALIZED (
    SELECT e.* FROM {outbox_endpoints} AS e WHERE e.id = $2::text FOR UPDATE
)
-- The time is that after the wait for the lock.
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now, endpoint.* FROM endpoint
