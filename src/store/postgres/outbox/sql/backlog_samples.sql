-- $1 step, $2 since, $3 until
SELECT b.start, b.waiting, b.oldest_due, b.unserved FROM {outbox_backlog} AS b
WHERE b.step = $1::bigint AND b.start >= $2::bigint AND b.start < $3::bigint
ORDER BY b.start
