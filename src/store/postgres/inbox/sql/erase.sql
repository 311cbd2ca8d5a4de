-- One that was armed again under another order key meanwhile is left to the next call: the lock of that key is not held.
-- $1 events, $2 order keys
DELETE FROM {inbox_events} AS e WHERE e.seq = ANY ($1::bigint[]) AND e.state <> 1
    AND (e.order_key IS NULL OR e.order_key = ANY ($2::bytea[]))
RETURNING e.order_key
