//! A TCP proxy on loopback that breaks connections on demand.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// What the proxy does with its open and new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Forwards what the client sends, and cuts both sides when the server answers: the call has taken effect, and the
    /// client does not know.
    CutAfterSend,
    /// Cuts both sides when the client sends: the call has not taken effect.
    CutBeforeSend,
    /// Holds each answer back for this long.
    Delay(Duration),
    /// Accepts connections and bytes, and forwards nothing. Connections that were open then stay dead after the fault,
    /// as it does behind a load balancer that has lost its server.
    Hang,
    /// Cuts every connection, and closes new ones at once.
    Refuse,
}

/// The proxy. It ends when this is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    trips: Arc<AtomicU32>,
    open: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy before the server on `port`.
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (fault, seen) = watch::channel(Fault::None);
        let trips = Arc::new(AtomicU32::new(0));
        let open = Arc::new(AtomicU32::new(0));
        let (counter, opened) = (Arc::clone(&trips), Arc::clone(&open));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (seen, counter, opened) = (seen.clone(), Arc::clone(&counter), Arc::clone(&opened));
                opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    connect(client, port, seen, counter).await;
                    opened.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, fault, trips, open, task }
    }

    /// Returns the address on which the proxy listens.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes the fault, for open connections too.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Cuts every connection, then takes new ones: the server notices that its clients are gone.
    pub(crate) async fn cut(&self) {
        self.set(Fault::Refuse);
        while self.open.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        self.set(Fault::None);
    }

    /// Returns how often a client has sent something and the server has answered, since the last call.
    pub(crate) fn take_trips(&self) -> u32 {
        self.trips.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        // Ends the connections.
        self.fault.send_replace(Fault::Refuse);
    }
}

async fn connect(mut client: TcpStream, port: u16, mut fault: watch::Receiver<Fault>, trips: Arc<AtomicU32>) {
    if *fault.borrow_and_update() == Fault::Refuse {
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (mut asked, mut is_dead) = (false, false);
    let (mut question, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        // It may have been set while an answer was delayed: then there is no other notification of it.
        let now = *fault.borrow_and_update();
        if now == Fault::Refuse {
            return;
        }
        is_dead |= now == Fault::Hang;
        tokio::select! {
            changed = fault.changed() => {
                if changed.is_err() || *fault.borrow() == Fault::Refuse {
                    return;
                }
            }
            read = client.read(&mut question) => {
                let length = read.unwrap_or(0);
                // The fault of this moment: it may have been set while we waited.
                let now = *fault.borrow();
                is_dead |= now == Fault::Hang;
                match now {
                    _ if length == 0 => return,
                    Fault::CutBeforeSend | Fault::Refuse => return,
                    _ if is_dead => continue,
                    _ => {}
                }
                asked = true;
                if server.write_all(&question[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answer), if !is_dead => {
                let length = read.unwrap_or(0);
                let now = *fault.borrow();
                match now {
                    _ if length == 0 => return,
                    Fault::Hang => {
                        is_dead = true;
                        continue;
                    }
                    Fault::CutAfterSend if asked => return,
                    Fault::Delay(delay) => sleep(delay).await,
                    _ => {}
                }
                if std::mem::take(&mut asked) {
                    trips.fetch_add(1, Ordering::SeqCst);
                }
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
