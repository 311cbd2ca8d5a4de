use std::time::SystemTime;

/// What a passed check proved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Proof {
    pub(crate) timestamp: Option<SystemTime>,
    pub(crate) secret_index: Option<usize>,
    pub(crate) coverage: Coverage,
}

/// What a scheme's signature binds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) body: bool,
    pub(crate) id: bool,
    pub(crate) timestamp: bool,
}
