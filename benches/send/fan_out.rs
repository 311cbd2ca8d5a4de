//! Measures the memory of a fan-out while all of its attempts are in flight.

use std::{
    collections::HashSet,
    future::pending,
    sync::{Arc, Mutex},
};

use tokio::{runtime::Builder, sync::Notify};
use tower_webhooks::{
    BoxFuture,
    send::{
        AttemptRequest, AttemptResult, DestinationPolicy, Dispatcher, EndpointDraft, EndpointId, EndpointSettings,
        Message, NewEndpoint, OutboxStore, Transport,
    },
    store::{MemoryOutbox, SqliteStore},
};

use crate::table::Table;

const KIB: usize = 1024;
/// Almost the largest payload.
const LARGE: usize = 255 * KIB;

pub(crate) fn rows(table: &mut Table, is_quick: bool) {
    let endpoints = if is_quick { 300 } else { 1000 };
    let (small, large) = (least_held(endpoints, KIB), least_held(endpoints, LARGE));
    let copies = (large.bytes - small.bytes) as f64 / (LARGE - KIB) as f64;
    assert!(copies < 2.0, "{copies} copies of the body are held");
    table.count(&format!("bodies that {endpoints} attempts in flight hold, memory"), large.bodies, 0, 1);
    table.count(&format!("bodies that {endpoints} attempts in flight hold, SQLite"), in_sqlite(endpoints, LARGE), 0, 1);
    table.note(format!("memory that grows with the body, {endpoints} attempts in flight: {copies:.2} bodies"));
    let each = small.bytes as f64 / endpoints as f64;
    table.note(format!("memory that does not, for each attempt in flight, without its connection: {each:.0} bytes"));
}

struct Held {
    bytes: i64,
    bodies: u64,
}

/// Of a few runs the one that held least: in some, 128 bytes more of each attempt are still there at the moment of the look.
fn least_held(endpoints: usize, payload: usize) -> Held {
    let runs = (0..5).map(|_| held(endpoints, payload));
    runs.min_by_key(|held| held.bytes).expect("there are some")
}

/// The memory of a worker and a store, compared with the time before the first lease.
fn held(endpoints: usize, payload: usize) -> Held {
    // A thread that has opted out counts nothing, and only what its own thread allocates is counted.
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let parking = Parking::default();
        let webhooks = runtime.block_on(dispatched(MemoryOutbox::new(), &parking, endpoints, payload));
        let counted = allocation_counter::measure(|| {
            runtime.block_on(async {
                tokio::spawn(webhooks.worker().run(pending()));
                parking.until(endpoints).await;
            });
        });
        Held { bytes: counted.bytes_current, bodies: parking.bodies() }
    };
    std::thread::spawn(run).join().expect("what is counted does not panic")
}

fn in_sqlite(endpoints: usize, payload: usize) -> u64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("outbox.db").display());
    let parking = Parking::default();
    runtime.block_on(async {
        let store = SqliteStore::connect(&url).await.unwrap();
        let webhooks = dispatched(store, &parking, endpoints, payload).await;
        tokio::spawn(webhooks.worker().run(pending()));
        parking.until(endpoints).await;
    });
    parking.bodies()
}

/// One message that many endpoints of one tenant want.
async fn dispatched(
    store: impl OutboxStore + Clone,
    parking: &Parking,
    endpoints: usize,
    payload: usize,
) -> Dispatcher {
    let webhooks = Dispatcher::builder(store.clone())
        .with_insecure_plain_secrets()
        .transport(parking.clone(), DestinationPolicy::default())
        .concurrency(4 * endpoints)
        .build()
        .unwrap();
    let model = NewEndpoint::new("https://receiver.example/hook").unwrap().events(["another.type"]);
    let model = webhooks.endpoints().create(model).await.unwrap().endpoint().id();
    let model = store.endpoint(model).await.unwrap().unwrap().settings;
    for number in 0..endpoints {
        // By the store itself, since the dispatcher gives a tenant no more than 100.
        let url = format!("https://receiver-{number}.example/hook");
        let settings = EndpointSettings::new(url, vec!["*".to_owned()], model.style, model.sealed.clone());
        let draft = EndpointDraft::new(EndpointId::random().unwrap(), "", settings);
        store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap();
    }
    let message = Message::new("order.completed", &"x".repeat(payload)).unwrap();
    let deliveries = webhooks.dispatch(message).await.unwrap().deliveries();
    assert_eq!(deliveries as usize, endpoints);
    webhooks
}

/// A transport that never answers, and records the addresses of the bodies.
#[derive(Clone, Default)]
struct Parking(Arc<Parked>);

#[derive(Default)]
struct Parked {
    bodies: Mutex<(usize, HashSet<usize>)>,
    changed: Notify,
}

impl Parking {
    async fn until(&self, count: usize) {
        while self.0.bodies.lock().unwrap().0 < count {
            self.0.changed.notified().await;
        }
    }

    fn bodies(&self) -> u64 {
        self.0.bodies.lock().unwrap().1.len() as u64
    }
}

impl Transport for Parking {
    fn send(&self, request: AttemptRequest) -> BoxFuture<'_, AttemptResult> {
        let mut bodies = self.0.bodies.lock().unwrap();
        bodies.0 += 1;
        bodies.1.insert(request.body().as_ptr().addr());
        self.0.changed.notify_one();
        Box::pin(async move {
            let _held = request;
            pending().await
        })
    }
}
