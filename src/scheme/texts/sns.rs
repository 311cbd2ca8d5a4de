//! The signed text of Amazon SNS; `provider/aws_sns.rs` says what it is.

use crate::{
    error::{VerifyError, VerifyErrorKind},
    json::Pointer,
    scheme::{arrived::Arrived, subject::named},
    signature::Hashed,
};

/// The fields, in their order, and whether a notification has them and a confirmation.
const FIELDS: [(&str, Has, Has); 8] = [
    ("Message", Has::Always, Has::Always),
    ("MessageId", Has::Always, Has::Always),
    ("Subject", Has::Maybe, Has::Never),
    ("SubscribeURL", Has::Never, Has::Always),
    ("Timestamp", Has::Always, Has::Always),
    ("Token", Has::Never, Has::Always),
    ("TopicArn", Has::Always, Has::Always),
    ("Type", Has::Always, Has::Always),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    Always,
    Maybe,
    Never,
}

/// Whether a place of the body is signed in every message that has it.
pub(crate) fn signs(pointer: &Pointer) -> bool {
    matches!(pointer.tokens(), [name] if FIELDS.iter().any(|(field, ..)| field == name))
}

/// The signed text.
pub(crate) fn text(arrived: Arrived<'_>) -> Result<Vec<u8>, VerifyError> {
    let missing = |name| VerifyError::new(VerifyErrorKind::Missing).with_subject(named(name));
    let pointers = FIELDS.map(|(name, ..)| Pointer::token(name));
    let json = arrived.json().ok_or_else(|| missing("the message"))?;
    // A value that is there twice, or is not a scalar, could be read in two ways.
    let values = crate::json::scalars(json, &pointers).map_err(|_| missing("the message"))?;
    let kind = values.last().and_then(|kind| kind.as_deref());
    let is_notification = match kind {
        Some("Notification") => true,
        Some("SubscriptionConfirmation" | "UnsubscribeConfirmation") => false,
        Some(_) => return Err(VerifyError::new(VerifyErrorKind::MalformedSignature).with_subject(named("`Type`"))),
        None => return Err(missing("`Type`")),
    };
    let mut text = Vec::with_capacity(json.len());
    for ((name, of_notification, of_confirmation), value) in FIELDS.into_iter().zip(&values) {
        let has = if is_notification { of_notification } else { of_confirmation };
        match value {
            _ if has == Has::Never => continue,
            None if has == Has::Maybe => continue,
            None => return Err(missing(name)),
            Some(value) if name != "Message" && value.contains(['\n', '\r']) => {
                return Err(VerifyError::new(VerifyErrorKind::AmbiguousText).with_subject(named(name)));
            }
            Some(value) => {
                for part in [name, "\n", value, "\n"] {
                    text.extend_from_slice(part.as_bytes());
                }
            }
        }
    }
    Ok(text)
}

/// Which hash a message says that it was signed with.
pub(crate) fn hashed(arrived: Arrived<'_>) -> Result<Hashed, VerifyError> {
    match arrived.scalar(&Pointer::token("SignatureVersion")).as_deref() {
        Some("1") => Ok(Hashed::BySha1),
        Some("2") => Ok(Hashed::AsDeclared),
        _ => Err(VerifyError::new(VerifyErrorKind::MalformedSignature).with_subject(named("`SignatureVersion`"))),
    }
}
