//! A store whose server goes away at a claim, at the record of an outcome, at a release: as the table says.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tower_webhooks::idempotency::IdempotencyStore;

use super::{
    once::{AGES, End, Run, Web},
    proxy::{Fault, Proxy},
    web::{Answer, send},
};

const FAULTS: [Fault; 4] = [Fault::Refuse, Fault::Hang, Fault::CutAfterSend, Fault::CutBeforeSend];

/// Repeats a delivery, as its sender does, until it is acknowledged.
async fn repeat(web: &Web, id: &str) -> Answer {
    let repeated = timeout(AGES, async {
        loop {
            let answer = send(web.address(), id).await;
            if answer.status == 200 {
                return answer;
            }
            assert_eq!(answer.status, 503, "{answer:?}");
            sleep(Duration::from_millis(20)).await;
        }
    });
    repeated.await.expect("it is acknowledged in the end")
}

/// 503 with `Retry-After`, and no run. Afterwards it runs once, also if the claim was made and its answer lost.
pub(crate) async fn at_the_claim_it_is_a_503_and_no_run<S: IdempotencyStore + Clone>(store: S, proxy: &Proxy) {
    for fault in FAULTS {
        let id = format!("{fault:?}");
        let web = Web::start(std::slice::from_ref(&store)).await;

        proxy.set(fault);
        let refused = send(web.address(), &id).await;
        proxy.set(Fault::None);

        assert_eq!(refused.status, 503, "{fault:?}");
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(web.shop.runs.of(&id), Run::default(), "{fault:?}");
        assert!(!repeat(&web, &id).await.is_replayed());
        assert_eq!(web.shop.runs.of(&id).finished, 1, "{fault:?}");
        assert!(send(web.address(), &id).await.is_replayed());
    }
}

/// The handler's answer, and the record when the store is back.
pub(crate) async fn at_the_record_it_is_the_handlers_answer_and_the_record_comes_later<S: IdempotencyStore + Clone>(
    store: S,
    proxy: &Proxy,
) {
    for fault in FAULTS {
        let id = format!("{fault:?}");
        let mut web = Web::start(std::slice::from_ref(&store)).await;
        let (address, first) = (web.address(), id.clone());
        web.shop.shut();
        let first = tokio::spawn(async move { send(address, &first).await });
        web.begun().await;

        proxy.set(fault);
        web.shop.open();
        let answer = timeout(AGES, first).await.unwrap().unwrap();
        proxy.set(Fault::None);

        assert_eq!((answer.status.as_u16(), &*answer.text), (200, "ran"), "{fault:?}");
        web.drain().await;
        assert!(send(address, &id).await.is_replayed(), "{fault:?}");
        assert_eq!(web.shop.runs.of(&id), Run { attempts: vec![1], finished: 1 }, "{fault:?}");
    }
}

/// The handler's failure, and the next copy runs once the store is back, long before the lease has ended.
pub(crate) async fn at_the_release_it_is_the_handlers_answer_and_the_next_one_runs<S: IdempotencyStore + Clone>(
    store: S,
    proxy: &Proxy,
) {
    for fault in FAULTS {
        let id = format!("{fault:?}");
        let mut web = Web::start(std::slice::from_ref(&store)).await;
        let (address, first) = (web.address(), id.clone());
        web.shop.end_with(&[End::Status(500)]);
        web.shop.shut();
        let first = tokio::spawn(async move { send(address, &first).await });
        web.begun().await;

        proxy.set(fault);
        web.shop.open();
        let answer = timeout(AGES, first).await.unwrap().unwrap();
        proxy.set(Fault::None);

        assert_eq!(answer.status, 500, "{fault:?}");
        let repeated = timeout(Duration::from_secs(50), repeat(&web, &id)).await.expect("no wait for the lease");
        assert!(!repeated.is_replayed());
        assert_eq!(web.shop.runs.of(&id), Run { attempts: vec![1, 2], finished: 1 }, "{fault:?}");
    }
}
