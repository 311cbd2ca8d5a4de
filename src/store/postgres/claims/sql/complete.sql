-- $1 key, $2 token, $3 offset of the clock, $4 lock_timeout, or empty to leave it, $5 retention, $6 status, $7 content type, $8 body
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3::bigint AS now,
           CASE WHEN $4::text <> '' THEN set_config('lock_timeout', $4::text, true) END AS lock_timeout
)
-- Done by this token already: the first completion stands.
UPDATE {claims} AS c SET
    state = 2,
    until_ms = CASE WHEN c.state = 2 THEN c.until_ms ELSE clock.now + $5::bigint END,
    purge_at_ms = CASE WHEN c.state = 2 THEN c.purge_at_ms ELSE clock.now + $5::bigint END,
    response_status = CASE WHEN c.state = 2 THEN c.response_status ELSE $6::integer END,
    response_content_type = CASE WHEN c.state = 2 THEN c.response_content_type ELSE $7::text END,
    response_body = CASE WHEN c.state = 2 THEN c.response_body ELSE $8::bytea END
FROM clock
WHERE c.key = $1::bytea AND c.token = $2::bytea AND (c.state = 0 OR (c.state = 2 AND c.until_ms > clock.now))
RETURNING 1 AS applied
