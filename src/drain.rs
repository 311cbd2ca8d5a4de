//! Reads and drops the rest of a request's body after the request was rejected.
//!
//! If a server closes a connection on which bytes still arrive, the connection is reset, and a client that is still
//! sending loses the answer: a proxy then reports 502 and may count a failure of the server. So the rest of the body is
//! read and dropped.
//!
//! Rules:
//! 1. Nothing is kept: each frame is dropped before the next one is asked for.
//! 2. Bytes that are on their way are read before the answer. A sender that pauses gets its answer at once: nothing has
//!    arrived for [`AT_ONCE`], or nothing more for [`SILENCE`].
//! 3. After the answer to a sender that pauses, the rest is read in a separate task, until nothing has arrived for
//!    [`LINGER`]. It has to be a task: hyper drops a response's body with the last byte of its length, and reads a
//!    request only while its body is polled. HTTP/2 does not need this, since a server can ask the client there to stop
//!    sending a body.
//! 4. Bytes and time are bounded. If more comes than the bound, the connection is closed.
//! 5. A sender with `Expect: 100-continue` does not get a 100: its body is never polled.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use http::{HeaderMap, Version, header, request::Parts};
use http_body::Body;
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until},
};

/// How much of a body is read at most, and in which time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    bytes: u64,
    time: Duration,
}

impl Bounds {
    /// Returns the bounds of bodies that would have been read up to `limit`, in `time`.
    pub(crate) fn new(limit: usize, time: Duration) -> Self {
        Self { bytes: MOST.max(u64::try_from(limit).unwrap_or(u64::MAX)), time }
    }
}

/// How many bytes are read at most, or the body limit where that is more.
const MOST: u64 = 32 * 1024 * 1024;

/// How long the first byte is waited for. A sender that waits for the answer first has it soon after.
const AT_ONCE: Duration = Duration::from_millis(20);

/// How long the next byte is waited for before the answer: longer than a round trip, and than a busy machine stands still.
const SILENCE: Duration = Duration::from_millis(500);

/// How long the next byte is waited for after the answer.
const LINGER: Duration = Duration::from_secs(2);

/// How long a body that has used up its time is read on.
const OVERTIME: Duration = Duration::from_secs(1);

/// How many frames are dropped before other tasks get their turn.
const FRAMES_IN_A_TURN: usize = 256;

/// Returns whether the sender waits until it is told to send the body.
pub(crate) fn asks_first(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A body that is read and dropped, on the way to an answer or after it.
pub(crate) struct Rest<B> {
    body: Pin<Box<B>>,
    drain: Drain,
    version: Version,
}

/// How much is read, and for how long.
#[derive(Debug)]
struct Drain {
    bytes: u64,
    until: Instant,
    patience: Duration,
    /// The time of the last byte, or of the beginning.
    heard: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a drain has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// The body has ended, or broken off.
    Empty,
    /// More is left than is read, of bytes or of time.
    Over,
    Silent,
}

impl<B: Body> Rest<B> {
    /// Returns what is to be read of a body that nobody has polled; `None` if there is nothing to read, or nothing that may be.
    pub(crate) fn unread(bounds: Bounds, parts: &Parts, body: B) -> Option<Self> {
        if asks_first(&parts.headers) || body.is_end_stream() {
            return None;
        }
        let mut drain = Drain::new(bounds, Instant::now() + bounds.time, AT_ONCE);
        if body.size_hint().lower() > drain.bytes {
            // It would not be read to its end, so nobody is to wait for that.
            drain.patience = Duration::ZERO;
        }
        Some(Self { body: Box::pin(body), drain, version: parts.version })
    }

    /// Returns what is left of a body that was rejected while it was read, and is to have ended by `until`.
    pub(crate) fn begun(bounds: Bounds, version: Version, body: B, until: Instant) -> Self {
        let now = Instant::now();
        let drain =
            if until <= now { Drain::new(bounds, now + OVERTIME, AT_ONCE) } else { Drain::new(bounds, until, SILENCE) };
        Self { body: Box::pin(body), drain, version }
    }
}

impl<B> Rest<B>
where
    B: Body<Data: Buf> + Send + 'static,
{
    /// Is ready when the answer may go.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Drained> {
        if self.drain.patience.is_zero() {
            return Poll::Ready(Drained::Silent);
        }
        self.drain.poll(cx, self.body.as_mut())
    }

    /// Reads on after the answer.
    pub(crate) fn linger(self) {
        if self.version > Version::HTTP_11 {
            return;
        }
        let Self { mut body, mut drain, .. } = self;
        drain.patience = LINGER;
        // Also if the body's time is over: a sender that was silent until then has just begun to wait for its answer.
        drain.until = drain.until.max(Instant::now() + LINGER);
        drain.heard = None;
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { poll_fn(|cx| drain.poll(cx, body.as_mut())).await });
        }
    }
}

impl Drain {
    fn new(bounds: Bounds, until: Instant, patience: Duration) -> Self {
        Self { bytes: bounds.bytes, until, patience, heard: None, timer: None }
    }

    /// Reads and drops until the body's end, a bound, or a silence.
    fn poll<B>(&mut self, cx: &mut Context<'_>, mut body: Pin<&mut B>) -> Poll<Drained>
    where
        B: Body<Data: Buf>,
    {
        for _ in 0..FRAMES_IN_A_TURN {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(Drained::Empty),
                Poll::Ready(Some(Ok(frame))) => {
                    let length = frame.data_ref().map_or(0, Buf::remaining);
                    if length == 0 {
                        continue;
                    }
                    // In this order: a body of exactly the bound is read to its end.
                    let Some(left) = self.bytes.checked_sub(u64::try_from(length).unwrap_or(u64::MAX)) else {
                        return Poll::Ready(Drained::Over);
                    };
                    self.bytes = left;
                    self.heard = None;
                    self.patience = self.patience.max(SILENCE);
                }
                Poll::Pending => return self.poll_timer(cx),
            }
        }
        if self.until <= Instant::now() {
            return Poll::Ready(Drained::Over);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Drained> {
        let silent = match self.heard {
            Some(heard) => heard + self.patience,
            None => {
                let now = Instant::now();
                self.heard = Some(now);
                now + self.patience
            }
        };
        let deadline = silent.min(self.until);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) if deadline == silent => Poll::Ready(Drained::Silent),
            Poll::Ready(()) => Poll::Ready(Drained::Over),
            Poll::Pending => Poll::Pending,
        }
    }
}
