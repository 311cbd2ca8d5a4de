-- $1 offset of the clock, $2 delivery with an order key, whose endpoint is locked
WITH cancelled AS (
    -- A lease that is over is nobody's.
    UPDATE {outbox_deliveries} AS d SET state = 6, token = NULL
    WHERE d.seq = $2::bigint AND d.order_key IS NOT NULL
        AND (d.state IN (0, 2)
            OR (d.state = 1 AND d.due_at <= floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint))
    RETURNING d.endpoint, d.order_key
),
released AS (
    -- The next one with its key is due.
    UPDATE {outbox_deliveries} AS d SET due_at = d.created_at
    WHERE d.state = 0 AND d.due_at = 9223372036854775807 AND d.seq = (
        SELECT o.seq FROM {outbox_deliveries} AS o
        WHERE o.order_key IS NOT NULL AND o.state IN (0, 1, 2)
            AND (o.endpoint, o.order_key, o.seq) > ((SELECT c.endpoint FROM cancelled AS c), (SELECT c.order_key FROM cancelled AS c), 0)
            AND (o.endpoint, o.order_key, o.seq) <= ((SELECT c.endpoint FROM cancelled AS c), (SELECT c.order_key FROM cancelled AS c), 9223372036854775807)
            AND o.seq <> $2::bigint
        ORDER BY o.endpoint, o.order_key, o.seq LIMIT 1
    )
)
SELECT 1 AS done FROM cancelled
