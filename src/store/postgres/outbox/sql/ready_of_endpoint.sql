-- $1 offset of the clock, $2 endpoint, $3 tenant, if it has to be of one
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
       min(greatest(due.at, e.ready_at)) AS ready, min(greatest(due.at, e.ready_at, e.served_at)) AS unserved
FROM {outbox_endpoints} AS e
CROSS JOIN LATERAL (
    -- From the index of what waits, in its order, whatever the planner thinks of how much that is.
    SELECT d.endpoint, d.due_at AS at FROM {outbox_deliveries} AS d
    WHERE (d.endpoint, d.due_at) > (e.id, 0) AND d.state IN (0, 1)
    ORDER BY d.endpoint, d.due_at
    LIMIT 1
) AS due
WHERE due.endpoint = e.id AND e.disabled IS NULL AND e.id = $2::text AND ($3::text IS NULL OR e.tenant = $3::text)
