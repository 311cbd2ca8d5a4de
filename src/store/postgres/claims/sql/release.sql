-- $1 key, $2 token, $3 offset of the clock, $4 lock_timeout, $5 abandoned after
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3::bigint AS now,
           set_config('lock_timeout', $4::text, true) AS lock_timeout
)
UPDATE {claims} AS c SET
    state = 1,
    until_ms = CASE WHEN c.state = 1 THEN c.until_ms ELSE clock.now END,
    purge_at_ms = CASE WHEN c.state = 1 THEN c.purge_at_ms ELSE clock.now + $5::bigint END
FROM clock
WHERE c.key = $1::bytea AND c.token = $2::bytea AND c.state IN (0, 1)
RETURNING 1 AS applied
