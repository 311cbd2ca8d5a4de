-- $1 messages that were stored by this transaction
WITH deliveries AS (
    DELETE FROM {outbox_deliveries} WHERE message = ANY ($1::bigint[])
)
DELETE FROM {outbox_messages} WHERE seq = ANY ($1::bigint[])
