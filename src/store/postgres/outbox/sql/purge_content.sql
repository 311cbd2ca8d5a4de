-- $1 messages that are awaited, $2 deliveries of them that are, $3 messages whose time comes later, $4 when, $5 messages whose
-- content goes, $6 when they were used last
WITH awaited AS (
    UPDATE {outbox_messages} AS m SET purge_after = 9223372036854775807 WHERE m.seq = ANY ($1::bigint[]) RETURNING 1
),
blocking AS (
    UPDATE {outbox_deliveries} AS d SET blocks = true WHERE d.seq = ANY ($2::bigint[])
),
later AS (
    UPDATE {outbox_messages} AS m SET purge_after = l.at
    FROM unnest($3::bigint[], $4::bigint[]) AS l (seq, at) WHERE m.seq = l.seq RETURNING 1
),
emptied AS (
    UPDATE {outbox_messages} AS m SET payload = NULL, purge_after = o.at
    FROM unnest($5::bigint[], $6::bigint[]) AS o (seq, at) WHERE m.seq = o.seq RETURNING 1
)
SELECT (SELECT count(*) FROM awaited) + (SELECT count(*) FROM later) + (SELECT count(*) FROM emptied) AS done
