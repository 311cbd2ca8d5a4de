//! How fast receiving is, as ratios to what an axum user would have without this crate, in one run.
//!
//! ```text
//! cargo bench --bench receive                      the table
//! cargo bench --bench receive -- --quick           a few rounds, to see that it runs; the times mean nothing
//! cargo bench --bench receive -- --only NAME N     one contestant N times and no table, for a profiler
//! benches/instructions.sh                          the instructions of one request without SHA-256, which do not wobble
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
mod types;

use std::env;

use self::{
    bodies::{Delivery, Sender, Shape},
    contestants::Contestant,
    measure::{Plan, allocations, last_byte, ratios},
    table::Table,
    types::{Event, Invoice, ReadmeEvent, ReadmeInvoice, ShortEvent, SmallEvent, SmallInvoice},
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
        [] => allocation_counter::opt_out(|| print(Plan::full())),
        ["--quick"] => allocation_counter::opt_out(|| print(Plan::quick())),
        ["--only", name, times] => {
            let times = times.parse().expect("how many times is a number");
            allocation_counter::opt_out(|| only(name, times));
        }
        _ => panic!("arguments are `--quick`, or `--only NAME N`; see the top of benches/receive/main.rs"),
    }
}

fn print(plan: Plan) {
    let mut table = plan.table();
    table.note("median times of one request:");
    for (size, label) in SIZES {
        whole_bodies(&mut table, plan, size, label);
        payloads(&mut table, plan, size, label);
        routing(&mut table, plan, size, label);
    }
    unparsed(&mut table, plan);

    let delivery = Delivery::new(Shape::Rich, Sender::Stripe, KIB);
    let bare = allocations(&Contestant::bare(), &delivery);
    let verified = allocations(&Contestant::verified_body(Sender::Stripe), &delivery);
    table.count("allocations, verified and not parsed - bare `Bytes`, 1 KiB", verified, bare, 3);

    let delivery = Delivery::new(Shape::Rich, Sender::Stripe, 1024 * KIB);
    let rounds = plan.rounds_of(1024 * KIB);
    let ratio = last_byte(&Contestant::verified_body(Sender::Stripe), &Contestant::bare(), &delivery, rounds);
    table.row("last byte to answer / bare `Bytes`, 1 MiB", ratio, Some(0.5));
    refusals(&mut table, plan);
    table.print();
}

/// The whole body as a type, for each sender and each kind of type.
fn whole_bodies(table: &mut Table, plan: Plan, size: usize, label: &str) {
    let reach = if size == 1024 * KIB { 0.76 } else { 0.85 };
    for sender in Sender::ALL {
        let of = sender.name();
        let mut row = |kind: &str, shape, reach, all: &mut [Contestant]| {
            let times = ratios(all, &Delivery::new(shape, sender, size), plan.rounds_of(size), plan.batch_of(size));
            table.row(&format!("whole body, {kind} / `Json<T>`, {of}, {label}"), times.of(0, 1), reach);
            table.row(&format!("whole body, {kind} / bound, parsed, {of}, {label}"), times.of(0, 2), None);
            for (index, contestant) in all.iter().enumerate() {
                time(table, contestant.name, &format!("{kind}, {of}, {label}"), times.median(index));
            }
        };
        let name = "`VerifiedEnvelope<T>`";
        let mut rich = [
            Contestant::envelope::<Event>(name, sender),
            Contestant::json::<Event>("`Json<T>`"),
            Contestant::bound::<Event>(sender),
        ];
        row("rich `T`", Shape::Rich, Some(reach), &mut rich);
        let mut small = [
            Contestant::envelope::<SmallEvent>(name, sender),
            Contestant::json::<SmallEvent>("`Json<T>`"),
            Contestant::bound::<SmallEvent>(sender),
        ];
        row("small `T`", Shape::Small, Some(reach), &mut small);
        let mut readme = [
            Contestant::envelope::<ReadmeEvent>(name, sender),
            Contestant::json::<ReadmeEvent>("`Json<T>`"),
            Contestant::bound::<ReadmeEvent>(sender),
        ];
        // It reads two fields and skips the rest, so that there is little to save.
        row("the README's `T`", Shape::Rich, None, &mut readme);
    }
}

