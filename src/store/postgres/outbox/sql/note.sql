-- $1 endpoint, $2 disabled, $3 failures, $4 failing_since, $5 rests_until, $6 catching_up, $7 ready_at, $8 proven, $9 epoch,
-- $10 url_epoch, $11 strikes
UPDATE {outbox_endpoints}
SET disabled = $2::text, failures = $3::bigint, failing_since = $4::bigint, rests_until = $5::bigint,
    catching_up = $6::bigint <> 0, ready_at = $7::bigint, proven = $8::bigint <> 0, epoch = $9::bigint,
    url_epoch = $10::bigint, strikes = $11::bigint,
    look_at = CASE
        WHEN $7::bigint < ready_at OR (disabled IS NOT NULL AND $2::text IS NULL) THEN least(look_at, $7::bigint)
        ELSE look_at
    END
WHERE id = $1::text
