//! What the tests of several stores share.

pub(crate) mod interleavings;
