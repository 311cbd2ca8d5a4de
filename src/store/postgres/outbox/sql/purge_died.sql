-- Holds what a worker died on whose endpoint is disabled, and cancels it where the endpoint is gone. Nobody else would lease it.
-- $1 now, $2 limit
WITH died AS MATERIALIZED (
    SELECT d.seq, d.endpoint FROM {outbox_deliveries} AS d
    WHERE d.state = 1 AND d.attempt > 0 AND d.due_at < $1::bigint
    ORDER BY d.due_at LIMIT 10000
),
-- Locked, or it could be held for an endpoint that has just been enabled.
disabled AS MATERIALIZED (
    SELECT e.id FROM {outbox_endpoints} AS e
    WHERE e.id = ANY (ARRAY(SELECT died.endpoint FROM died)) AND e.disabled IS NOT NULL
    FOR UPDATE SKIP LOCKED
),
gone AS MATERIALIZED (
    SELECT these.endpoint FROM (SELECT DISTINCT died.endpoint FROM died) AS these
    WHERE (SELECT e.id FROM {outbox_endpoints} AS e WHERE e.id = these.endpoint LIMIT 1) IS NULL
),
chosen AS MATERIALIZED (
    SELECT d.seq FROM {outbox_deliveries} AS d
    WHERE d.seq = ANY (ARRAY(
            SELECT died.seq FROM died
            WHERE died.endpoint IN (SELECT disabled.id FROM disabled UNION ALL SELECT gone.endpoint FROM gone)
            LIMIT $2::bigint
        ))
        AND d.state = 1 AND d.due_at < $1::bigint
    FOR UPDATE SKIP LOCKED
),
done AS (
    UPDATE {outbox_deliveries} AS d
    SET state = CASE WHEN d.endpoint IN (SELECT gone.endpoint FROM gone) THEN 6 ELSE 2 END, due_at = $1::bigint, token = NULL
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
