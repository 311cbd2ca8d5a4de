-- $1 tenant, $2 limit
-- A row is looked up for each, whatever the planner thinks: it would read all of a table for a few.
WITH chosen AS MATERIALIZED (
    SELECT m.seq FROM {outbox_messages} AS m
    WHERE m.tenant = $1::text AND (SELECT d.seq FROM {outbox_deliveries} AS d WHERE d.message = m.seq LIMIT 1) IS NULL
    ORDER BY m.created_at, m.seq
    LIMIT $2::bigint
    FOR UPDATE OF m
),
done AS (
    DELETE FROM {outbox_messages} AS m WHERE m.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
