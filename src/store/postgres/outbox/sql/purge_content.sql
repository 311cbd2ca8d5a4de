-- $1 messages that are awaited, $2 deliveries of them that are, $3 messages whose time comes later, $4 when, $5 messages whose
-- content goes, $6 when they were used last
WITH free AS MATERIALIZED (
    -- One that somebody has locked, or that has just ended, is left for the next time. Nobody is waited for: the messages are locked,
    -- and others lock a delivery before its message.
    SELECT d.seq, d.message FROM {outbox_deliveries} AS d
    WHERE d.seq = ANY ($2::bigint[]) AND d.state IN (0, 1, 2)
    FOR UPDATE SKIP LOCKED
),
awaited AS (
    UPDATE {outbox_messages} AS m SET purge_after = 9223372036854775807
    WHERE m.seq = ANY ($1::bigint[]) AND m.seq IN (SELECT free.message FROM free) RETURNING 1
),
blocking AS (
    UPDATE {outbox_deliveries} AS d SET blocks = true WHERE d.seq = ANY (ARRAY(SELECT free.seq FROM free))
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
