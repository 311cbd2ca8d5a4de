//! Measures how many deliveries an outbox and one worker make in a second, from the first lease to the last stored
//! result.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::{Notify, oneshot},
    task::JoinSet,
};
use tower_webhooks::{
    send::{DestinationPolicy, Dispatcher, GuardedClient, Message, MessageId, NewEndpoint, OutboxStore, SealingKey},
    store::{MemoryOutbox, SqliteStore},
};

#[cfg(feature = "postgres")]
use tower_webhooks::store::PostgresStore;

#[cfg(feature = "postgres")]
use crate::postgres_server::PostgresServer;
use crate::{Receiver, cpu, table::now};

/// A tenant can have no more.
const EACH_TENANT: usize = 100;

const DISPATCHERS: usize = 64;

pub(crate) fn print(is_quick: bool) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sizes: &[(usize, usize)] =
        if is_quick { &[(1, 20), (100, 200)] } else { &[(1, 2000), (100, 5000), (1000, 5000)] };
    // Of which some endpoints share one: 1,000 endpoints are of 100 hosts.
    let receiver = Receiver::start(100);

    #[cfg(feature = "postgres")]
    let server = PostgresServer::careful();

    println!("deliveries of 1 KiB by one worker, all of them dispatched before:\n");
    println!(
        "| {:<10} | {:>9} | {:>12} | {:>18} | {:>12} | {:>15} |",
        "store", "endpoints", "deliveries/s", "CPU, us a delivery", "messages/s", "by 64 at once/s"
    );
    println!("|{0:-<12}|{0:->11}|{0:->14}|{0:->20}|{0:->14}|{0:->17}|", "");
    for (endpoints, deliveries) in sizes.iter().copied() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("outbox.db").display());
        let sqlite = runtime.block_on(SqliteStore::connect(&url)).unwrap();
        let memory = MemoryOutbox::new();
        for (name, measured) in [
            ("SQLite", runtime.block_on(run(sqlite, &receiver, endpoints, deliveries))),
            #[cfg(feature = "postgres")]
            (
                "PostgreSQL",
                runtime.block_on(async { run(postgres(&server).await, &receiver, endpoints, deliveries).await }),
            ),
            ("memory", runtime.block_on(run(memory, &receiver, endpoints, deliveries))),
        ] {
            let Measured { rate, cpu, dispatched, at_once } = measured;
            println!(
                "| {name:<10} | {endpoints:>9} | {rate:>12.0} | {cpu:>18.0} | {dispatched:>12.0} | {at_once:>15.0} |"
            );
        }
    }
}

#[cfg(feature = "postgres")]
async fn postgres(server: &PostgresServer) -> PostgresStore {
    PostgresStore::connect(&server.database().await).await.unwrap()
}

struct Measured {
    /// Deliveries in a second.
    rate: f64,
    /// Of this process, in microseconds a delivery.
    cpu: f64,
    /// Messages that were dispatched in a second, one after the other.
    dispatched: f64,
    /// The same by many tasks at once.
    at_once: f64,
}

async fn run(store: impl OutboxStore, receiver: &Receiver, endpoints: usize, deliveries: usize) -> Measured {
    let (done, all_done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let hook = (done.clone(), all_done.clone());
    let policy = DestinationPolicy::default()
        .allow_network("127.0.0.0/8".parse().unwrap())
        .allow_ports(1024..=65535)
        .insecure_plain_http();
    let webhooks = Dispatcher::builder(store)
        .sealing_key(SealingKey::from_bytes([7; 32]).unwrap())
        .client(GuardedClient::builder().policy(policy).build().unwrap())
        .on_delivered(move |_| {
            if hook.0.fetch_add(1, SeqCst) + 1 == deliveries {
                hook.1.notify_one();
            }
        })
        .on_attempt_failed(|attempted| println!("failed, so the figures are wrong: {:?}", attempted.result))
        .build()
        .unwrap();
    let tenants = endpoints.div_ceil(EACH_TENANT);
    for endpoint in 0..endpoints {
        let new = NewEndpoint::new(&receiver.url(endpoint)).unwrap().tenant(tenant(endpoint % tenants));
        webhooks.endpoints().create(new).await.unwrap();
    }

    let messages: Arc<Vec<Message>> = Arc::new({
        let payload = "x".repeat(900);
        let message = |number| Message::new("order.completed", &(number, &payload)).unwrap();
        let tenants = (0..deliveries / endpoints).flat_map(|number| (0..tenants).map(move |tenant| (number, tenant)));
        tenants.map(|(number, of)| message(number).tenant(tenant(of))).collect()
    });
    let start = now();
    for message in messages.iter() {
        webhooks.dispatch(message.clone()).await.unwrap();
    }
    let dispatched = messages.len() as f64 / start.elapsed().as_secs_f64();

    let (stop, stopped) = oneshot::channel::<()>();
    let (start, before) = (now(), cpu::of_this_process());
    let worker = tokio::spawn(webhooks.worker().run(async move { _ = stopped.await }));
    let in_time = tokio::time::timeout(Duration::from_secs(300), all_done.notified()).await;
    let (time, taken) = (start.elapsed(), cpu::of_this_process() - before);
    assert!(in_time.is_ok(), "{} of {deliveries} were delivered in five minutes", done.load(SeqCst));
    stop.send(()).unwrap();
    worker.await.unwrap();

    // The same messages under other ids.
    let (start, next) = (now(), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..DISPATCHERS {
        let (webhooks, messages, next) = (webhooks.clone(), messages.clone(), next.clone());
        tasks.spawn(async move {
            while let Some(message) = messages.get(next.fetch_add(1, SeqCst)) {
                webhooks.dispatch(message.clone().id(MessageId::random().unwrap())).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let at_once = messages.len() as f64 / start.elapsed().as_secs_f64();

    Measured {
        rate: deliveries as f64 / time.as_secs_f64(),
        cpu: taken.as_secs_f64() * 1e6 / deliveries as f64,
        dispatched,
        at_once,
    }
}

fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}
