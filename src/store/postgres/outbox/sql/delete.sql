-- $1 offset of the clock, $2 endpoint
DELETE FROM {outbox_endpoints} WHERE id = $2::text
RETURNING tenant, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now
