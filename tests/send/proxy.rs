//! Tests of sending through an egress proxy: the policy holds, the proxy learns only what it must, and an attempt ends
//! in time and with a reason, whatever the proxy does.

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use logs::Logs;
use receiver::{Names, Receiver, attempt, builder, loopback_policy, message, read_request, same_port, signer};
use tls::{Asks, Authority, self_signed, speak, with_tls};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tower_webhooks::send::{
    AttemptErrorKind as Kind, AttemptResult, DestinationPolicy, EgressProxy, GuardedClient, Outcome, ResponseEnd,
    Target, deliver,
};

use crate::support::{logs, receiver, tls};

const DEADLINE: Duration = Duration::from_secs(10);
/// The delay of a busy machine.
const SLACK: Duration = Duration::from_secs(5);
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A correct proxy that notes the heads of its requests, and the bytes that it forwarded to the receiver.
struct Honest {
    receiver: Receiver,
    asked: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Honest {
    async fn start() -> Self {
        Self::with(|stream| Box::pin(async move { Ok(Box::new(stream) as Box<dyn Duplex>) }), |_| None).await
    }

    /// One that answers some addresses with a refusal.
    async fn refusing(refusal: impl Fn(SocketAddr) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        Self::with(|stream| Box::pin(async move { Ok(Box::new(stream) as Box<dyn Duplex>) }), refusal).await
    }

    /// One that is spoken to by TLS.
    async fn by_tls(config: rustls::ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::with(
            move |stream| {
                let acceptor = acceptor.clone();
                Box::pin(async move {
                    let stream = acceptor.accept(stream).await?;
                    assert!(stream.get_ref().1.peer_certificates().is_none(), "a certificate for receivers");
                    Ok(Box::new(stream) as Box<dyn Duplex>)
                })
            },
            |_| None,
        )
        .await
    }

    async fn with<F, R>(accept: F, refusal: R) -> Self
    where
        F: Fn(TcpStream) -> Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>> + Send + Sync + 'static,
        R: Fn(SocketAddr) -> Option<&'static str> + Send + Sync + 'static,
    {
        let (asked, sent) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let state = Arc::new((accept, refusal, Arc::clone(&asked), Arc::clone(&sent)));
        let receiver = Receiver::start(move |stream| {
            let state = Arc::clone(&state);
            async move {
                let (accept, refusal, asked, sent) = &*state;
                let mut stream = accept(stream).await?;
                let head = String::from_utf8(read_request(&mut stream).await?).unwrap();
                let target = head.split(' ').nth(1).unwrap_or_default().parse::<SocketAddr>();
                asked.lock().unwrap().push(head);
                // It resolves no names.
                let Ok(target) = target else { return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await };
                if let Some(refusal) = refusal(target) {
                    return stream.write_all(refusal.as_bytes()).await;
                }
                let mut onward = TcpStream::connect(target).await?;
                stream.write_all(OPEN.as_bytes()).await?;
                stream.flush().await?;
                // The first bytes of the client are noted; with TLS, its greeting.
                let mut first = vec![0; 16 * 1024];
                let length = stream.read(&mut first).await?;
                sent.lock().unwrap().extend_from_slice(&first[..length]);
                onward.write_all(&first[..length]).await?;
                copy_bidirectional(&mut stream, &mut onward).await.map(drop)
            }
        })
        .await;
        Self { receiver, asked, sent }
    }

    fn url(&self) -> String {
        format!("http://{}", self.receiver.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn targets(&self) -> Vec<String> {
        self.asked().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

fn behind(proxy: &str) -> GuardedClient {
    builder(DEADLINE).egress_proxy(proxy.parse().unwrap()).build().unwrap()
}

fn names() -> Names {
    Names::default().with("receiver.example", [&["127.0.0.1"][..]]).with("proxy.example", [&["127.0.0.1"][..]])
}

fn cause(result: &AttemptResult) -> String {
    format!("{result:?} {:?}", result.error().map(std::error::Error::source))
}

#[allow(clippy::disallowed_methods)] // How long an attempt really takes is what is tested.
async fn timed(limit: Duration, attempt: impl Future<Output = AttemptResult>) -> AttemptResult {
    let started = Instant::now();
    let result = attempt.await;
    let took = started.elapsed();
    assert!(took < limit + SLACK, "took {took:?}: {}", cause(&result));
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_is_asked_for_an_address_and_tls_is_with_the_receiver() {
    let authority = Authority::new();
    let receiver = with_tls(authority.sign("receiver.example", [2020, 2100])).await;
    let proxy = Honest::start().await;
    let names = names();
    let client = builder(DEADLINE)
        .trusted_roots_pem(authority.pem.clone())
        .resolver(names.clone())
        .egress_proxy(proxy.url().parse().unwrap())
        .build()
        .unwrap();

    for _ in 0..3 {
        let result = attempt(&client, &format!("https://receiver.example:{}/hook", receiver.address.port())).await;
        assert_eq!(result.response().unwrap_or_else(|| panic!("{}", cause(&result))).start(), "ok");
    }

    let address = receiver.address;
    assert_eq!(proxy.asked(), [format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n\r\n")]);
    assert_eq!((receiver.connections(), proxy.receiver.connections()), (1, 1), "a tunnel is used again");
    assert_eq!(names.asked("receiver.example"), 3, "once for each attempt");
    // A record of TLS, with a handshake in it.
    assert_eq!(proxy.sent.lock().unwrap()[..2], [22, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_wrong_is_told_as_ever() {
    let authority = Authority::new();
    let proxy = Honest::start().await;

    for (config, kind) in [
        (authority.sign("receiver.example", [2000, 2001]), Kind::TlsExpired),
        (authority.sign("other.example", [2020, 2100]), Kind::TlsName),
        // Not that of the proxy, nor that of the address which it is asked for.
        (authority.sign("127.0.0.1", [2020, 2100]), Kind::TlsName),
        (self_signed("receiver.example"), Kind::TlsUntrusted),
    ] {
        let receiver = with_tls(config).await;
        let client = builder(DEADLINE)
            .trusted_roots_pem(authority.pem.clone())
            .resolver(names())
            .egress_proxy(proxy.url().parse().unwrap())
            .build()
            .unwrap();
        let result = attempt(&client, &format!("https://receiver.example:{}/", receiver.address.port())).await;
        assert_eq!(result.error_kind(), Some(kind), "{}", cause(&result));
    }
}

#[tokio::test]
async fn plain_http_goes_by_a_tunnel_too() {
    let receiver = Receiver::answering(NO_CONTENT).await;
    let proxy = Honest::start().await;

    let result = attempt(&behind(&proxy.url()), &receiver.url()).await;

    assert_eq!(result.error_kind(), None, "{}", cause(&result));
    assert_eq!(proxy.targets(), [receiver.address.to_string()]);
    assert!(proxy.sent.lock().unwrap().starts_with(b"POST /hook HTTP/1.1\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_may_be_spoken_to_by_tls() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let identity = clients.identity("sender.example");
    let versions = rustls::ALL_VERSIONS;
    let insists = Asks { insists: true, versions };
    let receiver = with_tls(authority.sign_asking("receiver.example", &clients, insists)).await;
    // It asks for the certificate that is for receivers, and does not get it.
    let asks = Asks { insists: false, versions };
    let proxy = Honest::by_tls(authority.sign_asking("proxy.example", &clients, asks)).await;
    let port = proxy.receiver.address.port();
    let client = |proxy: String| {
        builder(DEADLINE)
            .trusted_roots_pem(authority.pem.clone())
            .identity_pem(identity.certificate.clone(), identity.secret())
            .resolver(names().with("other.example", [&["127.0.0.1"][..]]))
            .egress_proxy(proxy.parse().unwrap())
            .build()
            .unwrap()
    };
    let url = format!("https://receiver.example:{}/hook", receiver.address.port());

    let result = attempt(&client(format!("https://proxy.example:{port}")), &url).await;
    assert_eq!(result.response().unwrap_or_else(|| panic!("{}", cause(&result))).start(), "ok");
    assert_eq!(proxy.targets(), [receiver.address.to_string()]);

    // Its certificate is for another name: nothing is asked, and no password is said.
    let result = attempt(&client(format!("https://user:password@other.example:{port}")), &url).await;
    assert_eq!(result.error_kind(), Some(Kind::Proxy), "{}", cause(&result));
    assert_eq!(proxy.targets().len(), 1);
}

// --- What the policy promises -------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_not_allowed_is_not_asked_for() {
    let inside = Receiver::answering(NO_CONTENT).await;
    let port = inside.address.port();
    let proxy = Honest::start().await;
    let names = Names::default()
        .with("loopback.example", [&["127.0.0.1"][..]])
        .with("mapped.example", [&["::ffff:127.0.0.1"][..]])
        .with("translated.example", [&["64:ff9b::7f00:1"][..]])
        .with("metadata.example", [&["169.254.169.254"][..]])
        .with("private.example", [&["10.0.0.1", "192.168.0.1", "fd00::1"][..]]);
    // The proxy itself is at an address that is not allowed.
    let client = builder(DEADLINE)
        .policy(DestinationPolicy::default().allow_ports(1024..=65535).insecure_plain_http())
        .resolver(names)
        .egress_proxy(proxy.url().parse().unwrap())
        .build()
        .unwrap();

    for host in ["loopback", "mapped", "translated", "metadata", "private"] {
        let result = attempt(&client, &format!("http://{host}.example:{port}/")).await;

        assert_eq!(result.error_kind(), Some(Kind::RefusedDestination), "{host}");
        assert_eq!(result.outcome(), Outcome::Rejected { retry_after: None });
    }
    // A URL that was let through when more was allowed.
    let url = loopback_policy().endpoint(&inside.url()).unwrap();
    assert!(deliver(&client, &Target::new(url, signer()), &message()).await.is_err());
    assert_eq!((proxy.receiver.connections(), inside.connections()), (0, 0));
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_allowed_is_asked_for() {
    let [inside, outside] = same_port(["127.0.0.1", "127.0.0.2"]).await;
    let port = outside.local_addr().unwrap().port();
    let inside = Receiver::on(inside, |stream| receiver::answer_all(stream, NO_CONTENT));
    let _outside = Receiver::on(outside, |stream| receiver::answer_all(stream, NO_CONTENT));
    let proxy = Honest::start().await;
    let names = Names::default().with("mixed.example", [&["127.0.0.1", "10.0.0.1", "127.0.0.2"][..]]);
    let policy = DestinationPolicy::default()
        .allow_network("127.0.0.2/32".parse().unwrap())
        .allow_ports(1024..=65535)
        .insecure_plain_http();
    let client = builder(DEADLINE)
        .policy(policy)
        .resolver(names.clone())
        .egress_proxy(proxy.url().parse().unwrap())
        .build()
        .unwrap();

    let result = attempt(&client, &format!("http://mixed.example:{port}/")).await;

    assert_eq!(result.error_kind(), None, "{}", cause(&result));
    assert_eq!(proxy.targets(), [format!("127.0.0.2:{port}")]);
    assert_eq!((inside.connections(), names.asked("mixed.example")), (0, 1));
}

#[tokio::test]
async fn a_name_that_leads_inside_later_is_not_asked_for() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let proxy = Honest::start().await;
    let names = Names::default().with("rebinding.example", [&["127.0.0.1"][..], &["10.0.0.1"][..]]);
    let client = builder(DEADLINE).resolver(names).egress_proxy(proxy.url().parse().unwrap()).build().unwrap();
    let url = format!("http://rebinding.example:{}/", receiver.address.port());

    assert_eq!(attempt(&client, &url).await.error_kind(), None);
    // An idle tunnel still leads to the old address of the name.
    assert_eq!(attempt(&client, &url).await.error_kind(), Some(Kind::RefusedDestination));
    assert_eq!(proxy.targets().len(), 1);
}

#[tokio::test]
async fn no_redirect_is_followed_behind_a_proxy() {
    let inside = Receiver::answering(NO_CONTENT).await;
    let location = inside.url();
    let receiver = Receiver::start(move |mut stream| {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        async move {
            read_request(&mut stream).await?;
            stream.write_all(answer.as_bytes()).await
        }
    })
    .await;
    let proxy = Honest::start().await;

    let result = attempt(&behind(&proxy.url()), &receiver.url()).await;

    assert_eq!(result.error_kind(), Some(Kind::Redirect));
    assert_eq!((proxy.receiver.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn what_a_receiver_sends_is_counted_behind_a_proxy_too() {
    for (first, second, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "x".repeat(8192), Ok(ResponseEnd::Limit)),
        // Only the limit on all bytes ends this one before the deadline.
        ("", "HTTP/1.1 100 Continue\r\n\r\n".to_owned(), Err(Kind::Protocol)),
    ] {
        let second: Arc<str> = second.into();
        let receiver = Receiver::start(move |mut stream| {
            let second = Arc::clone(&second);
            async move {
                read_request(&mut stream).await?;
                stream.write_all(first.as_bytes()).await?;
                loop {
                    stream.write_all(second.as_bytes()).await?;
                }
            }
        })
        .await;
        let proxy = Honest::start().await;

        let result = attempt(&behind(&proxy.url()), &receiver.url()).await;

        let ended = result.response().map(|answer| answer.end()).ok_or_else(|| result.error_kind().unwrap());
        assert_eq!(ended, expected, "{}", cause(&result));
    }
}

#[tokio::test]
async fn each_attempt_in_a_tunnel_is_counted_anew() {
    let receiver = Receiver::start(|mut stream| async move {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 61440\r\n\r\n{}", "x".repeat(61440));
        while !read_request(&mut stream).await?.is_empty() {
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    })
    .await;
    let proxy = Honest::start().await;
    let client = behind(&proxy.url());

    // Together more than is read in one attempt.
    for _ in 0..6 {
        let result = attempt(&client, &receiver.url()).await;
        assert_eq!(result.response().map(|answer| answer.end()), Some(ResponseEnd::Shortened), "{}", cause(&result));
    }
    assert_eq!(proxy.receiver.connections(), 1);
}

// --- Whom the password is told ------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_password_is_told_to_the_proxy_and_to_nobody_else() {
    let (logs, _guard) = Logs::capture();
    let heads = Arc::<Mutex<Vec<u8>>>::default();
    let noted = Arc::clone(&heads);
    let receiver = Receiver::start(move |mut stream| {
        let noted = Arc::clone(&noted);
        async move {
            let request = read_request(&mut stream).await?;
            noted.lock().unwrap().extend_from_slice(&request);
            stream.write_all(NO_CONTENT.as_bytes()).await
        }
    })
    .await;
    let proxy = Honest::start().await;
    let refusing =
        Honest::refusing(|_| Some("HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")).await;
    let named = |proxy: &Honest| -> EgressProxy {
        format!("http://webhooks:hunter%402@{}", proxy.receiver.address).parse().unwrap()
    };
    let builder_of = |proxy| builder(DEADLINE).egress_proxy(named(proxy));
    let shown = format!("{:?} {:?}", named(&proxy), builder_of(&proxy));
    let client = builder_of(&proxy).build().unwrap();
    let refused_client = builder_of(&refusing).build().unwrap();

    let delivered = attempt(&client, &receiver.url()).await;
    let refused = attempt(&refused_client, &receiver.url()).await;

    assert_eq!(delivered.error_kind(), None, "{}", cause(&delivered));
    assert_eq!(refused.error_kind(), Some(Kind::Proxy));
    assert_eq!(refusing.asked().len(), 1, "credentials that are refused are not tried again");
    // `webhooks:hunter@2`
    let header = "proxy-authorization: Basic d2ViaG9va3M6aHVudGVyQDI=\r\n";
    assert!(proxy.asked()[0].contains(header), "{:?}", proxy.asked());
    let sent = String::from_utf8_lossy(&heads.lock().unwrap()).to_lowercase();
    assert!(sent.starts_with("post /hook") && !sent.contains("proxy"), "{sent}");
    let error = refused.error().unwrap();
    let text = format!("{shown} {client:?} {} {error} {error:?} {}", cause(&refused), logs.text());
    assert!(text.contains("407"), "{text}");
    for word in ["hunter", "d2ViaG9va3M", "Who?"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

#[test]
fn no_variable_takes_a_delivery_past_the_proxy() {
    // A client without a proxy has none, whatever the environment says: `no_proxy_of_the_environment_is_asked`. Here is the
    // other way: a variable takes nobody past the proxy.
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if std::env::var_os("NO_PROXY").is_none_or(|hosts| hosts != "*") {
        runtime().block_on(async {
            let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
            child.args([crate::support::test_name!("no_variable_takes_a_delivery_past_the_proxy"), "--exact"]);
            child.env("NO_PROXY", "*").env("no_proxy", "*");
            assert!(child.output().await.unwrap().status.success());
        });
        return;
    }
    runtime().block_on(async {
        let receiver = Receiver::answering(NO_CONTENT).await;
        let proxy = Honest::start().await;
        assert_eq!(attempt(&behind(&proxy.url()), &receiver.url()).await.error_kind(), None);
        assert_eq!(proxy.targets(), [receiver.address.to_string()]);
    });
}

// --- Proxies that do everything but what they should --------------------------------------------------------------------

/// A proxy that reads the request, says the first, and then the second for ever, if there is one.
async fn says(first: impl Into<Vec<u8>>, second: impl Into<Vec<u8>>, pause: Duration) -> Receiver {
    let (first, second): (Arc<[u8]>, Arc<[u8]>) = (first.into().into(), second.into().into());
    Receiver::start(move |mut stream| {
        let (first, second) = (Arc::clone(&first), Arc::clone(&second));
        async move {
            read_request(&mut stream).await?;
            stream.write_all(&first).await?;
            while !second.is_empty() {
                stream.write_all(&second).await?;
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            pending().await
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_proxy_does_an_attempt_ends_in_time_with_a_reason() {
    const CONNECT: Duration = Duration::from_millis(1500);
    let once = |answer: String| says(answer, "", Duration::ZERO);
    let status = |line: &str| once(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n"));
    let brisk = Duration::ZERO;
    let drip = Duration::from_millis(50);
    let mut zoo = vec![
        ("407", status("407 Proxy Authentication Required").await),
        ("403", status("403 Forbidden").await),
        ("502", status("502 Bad Gateway").await),
        ("503", status("503 Service Unavailable").await),
        ("504", status("504 Gateway Timeout").await),
        ("a redirect", status("302 Found\r\nLocation: http://169.254.169.254/").await),
        ("an upgrade", status("101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade").await),
        ("204", once("HTTP/1.1 204 No Content\r\n\r\n".to_owned()).await),
        ("status 999", status("999 ?").await),
        ("status 20", status("20 OK").await),
        ("a refusal with an endless body", says("HTTP/1.1 403 No\r\n\r\n", vec![b'x'; 8192], brisk).await),
        ("garbage", once("\u{fe}\0\u{ff}".repeat(100)).await),
        ("endless garbage", says("", vec![0; 4096], brisk).await),
        ("SSH", once("SSH-2.0-OpenSSH_9.6\r\n".to_owned()).await),
        ("SOCKS", says([5, 0], "", brisk).await),
        ("no status line", once("fine\r\n\r\n".to_owned()).await),
        ("endless status line", says("HTTP/1.1 200 ", vec![b'x'; 4096], brisk).await),
        ("endless head", says("HTTP/1.1 200 OK\r\nx-a: ", vec![b'x'; 4096], brisk).await),
        ("endless headers", says("HTTP/1.1 200 OK\r\n", "x-a: b\r\n".repeat(512), brisk).await),
        ("1,000 headers", once(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000))).await),
        ("one header of 32 KiB", once(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(32 * 1024))).await),
        ("a drip", says("HTTP/1.1 200 OK\r\nx-a: ", "x", drip).await),
        ("endless 100 Continue", says("", "HTTP/1.1 100 Continue\r\n\r\n", brisk).await),
        ("100 Continue in drips", says("", "HTTP/1.1 100 Continue\r\n\r\n", drip).await),
        ("silence", says("", "", brisk).await),
        ("early bytes", once(format!("{OPEN}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await),
        ("one early byte", once(format!("{OPEN}x")).await),
        ("200 with a body", once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned()).await),
    ];
    zoo.push(("a close", Receiver::start(|_closed| std::future::ready(Ok(()))).await));
    zoo.push((
        "a close after the request",
        Receiver::start(|mut stream| async move { read_request(&mut stream).await.map(drop) }).await,
    ));
    zoo.push((
        "a reset",
        Receiver::start(|mut stream| async move {
            read_request(&mut stream).await?;
            #[allow(deprecated)] // It blocks only for a time that is not nought.
            stream.set_linger(Some(Duration::ZERO))
        })
        .await,
    ));
    let inside = Arc::new(Receiver::answering(NO_CONTENT).await);

    let mut attempts = tokio::task::JoinSet::new();
    for (name, proxy) in zoo {
        let inside = Arc::clone(&inside);
        attempts.spawn(async move {
            let client = builder(DEADLINE)
                .connect_timeout(CONNECT)
                .egress_proxy(format!("http://{}", proxy.address).parse().unwrap())
                .build()
                .unwrap();
            let result = timed(CONNECT, attempt(&client, &inside.url())).await;
            assert!(proxy.connections() > 0, "{name}");
            (name, result)
        });
    }
    while let Some(attempt) = attempts.join_next().await {
        let (name, result) = attempt.unwrap();
        // If the proxy says, or seems to say, that the receiver cannot be reached, it is the receiver's failure.
        let of_receiver = ["502", "504", "silence"].contains(&name) || name.ends_with("drips") || name == "a drip";
        let kind = if of_receiver { Kind::Connect } else { Kind::Proxy };
        assert_eq!(result.error_kind(), Some(kind), "{name}: {}", cause(&result));
        assert_eq!(result.outcome(), Outcome::Failed { retry_after: None }, "{name}");
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_the_reason() {
    let receiver = Receiver::answering(NO_CONTENT).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);

    for proxy in [
        format!("http://{nobody}"),
        "http://unknown.example:3128".to_owned(),
        "http://empty.example:3128".to_owned(),
        // It speaks no TLS.
        format!("https://{}", receiver.address),
    ] {
        let names = Names::default().with("empty.example", [&[][..]]);
        let client = builder(DEADLINE)
            .connect_timeout(Duration::from_secs(1))
            .resolver(names)
            .egress_proxy(proxy.parse().unwrap())
            .build()
            .unwrap();
        let result = attempt(&client, &receiver.url()).await;

        assert_eq!(result.error_kind(), Some(Kind::Proxy), "{proxy}: {}", cause(&result));
    }
}

#[tokio::test]
async fn the_deadline_holds_for_a_proxy_that_is_silent() {
    let proxy = says("", "", Duration::ZERO).await;
    let deadline = Duration::from_millis(500);
    let client = builder(deadline).egress_proxy(format!("http://{}", proxy.address).parse().unwrap()).build().unwrap();

    let result = timed(deadline, attempt(&client, "http://127.0.0.1:9999/")).await;

    assert_eq!(result.error_kind(), Some(Kind::Timeout));
    assert!(cause(&result).contains("waited for the egress proxy"), "{}", cause(&result));
}

#[tokio::test]
async fn an_address_that_a_proxy_cannot_reach_leaves_time_for_the_next() {
    let receiver = Receiver::answering(NO_CONTENT).await;
    let port = receiver.address.port();
    let dead: SocketAddr = format!("127.0.0.9:{port}").parse().unwrap();
    let names = Names::default().with("half.example", [&["127.0.0.9", "127.0.0.1"][..]]);
    let refusing = Honest::refusing(move |target| (target == dead).then_some("HTTP/1.1 502 No\r\n\r\n")).await;
    // It waits for the dead one for ever.
    let hanging = Receiver::start(move |mut stream| async move {
        let head = String::from_utf8(read_request(&mut stream).await?).unwrap();
        if head.contains(&dead.to_string()) {
            pending::<()>().await;
        }
        stream.write_all(OPEN.as_bytes()).await?;
        speak(stream).await
    })
    .await;

    for proxy in [refusing.url(), format!("http://{}", hanging.address)] {
        let client = builder(DEADLINE)
            .connect_timeout(Duration::from_secs(2))
            .resolver(names.clone())
            .egress_proxy(proxy.parse().unwrap())
            .build()
            .unwrap();
        let result = attempt(&client, &format!("http://half.example:{port}/")).await;

        assert_eq!(result.error_kind(), None, "{}", cause(&result));
    }
    assert_eq!(refusing.targets(), [dead.to_string(), receiver.address.to_string()]);
}
