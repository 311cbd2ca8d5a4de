-- $1 limit, $2 endpoint, $3 tenant, if it has to be of one
-- From the index of what waits, in its order, whatever the planner thinks of how much that is.
SELECT CASE
    WHEN EXISTS (SELECT 1 FROM {outbox_endpoints} AS e WHERE e.id = $2::text AND ($3::text IS NULL OR e.tenant = $3::text))
    THEN (
        SELECT count(*) FROM (
            SELECT 1 FROM {outbox_deliveries} AS d
            WHERE (d.endpoint, d.due_at) >= ($2::text, 0) AND (d.endpoint, d.due_at) <= ($2::text, 9223372036854775807)
              AND d.state IN (0, 1)
            ORDER BY d.endpoint, d.due_at
            LIMIT $1::bigint
        ) AS counted
    )
    ELSE 0
END AS waiting
