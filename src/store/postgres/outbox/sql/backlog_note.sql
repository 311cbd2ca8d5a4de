-- $1 offset of the clock, $2 how many wait, $3 oldest due, $4 unserved, $5 steps, $6 how long they are, $7 how long they are kept
WITH steps AS MATERIALIZED (
    SELECT s.step, clock.now - clock.now % s.length AS start, clock.now - s.kept AS kept_since
    FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now) AS clock
    CROSS JOIN unnest($5::bigint[], $6::bigint[], $7::bigint[]) AS s (step, length, kept)
    ORDER BY s.step
),
old AS (
    DELETE FROM {outbox_backlog} AS b USING steps WHERE b.step = steps.step AND b.start < steps.kept_since
)
INSERT INTO {outbox_backlog} AS b (step, start, waiting, oldest_due, unserved)
SELECT steps.step, steps.start, $2::bigint, $3::bigint, $4::bigint FROM steps
ON CONFLICT (step, start) DO UPDATE SET
    waiting = greatest(b.waiting, excluded.waiting),
    oldest_due = greatest(b.oldest_due, excluded.oldest_due),
    unserved = greatest(b.unserved, excluded.unserved)
