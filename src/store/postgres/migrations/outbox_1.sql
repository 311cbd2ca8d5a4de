-- Times are milliseconds since the Unix epoch, by the server's clock. Texts that are compared are ordered by their bytes,
-- whatever the database's language.
CREATE TABLE {outbox_endpoints} (
    id            text     COLLATE "C" PRIMARY KEY,
    tenant        text     COLLATE "C" NOT NULL,
    url           text     NOT NULL,
    -- patterns, with a space between them
    events        text     NOT NULL,
    description   text     NOT NULL,
    style         text     NOT NULL,
    sealing_key   text     NOT NULL,
    sealed        bytea    NOT NULL,
    rate_limit    text,
    api_version   text,
    revision      bigint   NOT NULL DEFAULT 1,
    disabled      text,
    created_at    bigint   NOT NULL,
    failures      bigint   NOT NULL DEFAULT 0,
    failing_since bigint,
    rests_until   bigint   NOT NULL DEFAULT 0,
    proven        boolean  NOT NULL DEFAULT false,
    steady        double precision NOT NULL DEFAULT 0,
    steady_at     bigint   NOT NULL DEFAULT 0,
    -- microseconds
    next_at       bigint   NOT NULL DEFAULT 0,
    catching_up   boolean  NOT NULL DEFAULT false,
    -- what follows of the columns above: before then nothing is leased
    ready_at      bigint   NOT NULL DEFAULT 0,
    served_at     bigint   NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
-- Neither index holds a column that changes with an attempt, so a row is changed in its place.
CREATE INDEX {index outbox_endpoints_tenant} ON {outbox_endpoints} (tenant, id);

CREATE TABLE {outbox_messages} (
    seq           bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant        text     COLLATE "C" NOT NULL,
    id            text     COLLATE "C" NOT NULL,
    event_type    text     NOT NULL,
    version       text,
    -- the one endpoint that it is for, if it is for one
    addressed     text     COLLATE "C",
    digest        bytea    NOT NULL,
    happened_at   bigint   NOT NULL,
    created_at    bigint   NOT NULL,
    payload       text,
    UNIQUE (tenant, id)
);
CREATE INDEX {index outbox_messages_tenant} ON {outbox_messages} (tenant, created_at, seq);
-- These two serve purge.
CREATE INDEX {index outbox_messages_full} ON {outbox_messages} (created_at) WHERE payload IS NOT NULL;
CREATE INDEX {index outbox_messages_emptied} ON {outbox_messages} (created_at) WHERE payload IS NULL;

-- No foreign keys: a reference to an endpoint would lock its row, and so an application's open transaction would stop all
-- that is sent there.
CREATE TABLE {outbox_deliveries} (
    seq           bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message       bigint   NOT NULL,
    tenant        text     COLLATE "C" NOT NULL,
    endpoint      text     COLLATE "C" NOT NULL,
    -- 0 pending, 1 sending, 2 held, 3 delivered, 4 refused, 5 exhausted, 6 cancelled
    state         smallint NOT NULL,
    -- pending: when it is due; sending: end of the lease; held: since when
    due_at        bigint   NOT NULL,
    attempt       bigint   NOT NULL DEFAULT 0,
    token         bytea,
    created_at    bigint   NOT NULL,
    UNIQUE (message, endpoint)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- In the order in which they are listed.
CREATE INDEX {index outbox_deliveries_tenant} ON {outbox_deliveries} (tenant, state, seq);
CREATE INDEX {index outbox_deliveries_endpoint} ON {outbox_deliveries} (endpoint, state, seq);
-- Few at any time: what was delivered is not in it.
CREATE INDEX {index outbox_deliveries_active} ON {outbox_deliveries} (endpoint, due_at, seq) WHERE state IN (0, 1);
CREATE INDEX {index outbox_deliveries_due} ON {outbox_deliveries} (due_at, endpoint) WHERE state IN (0, 1);
-- Fewer still: what is in flight is counted at every look, also where much of an endpoint waits for its next try.
CREATE INDEX {index outbox_deliveries_sending} ON {outbox_deliveries} (endpoint, due_at) WHERE state = 1;
CREATE INDEX {index outbox_deliveries_held} ON {outbox_deliveries} (endpoint, due_at) WHERE state = 2;

CREATE TABLE {outbox_attempts} (
    delivery      bigint   NOT NULL,
    seq           bigint   GENERATED ALWAYS AS IDENTITY,
    attempt       bigint   NOT NULL,
    ended_at      bigint   NOT NULL,
    status        integer,
    error         text,
    millis        bigint   NOT NULL,
    -- nothing once it was dropped
    answer        bytea,
    PRIMARY KEY (delivery, seq)
);
CREATE INDEX {index outbox_attempts_ended} ON {outbox_attempts} (ended_at);
CREATE INDEX {index outbox_attempts_full} ON {outbox_attempts} (ended_at) WHERE answer IS NOT NULL;

CREATE TABLE {outbox_event_types} (
    name          text     COLLATE "C" PRIMARY KEY,
    description   text     NOT NULL,
    version       text,
    schema        text
);
