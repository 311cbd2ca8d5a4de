-- $1 lock_timeout, $2 delivery
WITH setting AS MATERIALIZED (
    SELECT set_config('lock_timeout', $1::text, true)
)
UPDATE {outbox_deliveries} AS d SET state = 6 FROM setting WHERE d.seq = $2::bigint AND d.state IN (0, 2)
RETURNING 1 AS done
