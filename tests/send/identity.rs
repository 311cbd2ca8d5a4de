//! Receivers that ask who sends: with the client's certificate they are delivered to, without it the reason is TLS.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use receiver::{Names, Receiver, attempt, attempt_with, builder, some_roots};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use tls::{Asks, Authority, Identity, speak, with_tls};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tower_webhooks::{
    Secret,
    error::ConfigErrorKind,
    send::{
        AttemptErrorKind as Kind, AttemptRequest, AttemptResult, ClientIdentity, Dispatcher, EndpointUpdate,
        GuardedClient, GuardedClientBuilder, Message, NewEndpoint, OutboxEndpoints, SealingKey, SendErrorKind,
        Transport,
    },
    store::MemoryOutbox,
};

use crate::support::{receiver, tls};

const DEADLINE: Duration = Duration::from_secs(10);
const NAME: &str = "receiver.example";
const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

/// A client that trusts this authority, and finds [`NAME`] on loopback.
fn client(servers: &Authority) -> GuardedClientBuilder {
    let names = Names::default().with(NAME, [&["127.0.0.1"][..]]);
    builder(DEADLINE).trusted_roots_pem(servers.pem.clone()).resolver(names)
}

fn with(builder: GuardedClientBuilder, identity: &Identity) -> GuardedClient {
    builder.identity_pem(identity.certificate.clone(), identity.secret()).build().unwrap()
}

fn url(address: SocketAddr) -> String {
    format!("https://{NAME}:{}/hook", address.port())
}

/// A receiver that notes the certificate of each connection.
async fn noting(config: ServerConfig) -> (Receiver, mpsc::UnboundedReceiver<Option<Vec<u8>>>) {
    let (noted, shown) = mpsc::unbounded_channel();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let receiver = Receiver::start(move |stream| {
        let (acceptor, noted) = (acceptor.clone(), noted.clone());
        async move {
            let stream = acceptor.accept(stream).await?;
            let certificate = stream.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec());
            let _ = noted.send(certificate);
            speak(stream).await
        }
    })
    .await;
    (receiver, shown)
}

fn der(identity: &Identity) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_asks_is_shown_the_certificate() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let identity = clients.identity("sender.example");

    for versions in VERSIONS {
        for insists in [true, false] {
            let config = servers.sign_asking(NAME, &clients, Asks { insists, versions });
            let (receiver, mut shown) = noting(config).await;
            let client = with(client(&servers), &identity);

            for _ in 0..2 {
                assert_eq!(attempt(&client, &url(receiver.address)).await.error_kind(), None, "{versions:?}");
            }

            assert_eq!(shown.recv().await.unwrap(), Some(der(&identity)));
            assert_eq!(receiver.connections(), 1, "a connection is used again");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_does_not_ask_is_delivered_to_all_the_same() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let (receiver, mut shown) = noting(servers.sign(NAME, [2020, 2100])).await;

    let result = attempt(&with(client(&servers), &clients.identity("sender.example")), &url(receiver.address)).await;

    assert_eq!(result.error_kind(), None);
    assert_eq!(shown.recv().await.unwrap(), None);
}

/// With TLS 1.3 the receiver's refusal comes when the request is on its way, and what it does then to the connection is up to
/// it. Whatever comes first, the reason is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_or_with_anothers_the_reason_is_tls() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let stranger = Authority::new().identity("sender.example");

    for versions in VERSIONS {
        let config = servers.sign_asking(NAME, &clients, Asks { insists: true, versions });
        let receiver = with_tls(config).await;
        for client in [client(&servers).build().unwrap(), with(client(&servers), &stranger)] {
            for size in [0, 100_000, 250_000].into_iter().cycle().take(60) {
                let result = attempt_with(&client, &url(receiver.address), size).await;

                let cause = result.error().map(std::error::Error::source);
                assert_eq!(result.error_kind(), Some(Kind::Tls), "{versions:?} {size}: {cause:?}");
            }
        }
    }
}

