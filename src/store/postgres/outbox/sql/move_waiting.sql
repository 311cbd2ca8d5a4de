-- $1 now, $2 endpoint, which is locked, $3 from state, $4 to state, $5 limit
WITH chosen AS MATERIALIZED (
    SELECT d.seq FROM {outbox_deliveries} AS d
    WHERE d.state = $3::bigint AND d.endpoint = $2::text
    ORDER BY d.seq
    LIMIT $5::bigint
    FOR UPDATE
),
moved AS (
    -- What goes in order is due in the order in which it was dispatched, however many steps it takes.
    UPDATE {outbox_deliveries} AS d SET state = $4::bigint, noted_due = NULL, due_at = CASE
        WHEN $4::bigint = 0 AND (SELECT e.in_order FROM {outbox_endpoints} AS e WHERE e.id = $2::text) THEN d.created_at
        ELSE $1::bigint END
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS moved FROM moved
