//! The CPU time of this process.

use std::{fs, thread, time::Duration};

/// Returns the CPU time of this thread. The system updates it when a thread gives up the CPU, so this thread sleeps for
/// a moment first.
pub(crate) fn of_this_thread() -> Duration {
    thread::sleep(Duration::from_micros(1));
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells what a thread has taken");
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// The CPU time of all threads, those that have ended too, in hundredths of a second.
pub(crate) fn of_this_process() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").expect("Linux tells what a process has taken");
    // After the name, which may hold anything, user and system time are the 12th and 13th field.
    let fields: Vec<u64> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .map(|text| text.parse().unwrap())
        .collect();
    Duration::from_millis(10 * fields.iter().sum::<u64>())
}
