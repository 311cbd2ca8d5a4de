-- Does not wait: the caller has locked rows already, and holders of these locks may be waiting for those.
-- $1 numbers
SELECT k.number FROM unnest($1::bigint[]) AS k (number) WHERE pg_try_advisory_xact_lock(k.number)
