-- Has purge look again at messages that were awaited when it came to them. What was awaited has ended.
-- $1 limit
WITH chosen AS MATERIALIZED (
    SELECT d.seq, d.message FROM {outbox_deliveries} AS d
    WHERE d.blocks AND d.state NOT IN (0, 1, 2)
    ORDER BY d.seq
    LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED
),
-- In one order, so that no two wait for each other.
locked AS MATERIALIZED (
    SELECT m.seq FROM {outbox_messages} AS m
    WHERE m.seq = ANY (ARRAY(SELECT chosen.message FROM chosen)) ORDER BY m.seq FOR UPDATE
),
messages AS (
    UPDATE {outbox_messages} AS m SET purge_after = NULL WHERE m.seq = ANY (ARRAY(SELECT locked.seq FROM locked))
),
done AS (
    UPDATE {outbox_deliveries} AS d SET blocks = false
    WHERE d.seq = ANY (ARRAY(SELECT chosen.seq FROM chosen)) RETURNING 1
)
SELECT count(*) AS done FROM done
