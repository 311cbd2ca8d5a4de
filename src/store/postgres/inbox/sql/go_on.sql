-- Lets the first event of each order key go on that waits for another one, if no other of it is due, waits for a time or is being
-- worked: two places in an index, however many wait.
-- The largest number as `due_at` is `policy::NEVER`: the event waits for another one with its order key.
-- $1 now, $2 order keys
UPDATE {inbox_events} AS e SET due_at = $1::bigint
WHERE e.state = 0 AND e.due_at = 9223372036854775807 AND e.seq = ANY (ARRAY(
    SELECT first.seq FROM unnest($2::bytea[]) AS k (order_key)
    CROSS JOIN LATERAL (
        SELECT o.seq FROM {inbox_events} AS o
        WHERE o.order_key = k.order_key AND o.order_key IS NOT NULL AND o.state <= 1 AND o.due_at = 9223372036854775807
        ORDER BY o.seq LIMIT 1
    ) AS first
    WHERE (
        SELECT o.seq FROM {inbox_events} AS o
        WHERE o.order_key = k.order_key AND o.order_key IS NOT NULL AND o.state <= 1 AND o.due_at < 9223372036854775807 LIMIT 1
    ) IS NULL
))
RETURNING e.seq
