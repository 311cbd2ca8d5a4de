use std::{sync::Arc, time::Duration};

use http::HeaderValue;

use crate::{
    clock::Clock,
    net::{connect::Dialler, destination::DestinationPolicy, idle::Idle},
};

/// The parts that the clones of a client share.
pub(crate) struct Inner {
    pub(crate) policy: DestinationPolicy,
    pub(crate) dialler: Dialler,
    pub(crate) idle: Idle,
    pub(crate) timeout: Duration,
    pub(crate) user_agent: HeaderValue,
    pub(crate) clock: Arc<dyn Clock>,
}
