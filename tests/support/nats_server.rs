//! A private NATS server with JetStream on a loopback port, with its data in a temporary folder.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::process::{Server, binary, free_port};

/// A running server. It ends, and its data goes, when this is dropped.
pub(crate) struct NatsServer {
    // Before the folder: fields are dropped in order.
    server: Option<Server>,
    port: u16,
    folder: TempDir,
}

impl NatsServer {
    pub(crate) fn start() -> Self {
        Self::with_max_payload(1024 * 1024)
    }

    pub(crate) fn with_max_payload(bytes: usize) -> Self {
        let folder = TempDir::with_prefix("tower-webhooks-nats-").expect("a temporary folder");
        let port = free_port();
        let data = folder.path().join("data");
        let configuration = format!(
            "server_name: {}\nhost: 127.0.0.1\nport: {port}\nmax_payload: {bytes}\njetstream {{ store_dir: {:?} }}\n",
            name_of(folder.path()),
            data.to_str().expect("a temporary folder has a plain name")
        );
        fs::write(folder.path().join("nats.conf"), configuration).expect("a configuration");
        let server = Some(run(port, folder.path()));
        Self { server, port, folder }
    }

    /// Ends the server.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the server again, on the same port and data.
    pub(crate) fn restart(&mut self) {
        self.server = None;
        self.server = Some(run(self.port, self.folder.path()));
    }

    /// Returns the server's URL.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, name: &str) {
        self.server.as_ref().expect("the server runs").signal(name);
    }
}

fn run(port: u16, folder: &Path) -> Server {
    // Debian keeps it where users do not look.
    let binary = binary("nats-server", &[PathBuf::from("/usr/sbin")], "apt-get install nats-server");
    let log = folder.join("log");
    let file = File::options().create(true).append(true).open(&log).expect("a log file");
    let mut command = Command::new(binary);
    command.arg("-c").arg(folder.join("nats.conf")).stdout(file.try_clone().expect("a second handle")).stderr(file);
    let mut server = Server::start(command, "TERM");
    for _ in 0..400 {
        server.assert_running(&log);
        if answers(port, name_of(folder)) {
            return server;
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("NATS is not ready after 10 s: {}", fs::read_to_string(&log).unwrap_or_default());
}

/// The name of a server: that of its folder.
fn name_of(folder: &Path) -> &str {
    folder.file_name().and_then(|name| name.to_str()).expect("a temporary folder has a plain name")
}

/// Whether the server of this name greets. Another process may have taken the port in the meantime, for a server of its own.
fn answers(port: u16, name: &str) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut greeting = String::new();
    BufReader::new(stream).read_line(&mut greeting).is_ok() && greeting.starts_with("INFO ") && greeting.contains(name)
}
