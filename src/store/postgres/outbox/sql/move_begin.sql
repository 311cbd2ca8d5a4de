-- $1 endpoint, $2 tenant, $3 target
INSERT INTO {outbox_moves} AS v (endpoint, tenant, target) VALUES ($1::text, $2::text, $3::bigint)
ON CONFLICT (endpoint) DO UPDATE SET target = excluded.target
