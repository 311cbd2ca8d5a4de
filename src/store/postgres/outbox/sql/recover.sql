-- $1 now, $2 endpoint, which is locked, $3 tenant, $4 state, $5 deliveries, $6 messages
WITH again AS (
    UPDATE {outbox_deliveries} AS d SET state = $4::bigint, resent_after = d.attempt, due_at = $1::bigint, noted_due = NULL
    WHERE d.seq = ANY ($5::bigint[]) AND d.state IN (4, 5)
    RETURNING 1
),
missed AS (
    INSERT INTO {outbox_deliveries} (message, tenant, event_type, endpoint, state, due_at, created_at, order_key)
    SELECT m.seq, $3::text, m.event_type, $2::text, $4::bigint, $1::bigint, $1::bigint, m.order_key
    FROM {outbox_messages} AS m WHERE m.seq = ANY ($6::bigint[])
    ORDER BY m.seq
    ON CONFLICT (message, endpoint) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM again) + (SELECT count(*) FROM missed) AS count
