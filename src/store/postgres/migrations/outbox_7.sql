-- What was given up is few, and is looked for over all tenants.
CREATE INDEX {index outbox_deliveries_given_up} ON {outbox_deliveries} (state, seq) WHERE state IN (4, 5);
