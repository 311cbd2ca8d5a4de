-- Cancels what was dispatched while its endpoint was being deleted, and what a worker died on whose endpoint is gone.
-- $1 now, $2 limit
-- A row is looked up for each, whatever the planner thinks: it would read all of a table for a few.
WITH RECURSIVE active (endpoint) AS (
    (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state IN (0, 1) ORDER BY d.endpoint, d.due_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM active CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state IN (0, 1) AND d.endpoint > active.endpoint
        ORDER BY d.endpoint, d.due_at LIMIT 1
    ) AS next
),
held (endpoint) AS (
    (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state = 2 ORDER BY d.endpoint, d.due_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM held CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state = 2 AND d.endpoint > held.endpoint
        ORDER BY d.endpoint, d.due_at LIMIT 1
    ) AS next
),
gone AS MATERIALIZED (
    SELECT these.endpoint
    FROM (SELECT active.endpoint FROM active UNION SELECT held.endpoint FROM held) AS these
    WHERE (SELECT e.id FROM {outbox_endpoints} AS e WHERE e.id = these.endpoint LIMIT 1) IS NULL
),
chosen AS MATERIALIZED (
    SELECT d.seq
    FROM gone
    CROSS JOIN LATERAL (
        SELECT d.seq FROM {outbox_deliveries} AS d WHERE d.endpoint = gone.endpoint AND d.state IN (0, 1, 2)
            AND (d.state <> 1 OR d.due_at < $1::bigint)
        LIMIT $2::bigint
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $2::bigint
),
done AS (
    UPDATE {outbox_deliveries} AS d SET state = 6, token = NULL
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
