-- $1 hour, $2 limit
WITH chosen AS MATERIALIZED (
    SELECT s.ctid FROM {outbox_stats} AS s
    WHERE s.hour < $1::bigint
    ORDER BY s.hour
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
),
done AS (
    DELETE FROM {outbox_stats} AS s WHERE s.ctid = ANY (ARRAY(SELECT chosen.ctid FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
