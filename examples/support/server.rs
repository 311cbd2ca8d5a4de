//! A server with the limits that a public one needs: how long it waits for a request, how many connections it holds, and
//! how it stops. `docs/operating.md` gives the reasons. Copy it, or take what you need.
#![allow(dead_code)] // Each example uses a part.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The limits of a server. `docs/operating.md` gives the reason for each number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a connection may be without a request: before the first one, between two, and while a head arrives.
    pub(crate) wait: Duration,
    /// How many connections are open at once. For a further one, the connection that has been without a request for
    /// longest is closed; while all have requests in progress, the new one waits.
    pub(crate) connections: usize,
    /// How many received bytes a connection may buffer: a head, or a part of a body.
    pub(crate) buffer: usize,
    /// How long requests in progress may take after the server was told to stop.
    pub(crate) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wait: Duration::from_secs(10), connections: 4096, buffer: 16 * 1024, drain: Duration::from_secs(30) }
    }
}

/// Serves `app`, such as an axum `Router`, until `stop` is ready and the requests in progress have ended or run out of
/// time. Returns `true` if all of them have ended.
pub(crate) async fn serve<S, B>(listener: TcpListener, app: S, limits: Limits, stop: impl Future<Output = ()>) -> bool
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Without a timer hyper does not apply any timeouts.
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.wait).max_buf_size(limits.buffer);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(100);

    let slots = Arc::new(Semaphore::new(limits.connections));
    let idlers = Arc::new(Idlers::default());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            stream = accept(&listener, &idlers) => stream,
            Some(_) = connections.join_next() => continue,
            () = &mut stop => break,
        };
        let slot = tokio::select! {
            slot = slot(&slots, &idlers) => slot,
            () = &mut stop => break,
        };
        let idlers = Arc::clone(&idlers);
        let under_way = watch::Sender::new(0_usize);
        let (watched, app) = (under_way.clone(), app.clone());
        let service = service_fn(move |request| {
            let guard = UnderWay::new(&under_way);
            let answer = app.clone().oneshot(request);
            async move {
                let _guard = guard;
                answer.await
            }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let _slot = slot;
            tokio::select! {
                // An error means that a client disconnected or did not send HTTP; nothing can be done about it.
                _ = connection => {}
                () = idle(&watched, limits.wait, &idlers) => {}
            }
        });
    }
    // No new connections are accepted; every connection ends after its request in progress.
    drop(listener);
    timeout(limits.drain, graceful.shutdown()).await.is_ok()
    // The remaining connections are closed when `connections` is dropped.
}

/// Returns the address to serve, if the example was started with `-- --serve [ADDRESS]`.
pub(crate) fn serve_address() -> Option<String> {
    let mut arguments = std::env::args().skip(1).skip_while(|argument| argument != "--serve");
    arguments.next()?;
    Some(arguments.next().unwrap_or_else(|| "127.0.0.1:3000".into()))
}

/// Is ready on ctrl-c, and on the SIGTERM by which service managers and container platforms ask a process to stop.
pub(crate) async fn stop_signal() {
    let interrupt = async { tokio::signal::ctrl_c().await.unwrap_or_else(|_| std::process::abort()) };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<Option<()>>();
    tokio::select! {
        () = interrupt => {}
        _ = terminate => {}
    }
}

async fn accept(listener: &TcpListener, idlers: &Idlers) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // The connection is already gone.
            Err(cause) if cause.kind() == io::ErrorKind::ConnectionAborted => {}
            // The process has no file descriptors left: this is temporary, and must not end a server.
            Err(_) => {
                idlers.close_idlest();
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Waits for a place among the connections.
async fn slot(slots: &Arc<Semaphore>, idlers: &Idlers) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            return Some(slot);
        }
        // Its place is free when it has ended, unless a request has just begun on it.
        let soon = if idlers.close_idlest() { Duration::from_millis(100) } else { Duration::MAX };
        tokio::select! {
            slot = Arc::clone(slots).acquire_owned() => return slot.ok(),
            () = idlers.one_more.notified() => {}
            () = sleep(soon) => {}
        }
    }
}

/// The connections without a request, the idlest first.
#[derive(Default)]
struct Idlers {
    list: Mutex<(u64, BTreeMap<u64, Arc<Notify>>)>,
    one_more: Notify,
}

/// A place in the list, which is freed on drop.
struct Idler<'a> {
    idlers: &'a Idlers,
    place: u64,
    close: Arc<Notify>,
}

impl Idlers {
    fn enter(&self) -> Idler<'_> {
        let close = Arc::new(Notify::new());
        let place = {
            let mut list = self.list();
            list.0 += 1;
            let place = list.0;
            list.1.insert(place, Arc::clone(&close));
            place
        };
        self.one_more.notify_one();
        Idler { idlers: self, place, close }
    }

    /// Closes the idlest connection, if there is one.
    fn close_idlest(&self) -> bool {
        let idlest = self.list().1.pop_first();
        idlest.inspect(|(_, close)| close.notify_one()).is_some()
    }

    fn list(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<Notify>>)> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Idler<'_> {
    fn drop(&mut self) {
        self.idlers.list().1.remove(&self.place);
    }
}

/// Is ready when the connection has been without a request for `wait`, or earlier if another connection needs the
/// place.
///
/// hyper's header timeout begins when it knows which version of HTTP is spoken, and ends with HTTP/1. This one also
/// ends a connection that sends nothing, one that stops in the first bytes, and an HTTP/2 connection that only answers
/// pings.
async fn idle(under_way: &watch::Sender<usize>, wait: Duration, idlers: &Idlers) {
    let mut changes = under_way.subscribe();
    loop {
        if changes.wait_for(|count| *count == 0).await.is_err() {
            return;
        }
        let idler = idlers.enter();
        tokio::select! {
            changed = timeout(wait, changes.changed()) => if changed.is_err() { return },
            () = idler.close.notified() => if *under_way.borrow() == 0 { return },
        }
    }
}

/// A request in progress, until it is dropped.
struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
