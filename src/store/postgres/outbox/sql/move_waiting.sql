-- $1 now, $2 endpoint, which is locked, $3 from states, $4 to state, $5 limit
WITH chosen AS MATERIALIZED (
    SELECT d.seq FROM {outbox_deliveries} AS d
    WHERE d.endpoint = $2::text AND d.state = ANY ($3::bigint[])
    ORDER BY d.state, d.seq
    LIMIT $5::bigint
    FOR UPDATE
),
moved AS (
    UPDATE {outbox_deliveries} AS d SET state = $4::bigint, due_at = $1::bigint
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS moved FROM moved
