//! Tests of receivers that behave badly in many ways. In each case an attempt ends by its deadline, reads no more than
//! its limits, and says what went wrong.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use receiver::{
    Names, Receiver, answer_all, attempt, attempt_with, builder, loopback_client, loopback_policy, read_request,
};
use tls::{Authority, self_signed, with_tls};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    time::sleep,
};
use tower_webhooks::{
    BoxFuture,
    send::{AttemptErrorKind as Kind, AttemptResult, EndpointResponse, Outcome, Resolver, ResponseEnd},
};

use crate::support::{receiver, tls};

/// Short, so that the tests are short as well.
const DEADLINE: Duration = Duration::from_millis(1500);
/// The delay of a busy machine.
const SLACK: Duration = Duration::from_secs(3);

type Act = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The result of an attempt: a status and the end of the body, or the kind of the error.
#[derive(Debug, PartialEq)]
enum Seen {
    Answer(u16, ResponseEnd),
    Error(Kind),
}

fn seen(result: &AttemptResult) -> Seen {
    match (result.response(), result.error()) {
        (Some(answer), None) => Seen::Answer(answer.status().as_u16(), answer.end()),
        (None, Some(error)) => Seen::Error(error.kind()),
        _ => unreachable!("an attempt has an answer or an error"),
    }
}

#[allow(clippy::disallowed_methods)] // How long an attempt really takes is what is tested.
async fn timed(attempt: impl Future<Output = AttemptResult>) -> AttemptResult {
    let started = Instant::now();
    let result = attempt.await;
    let took = started.elapsed();
    assert!(took < DEADLINE + SLACK, "took {took:?}: {result:?}");
    assert!(result.response().is_none_or(|answer| answer.start().len() <= EndpointResponse::MAX_KEPT));
    result
}

/// A receiver that reads the request and then acts.
async fn then(act: impl Fn(TcpStream) -> Act + Send + Sync + 'static) -> Receiver {
    let act = Arc::new(act);
    Receiver::start(move |mut stream| {
        let act = Arc::clone(&act);
        async move {
            read_request(&mut stream).await?;
            act(stream).await
        }
    })
    .await
}

