-- When the next event is due of a source of which more may be given out.
-- $1 offset of the clock, $2 consumer, $3 limit of a source, $4 sources of which some are given out, $5 how many
WITH RECURSIVE source (provider) AS (
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
)
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now, (
    SELECT min(first.due_at) FROM source
    LEFT JOIN unnest($4::text[], $5::bigint[]) AS busy (provider, count) ON busy.provider = source.provider
    CROSS JOIN LATERAL (
        SELECT e.due_at FROM {inbox_events} AS e
        WHERE e.consumer = $2::text AND e.provider = source.provider AND e.state <= 1
        ORDER BY e.consumer, e.provider, e.due_at LIMIT 1
    ) AS first
    WHERE coalesce(busy.count, 0) < $3::bigint
) AS next
