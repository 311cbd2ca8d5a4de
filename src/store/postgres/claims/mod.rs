//! Claims in a PostgreSQL database: each call is one statement, and the server decides.

mod contract;
mod schema;
mod shared;

pub(super) use self::{schema::CLAIMS, shared::Claims};
