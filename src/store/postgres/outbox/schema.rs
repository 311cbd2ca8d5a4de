use crate::store::postgres::migration::{Migration, Part};

pub(in crate::store::postgres) const PARTS: &[&Part] = &[&OUTBOX];

pub(super) const OUTBOX: Part = Part {
    name: "outbox",
    steps: &[
        Migration { version: 1, oldest_reader: 1, sql: include_str!("../migrations/outbox_1.sql") },
        Migration { version: 2, oldest_reader: 1, sql: include_str!("../migrations/outbox_2.sql") },
        // If an earlier version makes a delivery due with an update, this version does not find it at once.
        Migration { version: 3, oldest_reader: 3, sql: include_str!("../migrations/outbox_3.sql") },
        Migration { version: 4, oldest_reader: 3, sql: include_str!("../migrations/outbox_4.sql") },
        Migration { version: 5, oldest_reader: 3, sql: include_str!("../migrations/outbox_5.sql") },
        Migration { version: 6, oldest_reader: 3, sql: include_str!("../migrations/outbox_6.sql") },
        Migration { version: 7, oldest_reader: 3, sql: include_str!("../migrations/outbox_7.sql") },
        Migration { version: 8, oldest_reader: 3, sql: include_str!("../migrations/outbox_8.sql") },
        // The versions before know no order keys.
        Migration { version: 9, oldest_reader: 9, sql: include_str!("../migrations/outbox_9.sql") },
        Migration { version: 10, oldest_reader: 9, sql: include_str!("../migrations/outbox_10.sql") },
    ],
};
