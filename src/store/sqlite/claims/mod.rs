pub(super) mod reader;
pub(super) mod rows;
pub(super) mod writer;
