use crate::store::postgres::migration::{Migration, Part};

pub(in crate::store::postgres) const PARTS: &[&Part] = &[&INBOX];

pub(super) const INBOX: Part = Part {
    name: "inbox",
    steps: &[
        Migration { version: 1, oldest_reader: 1, sql: include_str!("../migrations/inbox_1.sql") },
        Migration { version: 2, oldest_reader: 1, sql: include_str!("../migrations/inbox_2.sql") },
    ],
};
