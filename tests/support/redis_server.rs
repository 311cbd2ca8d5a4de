//! A private Redis on a loopback port, with its data in a temporary folder.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::process::{Server, binary, free_port};

/// A running server. It ends, and its data goes, when this is dropped.
pub(crate) struct RedisServer {
    // Before the folder: fields are dropped in order.
    server: Option<Server>,
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server that writes every command to its log file before it answers.
    pub(crate) fn start() -> Self {
        Self::with_arguments(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts a server with other arguments.
    pub(crate) fn with_arguments(arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("tower-webhooks-redis-").expect("a temporary folder");
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let port = free_port();
        let server = Some(run(port, &arguments, folder.path()));
        Self { server, port, arguments, folder }
    }

    /// Ends the server.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the server again, on the same port and data.
    pub(crate) fn restart(&mut self) {
        self.server = None;
        self.server = Some(run(self.port, &self.arguments, self.folder.path()));
    }

    /// Returns the address on which the server listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the server's URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, name: &str) {
        self.server.as_ref().expect("the server runs").signal(name);
    }
}

fn run(port: u16, arguments: &[String], folder: &Path) -> Server {
    let binary = binary("redis-server", &[], "apt-get install redis-server");
    let log = folder.join("log");
    let file = File::options().create(true).append(true).open(&log).expect("a log file");
    let mut command = Command::new(binary);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(folder);
    command.args(arguments).stdout(file.try_clone().expect("a second handle")).stderr(file);
    let mut server = Server::start(command, "TERM");
    for _ in 0..400 {
        server.assert_running(&log);
        if answers(port) {
            return server;
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("Redis is not ready after 10 s: {}", fs::read_to_string(&log).unwrap_or_default());
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0; 5];
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"+PONG"
}

/// A connection for what an operator does.
#[cfg(feature = "redis")]
pub(crate) async fn admin(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Two nodes that share the slots.
#[cfg(feature = "redis")]
pub(crate) struct Cluster {
    pub(crate) nodes: [RedisServer; 2],
}

#[cfg(feature = "redis")]
impl Cluster {
    /// Starts the nodes, and waits until they know each other.
    pub(crate) async fn start() -> Self {
        let nodes = [0, 1].map(|_| {
            let bus = free_port().to_string();
            RedisServer::with_arguments(&["--cluster-enabled", "yes", "--cluster-port", &bus])
        });
        let mut admins = [admin(&nodes[0]).await, admin(&nodes[1]).await];
        for (admin, slots) in admins.iter_mut().zip([(0, 8191), (8192, 16383)]) {
            let command = redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(slots.0).arg(slots.1).to_owned();
            let () = command.query_async(admin).await.unwrap();
        }
        let info: String = redis::cmd("CLUSTER").arg("NODES").query_async(&mut admins[1]).await.unwrap();
        let bus = info.split('@').nth(1).unwrap().split([' ', ',']).next().unwrap().to_owned();
        let meet = redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(nodes[1].port()).arg(bus).to_owned();
        let () = meet.query_async(&mut admins[0]).await.unwrap();
        for _ in 0..400 {
            let mut ready = true;
            for admin in &mut admins {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(admin).await.unwrap();
                ready &= info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384");
            }
            if ready {
                return Self { nodes };
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the cluster is not ready after 10 s");
    }
}
