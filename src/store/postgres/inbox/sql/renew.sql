-- $1 lock_timeout, $2 event, $3 token, $4 end of the lease
WITH settings AS MATERIALIZED (
    -- `FROM settings` below is needed: a query that nothing refers to is not run. The setting ends with this transaction.
    SELECT set_config('lock_timeout', $1::text, true) AS lock_timeout
)
UPDATE {inbox_events} AS e SET due_at = $4::bigint
FROM settings
WHERE e.seq = $2::bigint AND e.state = 1 AND e.token = $3::bytea
RETURNING e.seq
