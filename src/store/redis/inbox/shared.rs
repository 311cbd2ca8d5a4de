use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicBool},
};

use redis::Value;
use sha2::{Digest, Sha256};

use super::values::Answer;
use crate::{
    error::{StoreError, StoreErrorKind},
    inbox::InboxId,
    mutex::Mutex,
    store::redis::{
        script::Script,
        server::{Lost, Server},
    },
};

/// The scripts of the inbox, and where its events are.
#[derive(Debug)]
pub(in crate::store::redis) struct Inbox {
    pub(super) server: Arc<Server>,
    keys: Vec<Vec<u8>>,
    pub(super) scripts: Scripts,
    /// Whether the server was asked what it keeps.
    pub(super) is_durability_known: AtomicBool,
    /// Whose events this process works.
    consumers: Mutex<BTreeSet<Arc<str>>>,
}

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) accept: Script,
    pub(super) change: Script,
    pub(super) durability: Script,
    pub(super) erase: Script,
    pub(super) finish: Script,
    pub(super) is_done: Script,
    pub(super) lease: Script,
    pub(super) list: Script,
    pub(super) one: Script,
    pub(super) purge: Script,
    pub(super) renew: Script,
    pub(super) stats: Script,
}

impl Inbox {
    pub(in crate::store::redis) fn new(server: &Arc<Server>, prefix: &str) -> Self {
        let script = |part| Script::new(include_str!("scripts/event.lua"), part);
        Self {
            server: Arc::clone(server),
            // The braces are a hash tag: in a cluster all keys are in one slot.
            keys: NAMES.iter().map(|name| format!("{{{prefix}inbox}}:{name}").into_bytes()).collect(),
            scripts: Scripts {
                accept: script(include_str!("scripts/accept.lua")),
                change: script(include_str!("scripts/change.lua")),
                durability: script(include_str!("scripts/durability.lua")),
                erase: script(include_str!("scripts/erase.lua")),
                finish: script(include_str!("scripts/finish.lua")),
                is_done: script(include_str!("scripts/is_done.lua")),
                lease: script(include_str!("scripts/lease.lua")),
                list: script(include_str!("scripts/list.lua")),
                one: script(include_str!("scripts/one.lua")),
                purge: script(include_str!("scripts/purge.lua")),
                renew: script(include_str!("scripts/renew.lua")),
                stats: script(include_str!("scripts/stats.lua")),
            },
            is_durability_known: AtomicBool::new(false),
            consumers: Mutex::default(),
        }
    }

    /// Runs a script that needs no stream.
    pub(super) async fn run(
        &self,
        context: &'static str,
        script: &Script,
        arguments: &[&[u8]],
        lost: Lost,
    ) -> Result<Answer, StoreError> {
        let (_, keys) = self.keys.split_last().unwrap_or((&EMPTY, &[]));
        answer(context, self.server.run(context, script, (keys, arguments), lost).await?)
    }

    /// Runs a script that may touch the stream of a consumer.
    pub(super) async fn run_on_stream(
        &self,
        context: &'static str,
        (script, consumer): (&Script, &str),
        arguments: &[&[u8]],
        lost: Lost,
    ) -> Result<Answer, StoreError> {
        let mut keys = self.keys.clone();
        keys.pop();
        keys.push(self.stream(consumer));
        answer(context, self.server.run(context, script, (&keys, arguments), lost).await?)
    }

    /// Returns the key of the stream of a consumer.
    pub(super) fn stream(&self, consumer: &str) -> Vec<u8> {
        let mut key = self.keys.last().cloned().unwrap_or_default();
        key.extend_from_slice(consumer.as_bytes());
        key
    }

    /// Notes that this process works the events of a consumer, which is then listened for.
    pub(super) fn works(&self, consumer: &Arc<str>) {
        let mut consumers = self.consumers.lock();
        if !consumers.contains(consumer) {
            consumers.insert(Arc::clone(consumer));
        }
    }

    pub(super) fn consumers(&self) -> Vec<Arc<str>> {
        self.consumers.lock().iter().cloned().collect()
    }
}

fn answer(context: &'static str, value: Value) -> Result<Answer, StoreError> {
    match value {
        Value::Array(values) => match values.first() {
            Some(Value::Int(1)) => Ok(Answer::new(context, values.into_iter().skip(1).collect())),
            Some(Value::Int(OTHER_VERSION)) => Err(StoreError::new(StoreErrorKind::Schema, UNKNOWN_VERSION)),
            _ => Err(StoreError::new(StoreErrorKind::Corrupt, context)),
        },
        _ => Err(StoreError::new(StoreErrorKind::Corrupt, context)),
    }
}

/// What stands for a text in records and indexes: texts of senders have any length.
pub(super) fn mark(text: &str) -> [u8; 16] {
    let mut mark = [0; 16];
    mark.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    mark
}

/// The same for a text that may be missing.
pub(super) fn mark_of(text: Option<&str>) -> [u8; 16] {
    text.map(mark).unwrap_or_default()
}

/// A number as the scripts write it. `None` for one that no event has: Lua counts to 2^53 without rounding.
pub(super) fn number(id: InboxId) -> Option<String> {
    let number = id.to_u64();
    (number < 1 << 53).then(|| format!("{number:016}"))
}

/// In the order in which `event.lua` takes them.
const NAMES: [&str; 15] = [
    "meta",
    "events",
    "contents",
    "reasons",
    "ids",
    "states",
    "due",
    "ages",
    "order",
    "ended",
    "bare",
    "types",
    "tenants",
    "guards",
    "arrivals:",
];

const EMPTY: Vec<u8> = Vec::new();

const OTHER_VERSION: i64 = -1;

const UNKNOWN_VERSION: &str =
    "the inbox was written by another version of this crate; upgrade `tower-webhooks`, or use another prefix";
