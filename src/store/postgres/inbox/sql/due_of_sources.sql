-- As `due`, with no more of each source than its limit leaves. Steps from source to source along an index, however much each has.
-- $1 offset of the clock, $2 consumer, $3 limit, $4 the time that was read before in this transaction, if it was, $5 limit of a source,
-- $6 sources of which some are given out, $7 how many
WITH RECURSIVE clock AS MATERIALIZED (
    SELECT coalesce($4::bigint, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint) AS now
),
source (provider) AS (
    (
        SELECT e.provider FROM {inbox_events} AS e WHERE e.consumer = $2::text AND e.state <= 1
        ORDER BY e.consumer, e.provider LIMIT 1
    )
    UNION ALL
    SELECT next.provider FROM source CROSS JOIN LATERAL (
        SELECT e.provider FROM {inbox_events} AS e
        WHERE e.consumer = $2::text AND e.state <= 1 AND e.provider > source.provider
        ORDER BY e.consumer, e.provider LIMIT 1
    ) AS next
),
room AS MATERIALIZED (
    SELECT source.provider, least($3::bigint, $5::bigint - coalesce(busy.count, 0)) AS count
    FROM source LEFT JOIN unnest($6::text[], $7::bigint[]) AS busy (provider, count) ON busy.provider = source.provider
)
SELECT (SELECT clock.now FROM clock) AS now, due.*
FROM room CROSS JOIN LATERAL (
    SELECT e.seq, e.state, e.due_at, e.attempt, e.spent, e.token, e.order_key, e.retention, e.fingerprint, e.body IS NOT NULL AS has_content,
           e.key, e.accepted_at, e.provider, e.head, e.body
    FROM {inbox_events} AS e
    WHERE e.consumer = $2::text AND e.provider = room.provider AND e.state <= 1 AND e.due_at <= (SELECT clock.now FROM clock)
    ORDER BY e.consumer, e.provider, e.due_at, e.seq
    LIMIT greatest(room.count, 0)
    FOR UPDATE OF e SKIP LOCKED
) AS due
ORDER BY due.due_at, due.seq
LIMIT $3::bigint
