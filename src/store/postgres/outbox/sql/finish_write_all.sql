-- $1 now; of each delivery: $2 number, $3 state, $4 due_at, $5 attempt, $6 endpoint, $7 the order key if this has ended; of each
-- attempt that is noted: $8 delivery, $9 attempt, $10 status or -1, $11 error, $12 millis, $13 answer, $14 whether somebody asked for it;
-- of what is counted: $15 tenant, $16 endpoint, $17 hour, $18 how the attempts ended, $19 bucket of latency, $20 how many; of each
-- endpoint: $21 id, $22 failures, $23 failing_since or -1, $24 rests_until, $25 proven, $26 catching_up, $27 ready_at, $28 epoch,
-- $29 strikes, $30 struck_at, $31 slow_at, $32 when the first of these deliveries is due that are pending, or -1
WITH ended AS MATERIALIZED (
    SELECT u.seq, u.state, u.due_at, u.attempt, u.endpoint, u.order_key
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
        AS u (seq, state, due_at, attempt, endpoint, order_key)
),
noted AS (
    UPDATE {outbox_endpoints} AS e
    SET failures = u.failures, failing_since = nullif(u.failing_since, -1), rests_until = u.rests_until, proven = u.proven <> 0,
        catching_up = u.catching_up <> 0, ready_at = u.ready_at, epoch = u.epoch, strikes = u.strikes, struck_at = u.struck_at,
        slow_at = u.slow_at,
        look_at = least(
            e.look_at,
            CASE WHEN u.due_at <> -1 THEN greatest(u.due_at, u.ready_at) END,
            CASE WHEN u.ready_at < e.ready_at THEN u.ready_at END
        )
    FROM unnest($21::text[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[],
        $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[])
        AS u (id, failures, failing_since, rests_until, proven, catching_up, ready_at, epoch, strikes, struck_at, slow_at, due_at)
    WHERE e.id = u.id
),
attempts AS (
    INSERT INTO {outbox_attempts} (delivery, attempt, ended_at, status, error, millis, answer, manual)
    SELECT u.delivery, u.attempt, $1::bigint, nullif(u.status, -1)::integer, u.error, u.millis, nullif(u.answer, ''::bytea), u.manual <> 0
    FROM unnest($8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::bigint[], $13::bytea[], $14::bigint[])
        WITH ORDINALITY AS u (delivery, attempt, status, error, millis, answer, manual, place)
    ORDER BY u.place
),
stats AS (
    INSERT INTO {outbox_stats} AS s (tenant, hour, endpoint, ended, bucket, count)
    SELECT u.tenant, u.hour, u.endpoint, u.ended::smallint, u.bucket::smallint, u.count
    FROM unnest($15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[])
        AS u (tenant, endpoint, hour, ended, bucket, count)
    -- Two that count the same wait for each other in one order.
    ORDER BY u.tenant, u.hour, u.endpoint, u.ended, u.bucket
    ON CONFLICT (tenant, hour, endpoint, ended, bucket) DO UPDATE SET count = s.count + excluded.count
),
released AS (
    -- The next one with its key is due.
    UPDATE {outbox_deliveries} AS d SET due_at = d.created_at
    WHERE d.state = 0 AND d.due_at = 9223372036854775807 AND d.seq = ANY (ARRAY(
        SELECT next.seq FROM ended
        CROSS JOIN LATERAL (
            SELECT o.seq FROM {outbox_deliveries} AS o
            WHERE o.order_key IS NOT NULL AND o.state IN (0, 1, 2)
                AND (o.endpoint, o.order_key, o.seq) > (ended.endpoint, ended.order_key, 0)
                AND (o.endpoint, o.order_key, o.seq) <= (ended.endpoint, ended.order_key, 9223372036854775807)
                AND o.seq <> ALL (ARRAY(SELECT other.seq FROM ended AS other WHERE other.order_key IS NOT NULL))
            ORDER BY o.endpoint, o.order_key, o.seq LIMIT 1
        ) AS next
        WHERE ended.order_key IS NOT NULL
    ))
)
UPDATE {outbox_deliveries} AS d
SET state = ended.state, due_at = ended.due_at, token = NULL, attempt = ended.attempt, noted_due = ended.due_at
FROM ended
WHERE d.seq = ended.seq
