-- $1 offset of the clock, $2 limit
-- One look at each endpoint of which something waits.
WITH RECURSIVE waiting (id, left_over) AS (
    (SELECT d.endpoint, $2::bigint FROM {outbox_deliveries} AS d WHERE d.state IN (0, 1) ORDER BY d.endpoint, d.due_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint, waiting.left_over - 1
    FROM waiting CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state IN (0, 1) AND d.endpoint > waiting.id
        ORDER BY d.endpoint, d.due_at
        LIMIT 1
    ) AS next
    WHERE waiting.left_over > 0
)
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
       min(greatest(due.at, e.ready_at)) AS ready, min(greatest(due.at, e.ready_at, e.served_at)) AS unserved
FROM waiting JOIN {outbox_endpoints} AS e ON e.id = waiting.id
CROSS JOIN LATERAL (
    -- From the index of what waits, in its order, whatever the planner thinks of how much that is.
    SELECT d.endpoint, d.due_at AS at FROM {outbox_deliveries} AS d
    WHERE (d.endpoint, d.due_at) > (e.id, 0) AND d.state IN (0, 1)
    ORDER BY d.endpoint, d.due_at
    LIMIT 1
) AS due
WHERE due.endpoint = e.id AND e.disabled IS NULL
