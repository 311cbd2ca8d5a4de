//! Claims in Redis: each call is one script on one key.

mod contract;
mod response;
mod shared;

pub(super) use self::shared::Claims;
