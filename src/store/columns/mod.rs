//! Reads records of the outbox from the rows of either SQL driver, by the names of their columns.
//!
//! Both databases have columns with the same names, with their own types. If this version cannot read a row, because a
//! newer version wrote it or because it is damaged, only this row is an error.

mod row;
mod content;
mod endpoint;
mod labels;
mod listing;
mod records;
mod state;

#[cfg(feature = "postgres")]
pub(super) use self::endpoint::Texts;
pub(super) use self::{
    content::content,
    endpoint::{endpoint, settings},
    labels::labels_text,
    listing::Listing,
    records::{attempt, delivery, due, event_type, looked, message, outbox_id, seq},
    row::{Columns, corrupt, count},
    state::{number, state},
};
// PostgreSQL compares labels and has the numbers in its statements.
#[cfg(feature = "sqlite")]
pub(super) use self::labels::labels;
#[cfg(feature = "sqlite")]
pub(super) use self::state::PENDING;
