-- Notes what is new of endpoints, and has them looked at when something of them may be leased, and not before.
-- $1 offset of the clock, $2 endpoints, which are locked, $3 how many deliveries are noted at most
WITH fresh AS MATERIALIZED (
    SELECT d.seq FROM unnest($2::text[]) AS e (id)
    CROSS JOIN LATERAL (
        SELECT d.seq FROM {outbox_deliveries} AS d
        WHERE d.endpoint = e.id AND d.state IN (0, 1) AND d.due_at IS DISTINCT FROM d.noted_due
        LIMIT $3::bigint
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $3::bigint
),
noted AS (
    UPDATE {outbox_deliveries} AS d SET noted_due = d.due_at
    WHERE d.seq = ANY (ARRAY(SELECT fresh.seq FROM fresh))
),
settled AS (
    UPDATE {outbox_endpoints} AS e SET look_at = (
        SELECT greatest(d.due_at, e.ready_at) FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND (d.endpoint, d.due_at) >= (e.id, '-9223372036854775808'::bigint) AND (d.endpoint, d.due_at) <= (e.id, 9223372036854775807)
        ORDER BY d.endpoint, d.due_at LIMIT 1
    )
    WHERE e.id = ANY ($2::text[])
    RETURNING e.look_at
)
SELECT min(settled.look_at) - floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1::bigint AS wait FROM settled
