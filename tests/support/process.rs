//! Finds server binaries, runs them, and ends them by their id.

use std::{
    collections::BTreeSet,
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Mutex,
    thread,
    time::Duration,
};

/// A child process that ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    signal: &'static str,
}

impl Server {
    /// Starts `command`, which `signal` asks to end.
    pub(crate) fn start(mut command: Command, signal: &'static str) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child, signal }
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(done.expect("`kill` runs").success(), "signal {name} to {}", self.child.id());
    }

    /// Panics if the process has ended: whatever answers on its port is not ours.
    pub(crate) fn assert_running(&mut self, log: &Path) {
        if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
            panic!("the server ended with {status}: {}", fs::read_to_string(log).unwrap_or_default());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let id = self.child.id().to_string();
        // It may have been stopped by a test.
        for signal in [self.signal, "CONT"] {
            let _ = Command::new("kill").args([&format!("-{signal}"), &id]).status();
        }
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(25));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds a binary in `PATH` or in `more`, or panics with the line that installs it.
pub(crate) fn binary(name: &str, more: &[PathBuf], install: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(more.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("this test needs `{name}`: {install}"))
}

/// Finds a free loopback port, which no other caller of this process gets.
pub(crate) fn free_port() -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        if TAKEN.lock().expect("nothing panics while it is locked").insert(port) {
            return port;
        }
    }
}