/// The payload as a type, and other ways to it, of Stripe's rich event.
fn payloads(table: &mut Table, plan: Plan, size: usize, label: &str) {
    let stripe = Sender::Stripe;
    let hand_reach = if size == KIB { 1.18 } else { 1.05 };
    let mut all = [
        Contestant::by_hand::<Event>(stripe),
        Contestant::envelope::<Event>("`VerifiedEnvelope<T>`", stripe),
        Contestant::event::<Invoice>(stripe),
        Contestant::event_enum(),
        Contestant::json::<Event>("`Json<T>`"),
        Contestant::borrowed(),
        Contestant::json::<ShortEvent>("`Json<T>`, mostly skipped"),
        Contestant::envelope::<ShortEvent>("`VerifiedEnvelope<T>`, mostly skipped", stripe),
    ];
    let delivery = Delivery::new(Shape::Rich, stripe, size);
    let times = ratios(&mut all, &delivery, plan.rounds_of(size), plan.batch_of(size));
    let [hand, envelope, event, event_enum, json, borrowed, json_skipping, skipping] = [0, 1, 2, 3, 4, 5, 6, 7];
    table.row(&format!("payload / by hand, {label}"), times.of(event, hand), Some(hand_reach));
    table.row(&format!("whole body / by hand, {label}"), times.of(envelope, hand), Some(hand_reach));
    table.row(&format!("enum over event types / by hand, {label}"), times.of(event_enum, hand), Some(1.45));
    if size == 64 * KIB {
        table.row(&format!("borrowed whole body / `Json<T>`, {label}"), times.of(borrowed, json), Some(0.52));
    }
    let skipped = times.of(skipping, json_skipping);
    table.row(&format!("whole body that is mostly skipped / `Json<T>`, {label}"), skipped, None);
    for (index, contestant) in all.iter().enumerate() {
        time(table, contestant.name, label, times.median(index));
    }
}

/// What an `EventRouter` costs, whose event type is in the body (Stripe) or in the head (GitHub).
fn routing(table: &mut Table, plan: Plan, size: usize, label: &str) {
    let reach = match size {
        KIB => Some(1.08),
        _ if size == 64 * KIB => Some(1.03),
        _ => None,
    };
    for sender in [Sender::Stripe, Sender::GitHub] {
        let of = sender.name();
        let mut row = |kind: &str, shape, all: &mut [Contestant]| {
            let times = ratios(all, &Delivery::new(shape, sender, size), plan.rounds_of(size), plan.batch_of(size));
            table.row(&format!("`EventRouter` / without, {kind}, {of}, {label}"), times.of(1, 0), reach);
            for (index, contestant) in all.iter().enumerate() {
                time(table, contestant.name, &format!("{kind}, {of}, {label}"), times.median(index));
            }
        };
        match sender {
            Sender::GitHub => {
                let mut rich = [Contestant::event::<Event>(sender), Contestant::routed::<Event>(sender)];
                row("rich `T`", Shape::Rich, &mut rich);
                let mut small = [Contestant::event::<SmallEvent>(sender), Contestant::routed::<SmallEvent>(sender)];
                row("small `T`", Shape::Small, &mut small);
            }
            _ => {
                let mut rich = [Contestant::event::<Invoice>(sender), Contestant::routed::<Invoice>(sender)];
                row("rich `T`", Shape::Rich, &mut rich);
                let mut small = [Contestant::event::<SmallInvoice>(sender), Contestant::routed::<SmallInvoice>(sender)];
                row("small `T`", Shape::Small, &mut small);
                let mut readme =
                    [Contestant::event::<ReadmeInvoice>(sender), Contestant::routed::<ReadmeInvoice>(sender)];
                row("the README's `T`", Shape::Rich, &mut readme);
            }
        }
    }
}

/// Verified and not parsed: what the layer costs by itself.
fn unparsed(table: &mut Table, plan: Plan) {
    for sender in Sender::ALL {
        let of = sender.name();
        for (size, label) in [SIZES[0], SIZES[1]] {
            let mut all = [
                Contestant::verified_body(sender),
                Contestant::bound_unparsed(sender),
                Contestant::by_hand_unparsed(sender),
                Contestant::bare(),
            ];
            let delivery = Delivery::new(Shape::Small, sender, size);
            let times = ratios(&mut all, &delivery, plan.rounds_of(size), plan.batch_of(size));
            let reach = (size == KIB).then_some(1.35);
            table.row(&format!("verified, not parsed / bound, {of}, {label}"), times.of(0, 1), reach);
            table.row(&format!("verified, not parsed / by hand, {of}, {label}"), times.of(0, 2), None);
            table.row(&format!("verified, not parsed / bare `Bytes`, {of}, {label}"), times.of(0, 3), None);
            for (index, contestant) in all.iter().enumerate() {
                time(table, contestant.name, &format!("{of}, {label}"), times.median(index));
            }
        }
    }
}

