-- $1 consumer, $2 until, $3 limit, $4 retention
WITH old AS MATERIALIZED (
    SELECT e.seq FROM {inbox_events} AS e
    WHERE e.consumer = $1::text AND e.state IN (2, 3) AND e.retention = $4::bigint AND e.due_at <= $2::bigint
    ORDER BY e.due_at LIMIT $3::bigint
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM {inbox_events} AS e WHERE e.seq = ANY (ARRAY(SELECT old.seq FROM old)) RETURNING 1
)
SELECT count(*) AS done FROM gone
