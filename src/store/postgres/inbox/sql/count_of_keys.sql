-- How many events of each order key have not ended, no further than to the limit.
-- $1 order keys, $2 limit
SELECT k.order_key, (
    SELECT count(*) FROM (
        SELECT FROM {inbox_events} AS o
        WHERE o.order_key = k.order_key AND o.order_key IS NOT NULL AND o.state <= 1 LIMIT $2::bigint
    ) AS o
) AS count
FROM unnest($1::bytea[]) AS k (order_key)
