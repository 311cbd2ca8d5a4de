//! Claims in an SQLite database: one task reads and one task writes, and each handles everything that waits in one
//! statement or transaction.

mod contract;
mod reader;
mod rows;
mod schema;
mod shared;
mod sql;
mod writer;

pub(super) use self::{schema::CLAIMS, shared::Claims};
