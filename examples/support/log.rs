//! Keeps the log in memory, so that an example can show what the operator reads next to the response.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Memory;

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what the crate logs to memory.
pub(crate) fn keep() {
    tracing_subscriber::fmt()
        .with_env_filter("tower_webhooks=debug")
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(|| Memory)
        .init();
}

/// Returns what was logged since the last call.
pub(crate) fn take() -> String {
    let bytes = std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
