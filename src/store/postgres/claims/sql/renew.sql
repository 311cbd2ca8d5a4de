-- $1 key, $2 token, $3 offset of the clock, $4 lock_timeout, $5 lease, $6 abandoned after
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3::bigint AS now,
           set_config('lock_timeout', $4::text, true) AS lock_timeout
)
UPDATE {claims} AS c SET
    until_ms = clock.now + $5::bigint,
    purge_at_ms = clock.now + $5::bigint + $6::bigint
FROM clock
WHERE c.key = $1::bytea AND c.token = $2::bytea AND c.state = 0
RETURNING 1 AS applied
