use super::{
    durability,
    facts::{Facts, encode_content},
    shared::{Inbox, mark, mark_of},
};
use crate::{
    error::StoreError,
    inbox::{AcceptRequest, Accepted},
    store::redis::server::{Lost, decimal},
};

/// Stores events in one step. Made twice, it finds what the first one stored.
pub(super) async fn accept(inbox: &Inbox, request: AcceptRequest) -> Result<Vec<Accepted>, StoreError> {
    let AcceptRequest { consumer, events, limit, .. } = request;
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments: Vec<Vec<u8>> = vec![
        mark(&consumer).into(),
        limit.map(|limit| limit.min(MOST).to_string()).unwrap_or_default().into(),
        events.len().to_string().into(),
    ];
    for event in &events {
        arguments.extend([
            event.key.to_bytes().into(),
            event.fingerprint.to_bytes().into(),
            mark(&event.provider).into(),
            mark_of(event.event_type.as_deref()).into(),
            mark_of(event.tenant.as_deref()).into(),
            event.order_key.map(|key| key.to_bytes().into()).unwrap_or_default(),
            event.guard.map(|guard| guard.key.to_bytes().into()).unwrap_or_default(),
            event.guard.map(|guard| decimal(guard.window)).unwrap_or_default().into(),
            decimal(event.retention).into(),
            Facts::of(&consumer, event).encode(),
            encode_content(&event.content),
        ]);
    }
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let script = (&inbox.scripts.accept, &*consumer);
    let mut answer = inbox.run_on_stream("store events of the inbox", script, &arguments, Lost::Again).await?;
    durability::warn_once(inbox).await;
    let mut answers = answer.list()?;
    if answers.len() != events.len() {
        return Err(answer.unreadable());
    }
    let mut accepted = Vec::with_capacity(events.len());
    for _ in events {
        accepted.push(match answers.int()? {
            0 => Accepted::Duplicate { other_body: false },
            1 => Accepted::Duplicate { other_body: true },
            2 => Accepted::Full,
            3 => Accepted::New,
            4 => Accepted::Rearmed { other_body: false },
            5 => Accepted::Rearmed { other_body: true },
            6 => Accepted::Replay,
            _ => return Err(answers.unreadable()),
        });
    }
    Ok(accepted)
}

/// A limit that is never reached: Lua counts so far without rounding.
const MOST: u64 = 1 << 53;
