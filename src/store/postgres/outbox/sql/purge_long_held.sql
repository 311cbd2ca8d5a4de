-- $1 since when it is held, $2 limit
WITH chosen AS MATERIALIZED (
    SELECT d.seq FROM {outbox_deliveries} AS d
    WHERE d.state = 2 AND d.due_at < $1::bigint
        -- What is only not moved yet, since its endpoint was enabled, is not held.
        AND NOT EXISTS (SELECT 1 FROM {outbox_moves} AS v WHERE v.endpoint = d.endpoint AND v.target = 0)
    ORDER BY d.due_at
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
),
done AS (
    UPDATE {outbox_deliveries} AS d SET state = 6
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
