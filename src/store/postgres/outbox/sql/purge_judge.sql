-- Which of their deliveries is awaited, and when the last attempt at them ended.
-- $1 messages, which are locked
SELECT m.seq, waiting.seq AS awaited, last.ended_at
FROM unnest($1::bigint[]) AS m (seq)
LEFT JOIN LATERAL (
    SELECT d.seq FROM {outbox_deliveries} AS d WHERE d.message = m.seq AND d.state IN (0, 1, 2) LIMIT 1
) AS waiting ON true
LEFT JOIN LATERAL (
    SELECT max(a.ended_at) AS ended_at
    FROM {outbox_deliveries} AS d
    CROSS JOIN LATERAL (
        SELECT a.ended_at FROM {outbox_attempts} AS a WHERE a.delivery = d.seq ORDER BY a.delivery DESC, a.seq DESC LIMIT 1
    ) AS a
    WHERE d.message = m.seq
) AS last ON true
