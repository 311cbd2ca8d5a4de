-- $1 events
DELETE FROM {inbox_events} AS e WHERE e.seq = ANY ($1::bigint[]) AND e.state <> 1 RETURNING e.order_key
