//! How many statements the outbox gives to SQLite's driver, and in how many hand-overs to its thread.

use std::{
    fmt::Debug,
    sync::{Mutex, Once},
    time::Duration,
};

use sqlx::sqlite::SqlitePoolOptions;
use tokio::task::JoinSet;
use tower_webhooks::{
    send::{
        After, EndpointDraft, EndpointId, EndpointSettings, Fenced, Finish, LeaseRequest, LeaseToken, Message,
        OutboxEndpoints, OutboxQueue, Sealed, Style,
    },
    store::sqlite::SqliteStoreOptions,
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
};

/// What is handed to the driver's thread is what a delivery costs, so a group costs about as much however many deliveries it has.
#[tokio::test]
async fn a_group_in_sqlite_takes_as_many_statements_however_many_deliveries_it_has() {
    let mut counts = Vec::new();
    for (endpoints, prefix) in [(1, "few_"), (60, "many_")] {
        let handed = HandedOver::of(prefix);
        let pool = SqlitePoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.connect("sqlite::memory:").await.unwrap();
        let store = SqliteStoreOptions::new().table_prefix(prefix).unwrap().from_pool(pool);
        store.migrate().await.unwrap();
        for _ in 0..endpoints {
            register(&store, "acme").await;
        }
        // The first lease finds out about the clock.
        store.lease(LeaseRequest::new(LeaseToken::random().unwrap(), LONG, 1)).await.unwrap();
        store.dispatch(vec![message("acme")]).await.unwrap();

        let before = handed.count();
        let token = LeaseToken::random().unwrap();
        let leased = store.lease(LeaseRequest::new(token, LONG, 100)).await.unwrap().deliveries;
        let lease = handed.count().since(before);
        assert_eq!(leased.len(), endpoints);

        let before = handed.count();
        let mut finishing = JoinSet::new();
        for delivery in leased {
            let store = store.clone();
            finishing.spawn(async move { store.finish(delivery.id, token, Finish::new(After::Delivered)).await });
        }
        while let Some(finished) = finishing.join_next().await {
            assert_eq!(finished.unwrap().unwrap(), (Fenced::Applied, None));
        }
        counts.push((lease, handed.count().since(before)));
    }

    let [(lease, finish), many] = counts[..] else { unreachable!("there are two") };
    assert!(lease.hand_overs <= 5 && lease.statements <= 12, "{lease:?}");
    assert!(finish.hand_overs <= 2 && finish.statements <= 6, "{finish:?}");
    assert_eq!(many, (lease, finish), "one endpoint, and sixty");
}

/// What is handed to the driver's threads for the tables with a prefix, without the beginning and the end of transactions.
struct HandedOver {
    prefix: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Handed {
    hand_overs: usize,
    statements: usize,
}

impl Handed {
    fn since(self, before: Self) -> Self {
        Self { hand_overs: self.hand_overs - before.hand_overs, statements: self.statements - before.statements }
    }
}

impl HandedOver {
    /// The driver's threads tell the subscriber of the process alone.
    fn of(prefix: &'static str) -> Self {
        static WATCHING: Once = Once::new();
        WATCHING.call_once(|| {
            let of_driver = Targets::new().with_target("sqlx::query", Level::DEBUG);
            let watching = tracing_subscriber::registry().with(Watch.with_filter(of_driver));
            tracing::subscriber::set_global_default(watching).unwrap();
        });
        Self { prefix }
    }

    fn count(&self) -> Handed {
        let texts = HANDED.lock().unwrap();
        let ours = texts.iter().filter(|text| text.contains(&format!("{}outbox", self.prefix)));
        let statements = |text: &String| text.split(";\n").filter(|statement| !statement.trim().is_empty()).count();
        let counts: Vec<_> = ours.map(statements).collect();
        Handed { hand_overs: counts.len(), statements: counts.iter().sum() }
    }
}

/// What was handed to the driver's threads for one of the prefixes that are watched.
static HANDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Watch;

impl<S: Subscriber> Layer<S> for Watch {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Statement(Option<String>);

        impl Visit for Statement {
            fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}

            fn record_str(&mut self, field: &Field, value: &str) {
                if field.name() == "db.statement"
                    && ["few_outbox", "many_outbox"].iter().any(|ours| value.contains(ours))
                {
                    self.0 = Some(value.to_owned());
                }
            }
        }

        let mut statement = Statement(None);
        event.record(&mut statement);
        HANDED.lock().unwrap().extend(statement.0);
    }
}

async fn register(store: &impl OutboxEndpoints, tenant: &str) {
    let sealed = Sealed::new("key", &b"sealed"[..]);
    let settings = EndpointSettings::new("https://example.com/hook", vec!["*".into()], Style::StandardWebhooks, sealed);
    let draft = EndpointDraft::new(EndpointId::random().unwrap(), tenant, settings);
    store.create_endpoint(draft, u32::MAX).await.unwrap().unwrap();
}

fn message(tenant: &str) -> Message {
    Message::new("order.completed", &7).unwrap().tenant(tenant)
}

const LONG: Duration = Duration::from_secs(60);
