-- $1 until, $2 limit
WITH chosen AS MATERIALIZED (
    SELECT a.ctid FROM {outbox_attempts} AS a
    WHERE a.ended_at < $1::bigint
    ORDER BY a.ended_at
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
),
done AS (
    DELETE FROM {outbox_attempts} AS a WHERE a.ctid = ANY (ARRAY(SELECT chosen.ctid FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