/// A receiver that reads the request, says this, and closes, or holds the connection.
async fn says(bytes: impl Into<Vec<u8>>, closes: bool) -> Receiver {
    let bytes: Arc<[u8]> = bytes.into().into();
    then(move |mut stream| {
        let bytes = Arc::clone(&bytes);
        Box::pin(async move {
            stream.write_all(&bytes).await?;
            if !closes {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    })
    .await
}

/// A receiver that reads the request, says the first, and then the second for ever.
async fn repeats(first: &'static str, second: impl Into<Vec<u8>>, pause: Duration) -> Receiver {
    let second: Arc<[u8]> = second.into().into();
    then(move |mut stream| {
        let second = Arc::clone(&second);
        Box::pin(async move {
            stream.write_all(first.as_bytes()).await?;
            loop {
                stream.write_all(&second).await?;
                if !pause.is_zero() {
                    sleep(pause).await;
                }
            }
        })
    })
    .await
}

fn reset(stream: TcpStream) -> io::Result<()> {
    // Closing with no time to linger sends a reset.
    #[allow(deprecated)] // It blocks only for a time that is not nought.
    stream.set_linger(Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const BRISK: Duration = Duration::ZERO;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_zoo() {
    use ResponseEnd as End;
    let answer = Seen::Answer;
    let error = Seen::Error;
    let bomb = {
        // The start of a gzip bomb; the client does not decode it.
        let mut bomb =
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1048576\r\n\r\n\x1f\x8b\x08".to_vec();
        bomb.resize(bomb.len() + 1_048_573, 0);
        bomb
    };
    let headers = |count: usize| {
        let headers: String = (0..count).map(|index| format!("x-{index}: a\r\n")).collect();
        format!("{OK}{headers}content-length: 0\r\n\r\n")
    };
    let drip = Duration::from_millis(50);
    let zoo: Vec<(&str, Receiver, Seen)> = vec![
        // Bodies.
        ("endless body", repeats("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 8192], BRISK).await, answer(200, End::Limit)),
        (
            "endless chunks",
            repeats(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "400\r\n".to_owned() + &"x".repeat(1024) + "\r\n",
                BRISK,
            )
            .await,
            answer(200, End::Limit),
        ),
        (
            "10 GB",
            repeats("HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n", vec![b'x'; 8192], BRISK).await,
            answer(200, End::Limit),
        ),
        ("drip body", repeats("HTTP/1.1 200 OK\r\n\r\n", "x", drip).await, answer(200, End::Deadline)),
        (
            "drip chunks",
            repeats("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", drip).await,
            answer(500, End::Deadline),
        ),
        (
            "body that never begins",
            says(format!("{OK}Content-Length: 9\r\n\r\n"), false).await,
            answer(200, End::Deadline),
        ),
        ("gzip bomb", says(bomb, false).await, answer(200, End::Limit)),
        ("body cut by a close", says(format!("{OK}Content-Length: 9\r\n\r\nabc"), true).await, answer(200, End::Cut)),
        (
            "body cut by a reset",
            then(|mut stream| {
                Box::pin(async move {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await?;
                    sleep(Duration::from_millis(50)).await;
                    reset(stream)
                })
            })
            .await,
            answer(200, End::Cut),
        ),
        (
            "chunks cut",
            says(format!("{OK}Transfer-Encoding: chunked\r\n\r\n5\r\nab"), true).await,
            answer(200, End::Cut),
        ),
        (
            "a chunk of no length",
            says(format!("{OK}Transfer-Encoding: chunked\r\n\r\nzz\r\nab"), false).await,
            answer(200, End::Cut),
        ),
        (
            "a chunk of every length",
            says(format!("{OK}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab"), false).await,
            answer(200, End::Cut),
        ),
        (
            "endless chunk extension",
            repeats("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", vec![b'x'; 4096], BRISK).await,
            answer(200, End::Cut),
        ),
        (
            "endless trailers",
            repeats("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "x-a: b\r\n".repeat(64), BRISK).await,
            answer(200, End::Cut),
        ),
        (
            "20 KiB",
            says(format!("{OK}Content-Length: 20480\r\n\r\n{}", "x".repeat(20480)), false).await,
            answer(200, End::Shortened),
        ),
        (
            "64 KiB",
            says(format!("{OK}Content-Length: 65536\r\n\r\n{}", "x".repeat(65536)), false).await,
            answer(200, End::Shortened),
        ),
        (
            "16 KiB",
            says(format!("{OK}Content-Length: 16384\r\n\r\n{}", "x".repeat(16384)), false).await,
            answer(200, End::Whole),
        ),
        (
            "a body on 204",
            says("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", false).await,
            answer(204, End::Whole),
        ),
        (
            "more than was announced",
            says(format!("{OK}Content-Length: 1\r\n\r\nab"), false).await,
            answer(200, End::Whole),
        ),
        // Heads.
        ("silence", says("", false).await, error(Kind::Timeout)),
        ("a close without a word", says("", true).await, error(Kind::Protocol)),
        ("a reset without a word", then(|stream| Box::pin(async move { reset(stream) })).await, error(Kind::Protocol)),
        ("drip head", repeats("HTTP/1.1 200 OK\r\n", "x", drip).await, error(Kind::Timeout)),
        ("1,000 headers", says(headers(1000), false).await, error(Kind::Protocol)),
        ("100 headers", says(headers(99), false).await, answer(200, End::Whole)),
        (
            "one header of 1 MiB",
            says(format!("{OK}x-a: {}\r\n\r\n", "x".repeat(1 << 20)), false).await,
            error(Kind::Protocol),
        ),
        ("endless head", repeats("HTTP/1.1 200 OK\r\nx-a: ", vec![b'x'; 4096], BRISK).await, error(Kind::Protocol)),
        ("endless status line", repeats("HTTP/1.1 200 ", vec![b'x'; 4096], BRISK).await, error(Kind::Protocol)),
        (
            "endless 100 Continue",
            repeats("", "HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(1)).await,
            error(Kind::Timeout),
        ),
        ("garbage", says(vec![0xfe; 512], false).await, error(Kind::Protocol)),
        ("endless garbage", repeats("", vec![0; 4096], BRISK).await, error(Kind::Protocol)),
        ("an answer without a head", says("it is fine\n", true).await, error(Kind::Protocol)),
        (
            "an answer of HTTP/2",
            says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00PRI".to_vec(), false).await,
            error(Kind::Protocol),
        ),
        ("SSH", says("SSH-2.0-OpenSSH_9.6\r\n", false).await, error(Kind::Protocol)),
        ("SMTP", says("220 mail.example ESMTP\r\n", false).await, error(Kind::Protocol)),
        ("a header with NUL", says(format!("{OK}x-a: a\0b\r\n\r\n"), false).await, error(Kind::Protocol)),
        ("a header without a colon", says(format!("{OK}x-a\r\n\r\n"), false).await, error(Kind::Protocol)),
        (
            "two lengths",
            says(format!("{OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), false).await,
            error(Kind::Protocol),
        ),
        ("a negative length", says(format!("{OK}Content-Length: -1\r\n\r\nab"), false).await, error(Kind::Protocol)),
        (
            "a length beyond counting",
            says(format!("{OK}Content-Length: 99999999999999999999\r\n\r\nab"), false).await,
            error(Kind::Protocol),
        ),
        ("status abc", says("HTTP/1.1 abc OK\r\n\r\n", false).await, error(Kind::Protocol)),
        ("status 20", says("HTTP/1.1 20 OK\r\n\r\n", false).await, error(Kind::Protocol)),
        ("status 2000", says("HTTP/1.1 2000 OK\r\n\r\n", false).await, error(Kind::Protocol)),
        ("HTTP/3.0", says("HTTP/3.0 200 OK\r\n\r\n", false).await, error(Kind::Protocol)),
        ("status 999", says("HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n", false).await, answer(999, End::Whole)),
        (
            "an upgrade",
            says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false).await,
            answer(101, End::Whole),
        ),
        ("HTTP/1.0", says("HTTP/1.0 200 OK\r\n\r\nfine", true).await, answer(200, End::Whole)),
        (
            "an answer in single bytes",
            {
                then(|mut stream| {
                    Box::pin(async move {
                        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" {
                            stream.write_all(&[*byte]).await?;
                            stream.flush().await?;
                            sleep(Duration::from_millis(1)).await;
                        }
                        Ok(())
                    })
                })
                .await
            },
            answer(200, End::Whole),
        ),
    ];
    assert!(zoo.len() >= 40, "{}", zoo.len());

    let mut attempts = tokio::task::JoinSet::new();
    for (name, receiver, expected) in zoo {
        attempts.spawn(async move {
            let client = loopback_client(DEADLINE);
            (name, timed(attempt(&client, &receiver.url())).await, expected)
        });
    }
    while let Some(attempt) = attempts.join_next().await {
        let (name, result, expected) = attempt.unwrap();
        assert_eq!(seen(&result), expected, "{name}: {result:?} {:?}", result.error().map(std::error::Error::source));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_before_the_request_ends_the_attempt_at_once() {
    // Whether the connection or the request meets it first is a matter of luck.
    let reset_at_once = Receiver::start(|stream| async move { reset(stream) }).await;
    let answer_at_once = Receiver::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await?;
        std::future::pending().await
    })
    .await;

    for receiver in [reset_at_once, answer_at_once] {
        let result = timed(attempt(&loopback_client(DEADLINE), &receiver.url())).await;
        let kinds = [Kind::Connect, Kind::Protocol, Kind::Status].map(Some);
        assert!(kinds.contains(&result.error_kind()), "{result:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_body_is_not_taken_to_its_end() {
    let (written, mut total) = tokio::sync::mpsc::unbounded_channel();
    let receiver = Receiver::start(move |mut stream| {
        let written = written.clone();
        async move {
            read_request(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            let mut total = 0_usize;
            while stream.write_all(&[0; 4096]).await.is_ok() {
                total += 4096;
            }
            let _ = written.send(total);
            Ok(())
        }
    })
    .await;

    let result = timed(attempt(&loopback_client(DEADLINE), &receiver.url())).await;

    assert_eq!(seen(&result), Seen::Answer(200, ResponseEnd::Limit));
    // Bytes in the system's buffers count as written; the client has read 64 KiB.
    let total = total.recv().await.unwrap();
    assert!(total < 16 << 20, "{total} bytes were taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_reads_nothing_is_left_by_the_deadline() {
    let receiver = Receiver::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await;

    let result = timed(attempt_with(&loopback_client(DEADLINE), &receiver.url(), 250_000)).await;

    assert_eq!(seen(&result), Seen::Error(Kind::Timeout));
}

#[tokio::test]
async fn an_early_refusal_of_a_large_request_is_an_answer() {
    let receiver = Receiver::start(|mut stream| async move {
        use tokio::io::AsyncReadExt;
        stream.read_u8().await?;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await?;
        // It takes the rest, as servers do for a while, so that no reset overtakes the answer.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        Ok(())
    })
    .await;

    let result = timed(attempt_with(&loopback_client(DEADLINE), &receiver.url(), 250_000)).await;

    assert_eq!(result.status().map(|status| status.as_u16()), Some(413));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_refusal_is_an_answer_where_the_connection_breaks_too() {
    let receiver = Receiver::start(|mut stream| async move {
        use tokio::io::AsyncReadExt;
        stream.read_u8().await?;
        // Unread bytes turn the close into a reset.
        stream.write_all(b"HTTP/1.1 401 Who?\r\nContent-Length: 0\r\n\r\n").await
    })
    .await;

    for _ in 0..40 {
        let result = timed(attempt_with(&loopback_client(DEADLINE), &receiver.url(), 250_000)).await;
        assert_eq!(result.error_kind(), Some(Kind::Status), "{:?}", result.error().map(std::error::Error::source));
    }
}

#[tokio::test]
async fn a_black_hole_is_left_after_the_connect_timeout() {
    // A queue that is full drops what else comes, as a firewall would.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let client = builder(Duration::from_secs(30)).connect_timeout(DEADLINE).build().unwrap();

    let result = timed(attempt(&client, &format!("http://{address}/"))).await;

    assert_eq!(seen(&result), Seen::Error(Kind::Connect));

    // The deadline of the attempt holds as well, and so does that of the request.
    let result = timed(attempt(&loopback_client(DEADLINE), &format!("http://{address}/"))).await;
    assert_eq!(seen(&result), Seen::Error(Kind::Timeout));
}

#[tokio::test]
async fn a_dead_address_leaves_time_for_the_next_one() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let port = full.local_addr().unwrap().port();
    let mut waiting = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(("127.0.0.2", port))).await
    {
        waiting.push(stream.unwrap());
    }
    let alive = TcpListener::bind(("127.0.0.3", port)).await.expect("the port is free on the other address");
    let _alive = Receiver::on(alive, |stream| answer_all(stream, "HTTP/1.1 204 No Content\r\n\r\n"));
    let names = Names::default().with("half.example", [&["127.0.0.2", "127.0.0.3"][..]]);
    let client = builder(Duration::from_secs(30)).connect_timeout(DEADLINE).resolver(names).build().unwrap();

    let result = timed(attempt(&client, &format!("http://half.example:{port}/"))).await;

    assert_eq!(result.error_kind(), None);
}

#[tokio::test]
async fn names_that_hang_fail_or_have_no_address_end_in_time() {
    struct Hanging;
    impl Resolver for Hanging {
        fn resolve<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(std::future::pending())
        }
    }
    let names = Names::default().with("empty.example", [&[][..]]);
    let hanging = builder(DEADLINE).resolver(Hanging).build().unwrap();
    let answering = builder(DEADLINE).resolver(names).build().unwrap();

    for (client, name, kind) in [
        (&hanging, "a.example", Kind::Timeout),
        (&answering, "empty.example", Kind::Dns),
        (&answering, "unknown.example", Kind::Dns),
    ] {
        let result = timed(attempt(client, &format!("https://{name}/"))).await;
        assert_eq!(seen(&result), Seen::Error(kind), "{name}");
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_of_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let result = timed(attempt(&loopback_client(DEADLINE), &format!("http://{address}/"))).await;

    assert_eq!(seen(&result), Seen::Error(Kind::Connect));
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let inside = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let port = inside.address.port();

    for status in [300, 301, 302, 303, 304, 305, 307, 308, 399] {
        for location in [inside.url(), format!("//127.0.0.1:{port}/"), "/hook".into(), "http://169.254.169.254/".into()]
        {
            let answer = format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            let receiver = says(answer, false).await;
            let result = timed(attempt(&loopback_client(DEADLINE), &receiver.url())).await;

            assert_eq!(result.error_kind(), Some(Kind::Redirect), "{status} {location}");
            assert_eq!(result.outcome(), Outcome::Failed { retry_after: None });
            assert_eq!(receiver.connections(), 1);
        }
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn every_status_has_its_outcome() {
    // One connection for all: a receiver that answers the statuses in turn.
    let receiver = Receiver::start(|mut stream| async move {
        for status in 200..600 {
            if read_request(&mut stream).await?.is_empty() {
                return Ok(());
            }
            let body = if matches!(status, 204 | 304) { "" } else { "Content-Length: 0\r\n" };
            let answer = format!("HTTP/1.1 {status} \r\nRetry-After: 7\r\n{body}\r\n");
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    })
    .await;
    let client = loopback_client(Duration::from_secs(10));
    let retry_after = Some(Duration::from_secs(7));

    for status in 200..600_u16 {
        let result = attempt(&client, &receiver.url()).await;

        let expected = match status {
            200..=299 => Outcome::Delivered,
            410 => Outcome::Gone,
            408 | 409 | 425 | 429 => Outcome::Failed { retry_after },
            400..=499 => Outcome::Rejected { retry_after },
            _ => Outcome::Failed { retry_after },
        };
        assert_eq!(result.status().map(|status| status.as_u16()), Some(status), "{result:?}");
        assert_eq!(result.outcome(), expected, "{status}");
        assert_eq!(result.error_kind().is_none(), status < 300, "{status}");
    }
    assert_eq!(receiver.connections(), 1, "a connection is used again");
}

#[tokio::test]
async fn retry_after_is_read_or_ignored_and_never_more_than_a_day() {
    for (text, seconds) in [
        ("0", Some(0)),
        ("120", Some(120)),
        ("86401", Some(86_400)),
        ("99999999999999999999", Some(86_400)),
        ("Fri, 31 Dec 9998 23:59:59 GMT", Some(86_400)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("-5", None),
        ("1e30", None),
        ("1.5", None),
        ("NaN", None),
        ("", None),
        ("later", None),
    ] {
        let receiver =
            says(format!("HTTP/1.1 503 No\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n"), false).await;
        let result = timed(attempt(&loopback_client(DEADLINE), &receiver.url())).await;

        assert_eq!(result.outcome(), Outcome::Failed { retry_after: seconds.map(Duration::from_secs) }, "{text:?}");
    }
}

#[tokio::test]
async fn what_is_sent_is_one_plain_post() {
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    let receiver = Receiver::start(move |mut stream| {
        let sent = sent.clone();
        async move {
            let request = read_request(&mut stream).await?;
            let _ = sent.send(String::from_utf8(request).unwrap());
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await
        }
    })
    .await;
    let url = format!("http://localhost:{}/hook?a=%2F&b", receiver.address.port());
    let names = Names::default().with("localhost", [&["127.0.0.1"][..]]);
    let client = builder(DEADLINE).resolver(names).build().unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("x-a", "b".parse().unwrap());
    for name in
        ["accept-encoding", "connection", "content-length", "expect", "host", "te", "transfer-encoding", "user-agent"]
    {
        headers.insert(name, "chunked".parse().unwrap());
    }
    let url = loopback_policy().endpoint(&url).unwrap();
    let request = tower_webhooks::send::AttemptRequest::new(url, headers, "{}".into());

    let result = tower_webhooks::send::Transport::send(&client, request).await;

    assert_eq!(result.error_kind(), None, "{result:?}");
    let request = received.recv().await.unwrap().to_lowercase();
    let mut lines: Vec<_> = request.split("\r\n").collect();
    assert_eq!(lines.remove(0), "post /hook?a=%2f&b http/1.1");
    lines.sort_unstable();
    let version = env!("CARGO_PKG_VERSION");
    let host = format!("host: localhost:{}", receiver.address.port());
    let mut expected =
        vec!["", "{}", "content-length: 2", "x-a: b", &host].into_iter().map(str::to_owned).collect::<Vec<_>>();
    expected.push(format!("user-agent: tower-webhooks/{version}"));
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn no_proxy_of_the_environment_is_asked() {
    // This process cannot set its environment; another one can have one.
    if std::env::var_os("TOWER_WEBHOOKS_BEHIND_A_PROXY").is_none() {
        let proxy = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child
            .args([crate::support::test_name!("no_proxy_of_the_environment_is_asked"), "--exact"])
            .env("TOWER_WEBHOOKS_BEHIND_A_PROXY", "1");
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            child.env(name, format!("http://{}", proxy.address));
        }
        assert!(child.output().await.unwrap().status.success());
        assert_eq!(proxy.connections(), 0);
        return;
    }
    let receiver = Receiver::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let result = attempt(&loopback_client(Duration::from_secs(5)), &receiver.url()).await;
    assert_eq!(result.status().map(|status| status.as_u16()), Some(204));
}

#[tokio::test]
async fn an_echoed_secret_is_not_kept() {
    let receiver =
        says(format!("{OK}Content-Length: 47\r\n\r\nkey: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw; ok"), false).await;

    let result = timed(attempt(&loopback_client(DEADLINE), &receiver.url())).await;

    assert_eq!(result.response().unwrap().start(), "key: whsec_[redacted]; ok");
}

#[tokio::test]
async fn a_connection_that_the_receiver_closed_meanwhile_costs_no_attempt() {
    let receiver = Receiver::start(|mut stream| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await
        // And the connection is closed, without `Connection: close`.
    })
    .await;
    let client = loopback_client(DEADLINE);

    for count in 1..=5 {
        let result = timed(attempt(&client, &receiver.url())).await;
        assert_eq!(result.error_kind(), None, "{result:?}");
        assert_eq!(receiver.connections(), count);
        // Until the end of the connection has arrived.
        sleep(Duration::from_millis(50)).await;
    }
}

// --- TLS ----------------------------------------------------------------------------------------------------------------

/// One attempt under the name `receiver.example`, which the authority is trusted for.
async fn attempt_by_tls(authority: &Authority, address: SocketAddr, host: &str) -> AttemptResult {
    let names = Names::default().with("receiver.example", [&["127.0.0.1"][..]]);
    let client = builder(DEADLINE).trusted_roots_pem(authority.pem.clone()).resolver(names).build().unwrap();
    timed(attempt(&client, &format!("https://{host}:{}/hook", address.port()))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_wrong_is_told_by_how_it_is_wrong() {
    let authority = Authority::new();
    let name = "receiver.example";
    for (what, config, expected) in [
        ("right", authority.sign(name, [2020, 2100]), None),
        ("expired", authority.sign(name, [2000, 2001]), Some(Kind::TlsExpired)),
        ("not valid yet", authority.sign(name, [2099, 2100]), Some(Kind::TlsExpired)),
        ("another name", authority.sign("other.example", [2020, 2100]), Some(Kind::TlsName)),
        ("a name below", authority.sign("a.receiver.example", [2020, 2100]), Some(Kind::TlsName)),
        ("an address", authority.sign("127.0.0.1", [2020, 2100]), Some(Kind::TlsName)),
        ("another authority", Authority::new().sign(name, [2020, 2100]), Some(Kind::TlsUntrusted)),
        ("self-signed", self_signed(name), Some(Kind::TlsUntrusted)),
    ] {
        let receiver = with_tls(config).await;

        let result = attempt_by_tls(&authority, receiver.address, name).await;

        assert_eq!(result.error_kind(), expected, "{what}: {:?}", result.error().map(std::error::Error::source));
        if expected.is_none() {
            assert_eq!(result.response().unwrap().start(), "ok");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_may_be_for_an_address_and_a_name_may_end_with_a_dot() {
    let authority = Authority::new();

    let receiver = with_tls(authority.sign("127.0.0.1", [2020, 2100])).await;
    assert_eq!(attempt_by_tls(&authority, receiver.address, "127.0.0.1").await.error_kind(), None);

    let receiver = with_tls(authority.sign("receiver.example", [2020, 2100])).await;
    let names = Names::default().with("receiver.example.", [&["127.0.0.1"][..]]);
    let client = builder(DEADLINE).trusted_roots_pem(authority.pem.clone()).resolver(names).build().unwrap();
    let url = format!("https://receiver.example.:{}/", receiver.address.port());
    assert_eq!(timed(attempt(&client, &url)).await.error_kind(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_tls_is_told_as_such() {
    let authority = Authority::new();
    let silent = Receiver::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let plain = Receiver::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nspeak plain http to me").await
    });
    // The alert `protocol_version`, as a server with only TLS 1.0 sends it.
    let old = Receiver::start(|mut stream| async move { stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).await });
    let closing = Receiver::start(|stream| async move {
        drop(stream);
        Ok(())
    });
    for (what, receiver, expected) in [
        ("silent", silent.await, Kind::Timeout),
        ("plain", plain.await, Kind::Tls),
        ("old", old.await, Kind::Tls),
        ("closing", closing.await, Kind::Tls),
    ] {
        let result = attempt_by_tls(&authority, receiver.address, "receiver.example").await;
        assert_eq!(seen(&result), Seen::Error(expected), "{what}: {:?}", result.error().map(std::error::Error::source));
    }
}

#[tokio::test]
async fn a_client_that_trusts_nobody_cannot_be_built() {
    for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n"] {
        assert!(tower_webhooks::send::GuardedClient::builder().trusted_roots_pem(pem).build().is_err(), "{pem:?}");
    }
}
