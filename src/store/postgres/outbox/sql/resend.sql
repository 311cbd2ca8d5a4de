-- $1 offset of the clock, $2 lock_timeout, $3 delivery
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
           set_config('lock_timeout', $2::text, true) AS lock_timeout
),
-- Locked, or it could be held for an endpoint that has just been enabled.
endpoint AS MATERIALIZED (
    SELECT e.disabled FROM {outbox_endpoints} AS e, clock
    WHERE e.id = (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.seq = $3::bigint)
    FOR UPDATE OF e
),
-- The counts make each lock come after the one before: whoever locks several does so in this order.
delivery AS MATERIALIZED (
    SELECT d.message FROM {outbox_deliveries} AS d, (SELECT count(*) AS count FROM endpoint) AS locked, clock
    -- A lease that is over is nobody's.
    WHERE d.seq = $3::bigint AND (d.state <> 1 OR d.due_at <= clock.now) AND locked.count > 0
    FOR UPDATE OF d
),
message AS MATERIALIZED (
    SELECT 1 FROM {outbox_messages} AS m
    WHERE m.seq = (SELECT delivery.message FROM delivery) AND m.payload IS NOT NULL
    FOR SHARE OF m
),
again AS (
    UPDATE {outbox_deliveries} AS d
    SET state = CASE WHEN endpoint.disabled IS NULL THEN 0 ELSE 2 END, resent_after = d.attempt, token = NULL,
        -- It goes before all else.
        due_at = CASE WHEN endpoint.disabled IS NULL THEN 0 ELSE clock.now END,
        noted_due = NULL
    FROM endpoint, delivery, message, clock
    WHERE d.seq = $3::bigint
    RETURNING d.state, d.endpoint
),
urged AS (
    -- When something may be leased is as `Health::ready_at` has it.
    UPDATE {outbox_endpoints} AS e
    SET urgent = true,
        ready_at = CASE WHEN e.rate_limit IS NULL THEN 0 ELSE least(e.ready_at, greatest(e.next_at - 19001, 0) / 1000) END,
        -- It is looked at no later than that, also if this delivery is gone by then.
        look_at = least(e.look_at,
            CASE WHEN e.rate_limit IS NULL THEN 0 ELSE least(e.ready_at, greatest(e.next_at - 19001, 0) / 1000) END)
    FROM again WHERE e.id = again.endpoint AND again.state = 0
)
SELECT count(*) AS done, coalesce(min(again.state) = 0, false) AS is_due FROM again
