//! The server of the examples, which `docs/operating.md` recommends to copy: it limits how long it waits for clients,
//! and stops without dropping running requests.

#[path = "../../examples/support/server.rs"]
mod server;

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::post};
use server::{Limits, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Short, since these tests wait for it on real sockets.
const WAIT: Duration = Duration::from_millis(400);

/// Long after everything should have happened, for a machine under load.
const PATIENCE: Duration = Duration::from_secs(20);

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_connection_that_says_nothing_is_cut() {
    let server = Server::start(Limits { wait: WAIT, ..Limits::default() }).await;

    let connection = TcpStream::connect(server.address).await.unwrap();

    assert_eq!(read_to_end(connection).await, "");
}

#[tokio::test]
async fn a_connection_that_stops_in_the_first_bytes_is_cut() {
    let server = Server::start(Limits { wait: WAIT, ..Limits::default() }).await;

    // A `P` may become `POST`, or HTTP/2's `PRI`.
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(b"P").await.unwrap();

    assert_eq!(read_to_end(connection).await, "");
}

#[tokio::test]
async fn a_head_that_drips_in_is_cut_however_steadily_it_drips() {
    let server = Server::start(Limits { wait: WAIT, ..Limits::default() }).await;
    let (reader, mut writer) = TcpStream::connect(server.address).await.unwrap().into_split();

    let start = Instant::now();
    let dripping = tokio::spawn(async move {
        writer.write_all(b"POST / HTTP/1.1\r\n").await?;
        loop {
            writer.write_all(b"x-drip: 1\r\n").await?;
            sleep(WAIT / 20).await;
        }
        #[allow(unreachable_code)]
        Ok::<(), std::io::Error>(())
    });
    let answer = read_to_end(reader).await;

    assert!(!answer.contains(" 200 "), "{answer}");
    assert!(start.elapsed() >= WAIT);
    assert!(timeout(PATIENCE, dripping).await.unwrap().unwrap().is_err(), "the connection is closed");
}

#[tokio::test]
async fn a_connection_that_stays_idle_after_an_answer_is_cut() {
    let server = Server::start(Limits { wait: WAIT, ..Limits::default() }).await;

    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(REQUEST).await.unwrap();

    assert!(read_to_end(connection).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn an_http2_connection_without_requests_is_cut() {
    let server = Server::start(Limits { wait: WAIT, ..Limits::default() }).await;

    // The preface and empty settings, and from then on nothing.
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    connection.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();

    timeout(PATIENCE, connection.read_to_end(&mut Vec::new())).await.expect("the connection is cut").ok();
}

#[tokio::test]
async fn a_slow_handler_is_not_taken_for_an_idle_connection() {
    let mut server = Server::start(Limits { wait: WAIT, ..Limits::default() }).await;

    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(&in_the_handler()).await.unwrap();
    server.entered.recv().await;
    sleep(3 * WAIT).await;
    server.release.send(()).ok();

    assert!(read_to_end(connection).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_graceful_stop_lets_a_running_request_finish() {
    let mut server = Server::start(Limits::default()).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(&in_the_handler()).await.unwrap();
    server.entered.recv().await;

    server.stop.send(()).ok();
    // The listener is closed, and the request is still under way.
    let refused = timeout(PATIENCE, async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
    assert!(refused.is_ok(), "nobody new is let in");
    assert!(!server.task.is_finished());
    server.release.send(()).ok();

    assert!(read_to_end(connection).await.starts_with("HTTP/1.1 200 OK"));
    assert!(timeout(PATIENCE, server.task).await.unwrap().unwrap(), "all requests ended");
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_the_drain_deadline() {
    let mut server = Server::start(Limits { drain: WAIT, ..Limits::default() }).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(&in_the_handler()).await.unwrap();
    server.entered.recv().await;

    server.stop.send(()).ok();

    assert!(!timeout(PATIENCE, server.task).await.unwrap().unwrap(), "a request was cut");
    assert_eq!(read_to_end(connection).await, "");
}

#[tokio::test]
async fn no_more_connections_are_held_than_allowed() {
    let mut server = Server::start(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(&in_the_handler()).await.unwrap();
    server.entered.recv().await;

    // The kernel takes the second connection; the server does not look at it before the first has gone.
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    assert!(timeout(WAIT, second.readable()).await.is_err());
    server.release.send(()).ok();

    assert!(read_to_end(first).await.starts_with("HTTP/1.1 200 OK"));
    timeout(PATIENCE, second.readable()).await.unwrap().unwrap();
}

#[tokio::test]
async fn for_one_more_connection_the_idlest_is_closed_and_none_with_a_request() {
    let mut server = Server::start(Limits { connections: 2, ..Limits::default() }).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(&in_the_handler()).await.unwrap();
    server.entered.recv().await;
    let idle = TcpStream::connect(server.address).await.unwrap();

    for _ in 0..3 {
        let mut new = TcpStream::connect(server.address).await.unwrap();
        new.write_all(REQUEST).await.unwrap();
        timeout(PATIENCE, new.readable()).await.expect("it is answered").unwrap();
    }

    assert_eq!(read_to_end(idle).await, "");
    server.release.send(()).ok();
    assert!(read_to_end(busy).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn very_many_silent_clients_do_not_hold_a_good_request() {
    for connections in [1000, Limits::default().connections] {
        let server = Server::start(Limits { connections, ..Limits::default() }).await;
        let mut silent = Vec::new();
        for _ in 0..1100 {
            silent.push(TcpStream::connect(server.address).await.unwrap());
        }

        let start = Instant::now();
        let mut good = TcpStream::connect(server.address).await.unwrap();
        good.write_all(REQUEST).await.unwrap();
        timeout(PATIENCE, good.readable()).await.expect("it is answered").unwrap();

        assert!(start.elapsed() < Limits::default().wait / 4, "{:?}", start.elapsed());
        drop(silent);
    }
}

#[tokio::test]
async fn a_head_larger_than_the_buffer_is_refused() {
    let server = Server::start(Limits::default()).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: test\r\nx-large: {}\r\n\r\n", "x".repeat(100_000));

    let _ = connection.write_all(head.as_bytes()).await;

    let answer = read_to_end(connection).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

/// A server with a route that answers at once and one that waits to be released.
struct Server {
    address: SocketAddr,
    entered: tokio::sync::mpsc::UnboundedReceiver<()>,
    release: tokio::sync::broadcast::Sender<()>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<bool>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let (enter, entered) = tokio::sync::mpsc::unbounded_channel();
        let (release, _) = tokio::sync::broadcast::channel(1);
        let (stop, stopped) = oneshot::channel();
        let released = release.clone();
        let wait = move || {
            let mut released = released.subscribe();
            enter.send(()).ok();
            async move { released.recv().await.ok() }
        };
        let app = Router::new().route("/", post(|| async { "at once" })).route(
            "/wait",
            post(move || {
                let released = wait();
                async move {
                    released.await;
                    "released"
                }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = tokio::spawn(serve(listener, app, limits, async {
            stopped.await.ok();
        }));
        Self { address, entered, release, stop, task }
    }
}

/// A request to the route that waits, after which the client wants the connection closed.
fn in_the_handler() -> Vec<u8> {
    b"POST /wait HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec()
}

/// Everything that comes until the server closes the connection; a reset is a way to close it.
async fn read_to_end(mut connection: impl AsyncReadExt + Unpin) -> String {
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, connection.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "the connection is still open");
    String::from_utf8_lossy(&bytes).into_owned()
}
