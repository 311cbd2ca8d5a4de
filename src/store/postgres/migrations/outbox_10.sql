-- What waited, of all tenants: a sample of each minute of the last day, and the most of each hour of the last months. Both are few.
CREATE TABLE {outbox_backlog} (
    -- 0 minute, 1 hour
    step          smallint NOT NULL,
    -- milliseconds since the Unix epoch
    start         bigint   NOT NULL,
    waiting       bigint   NOT NULL,
    -- milliseconds
    oldest_due    bigint   NOT NULL,
    unserved      bigint   NOT NULL,
    PRIMARY KEY (step, start)
);
