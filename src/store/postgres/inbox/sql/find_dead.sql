-- One that cannot be replayed must not stand in the way of others. The fence keeps the planner from walking the table in its order.
-- $1 consumer, $2 since, $3 whether one without content is taken, $4 limit
SELECT e.seq, e.order_key FROM (
    SELECT e.seq, e.order_key FROM {inbox_events} AS e
    WHERE e.consumer = $1::text AND e.state = 4 AND e.due_at >= $2::bigint AND ($3::bigint <> 0 OR e.body IS NOT NULL)
    OFFSET 0
) AS e
ORDER BY e.seq
LIMIT $4::bigint
