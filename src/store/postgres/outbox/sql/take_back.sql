-- Gives what a worker died on its place again, where the order counts.
-- $1 now, $2 endpoints, which are locked
UPDATE {outbox_deliveries} AS d SET state = 0, token = NULL, due_at = d.created_at
WHERE d.endpoint = ANY ($2::text[]) AND d.state = 1 AND d.due_at <= $1::bigint
