use std::time::SystemTime;

/// The result of a successful check.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Proof {
    pub(crate) timestamp: Option<SystemTime>,
    pub(crate) secret_index: Option<usize>,
    pub(crate) coverage: Coverage,
}

/// The facts that a scheme's signature covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) body: bool,
    pub(crate) id: bool,
    pub(crate) timestamp: bool,
}
