-- $1 offset of the clock, $2 how many endpoints of a kind, $3 in flight, $4 in flight where it fails, $5 failures to rest,
-- $6 how many endpoints are seen, $7 how many of those with something new, $8 where to begin among these, $9 tenants of which nothing
-- is leased, $10 those of whose unproven endpoints nothing is
WITH RECURSIVE clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now
),
-- Those that merely wait for their time are not read.
past AS MATERIALIZED (
    SELECT e.id AS endpoint FROM {outbox_endpoints} AS e
    WHERE e.disabled IS NULL AND e.look_at <= (SELECT clock.now FROM clock)
    ORDER BY e.look_at LIMIT $6::bigint
),
-- A dispatch locks no endpoint, so what is new does not stand on its row yet. Steps from one endpoint that has something new to the
-- next, along an index of these alone: however much an endpoint has, it is one step.
ahead (endpoint) AS (
    (
        SELECT d.endpoint FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND d.due_at IS DISTINCT FROM d.noted_due AND d.endpoint >= $8::text
        ORDER BY d.endpoint LIMIT 1
    )
    UNION ALL
    SELECT next.endpoint FROM ahead CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND d.due_at IS DISTINCT FROM d.noted_due AND d.endpoint > ahead.endpoint
        ORDER BY d.endpoint LIMIT 1
    ) AS next
),
few_ahead AS MATERIALIZED (
    SELECT ahead.endpoint FROM ahead LIMIT $7::bigint
),
rest (endpoint) AS (
    (
        SELECT d.endpoint FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND d.due_at IS DISTINCT FROM d.noted_due AND d.endpoint < $8::text
            AND (SELECT count(*) FROM few_ahead) < $7::bigint
        ORDER BY d.endpoint LIMIT 1
    )
    UNION ALL
    SELECT next.endpoint FROM rest CROSS JOIN LATERAL (
        SELECT d.endpoint FROM {outbox_deliveries} AS d
        WHERE d.state IN (0, 1) AND d.due_at IS DISTINCT FROM d.noted_due AND d.endpoint > rest.endpoint
            AND d.endpoint < $8::text
        ORDER BY d.endpoint LIMIT 1
    ) AS next
),
few_of_rest AS MATERIALIZED (
    SELECT rest.endpoint FROM rest LIMIT $7::bigint
),
seen AS MATERIALIZED (
    SELECT past.endpoint FROM past
    UNION SELECT few_ahead.endpoint FROM few_ahead
    UNION SELECT few_of_rest.endpoint FROM few_of_rest
),
-- The limits keep the planner from reading all endpoints instead of a few.
found AS MATERIALIZED (
    SELECT e.id, e.proven, e.served_at, flight.count AS in_flight, flight.ends_at,
           CASE
               WHEN e.tenant = ANY ($9::text[]) OR (NOT e.proven AND e.tenant = ANY ($10::text[])) THEN 0
               WHEN e.failures >= $5::bigint OR e.in_order THEN $4::bigint
               ELSE $3::bigint
           END AS most,
           e.ready_at <= (SELECT clock.now FROM clock) AND (
               SELECT d.seq FROM {outbox_deliveries} AS d
               WHERE d.state IN (0, 1) AND (d.endpoint, d.due_at) >= (e.id, '-9223372036854775808'::bigint)
                   AND (d.endpoint, d.due_at) <= (e.id, (SELECT clock.now FROM clock))
               ORDER BY d.endpoint, d.due_at LIMIT 1
           ) IS NOT NULL AS is_due
    FROM seen
    CROSS JOIN LATERAL (
        SELECT e.id, e.tenant, e.proven, e.served_at, e.ready_at, e.failures, e.in_order FROM {outbox_endpoints} AS e
        WHERE e.id = seen.endpoint AND e.disabled IS NULL LIMIT 1
    ) AS e
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, min(d.due_at) AS ends_at FROM {outbox_deliveries} AS d
        WHERE d.endpoint = e.id AND d.state = 1 AND d.due_at > (SELECT clock.now FROM clock)
    ) AS flight
),
-- One without room is left out here already, or many of them would stand before all others for as long as they are slow. The
-- proven ones and the others are cut off each for themselves, so that neither stand before the other.
candidate AS MATERIALIZED (
    SELECT place.id, place.proven, place.served_at
    FROM (
        SELECT found.*, row_number() OVER (PARTITION BY found.proven ORDER BY found.served_at, found.id) AS place
        FROM found WHERE found.is_due AND found.in_flight < found.most
    ) AS place
    WHERE place.place <= $2::bigint
),
-- Those that are to be looked at later.
idle AS MATERIALIZED (
    SELECT found.id FROM found WHERE NOT found.is_due LIMIT $7::bigint
),
next AS MATERIALIZED (
    SELECT least(
        (
            SELECT e.look_at FROM {outbox_endpoints} AS e
            WHERE e.disabled IS NULL AND e.look_at > (SELECT clock.now FROM clock)
            ORDER BY e.look_at LIMIT 1
        ),
        (SELECT min(found.ends_at) FROM found WHERE found.is_due AND found.in_flight >= found.most)
    ) - (SELECT clock.now FROM clock) AS wait
)
SELECT (SELECT clock.now FROM clock) AS now, next.wait, one.id, one.proven, one.is_idle
FROM next LEFT JOIN (
    SELECT candidate.id, candidate.proven, candidate.served_at, false AS is_idle FROM candidate
    UNION ALL
    SELECT idle.id, false, 0, true FROM idle
) AS one ON true
ORDER BY one.served_at, one.id