fn refusals(table: &mut Table, plan: Plan) {
    let delivery = |size| Delivery::new(Shape::Rich, Sender::Stripe, size);
    for (label, reach, delivery) in [
        ("unsigned, 1 KiB", 1.15, delivery(KIB).unsigned()),
        ("stale, 1 KiB", 1.30, delivery(KIB).stale()),
        ("stale, 64 KiB", 1.30, delivery(64 * KIB).stale()),
    ] {
        let mut all = [Contestant::refused_by_hand(), Contestant::refused(), Contestant::refused_blindly()];
        let times = ratios(&mut all, &delivery, plan.rounds_of(KIB), plan.batch_of(KIB));
        table.row(&format!("refused from the head / refused blindly, {label}"), times.of(1, 2), Some(reach));
        table.row(&format!("refused from the head / by hand, {label}"), times.of(1, 0), None);
        for (index, contestant) in all.iter().enumerate() {
            time(table, contestant.name, label, times.median(index));
        }
    }
}

fn time(table: &mut Table, name: &str, label: &str, nanos: f64) {
    table.note(format!("  {name}, {label}: {:.2} us", nanos / 1000.0));
}

fn only(name: &str, times: usize) {
    let wrong = || -> ! { panic!("a name is `CONTESTANT-SENDER-SHAPE-SIZE`, as in `event-stripe-small-1k`") };
    let parts: Vec<_> = name.split('-').collect();
    let [name, sender, shape, size] = parts[..] else { wrong() };
    let size = match size {
        "1k" => KIB,
        "64k" => 64 * KIB,
        "1m" => 1024 * KIB,
        _ => wrong(),
    };
    let sender = match sender {
        "github" => Sender::GitHub,
        "standard" => Sender::StandardWebhooks,
        "stripe" => Sender::Stripe,
        _ => wrong(),
    };
    let (shape, is_small) = match shape {
        "rich" => (Shape::Rich, false),
        "small" => (Shape::Small, true),
        _ => wrong(),
    };
    let delivery = Delivery::new(shape, sender, size);
    let envelope = "`VerifiedEnvelope<T>`";
    let (contestant, delivery) = match (name, is_small) {
        ("bare", _) => (Contestant::bare(), delivery),
        ("bound", _) => (Contestant::bound_unparsed(sender), delivery),
        ("borrowed", false) => (Contestant::borrowed(), delivery),
        ("envelope", false) => (Contestant::envelope::<Event>(envelope, sender), delivery),
        ("envelope", true) => (Contestant::envelope::<SmallEvent>(envelope, sender), delivery),
        ("enum", false) => (Contestant::event_enum(), delivery),
        ("event", false) => (Contestant::event::<Invoice>(sender), delivery),
        ("event", true) => (Contestant::event::<SmallInvoice>(sender), delivery),
        ("hand", false) => (Contestant::by_hand::<Event>(sender), delivery),
        ("hand", true) => (Contestant::by_hand::<SmallEvent>(sender), delivery),
        ("hand_unparsed", _) => (Contestant::by_hand_unparsed(sender), delivery),
        ("json", false) => (Contestant::json::<Event>("`Json<T>`"), delivery),
        ("json", true) => (Contestant::json::<SmallEvent>("`Json<T>`"), delivery),
        ("routed", false) => (Contestant::routed::<Invoice>(sender), delivery),
        ("routed", true) => (Contestant::routed::<SmallInvoice>(sender), delivery),
        ("refused", _) => (Contestant::refused(), delivery.stale()),
        ("refused_blindly", _) => (Contestant::refused_blindly(), delivery.stale()),
        ("refused_by_hand", _) => (Contestant::refused_by_hand(), delivery.stale()),
        ("verified", _) => (Contestant::verified_body(sender), delivery),
        _ => panic!("there is no contestant `{name}` of this shape"),
    };
    for _ in 0..times {
        contestant.answer(contestant.request(&delivery));
    }
}
