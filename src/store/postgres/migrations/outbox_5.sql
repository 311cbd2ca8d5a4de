-- How many attempts ended in an hour, and how. A tenant's hours lie together, since a tenant has many endpoints. Whoever counts has locked
-- the endpoint's row anyway, so nobody waits for the count.
CREATE TABLE {outbox_stats} (
    tenant        text     COLLATE "C" NOT NULL,
    -- whole hours since the Unix epoch
    hour          bigint   NOT NULL,
    endpoint      text     COLLATE "C" NOT NULL,
    -- 0 delivered, 1 retried, 2 refused, 3 exhausted, 4 gone
    ended         smallint NOT NULL,
    -- of latency
    bucket        smallint NOT NULL,
    count         bigint   NOT NULL,
    PRIMARY KEY (tenant, hour, endpoint, ended, bucket)
) WITH (fillfactor = 70);
-- No index holds the count, so a row is changed in its place.
CREATE INDEX {index outbox_stats_endpoint} ON {outbox_stats} (endpoint, hour);
CREATE INDEX {index outbox_stats_hour} ON {outbox_stats} (hour);
