//! Claims in a PostgreSQL database: each call is one statement, which decides inside the server.

mod contract;
mod schema;
mod shared;

pub(super) use self::{schema::CLAIMS, shared::Claims};
