-- $1 until, $2 limit
-- A row is looked up for each, whatever the planner thinks: it would read all of a table for a few.
WITH chosen AS MATERIALIZED (
    SELECT m.seq FROM {outbox_messages} AS m
    WHERE m.payload IS NOT NULL AND m.created_at < $1::bigint AND (
        -- One that waits, or whose last attempt is not old.
        SELECT d.seq FROM {outbox_deliveries} AS d
        WHERE d.message = m.seq AND (d.state IN (0, 1, 2) OR (
            SELECT a.seq FROM {outbox_attempts} AS a
            WHERE a.delivery = d.seq AND a.ended_at >= $1::bigint LIMIT 1
        ) IS NOT NULL)
        LIMIT 1
    ) IS NULL
    ORDER BY m.created_at
    LIMIT $2::bigint
    FOR UPDATE OF m SKIP LOCKED
),
done AS (
    UPDATE {outbox_messages} AS m SET payload = NULL
    WHERE m.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
