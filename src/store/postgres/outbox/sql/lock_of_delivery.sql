-- $1 delivery
SELECT e.id FROM {outbox_endpoints} AS e
WHERE e.id = (SELECT d.endpoint FROM {outbox_deliveries} AS d WHERE d.seq = $1::bigint)
FOR UPDATE
