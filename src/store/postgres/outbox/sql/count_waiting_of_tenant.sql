-- $1 limit, $2 tenant
SELECT count(*) AS waiting FROM (
    (SELECT 1 FROM {outbox_deliveries} AS d
     WHERE (d.tenant, d.state) >= ($2::text, 0) AND (d.tenant, d.state) <= ($2::text, 1)
     ORDER BY d.tenant, d.state, d.seq
     LIMIT $1::bigint)
) AS counted
