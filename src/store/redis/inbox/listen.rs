//! Hears what other processes store: a worker's own connection waits at the streams of the inboxes that this process works.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, RedisResult, Value, aio::MultiplexedConnection};
use tokio::time::{sleep, timeout};

use super::shared::Inbox;

/// Calls `wake` when something has come, until it is dropped. With a connection of the application's, and in a cluster, it returns:
/// workers then find what came when they next look.
pub(super) async fn listen(inbox: &Inbox, wake: Box<dyn Fn() + Send + Sync>) {
    let Some(client) = &inbox.server.client else { return };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(inbox.server.timeout))
        .set_response_timeout(Some(BLOCK + inbox.server.timeout));
    let mut pause = SHORTEST_PAUSE;
    loop {
        let connect = client.get_multiplexed_async_connection_with_config(&config);
        if let Ok(Ok(mut connection)) = timeout(inbox.server.timeout, connect).await {
            pause = SHORTEST_PAUSE;
            // What came before this connection was there.
            wake();
            let mut seen = BTreeMap::new();
            while let Ok(has_come) = hear(inbox, &mut connection, &mut seen).await {
                if has_come {
                    wake();
                    // What comes at the same time is one look.
                    sleep(TOGETHER).await;
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits for an entry after those that were seen. Returns `false` if none came.
async fn hear(
    inbox: &Inbox,
    connection: &mut MultiplexedConnection,
    seen: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> RedisResult<bool> {
    let consumers = inbox.consumers();
    if consumers.is_empty() {
        sleep(UNTIL_WORKED).await;
        return Ok(false);
    }
    let streams: Vec<Vec<u8>> = consumers.iter().map(|consumer: &Arc<str>| inbox.stream(consumer)).collect();
    if let Some(new) = streams.iter().find(|stream| !seen.contains_key(*stream)) {
        // Whatever comes after the last entry of this moment is heard, and the worker looks for what came before.
        let mut last = redis::cmd("XREVRANGE");
        let entries: Value = last.arg(new).arg("+").arg("-").arg("COUNT").arg(1).query_async(connection).await?;
        seen.insert(new.clone(), last_id(&entries).unwrap_or_else(|| b"0-0".to_vec()));
        return Ok(true);
    }
    let mut read = redis::cmd("XREAD");
    read.arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or_default()).arg("STREAMS").arg(&streams);
    for stream in &streams {
        read.arg(seen.get(stream).map_or(&b"$"[..], Vec::as_slice));
    }
    let answer: Value = read.query_async(connection).await?;
    let Value::Array(found) = answer else { return Ok(false) };
    for stream in found {
        // A name, and entries.
        if let Value::Array(parts) = stream
            && let [Value::BulkString(name), entries] = &parts[..]
            && let Some(id) = last_id(entries)
        {
            seen.insert(name.clone(), id);
        }
    }
    Ok(true)
}

/// The id of the last of some entries, each of which is an id and its fields.
fn last_id(entries: &Value) -> Option<Vec<u8>> {
    let Value::Array(entries) = entries else { return None };
    let Some(Value::Array(entry)) = entries.last() else { return None };
    match entry.first() {
        Some(Value::BulkString(id)) => Some(id.clone()),
        _ => None,
    }
}

/// How long one command waits: a consumer that is worked from now on is heard after that.
const BLOCK: Duration = Duration::from_secs(1);
const UNTIL_WORKED: Duration = Duration::from_millis(100);
const TOGETHER: Duration = Duration::from_millis(20);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
