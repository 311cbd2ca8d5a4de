-- $1 limit
-- Up to a bound, so that it costs no more where there is much; and from the index of what waits.
SELECT count(*) AS waiting FROM (
    SELECT 1 FROM {outbox_deliveries} AS d WHERE d.state IN (0, 1) ORDER BY d.endpoint, d.due_at LIMIT $1::bigint
) AS counted
