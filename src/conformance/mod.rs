//! Public suites that every store must pass.
