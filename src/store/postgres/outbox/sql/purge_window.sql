-- The oldest messages whose time has come.
-- $1 until, $2 limit
SELECT m.seq, m.created_at FROM {outbox_messages} AS m
WHERE m.payload IS NOT NULL AND coalesce(m.purge_after, m.created_at) < $1::bigint
ORDER BY coalesce(m.purge_after, m.created_at)
LIMIT $2::bigint
FOR UPDATE SKIP LOCKED
