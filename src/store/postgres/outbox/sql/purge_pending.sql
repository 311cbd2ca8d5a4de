-- Holds what was dispatched while its endpoint was being disabled, and what a worker died on whose endpoint is disabled.
-- $1 now, $2 limit
WITH RECURSIVE active (endpoint) AS (
    (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state IN (0, 1) ORDER BY d.endpoint, d.due_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM active CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state IN (0, 1) AND d.endpoint > active.endpoint
        ORDER BY d.endpoint, d.due_at LIMIT 1
    ) AS next
),
endpoint AS MATERIALIZED (
    SELECT e.id FROM {outbox_endpoints} AS e
    WHERE e.id = ANY (ARRAY(SELECT active.endpoint FROM active)) AND e.disabled IS NOT NULL
    FOR UPDATE SKIP LOCKED
),
chosen AS MATERIALIZED (
    SELECT d.seq
    FROM endpoint
    CROSS JOIN LATERAL (
        SELECT d.seq FROM {outbox_deliveries} AS d WHERE d.endpoint = endpoint.id AND d.state IN (0, 1)
            AND (d.state = 0 OR d.due_at < $1::bigint)
        LIMIT $2::bigint
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $2::bigint
),
done AS (
    UPDATE {outbox_deliveries} AS d SET state = 2, due_at = $1::bigint, token = NULL
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
