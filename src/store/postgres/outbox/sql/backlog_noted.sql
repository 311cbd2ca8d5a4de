-- $1 offset of the clock, $2 length of a minute
WITH clock AS (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now)
SELECT EXISTS (
    SELECT 1 FROM {outbox_backlog} AS b WHERE b.step = 0 AND b.start = clock.now - clock.now % $2::bigint
) AS noted
FROM clock
