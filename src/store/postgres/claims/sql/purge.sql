-- $1 limit, $2 offset of the clock
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $2::bigint AS now
),
due AS MATERIALIZED (
    -- Several instances may purge at once; each takes rows that no other has.
    -- `now` as a scalar, so that the index gives the order and the limit ends the scan.
    SELECT c.key FROM {claims} AS c
    WHERE c.purge_at_ms <= (SELECT clock.now FROM clock)
    ORDER BY c.purge_at_ms
    LIMIT $1::bigint
    FOR UPDATE OF c SKIP LOCKED
),
gone AS (
    DELETE FROM {claims} AS c USING due WHERE c.key = due.key RETURNING 1
)
SELECT count(*) AS gone FROM gone
