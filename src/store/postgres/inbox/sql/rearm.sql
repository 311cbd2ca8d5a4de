-- Puts what came now in the place of what is dead, if that is still as it was read.
-- $1 event, $2 when it died, $3 now, $4 due_at, $5 attempt, $6 spent, $7 fingerprint, $8 retention, $9 order key, $10 guard,
-- $11 its end, $12 tenant, $13 the sender's id, $14 event type, $15 head, $16 body
UPDATE {inbox_events} AS e
SET state = 0, due_at = $4::bigint, attempt = $5::bigint, spent = $6::bigint, token = NULL, reason = NULL, accepted_at = $3::bigint,
    fingerprint = $7::bytea, retention = $8::bigint, order_key = $9::bytea, guard = $10::bytea, guard_until = $11::bigint,
    tenant = $12::text, delivery_id = $13::text, event_type = $14::text, head = $15::bytea, body = $16::bytea
WHERE e.seq = $1::bigint AND e.state = 4 AND e.due_at = $2::bigint
RETURNING e.seq
