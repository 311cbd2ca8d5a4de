-- Nothing costs more since there is much that merely waits, is held, or was.

-- When an endpoint is looked at next; nothing where nothing of it waits. It is never later than something of the endpoint may be
-- leased, but for what is not noted yet.
ALTER TABLE {outbox_endpoints} ADD COLUMN look_at bigint;
CREATE INDEX {index outbox_endpoints_look} ON {outbox_endpoints} (look_at) WHERE disabled IS NULL;

-- From when on purge looks at a message, where that is not when it was dispatched. Never, where a delivery of it blocks, until that
-- has ended.
ALTER TABLE {outbox_messages} ADD COLUMN purge_after bigint;
DROP INDEX {outbox_messages_full};
DROP INDEX {outbox_messages_emptied};
CREATE INDEX {index outbox_messages_content} ON {outbox_messages} (coalesce(purge_after, created_at)) WHERE payload IS NOT NULL;
CREATE INDEX {index outbox_messages_rows} ON {outbox_messages} (coalesce(purge_after, created_at)) WHERE payload IS NULL;

ALTER TABLE {outbox_deliveries}
    -- as its message has it
    ADD COLUMN event_type text COLLATE "C" NOT NULL DEFAULT '',
    -- the due_at that the endpoint's look_at takes into account; whatever changes due_at alone makes the delivery a new one
    ADD COLUMN noted_due bigint,
    -- whether it is what purge left its message alone for
    ADD COLUMN blocks boolean NOT NULL DEFAULT false;
UPDATE {outbox_deliveries} AS d SET event_type = m.event_type FROM {outbox_messages} AS m WHERE m.seq = d.message;
DROP INDEX {outbox_deliveries_due};
DROP INDEX {outbox_deliveries_held};
DROP INDEX {outbox_deliveries_endpoint};
CREATE INDEX {index outbox_deliveries_tenant_type} ON {outbox_deliveries} (tenant, event_type, state, seq);
-- None of these two begins with the endpoint, or the planner, which thinks that an endpoint has few deliveries, would read all that it
-- ever had of them where it looks for what is due.
CREATE INDEX {index outbox_deliveries_endpoint} ON {outbox_deliveries} (state, endpoint, seq);
CREATE INDEX {index outbox_deliveries_endpoint_type} ON {outbox_deliveries} (event_type, endpoint, state, seq);
-- Each is of few: new ones, those that are being sent, and so on.
CREATE INDEX {index outbox_deliveries_fresh} ON {outbox_deliveries} (endpoint)
    WHERE state IN (0, 1) AND due_at IS DISTINCT FROM noted_due;
-- With a condition of its own, so that no other statement takes it for the one by endpoint.
CREATE INDEX {index outbox_deliveries_leased} ON {outbox_deliveries} (due_at) WHERE state = 1 AND attempt > 0;
CREATE INDEX {index outbox_deliveries_held} ON {outbox_deliveries} (due_at) WHERE state = 2;
CREATE INDEX {index outbox_deliveries_unblocked} ON {outbox_deliveries} (seq) WHERE blocks AND state NOT IN (0, 1, 2);

-- The endpoints whose deliveries are being moved to another state, since they were disabled (2), enabled (0) or deleted (6).
CREATE TABLE {outbox_moves} (
    endpoint      text     COLLATE "C" PRIMARY KEY,
    tenant        text     COLLATE "C" NOT NULL,
    target        smallint NOT NULL
);
CREATE INDEX {index outbox_moves_tenant} ON {outbox_moves} (tenant);
