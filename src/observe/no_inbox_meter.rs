use std::time::Duration;

use super::{inbox_depth::InboxDepth, meter::Timer};

pub(crate) fn accepted(_provider: &str, _answer: &'static str) {}

pub(crate) fn worked(_provider: &str, _outcome: &'static str, _timer: &Timer) {}

pub(crate) fn age(_provider: &str, _age: Duration) {}

pub(crate) fn died(_provider: &str) {}

pub(crate) fn depth(_consumer: &str, _depth: &InboxDepth) {}

pub(crate) fn purged(_rows: u64) {}

pub(crate) fn failed(_call: &'static str) {}
