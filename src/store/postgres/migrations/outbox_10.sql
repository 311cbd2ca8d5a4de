-- What waited, of all tenants: a sample of each minute, and the most of each longer step. All are few.
CREATE TABLE {outbox_backlog} (
    -- 0 minute, 1 quarter of an hour, 2 two hours, 3 day
    step          smallint NOT NULL,
    -- milliseconds since the Unix epoch
    start         bigint   NOT NULL,
    waiting       bigint   NOT NULL,
    -- milliseconds
    oldest_due    bigint   NOT NULL,
    unserved      bigint   NOT NULL,
    PRIMARY KEY (step, start)
);
