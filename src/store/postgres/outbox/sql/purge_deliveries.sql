-- $1 until, $2 limit
-- A row is looked up for each, whatever the planner thinks: it would read all of a table for a few.
WITH chosen AS MATERIALIZED (
    SELECT d.seq
    FROM {outbox_messages} AS m
    CROSS JOIN LATERAL (
        SELECT d.seq FROM {outbox_deliveries} AS d
        WHERE d.message = m.seq AND d.created_at < $1::bigint AND d.state NOT IN (0, 1, 2)
            AND (SELECT a.seq FROM {outbox_attempts} AS a WHERE a.delivery = d.seq LIMIT 1) IS NULL
        FOR UPDATE SKIP LOCKED
    ) AS d
    WHERE m.payload IS NULL AND m.created_at < $1::bigint
    ORDER BY m.created_at
    LIMIT $2::bigint
),
done AS (
    DELETE FROM {outbox_deliveries} AS d WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
