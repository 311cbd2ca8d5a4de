-- $1 since when it is held, $2 limit
WITH RECURSIVE held (endpoint) AS (
    (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state = 2 ORDER BY d.endpoint, d.due_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint FROM held CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.state = 2 AND d.endpoint > held.endpoint
        ORDER BY d.endpoint, d.due_at LIMIT 1
    ) AS next
),
chosen AS MATERIALIZED (
    SELECT d.seq
    FROM held
    CROSS JOIN LATERAL (
        SELECT d.seq FROM {outbox_deliveries} AS d WHERE d.endpoint = held.endpoint AND d.state = 2 AND d.due_at < $1::bigint
        LIMIT $2::bigint
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $2::bigint
),
done AS (
    UPDATE {outbox_deliveries} AS d SET state = 6
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
