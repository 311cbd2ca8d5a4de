//! The routes of endpoints: what is kept of them, and what is done with them.

pub(super) mod actions;
mod find;
mod input;
pub(super) mod registry;
mod view;

pub(super) use self::find::find;
