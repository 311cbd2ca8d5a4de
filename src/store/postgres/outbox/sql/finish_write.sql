-- $1 now, $2 delivery, $3 state, $4 due_at, $5 attempt, $6 whether an attempt is noted, $7 attempt, $8 status, $9 error,
-- $10 millis, $11 answer, $12 endpoint, $13 failures, $14 failing_since, $15 rests_until, $16 proven, $17 catching_up,
-- $18 ready_at, $19 epoch, $20 strikes, $21 struck_at, $22 slow_at, $23 whether somebody asked for the attempt,
-- $24 tenant, $25 endpoint, $26 hour, $27 how the attempt ended, $28 bucket of latency, $29 the order key if this has ended
WITH endpoint AS (
    UPDATE {outbox_endpoints}
    SET failures = $13::bigint, failing_since = $14::bigint, rests_until = $15::bigint, proven = $16::bigint <> 0,
        catching_up = $17::bigint <> 0, ready_at = $18::bigint, epoch = $19::bigint, strikes = $20::bigint,
        struck_at = $21::bigint, slow_at = $22::bigint,
        look_at = least(
            look_at,
            CASE WHEN $3::bigint = 0 THEN greatest($4::bigint, $18::bigint) END,
            CASE WHEN $18::bigint < ready_at THEN $18::bigint END
        )
    WHERE id = $12::text
),
attempt AS (
    INSERT INTO {outbox_attempts} (delivery, attempt, ended_at, status, error, millis, answer, manual)
    SELECT $2::bigint, $7::bigint, $1::bigint, $8::integer, $9::text, $10::bigint, $11::bytea, $23::bigint <> 0 WHERE $6::bigint <> 0
),
stats AS (
    INSERT INTO {outbox_stats} AS s (tenant, hour, endpoint, ended, bucket, count)
    SELECT $24::text, $26::bigint, $25::text, $27::bigint::smallint, $28::bigint::smallint, 1 WHERE $6::bigint <> 0
    ON CONFLICT (tenant, hour, endpoint, ended, bucket) DO UPDATE SET count = s.count + 1
),
released AS (
    -- The next one with its key is due.
    UPDATE {outbox_deliveries} AS d SET due_at = d.created_at
    WHERE d.state = 0 AND d.due_at = 9223372036854775807 AND d.seq = (
        SELECT o.seq FROM {outbox_deliveries} AS o
        WHERE o.order_key IS NOT NULL AND o.state IN (0, 1, 2)
            AND (o.endpoint, o.order_key, o.seq) > ($25::text, $29::text, 0)
            AND (o.endpoint, o.order_key, o.seq) <= ($25::text, $29::text, 9223372036854775807)
            AND o.seq <> $2::bigint
        ORDER BY o.endpoint, o.order_key, o.seq LIMIT 1
    )
)
UPDATE {outbox_deliveries}
SET state = $3::bigint, due_at = $4::bigint, token = NULL, attempt = $5::bigint,
    noted_due = CASE WHEN $12::text IS NOT NULL THEN $4::bigint END
WHERE seq = $2::bigint
