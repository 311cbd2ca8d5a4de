-- Ends rests that end later than any can, but for a rest of what goes in order: it is as long as a retry. Has endpoints looked at that
-- were looked at last when it was later.
-- $1 now, $2 when the longest rest ends
WITH late AS MATERIALIZED (
    SELECT e.id,
           -- In microseconds, a thousand times as late, stands when the next attempt is in time under a limit.
           e.in_order = false AND e.ready_at > $2::bigint AND (e.rests_until > $2::bigint OR e.next_at > $2::bigint * 1000) AS rests
    FROM {outbox_endpoints} AS e
    WHERE e.disabled IS NULL AND e.look_at > $1::bigint
    ORDER BY e.id FOR UPDATE
)
UPDATE {outbox_endpoints} AS e
SET ready_at = CASE WHEN late.rests THEN $1::bigint ELSE e.ready_at END,
    rests_until = CASE WHEN late.rests AND e.rests_until > $2::bigint THEN 0 ELSE e.rests_until END,
    next_at = CASE WHEN late.rests AND e.next_at > $2::bigint * 1000 THEN 0 ELSE e.next_at END,
    -- Too early a look finds nothing, and moves it on.
    look_at = CASE WHEN late.rests THEN $1::bigint ELSE greatest($1::bigint, e.ready_at) END
FROM late WHERE e.id = late.id
