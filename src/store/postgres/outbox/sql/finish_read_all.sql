-- Waits for nobody: what somebody else has locked is left out.
-- $1 offset of the clock, $2 deliveries, $3 tokens
WITH ended AS MATERIALIZED (
    SELECT u.seq, u.token, d.endpoint FROM unnest($2::bigint[], $3::bytea[]) AS u (seq, token)
    CROSS JOIN LATERAL (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.seq = u.seq LIMIT 1) AS d
),
endpoint AS MATERIALIZED (
    SELECT e.* FROM {outbox_endpoints} AS e
    WHERE e.id = ANY (ARRAY(SELECT ended.endpoint FROM ended))
    ORDER BY e.id
    FOR UPDATE SKIP LOCKED
),
-- The count makes it come after the endpoints: whoever locks both does so in this order.
locked AS MATERIALIZED (
    SELECT count(*) AS count FROM endpoint
),
delivery AS MATERIALIZED (
    SELECT d.* FROM ended
    CROSS JOIN LATERAL (
        -- The sum keeps the planner from the index of what is in flight, which is empty when it learns of it, and is walked whole.
        SELECT d.seq, d.attempt, d.epoch, d.resent_after, d.created_at, d.endpoint, d.tenant, d.order_key
        FROM {outbox_deliveries} AS d, locked
        WHERE d.seq = ended.seq AND d.state + 0 = 1 AND d.token = ended.token AND locked.count > 0
            AND ended.endpoint IN (SELECT endpoint.id FROM endpoint)
        LIMIT 1
        FOR UPDATE OF d SKIP LOCKED
    ) AS d
)
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
       delivery.seq AS delivery_seq, delivery.attempt AS delivery_attempt, delivery.epoch AS delivery_epoch, delivery.resent_after,
       delivery.created_at AS delivery_created_at, delivery.tenant AS delivery_tenant, delivery.order_key AS delivery_order_key,
       endpoint.*
FROM delivery JOIN endpoint ON endpoint.id = delivery.endpoint
