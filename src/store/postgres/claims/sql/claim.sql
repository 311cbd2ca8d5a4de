-- $1 key, $2 token, $3 fingerprint, $4 lease, $5 offset of the clock, $6 advisory lock, $7 lock_timeout, $8 abandoned after
WITH clock AS MATERIALIZED (
    -- The timeout ends with this statement's own transaction, so no session is changed.
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $5::bigint AS now,
           set_config('lock_timeout', $7::text, true) AS lock_timeout
),
seen AS MATERIALIZED (
    -- A plain read: it waits for nobody, and decides every duplicate that comes after its original.
    SELECT c.*,
           CASE c.state
               WHEN 0 THEN c.until_ms > clock.now AND c.token <> $2::bytea
               WHEN 2 THEN c.until_ms > clock.now
               ELSE false
           END AS live
    FROM {claims} AS c, clock
    WHERE c.key = $1::bytea
),
unlocked AS MATERIALIZED (
    -- An application's open transaction may hold the row of a claim whose lease has passed.
    SELECT 1 FROM {claims} WHERE key = $1::bytea FOR UPDATE SKIP LOCKED
),
gate AS MATERIALIZED (
    -- The advisory lock turns away those who claim in this very moment: without it they would wait in the unique index
    -- until the first one's insert is on disk. CASE tries no lock for a record that is live.
    SELECT CASE
               WHEN EXISTS (SELECT FROM seen WHERE live) THEN false
               WHEN NOT pg_try_advisory_xact_lock($6::bigint) THEN false
               WHEN EXISTS (SELECT FROM seen) THEN EXISTS (SELECT FROM unlocked)
               ELSE true
           END AS is_open
),
won AS (
    -- The read above may be older than a claim that has just been committed. The condition is checked against the
    -- newest row, under its lock: this is what makes the claim atomic, all before it only keeps it from waiting.
    INSERT INTO {claims} AS c (key, token, state, attempt, fingerprint, until_ms, purge_at_ms)
    SELECT $1::bytea, $2::bytea, 0, 1, $3::bytea, clock.now + $4::bigint, clock.now + $4::bigint + $8::bigint
    FROM clock, gate
    WHERE gate.is_open
    ON CONFLICT (key) DO UPDATE SET
        token = excluded.token,
        state = 0,
        attempt = CASE
            WHEN c.state = 0 AND c.token = excluded.token THEN c.attempt
            WHEN c.state = 2 THEN 1
            ELSE c.attempt + 1
        END,
        fingerprint = excluded.fingerprint,
        until_ms = excluded.until_ms,
        purge_at_ms = excluded.purge_at_ms,
        response_status = NULL,
        response_content_type = NULL,
        response_body = NULL
    WHERE c.state = 1
       OR c.until_ms <= excluded.until_ms - $4::bigint
       OR (c.state = 0 AND c.token = excluded.token)
    RETURNING c.attempt
)
SELECT (SELECT won.attempt FROM won)        AS attempt,
       coalesce(seen.live, false)           AS live,
       seen.state,
       seen.fingerprint,
       seen.until_ms - clock.now            AS rest,
       seen.response_status,
       seen.response_content_type,
       seen.response_body
FROM clock LEFT JOIN seen ON seen.live
