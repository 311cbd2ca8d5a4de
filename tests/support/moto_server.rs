//! A private server that behaves like Amazon SQS: moto, on a loopback port. It keeps everything in memory.

use std::{
    env, fs,
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use aws_sdk_sqs::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, timeout::TimeoutConfig},
    types::QueueAttributeName,
};
use tempfile::TempDir;

use super::process::{Server, binary, free_port};

/// A running server. It ends, and its queues go, when this is dropped.
pub(crate) struct MotoServer {
    // Before the folder: fields are dropped in order.
    server: Option<Server>,
    port: u16,
    _folder: TempDir,
}

static SHARED: Mutex<Weak<MotoServer>> = Mutex::new(Weak::new());

impl MotoServer {
    /// Returns the server of all tests that run now. Each makes queues of its own.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start());
        *shared = Arc::downgrade(&server);
        server
    }

    pub(crate) fn start() -> Self {
        let folder = TempDir::with_prefix("tower-webhooks-moto-").expect("a temporary folder");
        let log = folder.path().join("log");
        let file = File::create(&log).expect("a log file");
        let port = free_port();
        let mut command = Command::new(binary("python3", &[], "apt-get install python3"));
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]).env("PYTHONPATH", library());
        command.stdout(file.try_clone().expect("a second handle")).stderr(file);
        let mut server = Server::start(command, "TERM");
        for _ in 0..1200 {
            server.assert_running(&log);
            if answers(port) {
                return Self { server: Some(server), port, _folder: folder };
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("moto is not ready after a minute: {}", fs::read_to_string(&log).unwrap_or_default());
    }

    /// Ends the server.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, name: &str) {
        self.server.as_ref().expect("the server runs").signal(name);
    }

    /// Returns the server's URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.url())
    }

    /// Creates a queue, and returns its URL.
    pub(crate) async fn queue(&self, name: &str, largest: usize) -> String {
        let mut request = self.client().create_queue().queue_name(name);
        request = request.attributes(QueueAttributeName::MaximumMessageSize, largest.to_string());
        if name.ends_with(".fifo") {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
        }
        request.send().await.expect("a queue").queue_url.expect("its URL")
    }
}

/// A client as an application makes it by `aws-config`.
pub(crate) fn client(url: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(10)).build())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(url);
    Client::from_conf(config.build())
}

/// Where `tests/run.sh` has put it: beside the build that this program is part of.
fn library() -> PathBuf {
    let program = env::current_exe().expect("this program has a path");
    let library = program.ancestors().map(|folder| folder.join("tmp/interop/moto")).find(|folder| folder.is_dir());
    library.unwrap_or_else(|| panic!("this test needs moto: tests/run.sh --interop"))
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut answer = [0; 12];
    stream.write_all(b"GET /moto-api/ HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.ends_with(b" 200")
}
