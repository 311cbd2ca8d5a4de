-- Notes who holds events that are locked. Why they failed before stays.
-- $1 token, $2 end of the lease; of each event: $3 number, $4 attempt
UPDATE {inbox_events} AS e SET state = 1, due_at = $2::bigint, attempt = u.attempt, token = $1::bytea
FROM unnest($3::bigint[], $4::bigint[]) AS u (seq, attempt)
WHERE e.seq = u.seq
