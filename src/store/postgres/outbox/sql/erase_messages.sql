-- $1 tenant, $2 limit
WITH chosen AS MATERIALIZED (
    SELECT m.seq FROM {outbox_messages} AS m
    WHERE m.tenant = $1::text AND NOT EXISTS (SELECT FROM {outbox_deliveries} AS d WHERE d.message = m.seq)
    ORDER BY m.created_at, m.seq
    LIMIT $2::bigint
    FOR UPDATE OF m
),
done AS (
    DELETE FROM {outbox_messages} AS m USING chosen WHERE m.seq = chosen.seq RETURNING 1
)
SELECT count(*) AS done FROM done
