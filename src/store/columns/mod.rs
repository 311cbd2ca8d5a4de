//! Reads records of the outbox from the rows of either SQL driver, by the names of their columns.
//!
//! The two databases have the same columns under the same names, in types of their own. What this version cannot read, since a
//! newer one wrote it or it is damaged, is an error of that row alone.

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
