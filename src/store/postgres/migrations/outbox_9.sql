-- One at a time of those with the same order key.
ALTER TABLE {outbox_messages} ADD COLUMN order_key text COLLATE "C";
ALTER TABLE {outbox_deliveries} ADD COLUMN order_key text COLLATE "C";
-- Those that have not ended, in their order; and of these the ones that are being sent.
CREATE INDEX {index outbox_deliveries_keys} ON {outbox_deliveries} (endpoint, order_key, seq)
    WHERE order_key IS NOT NULL AND state IN (0, 1, 2);
CREATE INDEX {index outbox_deliveries_sending_keys} ON {outbox_deliveries} (endpoint, order_key, seq)
    WHERE order_key IS NOT NULL AND state = 1;
