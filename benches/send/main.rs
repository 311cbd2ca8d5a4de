//! The cost of sending: of the client, as a ratio to code by hand with hyper-util; of a fan-out, in memory; and the
//! throughput of an outbox with its worker.
//!
//! ```text
//! cargo bench --all-features --bench send                  all of it, in some minutes
//! cargo bench --all-features --bench send -- --quick       a little of it, to see that it runs; the times mean nothing
//! cargo bench --all-features --bench send -- client        one part: `client`, `fan-out` or `deliveries`
//! cargo bench --all-features --bench send -- beside PATH   the deliveries, beside the program of this bench of another commit
//! ```
//!
//! `beside` takes the name of a store after the path, and then the number of rounds. The other commit needs these files of `benches/`;
//! `cargo bench --no-run` prints the path of its program.
//!
//! docs/performance.md says what is measured, and how to read it. The receivers are a process of their own, so that what
//! this process takes is the sender's alone. Linux is needed, which tells a thread's CPU time in a file.
#![allow(missing_docs, clippy::print_stdout)] // It prints tables.
#![allow(clippy::unwrap_used)] // It may end where a server must not.

mod client;
mod cpu;
mod deliveries;
mod fan_out;
#[cfg(feature = "postgres")]
#[allow(dead_code)] // It serves the tests first.
#[path = "../../tests/support/postgres_server.rs"]
mod postgres_server;
#[cfg(feature = "postgres")]
#[allow(dead_code)] // As above.
#[path = "../../tests/support/process.rs"]
mod process;
mod receiver;
#[path = "../support/table.rs"]
mod table;

use std::env;

use self::{receiver::Receiver, table::Table};

fn main() {
    allocation_counter::opt_out(|| {
        receiver::serve_if_asked();
        let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (is_quick, part) = match arguments[..] {
            ["once", ..] => return deliveries::once(&arguments[1..]),
            ["beside", other] => return deliveries::beside(other, None, 5),
            ["beside", other, store] => return deliveries::beside(other, Some(store), 5),
            ["beside", other, store, rounds] => return deliveries::beside(other, Some(store), rounds.parse().unwrap()),
            [] => (false, None),
            ["--quick"] => (true, None),
            [part @ ("client" | "fan-out" | "deliveries")] => (false, Some(part)),
            _ => panic!("arguments are `--quick`, or a part; see the top of benches/send/main.rs"),
        };
        let wanted = |name| part.is_none_or(|part| part == name);

        let mut table = Table::new("send: medians of the rounds, quartiles in brackets", is_quick);
        if wanted("client") {
            client::rows(&mut table, is_quick);
        }
        if wanted("fan-out") {
            fan_out::rows(&mut table, is_quick);
        }
        table.print();
        if wanted("deliveries") {
            deliveries::print(is_quick);
        }
    });
}
