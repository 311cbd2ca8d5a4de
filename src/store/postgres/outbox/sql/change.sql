-- $1 endpoint, $2 url, $3 events, $4 description, $5 style, $6 sealing key, $7 sealed, $8 rate limit, $9 API version, $10 in order,
-- $11 metadata, $12 labels
UPDATE {outbox_endpoints}
SET url = $2::text, events = $3::text, description = $4::text, style = $5::text, sealing_key = $6::text,
    sealed = $7::bytea, rate_limit = $8::text, api_version = $9::text, in_order = $10::bigint <> 0,
    metadata = $11::text, labels = $12::text,
    revision = revision + 1
WHERE id = $1::text
