-- $1 tenant, $2 limit
WITH chosen AS MATERIALIZED (
    SELECT e.id FROM {outbox_endpoints} AS e WHERE e.tenant = $1::text ORDER BY e.id LIMIT $2::bigint FOR UPDATE
),
done AS (
    DELETE FROM {outbox_endpoints} AS e WHERE e.id = ANY (ARRAY(SELECT chosen.id FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
