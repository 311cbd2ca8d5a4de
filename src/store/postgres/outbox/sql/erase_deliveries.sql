-- $1 deliveries, which are locked
WITH attempts AS (
    DELETE FROM {outbox_attempts} WHERE delivery = ANY ($1::bigint[]) RETURNING 1
),
deliveries AS (
    DELETE FROM {outbox_deliveries} WHERE seq = ANY ($1::bigint[]) RETURNING 1
)
SELECT (SELECT count(*) FROM attempts) + (SELECT count(*) FROM deliveries) AS done
