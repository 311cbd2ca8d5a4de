use std::time::Duration;

use bytes::Bytes;

use super::{
    durability,
    facts::{Facts, decode_content},
    shared::{Inbox, mark, number},
    values::Answer,
};
use crate::{
    error::StoreError,
    idempotency::ClaimKey,
    inbox::{
        Content, Ending, Fenced, InboxId, InboxLease, InboxLeases, LeaseToken, LeasedEvent,
        policy::{EXHAUSTED, MOST_EXHAUSTED},
    },
    observe,
    store::redis::{
        script::Script,
        server::{Lost, decimal},
    },
};

/// Returns what is due, held by the token. It is not made again when its connection is lost: what the first one gave out would be held by nobody
/// who knows.
pub(super) async fn lease(inbox: &Inbox, request: InboxLease) -> Result<InboxLeases, StoreError> {
    inbox.works(&request.consumer);
    let mut arguments: Vec<Vec<u8>> = vec![
        mark(&request.consumer).into(),
        request.token.to_bytes().into(),
        decimal(request.lease).into(),
        request.limit.min(MOST_LEASED).to_string().into(),
        request.attempts.to_string().into(),
        request.source_limit.map(|limit| limit.to_string()).unwrap_or_default().into(),
        EXHAUSTED.into(),
        MOST_EXHAUSTED.to_string().into(),
    ];
    for (source, held) in &request.held {
        arguments.extend([mark(source).into(), held.to_string().into()]);
    }
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let script = (&inbox.scripts.lease, &*request.consumer);
    let mut answer = inbox.run_on_stream("lease events of the inbox", script, &arguments, Lost::Fails).await?;
    durability::warn_once(inbox).await;
    let next_due = answer.time()?.map(duration);
    let exhausted = answer.count()?;
    report(&request.consumer, &mut answer.list()?)?;
    let mut list = answer.list()?;
    let mut events = Vec::with_capacity(list.len());
    while list.len() > 0 {
        events.push(leased(&mut list.list()?)?);
    }
    Ok(InboxLeases::new(events, next_due, exhausted))
}

/// Logs what somebody else did to the stream.
fn report(consumer: &str, found: &mut Answer) -> Result<(), StoreError> {
    let (group_gone, passed_over, foreign, missing) = (found.int()?, found.int()?, found.int()?, found.count()?);
    if group_gone > 0 {
        observe::inbox_stream_changed(consumer, "its group was gone, and was made again from the beginning", None);
    }
    if passed_over > 0 {
        observe::inbox_stream_changed(
            consumer,
            "entries had been read or passed over by somebody else, and were read again",
            None,
        );
    }
    if foreign > 0 {
        observe::inbox_stream_changed(
            consumer,
            "entries that this crate did not write were removed",
            u64::try_from(foreign).ok(),
        );
    }
    if missing > 0 {
        observe::inbox_stream_changed(
            consumer,
            "entries had been deleted, and their events were found by their records",
            Some(missing),
        );
    }
    Ok(())
}

fn leased(event: &mut Answer) -> Result<LeasedEvent, StoreError> {
    let (id, attempt, round_attempt) = (event.id()?, event.small()?, event.small()?);
    let age = event.time()?.map(duration).unwrap_or_default();
    let key = ClaimKey::from_bytes(event.array()?);
    // What cannot be read is given out nevertheless: its worker finds that, and makes it a dead letter.
    let provider = Facts::decode(event.bytes()?).map_or_else(|| "".into(), |facts| facts.provider);
    let content = event.maybe_bytes()?.and_then(decode_content);
    let content = content.unwrap_or_else(|| Content::new("".into(), Bytes::new()));
    Ok(LeasedEvent::new(id, key, (attempt, round_attempt), provider, content, age))
}

pub(super) async fn renew(
    inbox: &Inbox,
    id: InboxId,
    token: LeaseToken,
    lease: Duration,
) -> Result<Fenced, StoreError> {
    let call = ("renew a lease of the inbox", &inbox.scripts.renew, Lost::Again);
    fenced(inbox, call, (id, token), &[decimal(lease).as_bytes()]).await
}

pub(super) async fn is_done(inbox: &Inbox, id: InboxId, token: LeaseToken) -> Result<Fenced, StoreError> {
    fenced(inbox, ("read an event of the inbox", &inbox.scripts.is_done, Lost::Again), (id, token), &[]).await
}

/// Ends an attempt. It is not made again when its connection is lost: if the first one did it, the second would say that another holds it.
pub(super) async fn finish(
    inbox: &Inbox,
    id: InboxId,
    token: LeaseToken,
    ending: Ending,
) -> Result<Fenced, StoreError> {
    let (how, wait) = match &ending {
        Ending::Dead { .. } => ("d", Duration::ZERO),
        Ending::Discarded { .. } => ("x", Duration::ZERO),
        Ending::Done => ("f", Duration::ZERO),
        Ending::Retry { wait, .. } => ("r", *wait),
        Ending::Returned => ("b", Duration::ZERO),
    };
    let reason = ending.reason();
    let arguments: [&[u8]; 4] = [
        how.as_bytes(),
        &decimal(wait).into_bytes(),
        if reason.is_some() { b"1" } else { b"0" },
        reason.as_deref().unwrap_or_default().as_bytes(),
    ];
    let call = ("end an event of the inbox", &inbox.scripts.finish, Lost::Fails);
    fenced(inbox, call, (id, token), &arguments).await
}

async fn fenced(
    inbox: &Inbox,
    (context, script, lost): (&'static str, &Script, Lost),
    (id, token): (InboxId, LeaseToken),
    arguments: &[&[u8]],
) -> Result<Fenced, StoreError> {
    let Some(number) = number(id) else { return Ok(Fenced::Stale) };
    let token = token.to_bytes();
    let arguments = [&[number.as_bytes(), &token], arguments].concat();
    let mut answer = inbox.run(context, script, &arguments, lost).await?;
    match answer.int()? {
        0 => Ok(Fenced::Stale),
        1 => Ok(Fenced::Applied),
        _ => Err(answer.unreadable()),
    }
}

pub(super) fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// How many events one lease gives out at most, so that the server does not answer others for long. A worker asks again.
const MOST_LEASED: u32 = 1000;
