-- $1 key, $2 token, $3 offset of the clock
SELECT 1 AS applied
FROM {claims}
WHERE key = $1::bytea AND token = $2::bytea AND state = 2
  AND until_ms > floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3::bigint
