//! Receivers in a process of their own, which is this program once more.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

/// Some receivers on loopback, each at a port of its own, that answer 200 to all and keep their connections. They end when
/// this is dropped.
pub(crate) struct Receiver {
    process: Child,
    ports: Vec<u16>,
}

impl Receiver {
    pub(crate) fn start(count: usize) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .env(ROLE, count.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts once more");
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ports = line.split_whitespace().map(|port| port.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(ports.len(), count, "all receivers are there");
        Self { process, ports }
    }

    /// Returns the URL of the endpoint with this number. There may be more endpoints than receivers.
    pub(crate) fn url(&self, endpoint: usize) -> String {
        format!("http://127.0.0.1:{}/hook/{endpoint}", self.ports[endpoint % self.ports.len()])
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Is the receivers, and does not return, where [`Receiver::start`] has started this process.
pub(crate) fn serve_if_asked() {
    let Ok(count) = env::var(ROLE) else { return };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let count: usize = count.parse().unwrap();
    let mut ports = Vec::new();
    for _ in 0..count {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        ports.push(listener.local_addr().unwrap().port().to_string());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
    }
    println!("{}", ports.join(" "));
    std::io::stdout().flush().unwrap();
    runtime.block_on(async {
        let input = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        _ = input.await;
    });
    std::process::exit(0);
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(64 * 1024);
    loop {
        let length = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4 + body_length(&read[..end]);
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        while read.len() < length {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        read.drain(..length);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok").await?;
    }
}

fn body_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    length.trim().parse().unwrap()
}

const ROLE: &str = "TOWER_WEBHOOKS_BENCH_RECEIVERS";
