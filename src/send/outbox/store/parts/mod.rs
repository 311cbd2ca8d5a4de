//! The parts of a store, by what they are for.

pub(crate) mod catalogue;
pub(crate) mod endpoints;
mod forward;
pub(crate) mod log;
pub(crate) mod queue;
