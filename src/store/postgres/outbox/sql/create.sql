-- $1 offset of the clock, $2 most, $3 id, $4 tenant, $5 url, $6 events, $7 description, $8 style, $9 sealing key, $10 sealed,
-- $11 rate limit, $12 API version, $13 in order, $14 metadata, $15 labels
INSERT INTO {outbox_endpoints}
    (id, tenant, url, events, description, style, sealing_key, sealed, rate_limit, api_version, in_order, created_at, metadata, labels)
SELECT $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::bytea, $11::text, $12::text, $13::bigint <> 0,
       floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint, $14::text, $15::text
WHERE (SELECT count(*) FROM (SELECT FROM {outbox_endpoints} AS e WHERE e.tenant = $4::text LIMIT $2::bigint) AS few)
    < $2::bigint
RETURNING created_at
