use crate::store::postgres::migration::{Migration, Part};

pub(in crate::store::postgres) const CLAIMS: Part = Part {
    name: "claims",
    steps: &[Migration { version: 1, oldest_reader: 1, sql: include_str!("../migrations/claims_1.sql") }],
};
