use std::time::Duration;

use redis::{Client, ErrorKind, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

use super::{
    connection::Connection,
    error::{is_lost, store_error, timed_out},
    script::Script,
};
use crate::{
    clock::{ClockOffset, millis},
    error::StoreError,
    store::replaceable::Replaceable,
};

/// The connection to the server or the cluster, and the time that a call has.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) connection: Replaceable<Connection>,
    /// What opens another connection to the same server, unless the application or a cluster has them.
    #[cfg_attr(not(feature = "inbox"), allow(dead_code))] // Claims need no other one.
    pub(super) client: Option<Client>,
    pub(super) timeout: Duration,
    pub(super) clock_offset: ClockOffset,
}

/// What happens to a call whose connection turns out to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// It is made once more: the server does the same for it, or nothing.
    Again,
    /// It fails: made twice, it would do more than was asked.
    #[cfg_attr(not(feature = "inbox"), allow(dead_code))] // Claims need no such call.
    Fails,
}

impl Server {
    /// Runs a script within the timeout. Its first argument is the offset of the clock.
    pub(super) async fn run<K: AsRef<[u8]>>(
        &self,
        context: &'static str,
        script: &Script,
        (keys, arguments): (&[K], &[&[u8]]),
        lost: Lost,
    ) -> Result<Value, StoreError> {
        let offset = self.clock_offset.as_millis().to_string();
        let arguments = [&[offset.as_bytes()], arguments].concat();
        let current = self.connection.current();
        let calls = async {
            match run(&current.value, script, keys, &arguments).await {
                Err(error) if lost == Lost::Again && is_lost(&error) => {
                    run(&current.value, script, keys, &arguments).await
                }
                done => done,
            }
        };
        match timeout(self.timeout, calls).await {
            Ok(Ok(answer)) => {
                current.answered();
                Ok(answer)
            }
            Ok(Err(error)) if !error.is_timeout() => Err(store_error(error, context)),
            // The driver's own bound is the same, and may be noticed first.
            Ok(Err(_)) | Err(_) => {
                self.connection.replace(&current);
                Err(timed_out(context))
            }
        }
    }
}

/// Runs the script by its hash; a server that does not have it gets the whole script once.
///
/// That is `EVAL` and not `SCRIPT LOAD`: in a cluster it reaches the node that needs it, and it takes no further
/// round trip.
async fn run<K: AsRef<[u8]>>(
    connection: &Connection,
    script: &Script,
    keys: &[K],
    arguments: &[&[u8]],
) -> RedisResult<Value> {
    match connection.query(&script.by_hash(keys, arguments)).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            connection.query(&script.whole(keys, arguments)).await
        }
        done => done,
    }
}

/// Whole milliseconds as the scripts take them, at most a hundred years: fifteen digits hold any sum, and Lua counts that
/// far without rounding.
pub(super) fn decimal(duration: Duration) -> String {
    const CENTURY: i64 = 100 * 366 * 24 * 60 * 60 * 1000;
    millis(duration).min(CENTURY).to_string()
}
