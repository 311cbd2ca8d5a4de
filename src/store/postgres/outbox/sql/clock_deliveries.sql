-- Ends leases that end later than any can, and makes due what was dispatched when it was later and not attempted since. Both are then
-- as good as new, and found.
-- $1 now, $2 when the longest lease ends
WITH late AS MATERIALIZED (
    SELECT d.seq FROM {outbox_deliveries} AS d
    WHERE d.state = 1 AND d.attempt > 0 AND d.due_at > $2::bigint
    ORDER BY d.seq FOR UPDATE SKIP LOCKED
),
dispatched AS MATERIALIZED (
    SELECT d.seq FROM {outbox_deliveries} AS d
    WHERE d.state IN (0, 1) AND d.state = 0 AND d.attempt = 0 AND d.created_at > $1::bigint AND d.due_at > $1::bigint
    ORDER BY d.seq FOR UPDATE SKIP LOCKED
)
UPDATE {outbox_deliveries} AS d SET due_at = $1::bigint
WHERE d.seq = ANY (ARRAY(SELECT late.seq FROM late UNION ALL SELECT dispatched.seq FROM dispatched))
