-- $1 now, $2 endpoints, which are locked, $3 how many deliveries of each
SELECT e.id AS endpoint, flight.count AS in_flight, d.seq, d.attempt, d.due_at, d.created_at, d.resent_after, d.order_key,
       (
           SELECT n.due_at FROM {outbox_deliveries} AS n
           WHERE n.state IN (0, 1) AND (n.endpoint, n.due_at) > (e.id, $1::bigint) AND (n.endpoint, n.due_at) <= (e.id, 9223372036854775807)
           ORDER BY n.endpoint, n.due_at LIMIT 1
       ) AS later,
       -- Also those that somebody has locked.
       (
           SELECT count(*) FROM (
               SELECT FROM {outbox_deliveries} AS n
               WHERE n.state IN (0, 1) AND (n.endpoint, n.due_at) >= (e.id, '-9223372036854775808'::bigint) AND (n.endpoint, n.due_at) <= (e.id, $1::bigint)
               ORDER BY n.endpoint, n.due_at LIMIT $3::bigint
           ) AS few
       ) AS due,
       m.created_at AS dispatched_at, coalesce(m.has_content, false) AS has_content,
       -- By the ranges of two indexes of what has a key, whatever the planner thinks of how much an endpoint has.
       CASE WHEN d.order_key IS NULL THEN false ELSE (
           SELECT o.seq FROM {outbox_deliveries} AS o
           WHERE o.order_key IS NOT NULL AND o.state IN (0, 1, 2)
               AND (o.endpoint, o.order_key, o.seq) > (e.id, d.order_key, 0)
               AND (o.endpoint, o.order_key, o.seq) < (e.id, d.order_key, d.seq)
           ORDER BY o.endpoint, o.order_key, o.seq LIMIT 1
       ) IS NOT NULL END AS is_behind,
       CASE WHEN d.order_key IS NULL THEN false ELSE (
           SELECT o.seq FROM {outbox_deliveries} AS o
           WHERE o.order_key IS NOT NULL AND o.state = 1
               AND (o.endpoint, o.order_key, o.seq) > (e.id, d.order_key, 0)
               AND (o.endpoint, o.order_key, o.seq) <= (e.id, d.order_key, 9223372036854775807)
               AND o.due_at > $1::bigint AND o.seq <> d.seq
           ORDER BY o.endpoint, o.order_key, o.seq LIMIT 1
       ) IS NOT NULL END AS is_beside
FROM unnest($2::text[]) AS e (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS count FROM {outbox_deliveries} AS d
    WHERE d.endpoint = e.id AND d.state = 1 AND d.due_at > $1::bigint
) AS flight
LEFT JOIN LATERAL (
    -- Somebody may be cancelling one, or be resending it.
    SELECT d.seq, d.attempt, d.due_at, d.message, d.created_at, d.resent_after, d.order_key FROM {outbox_deliveries} AS d
    WHERE d.state IN (0, 1) AND (d.endpoint, d.due_at) >= (e.id, '-9223372036854775808'::bigint) AND (d.endpoint, d.due_at) <= (e.id, $1::bigint)
    ORDER BY d.endpoint, d.due_at, d.seq
    LIMIT $3::bigint
    FOR UPDATE SKIP LOCKED
) AS d ON true
LEFT JOIN LATERAL (
    SELECT m.created_at, m.payload IS NOT NULL AS has_content FROM {outbox_messages} AS m WHERE m.seq = d.message LIMIT 1
) AS m ON true
ORDER BY e.id, d.due_at, d.seq
