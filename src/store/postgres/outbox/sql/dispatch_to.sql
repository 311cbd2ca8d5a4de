-- $1 offset of the clock, $2 lock_timeout, $3 endpoint, $4 tenant, $5 id, $6 event type, $7 version, $8 payload,
-- $9 digest, $10 when it happened or nothing, $11 labels, $12 order key
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
           set_config('lock_timeout', $2::text, true) AS lock_timeout
),
endpoint AS MATERIALIZED (
    SELECT e.id FROM {outbox_endpoints} AS e
    WHERE e.id = $3::text AND e.tenant = $4::text AND e.disabled IS NULL
),
fresh AS (
    INSERT INTO {outbox_messages} (tenant, id, event_type, version, addressed, payload, digest, happened_at, created_at, labels, order_key)
    SELECT $4::text, $5::text, $6::text, $7::text, endpoint.id, $8::text, $9::bytea,
           coalesce($10::bigint, clock.now), clock.now, $11::text, $12::text
    FROM endpoint, clock
    ON CONFLICT (tenant, id) DO NOTHING
    RETURNING seq
),
made AS (
    INSERT INTO {outbox_deliveries} (message, tenant, event_type, endpoint, state, due_at, created_at, order_key)
    -- It goes before all else.
    SELECT fresh.seq, $4::text, $6::text, endpoint.id, 0, 0, clock.now, $12::text FROM fresh, endpoint, clock
    RETURNING seq, endpoint
),
urged AS (
    -- When something may be leased is as `Health::ready_at` has it.
    UPDATE {outbox_endpoints} AS e
    SET urgent = true,
        ready_at = CASE WHEN e.rate_limit IS NULL THEN 0 ELSE least(e.ready_at, greatest(e.next_at - 19001, 0) / 1000) END,
        -- It is looked at no later than that, also if this delivery is gone by then.
        look_at = least(e.look_at,
            CASE WHEN e.rate_limit IS NULL THEN 0 ELSE least(e.ready_at, greatest(e.next_at - 19001, 0) / 1000) END)
    FROM made WHERE e.id = made.endpoint
)
SELECT endpoint.id IS NOT NULL AS is_there, known.seq IS NOT NULL AS is_known,
       coalesce(made.seq, (
           -- What was dispatched to others is another message.
           SELECT d.seq FROM {outbox_deliveries} AS d
           WHERE d.message = known.seq AND d.endpoint = endpoint.id AND known.digest = $9::bytea
       )) AS delivery
FROM clock
LEFT JOIN endpoint ON true
LEFT JOIN made ON true
LEFT JOIN {outbox_messages} AS known ON known.tenant = $4::text AND known.id = $5::text
