-- Whoever decides by what else has an order key, or a guarded body, holds its lock until the commit. All take them in one order.
-- $1 numbers, in their order
SELECT pg_advisory_xact_lock(k.number) AS locked, current_setting('transaction_isolation') AS isolation
FROM unnest($1::bigint[]) AS k (number)
