-- One row a delivery. Times are milliseconds since the Unix epoch, by the server's clock.
CREATE TABLE {claims} (
    key                   bytea    PRIMARY KEY,
    token                 bytea    NOT NULL,
    -- 0 pending, 1 released, 2 done
    state                 smallint NOT NULL,
    attempt               integer  NOT NULL,
    fingerprint           bytea    NOT NULL,
    -- pending: end of the lease; released: when; done: expiry
    until_ms              bigint   NOT NULL,
    -- from when nobody needs the row
    purge_at_ms           bigint   NOT NULL,
    response_status       integer,
    response_content_type text,
    response_body         bytea
);
CREATE INDEX {index claims_purge} ON {claims} (purge_at_ms);