#[test]
fn an_identity_that_cannot_be_shown_is_an_error_of_the_set_up() {
    let clients = Authority::new();
    let (one, other) = (clients.identity("sender.example"), clients.identity("sender.example"));
    let one_line = one.key.replace('\n', " ");
    let pkcs8 =
        one.key.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE").replace("END PRIVATE", "END ENCRYPTED PRIVATE");
    // In pieces: nothing that looks like a key is in the project's files.
    let pem = |kind: &str, text: &str| format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n");
    let pkcs1 = pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA");
    let garbage = pem("PRIVATE KEY", "AAAA");
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let reversed = format!("{}{}", clients.pem, one.certificate);

    for (what, certificates, key, word) in [
        ("no certificate", "", &*one.key, "no certificate"),
        ("swapped", &*one.key, &*one.certificate, "no certificate"),
        ("swapped, on one line", &*one_line, &*one.certificate, "not PEM"),
        ("cut", "-----BEGIN CERTIFICATE-----\nAAAA", &*one.key, "not PEM"),
        ("no key", &*one.certificate, "-", "not a private key"),
        ("two certificates", &*one.certificate, &*one.certificate, "not a private key"),
        ("on one line", &*one.certificate, &*one_line, "not a private key"),
        ("another key", &*one.certificate, &*other.key, "does not fit"),
        ("the authority first", &*reversed, &*one.key, "does not fit"),
        ("an encrypted key", &*one.certificate, &*pkcs8, "encrypted"),
        ("an old encrypted key", &*one.certificate, &*pkcs1, "encrypted"),
        ("a key that is none", &*one.certificate, &*garbage, "not an RSA, ECDSA or EdDSA key"),
        ("a certificate that is none", no_certificate, &*one.key, "cannot be read"),
    ] {
        let key = Secret::from_bytes(key).unwrap();
        let builder = GuardedClient::builder().trusted_roots_pem(some_roots()).identity_pem(certificates, key);

        let error = builder.build().unwrap_err();

        assert_eq!(error.kind(), ConfigErrorKind::Client);
        assert!(error.to_string().contains(word), "{what}: {error}");
        // The second line of the key, in whatever form it was given.
        let shown = format!("{error:?} {:?}", std::error::Error::source(&error));
        assert!(!shown.contains(one.key.lines().nth(1).unwrap()), "{what}: {shown}");
    }
}

#[test]
fn a_key_is_not_shown() {
    let identity = Authority::new().identity("sender.example");
    let builder = builder(DEADLINE).identity_pem(identity.certificate.clone(), identity.secret());

    let shown = format!("{builder:?}") + &format!("{:?}", builder.build().unwrap());

    assert!(!shown.contains(identity.key.lines().nth(1).unwrap()), "{shown}");
}

#[tokio::test]
async fn a_file_may_hold_a_chain_and_text_around_it() -> io::Result<()> {
    let (servers, clients) = (Authority::new(), Authority::new());
    let identity = clients.identity("sender.example");
    let chain = format!("subject=sender.example\n{}\nissuer\n{}", identity.certificate, clients.pem);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("client.key");
    std::fs::write(&path, format!("{}\n{}", identity.certificate, identity.key))?;
    let config = servers.sign_asking(NAME, &clients, Asks { insists: true, versions: VERSIONS[1] });
    let receiver = with_tls(config).await;

    let client = client(&servers).identity_pem(chain, Secret::from_file(&path).unwrap()).build().unwrap();

    assert_eq!(attempt(&client, &url(receiver.address)).await.error_kind(), None);
    Ok(())
}

/// Makes one attempt with this identity.
async fn attempt_as(client: &GuardedClient, url: &str, identity: Option<&ClientIdentity>) -> AttemptResult {
    let message = Message::new("order.completed", &7).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let signer = receiver::signer();
    let body = message.body(signer.style(), now);
    let url = client.policy().endpoint(url).unwrap();
    let mut request = AttemptRequest::new(url, signer.headers(&message, now, &body), body);
    if let Some(identity) = identity {
        request = request.client_identity(identity.clone());
    }
    Transport::send(client, request).await
}

