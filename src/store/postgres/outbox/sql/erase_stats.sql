-- $1 tenant, $2 limit
WITH chosen AS MATERIALIZED (
    SELECT s.ctid FROM {outbox_stats} AS s WHERE s.tenant = $1::text ORDER BY s.tenant, s.hour LIMIT $2::bigint FOR UPDATE
),
done AS (
    DELETE FROM {outbox_stats} AS s WHERE s.ctid = ANY (ARRAY(SELECT chosen.ctid FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
