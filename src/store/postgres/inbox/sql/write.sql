-- Writes what was decided about events that are locked.
-- Of each: $1 number, $2 state, $3 due_at, $4 attempt, $5 spent, $6 reason
UPDATE {inbox_events} AS e
SET state = u.state::smallint, due_at = u.due_at, attempt = u.attempt, spent = u.spent, token = NULL, reason = u.reason
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
    AS u (seq, state, due_at, attempt, spent, reason)
WHERE e.seq = u.seq
