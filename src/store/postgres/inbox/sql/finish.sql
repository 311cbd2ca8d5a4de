-- Ends an attempt, if its token still holds the event.
-- $1 lock_timeout, or empty to leave it, $2 event, $3 token, $4 state, $5 due_at, $6 attempt, $7 spent, $8 token from now on, $9 reason
WITH settings AS MATERIALIZED (
    -- `FROM settings` below is needed: a query that nothing refers to is not run. The setting ends with this transaction.
    SELECT CASE WHEN $1::text <> '' THEN set_config('lock_timeout', $1::text, true) END AS lock_timeout
)
UPDATE {inbox_events} AS e
SET state = $4::bigint::smallint, due_at = $5::bigint, attempt = $6::bigint, spent = $7::bigint, token = $8::bytea, reason = $9::text
FROM settings
WHERE e.seq = $2::bigint AND e.state = 1 AND e.token = $3::bytea
RETURNING e.seq
