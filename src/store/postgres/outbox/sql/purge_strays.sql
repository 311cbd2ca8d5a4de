-- Has moved what was dispatched while its endpoint was being disabled or deleted: a dispatch locks no endpoint.
-- $1 limit
WITH RECURSIVE fresh (endpoint) AS (
    (
        SELECT d.endpoint FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND d.due_at IS DISTINCT FROM d.noted_due
        ORDER BY d.endpoint LIMIT 1
    )
    UNION ALL
    SELECT next.endpoint FROM fresh CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND d.due_at IS DISTINCT FROM d.noted_due AND d.endpoint > fresh.endpoint
        ORDER BY d.endpoint LIMIT 1
    ) AS next
),
-- Locked, or what waits could be held for an endpoint that has just been enabled.
disabled AS MATERIALIZED (
    SELECT e.id FROM {outbox_endpoints} AS e
    WHERE e.id = ANY (ARRAY(SELECT fresh.endpoint FROM fresh)) AND e.disabled IS NOT NULL
    LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED
),
gone AS MATERIALIZED (
    SELECT fresh.endpoint FROM fresh
    WHERE (SELECT e.id FROM {outbox_endpoints} AS e WHERE e.id = fresh.endpoint LIMIT 1) IS NULL
    LIMIT $1::bigint
)
INSERT INTO {outbox_moves} (endpoint, tenant, target)
SELECT these.endpoint, waiting.tenant, these.target
FROM (SELECT disabled.id, 2 FROM disabled UNION ALL SELECT gone.endpoint, 6 FROM gone) AS these (endpoint, target)
CROSS JOIN LATERAL (
    SELECT d.tenant FROM {outbox_deliveries} AS d
    WHERE d.endpoint = these.endpoint AND d.state = 0 ORDER BY d.endpoint, d.state, d.seq LIMIT 1
) AS waiting
ON CONFLICT (endpoint) DO NOTHING
