-- $1 tenant, $2 limit
SELECT d.seq FROM {outbox_deliveries} AS d WHERE d.tenant = $1::text ORDER BY d.state, d.seq LIMIT $2::bigint FOR UPDATE
