//! Measures how many deliveries an outbox and one worker make in a second, from the first lease to the last stored
//! result.

use std::{
    env,
    ffi::OsStr,
    process::{Command, Stdio},
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
use crate::{
    Receiver, cpu,
    table::{Ratio, now},
};

/// A tenant can have no more.
const EACH_TENANT: usize = 100;

const DISPATCHERS: usize = 64;

pub(crate) fn print(is_quick: bool) {
    println!("deliveries of 1 KiB by one worker, all of them dispatched before:\n");
    println!(
        "| {:<10} | {:>9} | {:>12} | {:>18} | {:>12} | {:>15} |",
        "store", "endpoints", "deliveries/s", "CPU, us a delivery", "messages/s", "by 64 at once/s"
    );
    println!("|{0:-<12}|{0:->11}|{0:->14}|{0:->20}|{0:->14}|{0:->17}|", "");
    let sizes: &[(usize, usize)] =
        if is_quick { &[(1, 20), (100, 200)] } else { &[(1, 2000), (100, 5000), (1000, 5000)] };
    for (endpoints, deliveries) in sizes.iter().copied() {
        for kind in Kind::ALL {
            let Measured { rate, cpu, dispatched, at_once } = Size { kind, endpoints, deliveries }.measured(true);
            println!(
                "| {:<10} | {endpoints:>9} | {rate:>12.0} | {cpu:>18.0} | {dispatched:>12.0} | {at_once:>15.0} |",
                kind.name()
            );
        }
    }
}

/// Prints how many deliveries there were in a second, and how much of the CPU one took, for [`beside`].
pub(crate) fn once(arguments: &[&str]) {
    let [store, endpoints, deliveries] = arguments else { panic!("a store, and how many endpoints and deliveries") };
    let kind = *Kind::ALL.iter().find(|kind| kind.name() == *store).expect("a store of the table");
    let size = Size { kind, endpoints: endpoints.parse().unwrap(), deliveries: deliveries.parse().unwrap() };
    let Measured { rate, cpu, .. } = size.measured(false);
    println!("{rate} {cpu}");
}

/// Lets this program and the same bench of another commit take turns, and prints what they have measured in the median round.
/// Each turn is a process of its own.
pub(crate) fn beside(other: &str, only: Option<&str>, rounds: usize) {
    let ours = env::current_exe().unwrap();
    println!(
        "deliveries of 1 KiB by one worker: medians of {rounds} rounds, this build / the other one, quartiles in brackets\n"
    );
    println!(
        "| {:<10} | {:>9} | {:>14} | {:<23} | {:>11} | {:<23} |",
        "store", "endpoints", "deliveries/s", "ratio", "CPU, us", "ratio"
    );
    println!("|{0:-<12}|{0:->11}|{0:->16}|{0:-<25}|{0:->13}|{0:-<25}|", "");
    for kind in Kind::ALL.into_iter().filter(|kind| only.is_none_or(|only| only == kind.name())) {
        for (endpoints, deliveries) in [(1, 2000), (100, 5000), (1000, 5000)] {
            let mut measured: [Vec<[f64; 2]>; 2] = Default::default();
            for round in 0..rounds {
                for turn in 0..2 {
                    // Nobody always comes after the other one.
                    let index = (turn + round) % 2;
                    let program = if index == 0 { ours.as_os_str() } else { OsStr::new(other) };
                    measured[index].push(turn_of(program, kind, endpoints, deliveries));
                }
            }
            let column = |which: usize| {
                let ratios = measured[0].iter().zip(&measured[1]).map(|(ours, other)| ours[which] / other[which]);
                let median = |index: usize| Ratio::of(measured[index].iter().map(|one| one[which]).collect()).middle;
                (format!("{:.0} / {:.0}", median(0), median(1)), Ratio::of(ratios.collect()).to_string())
            };
            let (rates, rate) = column(0);
            let (times, time) = column(1);
            println!("| {:<10} | {endpoints:>9} | {rates:>14} | {rate:<23} | {times:>11} | {time:<23} |", kind.name());
        }
    }
}

fn turn_of(program: &OsStr, kind: Kind, endpoints: usize, deliveries: usize) -> [f64; 2] {
    let arguments = ["once".to_owned(), kind.name().to_owned(), endpoints.to_string(), deliveries.to_string()];
    let output = Command::new(program).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{program:?} measures {}", kind.name());
    let line = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = line.split_whitespace().map(|number| number.parse().expect("two numbers")).collect();
    numbers.try_into().expect("two numbers")
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Memory,
    #[cfg(feature = "postgres")]
    Postgres,
    Sqlite,
}

impl Kind {
    const ALL: [Self; if cfg!(feature = "postgres") { 3 } else { 2 }] = [
        Self::Sqlite,
        #[cfg(feature = "postgres")]
        Self::Postgres,
        Self::Memory,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            #[cfg(feature = "postgres")]
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
struct Size {
    kind: Kind,
    endpoints: usize,
    deliveries: usize,
}

impl Size {
    fn measured(self, with_dispatchers: bool) -> Measured {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // Of which some endpoints share one: 1,000 endpoints are of 100 hosts.
        let receiver = Receiver::start(100);
        match self.kind {
            Kind::Memory => runtime.block_on(run(MemoryOutbox::new(), &receiver, self, with_dispatchers)),
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let server = PostgresServer::careful();
                let store = runtime.block_on(postgres(&server));
                runtime.block_on(run(store, &receiver, self, with_dispatchers))
            }
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", folder.path().join("outbox.db").display());
                let store = runtime.block_on(SqliteStore::connect(&url)).unwrap();
                runtime.block_on(run(store, &receiver, self, with_dispatchers))
            }
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

async fn run(store: impl OutboxStore, receiver: &Receiver, size: Size, with_dispatchers: bool) -> Measured {
    let Size { endpoints, deliveries, .. } = size;
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

    let mut measured = Measured {
        rate: deliveries as f64 / time.as_secs_f64(),
        cpu: taken.as_secs_f64() * 1e6 / deliveries as f64,
        dispatched,
        at_once: 0.0,
    };
    if !with_dispatchers {
        return measured;
    }

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
    measured.at_once = messages.len() as f64 / start.elapsed().as_secs_f64();
    measured
}

fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}
