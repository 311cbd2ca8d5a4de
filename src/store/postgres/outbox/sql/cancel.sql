-- $1 lock_timeout, $2 delivery, $3 offset of the clock
WITH setting AS MATERIALIZED (
    SELECT set_config('lock_timeout', $1::text, true),
           floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3::bigint AS now
)
-- A lease that is over is nobody's.
UPDATE {outbox_deliveries} AS d SET state = 6, token = NULL FROM setting
WHERE d.seq = $2::bigint AND (d.state IN (0, 2) OR (d.state = 1 AND d.due_at <= setting.now))
    -- One with an order key is cancelled under the lock of its endpoint.
    AND d.order_key IS NULL
RETURNING 1 AS done
