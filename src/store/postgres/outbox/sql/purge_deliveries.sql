-- $1 until, $2 limit
-- A row is looked up for each, whatever the planner thinks: it would read all of a table for a few.
WITH chosen AS MATERIALIZED (
    SELECT d.seq
    FROM {outbox_messages} AS m
    JOIN {outbox_deliveries} AS d ON d.message = m.seq AND d.created_at < $1::bigint AND d.state NOT IN (0, 1, 2)
    WHERE m.payload IS NULL AND m.created_at < $1::bigint
        AND (SELECT a.seq FROM {outbox_attempts} AS a WHERE a.delivery = d.seq LIMIT 1) IS NULL
    ORDER BY m.created_at
    LIMIT $2::bigint
    FOR UPDATE OF d SKIP LOCKED
),
done AS (
    DELETE FROM {outbox_deliveries} AS d USING chosen WHERE d.seq = chosen.seq RETURNING 1
)
SELECT count(*) AS done FROM done
