-- Goes on with what was too much to be made due at once when its endpoint was enabled.
-- $1 now, $2 limit
WITH RECURSIVE held (endpoint) AS (
    (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state = 2 ORDER BY d.endpoint, d.due_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM held CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state = 2 AND d.endpoint > held.endpoint
        ORDER BY d.endpoint, d.due_at LIMIT 1
    ) AS next
),
endpoint AS MATERIALIZED (
    SELECT e.id FROM {outbox_endpoints} AS e
    WHERE e.id = ANY (ARRAY(SELECT held.endpoint FROM held)) AND e.disabled IS NULL
    FOR UPDATE SKIP LOCKED
),
chosen AS MATERIALIZED (
    SELECT d.seq
    FROM endpoint
    CROSS JOIN LATERAL (
        SELECT d.seq FROM {outbox_deliveries} AS d WHERE d.endpoint = endpoint.id AND d.state = 2
        LIMIT $2::bigint
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $2::bigint
),
done AS (
    UPDATE {outbox_deliveries} AS d SET state = 0, due_at = $1::bigint
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
