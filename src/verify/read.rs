use std::{
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::{header, request::Parts};
use http_body::Body;
use http_body_util::LengthLimitError;
use tokio::time::{Sleep, sleep};

use super::{budget::OverBudget, config::Config, state::Reading};
use crate::{
    boxed::BoxError,
    error::{VerifyError, VerifyErrorKind},
};

/// How many frames are taken before other tasks get their turn: far more than a body within the limit has, if its sender
/// does not cut it up on purpose.
const FRAMES_IN_A_TURN: usize = 256;

/// Reads and hashes frame by frame, until the end, the limit or the deadline.
pub(super) fn read<B>(
    cx: &mut Context<'_>,
    config: &Config,
    mut body: Pin<&mut B>,
    timer: Pin<&mut Option<Sleep>>,
    reading: &mut Reading,
) -> Poll<Result<(), VerifyError>>
where
    B: Body<Data: Buf, Error: Into<BoxError>>,
{
    if reading.kept.is_taken(cx) {
        return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::OverBudget)));
    }
    for _ in 0..FRAMES_IN_A_TURN {
        let frame = match body.as_mut().poll_frame(cx) {
            Poll::Ready(None) => return Poll::Ready(Ok(())),
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(cause))) => return Poll::Ready(Err(body_error(cause.into()))),
            Poll::Pending => {
                ready!(deadline(cx, config, timer));
                return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::BodyTooSlow)));
            }
        };
        // Trailers are not signed by any scheme.
        let Ok(mut data) = frame.into_data() else { continue };
        let length = data.remaining();
        if length > config.body_limit.saturating_sub(reading.received) {
            return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::BodyTooLarge)));
        }
        reading.received += length;
        // For the `Bytes` of an HTTP server this is a move, not a copy.
        let bytes = data.copy_to_bytes(length);
        reading.check.update(&bytes);
        if reading.kept.push(bytes, reading.expected) == Err(OverBudget) {
            return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::OverBudget)));
        }
    }
    // Frames may be empty, so that neither the limit nor a wait ends a body that always has a frame ready. The deadline
    // does, and others get their turn.
    if deadline(cx, config, timer).is_ready() {
        return Poll::Ready(Err(VerifyError::new(VerifyErrorKind::BodyTooSlow)));
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Is ready once the body has had its time, which begins with the first call.
fn deadline(cx: &mut Context<'_>, config: &Config, mut timer: Pin<&mut Option<Sleep>>) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep(config.body_timeout)));
    }
    match timer.as_mut().as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}

/// Rejects a body that says that it is too large, before it is read.
pub(super) fn check_length<B: Body>(config: &Config, parts: &Parts, body: &B) -> Result<(), VerifyError> {
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let least = body.size_hint().lower().max(declared.unwrap_or(0));
    if least > u64::try_from(config.body_limit).unwrap_or(u64::MAX) {
        return Err(VerifyError::new(VerifyErrorKind::BodyTooLarge));
    }
    Ok(())
}

/// A layer outside may bound bodies too; its error is in the chain.
fn body_error(cause: BoxError) -> VerifyError {
    let mut error: Option<&(dyn Error + 'static)> = Some(&*cause);
    while let Some(current) = error {
        if current.is::<LengthLimitError>() {
            return VerifyError::new(VerifyErrorKind::BodyTooLarge);
        }
        error = current.source();
    }
    VerifyError::new(VerifyErrorKind::BodyIncomplete).with_source(cause)
}
