-- What had lost its content before there was a column for it is kept from its last attempt on, and not from when it was dispatched.
UPDATE {outbox_messages} AS m SET purge_after = (
    SELECT max(a.ended_at) FROM {outbox_deliveries} AS d JOIN {outbox_attempts} AS a ON a.delivery = d.seq WHERE d.message = m.seq
)
WHERE m.payload IS NULL AND m.purge_after IS NULL;
