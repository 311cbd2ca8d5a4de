//! Pure functions that decide whether a message was written by a program with the key.

use std::sync::Arc;

use crate::{
    idempotency::ClaimKey,
    inbox::{Content, SealingKey, Unopened, open, sealed_by},
};

/// The name under which a message is sealed, so that it cannot be opened as another event, or as an event of another
/// hand-off.
pub(super) fn name(consumer: &str, event: ClaimKey) -> Vec<u8> {
    let length = (consumer.len() as u64).to_be_bytes();
    [&b"message of a sink "[..], &length, consumer.as_bytes(), &event.to_bytes()].concat()
}

/// What a worker does with messages that were not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsealed {
    Refused,
    Taken,
}

/// The reason for which a message is not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// Its writer does not have the key.
    Forged(&'static str),
    /// This worker does not have the key that sealed it.
    UnknownKey(Arc<str>),
}

/// Opens a message. With keys, unsealed messages are refused. Otherwise anyone who can write into the queue could
/// simply omit the seal.
pub(super) fn opened(
    keys: &[SealingKey],
    unsealed: Unsealed,
    name: &[u8],
    content: Content,
) -> Result<Content, Unread> {
    if sealed_by(&content).is_none() {
        return match (keys, unsealed) {
            ([], _) | (_, Unsealed::Taken) => Ok(content),
            (_, Unsealed::Refused) => Err(Unread::Forged("it is not sealed, and this worker has a key")),
        };
    }
    open(keys, name, content).map_err(|unopened| match unopened {
        Unopened::Changed => Unread::Forged("it was changed after it was sealed, or was sealed for another queue"),
        Unopened::UnknownKey(_) => Unread::UnknownKey(unopened.to_string().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Unread, Unsealed, name, opened};
    use crate::{
        idempotency::ClaimKey,
        inbox::{Content, SealingKey, seal},
    };

    #[test]
    fn with_a_key_a_worker_opens_what_was_sealed_for_it_and_nothing_else() {
        let [one, other] = [1, 2].map(|byte| SealingKey::from_bytes([byte; 32]).unwrap());
        let event = ClaimKey::from_bytes([1; 16]);
        let content = Content::new(r#"{"method":"POST"}"#.into(), "{}".into());
        let sealed = seal(&one, &name("a", event), &content).unwrap();
        let keys = [one];
        let open =
            |keys: &[SealingKey], unsealed, of: &[u8], content: &Content| opened(keys, unsealed, of, content.clone());

        assert_eq!(open(&keys, Unsealed::Refused, &name("a", event), &sealed), Ok(content.clone()));
        assert_eq!(open(&[], Unsealed::Refused, &name("a", event), &content), Ok(content.clone()));
        assert_eq!(open(&keys, Unsealed::Taken, &name("a", event), &content), Ok(content.clone()));
        let forged = |result| assert!(matches!(result, Err(Unread::Forged(_))), "{result:?}");
        forged(open(&keys, Unsealed::Refused, &name("a", event), &content));
        forged(open(&keys, Unsealed::Taken, &name("b", event), &sealed));
        forged(open(&keys, Unsealed::Refused, &name("a", ClaimKey::from_bytes([2; 16])), &sealed));
        let unknown = open(&[other], Unsealed::Refused, &name("a", event), &sealed);
        assert!(matches!(unknown, Err(Unread::UnknownKey(_))), "{unknown:?}");
        assert!(matches!(open(&[], Unsealed::Refused, &name("a", event), &sealed), Err(Unread::UnknownKey(_))));
    }
}