fn of_endpoint(identity: &Identity) -> ClientIdentity {
    ClientIdentity::from_pem(identity.certificate.clone(), identity.secret()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_is_shared_by_two_identities() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let [own, one, other] = ["sender.example", "one.example", "other.example"].map(|name| clients.identity(name));
    for versions in VERSIONS {
        let config = servers.sign_asking(NAME, &clients, Asks { insists: true, versions });
        let (receiver, mut shown) = noting(config).await;
        let client = with(client(&servers), &own);
        let url = url(receiver.address);

        // The last two are read again, as for two endpoints with the same certificate.
        let (first, second) = (of_endpoint(&one), of_endpoint(&other));
        let again = of_endpoint(&one);
        for identity in [Some(&first), Some(&second), None, Some(&first), Some(&second), None, Some(&again)] {
            assert_eq!(attempt_as(&client, &url, identity).await.error_kind(), None, "{versions:?}");
        }

        let mut seen = Vec::new();
        while let Ok(certificate) = shown.try_recv() {
            seen.push(certificate.unwrap());
        }
        assert_eq!(seen, [der(&one), der(&other), der(&own)], "{versions:?}: a connection for each");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_shows_its_own_certificate_which_is_sealed_and_never_told() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let identity = clients.identity("acme.example");
    let config = servers.sign_asking(NAME, &clients, Asks { insists: true, versions: VERSIONS[1] });
    let (receiver, mut shown) = noting(config).await;
    let store = Arc::new(MemoryOutbox::new());
    let webhooks = Dispatcher::builder(store.clone())
        .sealing_key(SealingKey::parse("mZ8bq3J7oXn0gq3q3mWmQe2mF7m1i1o4o1uUj5p0r2s=").unwrap())
        .client(client(&servers).build().unwrap())
        .build()
        .unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));
    let endpoint = NewEndpoint::new(&url(receiver.address)).unwrap().client_identity(of_endpoint(&identity));
    let shown_setup = format!("{endpoint:?}");

    let created = webhooks.endpoints().create(endpoint.ping()).await.unwrap();
    let id = created.endpoint().id();

    let next = async |shown: &mut mpsc::UnboundedReceiver<Option<Vec<u8>>>| {
        tokio::time::timeout(Duration::from_secs(30), shown.recv()).await.unwrap().unwrap()
    };
    assert_eq!(next(&mut shown).await, Some(der(&identity)));
    // A rotation of the secret keeps it.
    webhooks.endpoints().rotate_secret(id, Duration::ZERO).await.unwrap();
    let sealed = store.endpoint(id).await.unwrap().unwrap().settings.sealed;
    let line = identity.key.lines().nth(1).unwrap();
    assert!(!String::from_utf8_lossy(&sealed.bytes).contains(line), "the key is sealed");
    for text in [shown_setup, format!("{created:?}"), format!("{:?}", webhooks.endpoints().get(id).await)] {
        assert!(!text.contains(line), "{text}");
    }

    let other = clients.identity("acme-2.example");
    let update = EndpointUpdate::new().client_identity(of_endpoint(&other));
    assert!(!format!("{update:?}").contains(other.key.lines().nth(1).unwrap()));
    webhooks.endpoints().update(id, update).await.unwrap();
    webhooks.dispatch(Message::new("order.completed", &7).unwrap()).await.unwrap();
    assert_eq!(next(&mut shown).await, Some(der(&other)));

    // Without TLS it would not be sent.
    let plain = format!("http://{NAME}:{}/hook", receiver.address.port());
    let moved = webhooks.endpoints().update(id, EndpointUpdate::new().url(&plain).unwrap()).await.unwrap_err();
    assert_eq!((moved.kind(), moved.field()), (SendErrorKind::Invalid, Some("client_identity")));
    let endpoint = NewEndpoint::new(&plain).unwrap().client_identity(of_endpoint(&other));
    let refused = webhooks.endpoints().create(endpoint).await.unwrap_err();
    assert_eq!(refused.field(), Some("client_identity"));
    let update = EndpointUpdate::new().url(&plain).unwrap().no_client_identity();
    webhooks.endpoints().update(id, update).await.unwrap();

    _ = stop.send(());
    worker.await.unwrap();
}

#[test]
fn an_identity_of_an_endpoint_is_checked_when_it_is_read() {
    let clients = Authority::new();
    let (one, other) = (clients.identity("one.example"), clients.identity("other.example"));
    let long = format!("{}{}", one.certificate, "\n".repeat(ClientIdentity::LONGEST_PEM));
    for (certificates, key) in [(&*one.certificate, &other), (&*one.key, &one), ("", &one), (&*long, &one)] {
        let error = ClientIdentity::from_pem(certificates, key.secret()).unwrap_err();
        assert!(!format!("{error:?}").contains(key.key.lines().nth(1).unwrap()));
    }
}
