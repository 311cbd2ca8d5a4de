-- A page of each list: those of each state in their order, whatever else is asked for. An entry of an index is bounded, and a sender can put a
-- text of any length in the place of a type. The first column and the condition of each are its own, so that the planner, which judges a
-- comparison of rows by the first column, has no other index for its list: `< 1025` does not tell it that `<= 1024`.
DROP INDEX {inbox_events_type};
DROP INDEX {inbox_events_tenant};
CREATE INDEX {index inbox_events_type} ON {inbox_events} (event_type, consumer, state, seq)
    WHERE event_type IS NOT NULL AND octet_length(event_type) <= 1024;
CREATE INDEX {index inbox_events_tenant} ON {inbox_events} (tenant, consumer, state, seq) WHERE tenant IS NOT NULL;
CREATE INDEX {index inbox_events_tenant_type} ON {inbox_events} (event_type, tenant, consumer, state, seq)
    WHERE tenant IS NOT NULL AND octet_length(event_type) < 1025;
