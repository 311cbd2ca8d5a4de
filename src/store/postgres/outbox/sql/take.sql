-- $1 now, $2 end of the lease, $3 token, $4 deliveries that are leased, in their order; of each endpoint: $5 id, $6 steady, $7 next_at,
-- $8 catching_up, $9 ready_at, $10 steady_at, $11 urgent, $12 look_at; $13 deliveries that have lost their content,
-- $14 deliveries that wait for others with their order keys
WITH picked AS MATERIALIZED (
    SELECT p.place, p.seq, m.seq AS message,
           -- One copy, however many of its deliveries are leased at once.
           CASE WHEN row_number() OVER (PARTITION BY m.seq ORDER BY p.place) = 1 THEN m.payload END AS payload,
           m.tenant, m.id, m.event_type, m.version, m.labels, m.order_key, m.happened_at
    FROM unnest($4::bigint[]) WITH ORDINALITY AS p (seq, place)
    CROSS JOIN LATERAL (SELECT d.message FROM {outbox_deliveries} AS d WHERE d.seq = p.seq LIMIT 1) AS d
    CROSS JOIN LATERAL (SELECT * FROM {outbox_messages} AS m WHERE m.seq = d.message LIMIT 1) AS m
),
leased AS (
    UPDATE {outbox_deliveries} AS d
    SET state = 1, token = $3::bytea, attempt = d.attempt + 1, due_at = $2::bigint, noted_due = $2::bigint,
        -- The endpoint is locked.
        epoch = coalesce((SELECT e.epoch FROM {outbox_endpoints} AS e WHERE e.id = d.endpoint), 0)
    FROM picked
    WHERE d.seq = picked.seq
    RETURNING d.seq
),
cancelled AS (
    UPDATE {outbox_deliveries} AS d SET state = 6, token = NULL, due_at = $1::bigint WHERE d.seq = ANY ($13::bigint[])
),
parked AS (
    UPDATE {outbox_deliveries} AS d
    SET state = 0, token = NULL, due_at = 9223372036854775807, noted_due = 9223372036854775807
    WHERE d.seq = ANY ($14::bigint[])
),
-- What has lost its content has ended, so that the next one with its key is due.
released AS (
    UPDATE {outbox_deliveries} AS d SET due_at = d.created_at
    WHERE d.state = 0 AND d.due_at = 9223372036854775807 AND d.seq = ANY (ARRAY(
        SELECT next.seq FROM unnest($13::bigint[]) AS gone (seq)
        CROSS JOIN LATERAL (
            SELECT d.endpoint, d.order_key FROM {outbox_deliveries} AS d WHERE d.seq = gone.seq AND d.order_key IS NOT NULL LIMIT 1
        ) AS ended
        CROSS JOIN LATERAL (
            SELECT o.seq FROM {outbox_deliveries} AS o
            WHERE o.order_key IS NOT NULL AND o.state IN (0, 1, 2)
                AND (o.endpoint, o.order_key, o.seq) > (ended.endpoint, ended.order_key, 0)
                AND (o.endpoint, o.order_key, o.seq) <= (ended.endpoint, ended.order_key, 9223372036854775807)
                AND o.seq <> ALL ($13::bigint[])
            ORDER BY o.endpoint, o.order_key, o.seq LIMIT 1
        ) AS next
    ))
),
served AS (
    UPDATE {outbox_endpoints} AS e
    SET served_at = $1::bigint, steady = u.steady, steady_at = u.steady_at, next_at = u.next_at,
        catching_up = u.catching_up <> 0, ready_at = u.ready_at, urgent = u.urgent <> 0, look_at = u.look_at
    FROM unnest($5::text[], $6::double precision[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
        $12::bigint[]) AS u (id, steady, next_at, catching_up, ready_at, steady_at, urgent, look_at)
    WHERE e.id = u.id
)
SELECT leased.seq, picked.message, picked.payload, picked.tenant, picked.id, picked.event_type, picked.version, picked.labels,
       picked.order_key, picked.happened_at
FROM picked JOIN leased ON leased.seq = picked.seq
ORDER BY picked.place
