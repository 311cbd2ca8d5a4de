-- One row an event. Times are milliseconds since the Unix epoch, by the server's clock. Texts that are compared are ordered by their
-- bytes, whatever the database's language; in those that senders choose, `\` stands as `\\` and the character 0 as `\0`.
CREATE TABLE {inbox_events} (
    seq         bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- pending: when it is due, or the largest number while it waits for another with its order key; working: end of the lease;
    -- ended: when
    due_at      bigint   NOT NULL,
    accepted_at bigint   NOT NULL,
    retention   bigint   NOT NULL,
    guard_until bigint,
    attempt     bigint   NOT NULL DEFAULT 0,
    spent       bigint   NOT NULL DEFAULT 0,
    -- 0 pending, 1 working, 2 done, 3 discarded, 4 dead
    state       smallint NOT NULL,
    key         bytea    NOT NULL UNIQUE,
    token       bytea,
    fingerprint bytea    NOT NULL,
    order_key   bytea,
    guard       bytea,
    consumer    text     COLLATE "C" NOT NULL,
    provider    text     COLLATE "C" NOT NULL,
    tenant      text     COLLATE "C",
    delivery_id text     COLLATE "C",
    event_type  text     COLLATE "C",
    reason      text,
    -- nothing once they were dropped
    head        bytea,
    body        bytea
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- Few at any time: what has ended is not in them.
CREATE INDEX {index inbox_events_due} ON {inbox_events} (consumer, due_at, seq) WHERE state <= 1;
CREATE INDEX {index inbox_events_source} ON {inbox_events} (consumer, provider, due_at, seq) WHERE state <= 1;
CREATE INDEX {index inbox_events_waiting} ON {inbox_events} (consumer, accepted_at) WHERE state <= 1;
CREATE INDEX {index inbox_events_order} ON {inbox_events} (order_key, due_at, seq) WHERE state <= 1 AND order_key IS NOT NULL;
CREATE INDEX {index inbox_events_guard} ON {inbox_events} (guard, guard_until) WHERE guard IS NOT NULL;
-- In the order in which they are listed.
CREATE INDEX {index inbox_events_state} ON {inbox_events} (consumer, state, seq);
-- An entry of an index is bounded, and a sender can put a text of any length in the place of a type.
CREATE INDEX {index inbox_events_type} ON {inbox_events} (consumer, event_type, seq)
    WHERE event_type IS NOT NULL AND octet_length(event_type) <= 1024;
CREATE INDEX {index inbox_events_tenant} ON {inbox_events} (consumer, tenant, seq) WHERE tenant IS NOT NULL;
-- These serve purge. Retentions are few, so that each is walked by itself, from what ended first.
CREATE INDEX {index inbox_events_ended} ON {inbox_events} (consumer, retention, due_at) WHERE state IN (2, 3);
CREATE INDEX {index inbox_events_full} ON {inbox_events} (consumer, due_at) WHERE state IN (2, 3) AND body IS NOT NULL;
CREATE INDEX {index inbox_events_dead} ON {inbox_events} (consumer, due_at) WHERE state = 4;
