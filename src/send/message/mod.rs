//! A message, its envelope, and the versions of the application's API that determine its payload.

pub(crate) mod api_versions;
pub(crate) mod content;
pub(crate) mod event_type;
pub(crate) mod labels;
#[allow(clippy::module_inception)] // `message::message` holds `Message`, as a file per part has it.
pub(crate) mod message;
pub(crate) mod own;
pub(crate) mod style;
