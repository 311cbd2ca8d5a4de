//! Signed texts that no template can say, each in a file of its own. They are apart from the catalogue, which declares schemes with them.

pub(crate) mod contentful;
pub(crate) mod sns;
pub(crate) mod truelayer;
