-- $1 endpoint, $2 tenant, $3 since, $4 until, $5 the message after which to go on, or nothing, $6 limit
-- If that message was purged meanwhile, what was looked at is looked at again, and found as it is.
SELECT m.seq, m.event_type, m.labels, m.payload IS NOT NULL AS has_content, m.addressed, d.seq AS delivery, d.state
FROM {outbox_messages} AS m
LEFT JOIN {outbox_deliveries} AS d ON d.message = m.seq AND d.endpoint = $1::text
WHERE m.tenant = $2::text
    AND m.created_at >= $3::bigint
    AND m.created_at < $4::bigint
    AND (m.created_at, m.seq) > (
        coalesce((SELECT a.created_at FROM {outbox_messages} AS a WHERE a.seq = $5::bigint), $3::bigint - 1),
        coalesce((SELECT a.seq FROM {outbox_messages} AS a WHERE a.seq = $5::bigint), 0)
    )
ORDER BY m.created_at, m.seq
LIMIT $6::bigint
