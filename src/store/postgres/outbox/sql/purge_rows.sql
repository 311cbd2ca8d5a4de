-- Removes old messages with what came of them. One that has very many deliveries goes with the last of them.
-- $1 until, $2 limit
WITH old AS MATERIALIZED (
    SELECT m.seq FROM {outbox_messages} AS m
    WHERE m.payload IS NULL AND coalesce(m.purge_after, m.created_at) < $1::bigint
    ORDER BY coalesce(m.purge_after, m.created_at)
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
),
few AS MATERIALIZED (
    SELECT d.seq, d.message
    FROM old
    CROSS JOIN LATERAL (
        SELECT d.seq, d.message FROM {outbox_deliveries} AS d WHERE d.message = old.seq
        LIMIT $2::bigint
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $2::bigint
),
attempts AS (
    DELETE FROM {outbox_attempts} AS a WHERE a.delivery = ANY (ARRAY(SELECT few.seq FROM few)) RETURNING 1
),
deliveries AS (
    DELETE FROM {outbox_deliveries} AS d WHERE d.seq = ANY (ARRAY(SELECT few.seq FROM few)) RETURNING 1
),
messages AS (
    DELETE FROM {outbox_messages} AS m
    WHERE m.seq = ANY (ARRAY(
        SELECT old.seq FROM old
        LEFT JOIN (SELECT few.message, count(*) AS count FROM few GROUP BY few.message) AS gone ON gone.message = old.seq
        WHERE (SELECT count(*) FROM (SELECT FROM {outbox_deliveries} AS d WHERE d.message = old.seq LIMIT $2::bigint + 1) AS d)
            = coalesce(gone.count, 0)
    ))
    RETURNING 1
)
SELECT (SELECT count(*) FROM attempts) + (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM messages) AS done
