-- $1 now, $2 endpoint, which is locked, $3 from state, $4 to state, $5 limit
WITH chosen AS MATERIALIZED (
    SELECT d.seq FROM {outbox_deliveries} AS d
    WHERE d.state = $3::bigint AND d.endpoint = $2::text
    ORDER BY d.seq
    LIMIT $5::bigint
    FOR UPDATE
),
moved AS (
    UPDATE {outbox_deliveries} AS d SET state = $4::bigint, due_at = $1::bigint, noted_due = NULL
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS moved FROM moved
