//! What the server keeps of what it has acknowledged: asked once, after the first call that it has answered.

use std::sync::atomic::Ordering;

use redis::Value;
use tokio::time::timeout;

use super::shared::Inbox;
use crate::{error::StoreErrorKind, observe, store::redis::server::Lost};

/// Warns of a server that may lose what was answered with a success.
pub(super) async fn warn_once(inbox: &Inbox) {
    if inbox.is_durability_known.swap(true, Ordering::Relaxed) {
        return;
    }
    let script = &inbox.scripts.durability;
    let text = match inbox.run("read what the server keeps", script, &[], Lost::Again).await {
        Ok(mut answer) => answer.text().unwrap_or_default(),
        Err(error) => {
            // A server that refuses to tell is not asked again.
            let is_away = matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Busy);
            inbox.is_durability_known.store(!is_away, Ordering::Relaxed);
            return;
        }
    };
    if field(&text, "aof_enabled") == Some("0") {
        observe::inbox_not_durable("appendonly", "no", NO_FILE);
    } else if let Some(when) = appendfsync(inbox).await.filter(|when| when != "always") {
        observe::inbox_not_durable("appendfsync", &when, LATER);
    }
    let policy = field(&text, "maxmemory_policy").unwrap_or_default();
    if policy.starts_with("allkeys") && field(&text, "maxmemory").is_some_and(|bytes| bytes != "0") {
        observe::inbox_not_durable("maxmemory-policy", policy, EVICTED);
    }
}

const NO_FILE: &str = "what was answered with a success is lost when the server's process ends, but for what is in a snapshot; \
     set `appendonly yes` and `appendfsync always`";
const LATER: &str = "what was answered with a success in the last two seconds can be lost when the server's machine stops; set \
     `appendfsync always`";
const EVICTED: &str = "a full server drops what was answered with a success; set `noeviction`";

/// When the server writes its file to the disk. Unknown where it refuses to tell, as managed servers do, and in a cluster.
async fn appendfsync(inbox: &Inbox) -> Option<String> {
    let current = inbox.server.connection.current();
    if !current.value.is_single() {
        return None;
    }
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("appendfsync");
    let answer = timeout(inbox.server.timeout, current.value.query(&ask)).await.ok()?.ok()?;
    let value = match answer {
        Value::Array(values) => values.into_iter().nth(1)?,
        Value::Map(pairs) => pairs.into_iter().next()?.1,
        _ => return None,
    };
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
