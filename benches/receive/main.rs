//! How fast receiving is, as ratios to what an axum user would have without this crate, in one run.
//!
//! ```text
//! cargo bench --bench receive                      the table
//! cargo bench --bench receive -- --quick           a few rounds, to see that it runs; the times mean nothing
//! cargo bench --bench receive -- --only NAME N     one contestant N times and no table, for a profiler
//! ```
//!
//! docs/performance.md says what is measured, and how to read it. Times vary, so they are printed and not asserted;
//! counts are exact, and a wrong one ends the run.
#![allow(missing_docs, clippy::print_stdout)]

mod bodies;
mod contestants;
mod measure;
#[path = "../support/table.rs"]
mod table;

use std::env;

use self::{
    bodies::Delivery,
    contestants::Contestant,
    measure::{Plan, allocations, last_byte, ratios},
    table::Table,
};

const KIB: usize = 1024;
const SIZES: [(usize, &str); 3] = [(KIB, "1 KiB"), (64 * KIB, "64 KiB"), (1024 * KIB, "1 MiB")];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    // The layer arms a timer when a frame is awaited, as every server with a deadline does.
    let _context = runtime.enter();
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => allocation_counter::opt_out(|| table(Plan::full())),
        ["--quick"] => allocation_counter::opt_out(|| table(Plan::quick())),
        ["--only", name, times] => {
            let times = times.parse().expect("how many times is a number");
            allocation_counter::opt_out(|| only(name, times));
        }
        _ => panic!("arguments are `--quick`, or `--only NAME N`; see the top of benches/receive/main.rs"),
    }
}

fn table(plan: Plan) {
    let mut table = plan.table();
    table.note("median times of one request:");
    let reaches = [(0.80, 1.18), (0.66, 1.02), (0.70, 1.05)];
    for ((size, label), (json_reach, hand_reach)) in SIZES.into_iter().zip(reaches) {
        let delivery = Delivery::new(size);
        let mut all = vec![
            Contestant::json(),
            Contestant::by_hand(),
            Contestant::bare(),
            Contestant::envelope(),
            Contestant::event(),
            Contestant::borrowed(),
            Contestant::verified_body(),
            Contestant::json_skipping(),
            Contestant::envelope_skipping(),
            Contestant::event_enum(),
            Contestant::routed(),
        ];
        let times = ratios(&mut all, &delivery, plan.rounds_of(size), plan.batch_of(size));
        let [json, hand, bare, envelope, event, borrowed, verified, json_skipping, skipping, event_enum, routed] =
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        table.row(&format!("whole body / `Json<T>`, {label}"), times.of(envelope, json), Some(json_reach));
        if size == 64 * KIB {
            table.row(&format!("borrowed whole body / `Json<T>`, {label}"), times.of(borrowed, json), Some(0.52));
        }
        table.row(&format!("payload / by hand, {label}"), times.of(event, hand), Some(hand_reach));
        table.row(&format!("whole body / by hand, {label}"), times.of(envelope, hand), Some(hand_reach));
        table.row(&format!("enum over event types / by hand, {label}"), times.of(event_enum, hand), Some(1.45));
        table.row(&format!("routed by event type / by hand, {label}"), times.of(routed, hand), Some(1.45));
        table.row(&format!("verified, not parsed / bare `Bytes`, {label}"), times.of(verified, bare), None);
        table.row(
            &format!("whole body that is mostly skipped / `Json<T>`, {label}"),
            times.of(skipping, json_skipping),
            None,
        );
        for (index, contestant) in all.iter().enumerate() {
            time(&mut table, contestant.name, label, times.median(index));
        }
    }

    let delivery = Delivery::new(KIB);
    let bare = allocations(&Contestant::bare(), &delivery);
    let verified = allocations(&Contestant::verified_body(), &delivery);
    table.count("allocations, verified and not parsed - bare `Bytes`, 1 KiB", verified, bare, 3);

    let delivery = Delivery::new(1024 * KIB);
    let ratio = last_byte(&Contestant::verified_body(), &Contestant::bare(), &delivery, plan.rounds_of(1024 * KIB));
    table.row("last byte to answer / bare `Bytes`, 1 MiB", ratio, Some(0.5));

    for (label, delivery) in [
        ("unsigned, 1 KiB", Delivery::new(KIB).unsigned()),
        ("stale, 1 KiB", Delivery::new(KIB).stale()),
        ("stale, 64 KiB", Delivery::new(64 * KIB).stale()),
    ] {
        let mut all = [Contestant::refused_by_hand(), Contestant::refused(), Contestant::refused_blindly()];
        let times = ratios(&mut all, &delivery, plan.rounds_of(KIB), plan.batch_of(KIB));
        table.row(&format!("refused from the head / by hand, {label}"), times.of(1, 0), Some(0.58));
        table.row(&format!("refused from the head / refused blindly, {label}"), times.of(1, 2), None);
        for (index, contestant) in all.iter().enumerate() {
            time(&mut table, contestant.name, label, times.median(index));
        }
    }
    table.print();
}

fn time(table: &mut Table, name: &str, label: &str, nanos: f64) {
    table.note(format!("  {name}, {label}: {:.2} us", nanos / 1000.0));
}

fn only(name: &str, times: usize) {
    let (name, size) = name.rsplit_once('-').expect("a name ends in its size, as in `event-1k`");
    let size = match size {
        "1k" => KIB,
        "64k" => 64 * KIB,
        "1m" => 1024 * KIB,
        _ => panic!("sizes are `1k`, `64k` and `1m`"),
    };
    let delivery = Delivery::new(size);
    let (contestant, delivery) = match name {
        "bare" => (Contestant::bare(), delivery),
        "borrowed" => (Contestant::borrowed(), delivery),
        "envelope" => (Contestant::envelope(), delivery),
        "enum" => (Contestant::event_enum(), delivery),
        "event" => (Contestant::event(), delivery),
        "hand" => (Contestant::by_hand(), delivery),
        "json" => (Contestant::json(), delivery),
        "routed" => (Contestant::routed(), delivery),
        "refused" => (Contestant::refused(), delivery.stale()),
        "refused_blindly" => (Contestant::refused_blindly(), delivery.stale()),
        "refused_by_hand" => (Contestant::refused_by_hand(), delivery.stale()),
        "verified" => (Contestant::verified_body(), delivery),
        _ => panic!("there is no contestant `{name}`"),
    };
    for _ in 0..times {
        contestant.answer(contestant.request(&delivery));
    }
}
