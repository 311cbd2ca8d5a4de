//! Checks that a stream keeps acknowledged messages: a pure function, and the calls around it.

use std::time::Duration;

use async_nats::jetstream::{
    Context,
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType},
};

use super::{
    error::{refused, unavailable},
    jet_stream::Names,
};
use crate::error::StoreError;

/// The settings of created streams.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewStreams {
    pub(super) replicas: usize,
    pub(super) duplicate_window: Duration,
    pub(super) max_messages: i64,
}

/// How long dead letters are kept in a stream that we create, as in an inbox.
const DEAD_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Opens both streams, or returns what is wrong with them.
pub(super) async fn open(context: &Context, names: &Names, create: Option<NewStreams>) -> Result<(), StoreError> {
    let events = create.map(|new| Config {
        retention: RetentionPolicy::WorkQueue,
        duplicate_window: new.duplicate_window,
        ..of(&names.stream, &names.subject, new)
    });
    let dead = create.map(|new| Config { max_age: DEAD_AGE, ..of(&names.dead_stream, &names.dead_subject, new) });
    let largest = open_one(context, &names.stream, &names.subject, events).await?;
    let largest_dead = open_one(context, &names.dead_stream, &names.dead_subject, dead).await?;
    if largest_dead < largest {
        return Err(refused(format!(
            "the stream `{}` takes smaller messages than `{}`",
            names.dead_stream, names.stream
        )));
    }
    Ok(())
}

fn of(name: &str, subject: &str, new: NewStreams) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_messages: new.max_messages,
        num_replicas: new.replicas,
        ..Config::default()
    }
}

/// Opens a stream, and returns the most bytes of its messages, as far as it has a limit of its own.
async fn open_one(context: &Context, name: &str, subject: &str, new: Option<Config>) -> Result<u32, StoreError> {
    let found = match context.get_stream(name).await {
        Ok(stream) => stream.cached_info().config.clone(),
        Err(cause) => {
            let is_missing = matches!(cause.kind(), GetStreamErrorKind::JetStream(error) if error.code() == 404);
            let Some(new) = new.filter(|_| is_missing) else {
                return Err(unavailable(format!("look for the stream `{name}`"), cause));
            };
            let created = context.create_stream(new).await;
            created
                .map_err(|cause| unavailable(format!("create the stream `{name}`"), cause))?
                .cached_info()
                .config
                .clone()
        }
    };
    if let Some(fault) = fault(&found) {
        return Err(refused(format!("the stream `{name}` {fault}")));
    }
    match context.stream_by_subject(subject).await {
        Ok(of_subject) if of_subject == name => {
            Ok(u32::try_from(found.max_message_size).ok().filter(|most| *most > 0).unwrap_or(u32::MAX))
        }
        Ok(other) => Err(refused(format!("messages of `{subject}` go to the stream `{other}`, and not to `{name}`"))),
        Err(cause) => Err(unavailable(format!("find `{subject}` among the subjects of the stream `{name}`"), cause)),
    }
}

/// Returns why a stream may lose an acknowledged message, or forgets ids too early. `None` if it does neither.
fn fault(config: &Config) -> Option<&'static str> {
    let by_messages = config.max_messages > 0;
    let by_bytes = config.max_bytes > 0;
    let by_age = !config.max_age.is_zero();
    let replaces = config.max_messages_per_subject > 0 && !config.discard_new_per_subject;
    Some(match config {
        Config { no_ack: true, .. } => "does not acknowledge messages (`no_ack`)",
        Config { mirror: Some(_), .. } => "is a mirror, and takes no messages",
        Config { sealed: true, .. } => "is sealed, and takes no messages",
        Config { storage: StorageType::Memory, .. } => "keeps messages in memory; make one with file storage",
        Config { persist_mode: Some(PersistenceMode::Async), .. } => {
            "acknowledges messages before they are written (`persist_mode: async`)"
        }
        Config { retention: RetentionPolicy::Interest, .. } => {
            "drops messages while there is no consumer (`retention: interest`); make a work queue"
        }
        Config { discard: DiscardPolicy::Old, .. } if by_messages || by_bytes => {
            "drops the oldest messages when it is full; set `discard: new`"
        }
        // The server's check ignores the overhead of a record, and then makes room by dropping the oldest message.
        Config { .. } if by_bytes => {
            "is bounded by `max_bytes`, by which a server on disk can drop the oldest messages even with `discard: new`; bound it by `max_msgs`"
        }
        Config { .. } if replaces => "replaces messages of one subject (`max_msgs_per_subject`)",
        Config { retention: RetentionPolicy::Limits, .. } if by_messages && !by_age => {
            "fills up with messages that were worked (`retention: limits` without `max_age`); make a work queue"
        }
        Config { duplicate_window, max_age, .. } if by_age && duplicate_window > max_age => {
            "keeps messages for a shorter time (`max_age`) than it is to remember their ids (`duplicate_window`)"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};

    use super::fault;

    #[test]
    fn a_stream_that_can_lose_what_it_has_acknowledged_is_refused() {
        let good = Config {
            max_messages: 10,
            discard: DiscardPolicy::New,
            retention: RetentionPolicy::WorkQueue,
            duplicate_window: Duration::from_secs(120),
            ..Config::default()
        };
        assert_eq!(fault(&good), None);
        let unbounded = Config { max_messages: -1, max_bytes: -1, ..Config::default() };
        assert_eq!(fault(&unbounded), None, "nothing is dropped");
        let of_age = Config { retention: RetentionPolicy::Limits, max_age: Duration::from_secs(120), ..good.clone() };
        assert_eq!(fault(&of_age), None);

        type Change = fn(&mut Config);
        let faults: [(&str, Change); 10] = [
            ("does not acknowledge", |config| config.no_ack = true),
            ("is sealed", |config| config.sealed = true),
            ("in memory", |config| config.storage = StorageType::Memory),
            ("before they are written", |config| config.persist_mode = Some(PersistenceMode::Async)),
            ("no consumer", |config| config.retention = RetentionPolicy::Interest),
            ("drops the oldest messages when", |config| config.discard = DiscardPolicy::Old),
            ("`max_bytes`", |config| config.max_bytes = 1 << 30),
            ("replaces messages", |config| config.max_messages_per_subject = 1),
            ("fills up", |config| config.retention = RetentionPolicy::Limits),
            ("remember their ids", |config| config.max_age = Duration::from_secs(30)),
        ];
        for (says, change) in faults {
            let mut config = good.clone();
            change(&mut config);
            assert!(fault(&config).is_some_and(|fault| fault.contains(says)), "{says}: {:?}", fault(&config));
        }
    }
}
