-- $1 consumer, $2 events
SELECT e.seq, e.order_key FROM {inbox_events} AS e WHERE e.seq = ANY ($2::bigint[]) AND e.consumer = $1::text
