-- $1 until, $2 limit
WITH chosen AS MATERIALIZED (
    SELECT d.seq
    FROM {outbox_messages} AS m
    JOIN {outbox_deliveries} AS d ON d.message = m.seq AND d.created_at < $1::bigint AND d.state NOT IN (0, 1, 2)
    WHERE m.payload IS NULL AND m.created_at < $1::bigint
        AND NOT EXISTS (SELECT FROM {outbox_attempts} AS a WHERE a.delivery = d.seq)
    ORDER BY m.created_at
    LIMIT $2::bigint
    FOR UPDATE OF d SKIP LOCKED
),
done AS (
    DELETE FROM {outbox_deliveries} AS d USING chosen WHERE d.seq = chosen.seq RETURNING 1
)
SELECT count(*) AS done FROM done
