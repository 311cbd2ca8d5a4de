-- $1 until, $2 limit
WITH chosen AS MATERIALIZED (
    SELECT m.seq FROM {outbox_messages} AS m
    WHERE m.payload IS NULL AND m.created_at < $1::bigint
        AND NOT EXISTS (SELECT FROM {outbox_deliveries} AS d WHERE d.message = m.seq)
    ORDER BY m.created_at
    LIMIT $2::bigint
    FOR UPDATE OF m SKIP LOCKED
),
done AS (
    DELETE FROM {outbox_messages} AS m USING chosen WHERE m.seq = chosen.seq RETURNING 1
)
SELECT count(*) AS done FROM done
