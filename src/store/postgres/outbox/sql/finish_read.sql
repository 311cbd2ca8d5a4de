-- $1 offset of the clock, $2 delivery, $3 token
WITH endpoint AS MATERIALIZED (
    SELECT e.* FROM {outbox_endpoints} AS e
    WHERE e.id = (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.seq = $2::bigint)
    FOR UPDATE
),
-- The count makes it come after the endpoint: whoever locks both does so in this order.
locked AS MATERIALIZED (
    SELECT count(*) AS count FROM endpoint
),
delivery AS MATERIALIZED (
    -- The sum keeps the planner from the index of what is in flight, which is empty when it learns of it, and is walked whole.
    SELECT d.attempt, d.epoch, d.resent_after, d.created_at, d.endpoint, d.tenant, d.order_key FROM {outbox_deliveries} AS d, locked
    WHERE d.seq = $2::bigint AND d.state + 0 = 1 AND d.token = $3::bytea AND locked.count >= 0
    FOR UPDATE OF d
)
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
       delivery.attempt AS delivery_attempt, delivery.epoch AS delivery_epoch, delivery.resent_after,
       delivery.created_at AS delivery_created_at, delivery.endpoint AS delivery_endpoint, delivery.tenant AS delivery_tenant,
       delivery.order_key AS delivery_order_key, endpoint.*
FROM delivery LEFT JOIN endpoint ON true
