-- Removes events that are remembered no longer, if they are still as they were read.
-- $1 events, $2 when they ended
DELETE FROM {inbox_events} AS e USING unnest($1::bigint[], $2::bigint[]) AS u (seq, due_at)
WHERE e.seq = u.seq AND e.due_at = u.due_at AND e.state IN (2, 3)
RETURNING e.seq
