-- $1 deliveries that were just leased, $2 when they are due again
UPDATE {outbox_deliveries} AS d SET state = 0, token = NULL, attempt = d.attempt - 1, due_at = $2::bigint
WHERE d.seq = ANY ($1::bigint[])
