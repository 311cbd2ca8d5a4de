ALTER TABLE {outbox_endpoints}
    -- failures of attempts that were leased in an earlier epoch do not count
    ADD COLUMN epoch     bigint  NOT NULL DEFAULT 0,
    -- the first epoch of its URL
    ADD COLUMN url_epoch bigint  NOT NULL DEFAULT 0,
    -- failures that lie well apart, and when the last of them was
    ADD COLUMN strikes   bigint  NOT NULL DEFAULT 0,
    ADD COLUMN struck_at bigint  NOT NULL DEFAULT 0,
    ADD COLUMN slow_at   bigint  NOT NULL DEFAULT 0,
    -- whether something waits that goes before all else
    ADD COLUMN urgent    boolean NOT NULL DEFAULT false,
    -- whether its deliveries are attempted one at a time and in their order
    ADD COLUMN in_order  boolean NOT NULL DEFAULT false;

ALTER TABLE {outbox_deliveries}
    -- that of its endpoint when it was leased
    ADD COLUMN epoch        bigint NOT NULL DEFAULT 0,
    -- how many attempts were begun before it was last resent or recovered
    ADD COLUMN resent_after bigint;

ALTER TABLE {outbox_attempts}
    ADD COLUMN manual boolean NOT NULL DEFAULT false;
