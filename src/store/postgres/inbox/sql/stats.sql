-- No state is counted further than to the limit, along an index: the order keeps the planner from all of it.
-- $1 offset of the clock, $2 consumer, $3 limit
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now,
       (
           SELECT count(*) FROM (
               SELECT FROM {inbox_events} AS e WHERE e.consumer = $2::text AND e.state = 0 ORDER BY e.seq LIMIT $3::bigint
           ) AS e
       ) AS pending,
       (
           SELECT count(*) FROM (
               SELECT FROM {inbox_events} AS e WHERE e.consumer = $2::text AND e.state = 1 ORDER BY e.seq LIMIT $3::bigint
           ) AS e
       ) AS working,
       (
           SELECT count(*) FROM (
               SELECT FROM {inbox_events} AS e WHERE e.consumer = $2::text AND e.state = 4 ORDER BY e.seq LIMIT $3::bigint
           ) AS e
       ) AS dead,
       (
           SELECT e.accepted_at FROM {inbox_events} AS e WHERE e.consumer = $2::text AND e.state <= 1
           ORDER BY e.accepted_at LIMIT 1
       ) AS oldest
