-- $1 offset of the clock, $2 how many endpoints of a kind, $3 in flight, $4 in flight where it fails, $5 failures to rest,
-- $6 tenants of which nothing is leased, $7 those of whose unproven endpoints nothing is
WITH RECURSIVE clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now
),
-- What is due, if it is little: then these are all the endpoints that have something due.
little AS MATERIALIZED (
    SELECT d.endpoint FROM {outbox_deliveries} AS d
    WHERE d.state IN (0, 1) AND d.due_at <= (SELECT clock.now FROM clock)
    ORDER BY d.due_at LIMIT 2000
),
-- If it is much: steps from one endpoint that has something to do to the next, along an index of these alone. However much an
-- endpoint has, it is one step.
active (endpoint, due_at) AS (
    (
        SELECT d.endpoint, d.due_at FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND (SELECT count(*) FROM little) = 2000
        ORDER BY d.endpoint, d.due_at LIMIT 1
    )
    UNION ALL
    SELECT next.endpoint, next.due_at
    FROM active
    CROSS JOIN LATERAL (
        SELECT d.endpoint, d.due_at FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND d.endpoint > active.endpoint
        ORDER BY d.endpoint, d.due_at LIMIT 1
    ) AS next
),
with_due AS MATERIALIZED (
    SELECT little.endpoint FROM little WHERE (SELECT count(*) FROM little) < 2000
    UNION
    SELECT active.endpoint FROM active WHERE active.due_at <= (SELECT clock.now FROM clock)
),
-- The limits keep the planner from reading all endpoints instead of a few.
due AS MATERIALIZED (
    SELECT e.id, e.proven, e.served_at, e.ready_at, CASE WHEN e.failures >= $5::bigint OR e.in_order THEN $4::bigint ELSE $3::bigint END AS most
    FROM with_due
    CROSS JOIN LATERAL (
        SELECT e.id, e.proven, e.served_at, e.ready_at, e.failures, e.in_order FROM {outbox_endpoints} AS e
        WHERE e.id = with_due.endpoint AND e.disabled IS NULL
            AND e.tenant <> ALL ($6::text[]) AND (e.proven OR e.tenant <> ALL ($7::text[]))
        LIMIT 1
    ) AS e
),
ready AS MATERIALIZED (
    SELECT due.*, flight.count AS in_flight, flight.ends_at
    FROM due
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, min(d.due_at) AS ends_at FROM {outbox_deliveries} AS d
        WHERE d.endpoint = due.id AND d.state = 1 AND d.due_at > (SELECT clock.now FROM clock)
    ) AS flight
    WHERE due.ready_at <= (SELECT clock.now FROM clock)
),
-- One without room is left out here already, or many of them would stand before all others for as long as they are slow. The
-- proven ones and the others are cut off each for themselves, so that neither stand before the other.
candidate AS MATERIALIZED (
    SELECT place.id, place.proven, place.served_at
    FROM (
        SELECT ready.*, row_number() OVER (PARTITION BY ready.proven ORDER BY ready.served_at, ready.id) AS place
        FROM ready WHERE ready.in_flight < ready.most
    ) AS place
    WHERE place.place <= $2::bigint
),
next AS MATERIALIZED (
    SELECT least(
        (
            SELECT d.due_at FROM {outbox_deliveries} AS d
            WHERE d.state IN (0, 1) AND d.due_at > (SELECT clock.now FROM clock)
            ORDER BY d.due_at LIMIT 1
        ),
        (SELECT min(due.ready_at) FROM due WHERE due.ready_at > (SELECT clock.now FROM clock)),
        (SELECT min(ready.ends_at) FROM ready WHERE ready.in_flight >= ready.most)
    ) - (SELECT clock.now FROM clock) AS wait
)
SELECT next.wait, candidate.id, candidate.proven
FROM next LEFT JOIN candidate ON true
ORDER BY candidate.served_at, candidate.id
