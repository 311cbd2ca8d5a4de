-- $1 endpoints
SELECT e.id FROM {outbox_endpoints} AS e
WHERE e.id = ANY ($1::text[]) AND e.disabled IS NULL
ORDER BY e.id
FOR UPDATE SKIP LOCKED
