use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The number of bytes that may still be read from the network in this attempt.
///
/// The limits of head and body count the content of HTTP. This one also counts what surrounds it: TLS records, the frames of
/// tiny chunks, and endless interim responses.
#[derive(Clone)]
pub(crate) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Starts again, for another attempt.
    pub(crate) fn refill(&self) {
        self.0.store(MOST_ON_THE_WIRE, Ordering::Relaxed);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn spend(&self, bytes: usize) {
        // Only one task reads a connection, so nothing else counts at the same time.
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(bytes), Ordering::Relaxed);
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(MOST_ON_THE_WIRE)))
    }
}

pin_project! {
    /// A connection that ends when the budget is spent. It exceeds the budget by at most one read.
    ///
    /// If it can no longer be written to, the bytes that the other side sent before it closed are read first: an alert
    /// of TLS, or an early response, says more than a broken pipe.
    pub(crate) struct Metered {
        #[pin]
        inner: TcpStream,
        budget: Budget,
        broken: Broken,
    }
}

impl Metered {
    pub(crate) fn new(inner: TcpStream, budget: Budget) -> Self {
        Self { inner, budget, broken: Broken::No }
    }
}

/// Whether a write has failed.
enum Broken {
    No,
    /// It has failed, and nothing was read since then. The number counts the turns that a reader was given.
    Now(io::Error, u8),
    /// It has failed, and the remaining bytes were read.
    Known(io::ErrorKind),
}

impl Broken {
    /// Returns the outcome of a write. Its failure is held back until something can be read, and then until that was read.
    fn or_written(
        &mut self,
        written: io::Result<usize>,
        inner: &TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match (&*self, written) {
            (Self::No, Ok(written)) => return Poll::Ready(Ok(written)),
            (Self::No, Err(cause)) => *self = Self::Now(cause, 0),
            _ => {}
        }
        match self {
            // A broken connection always has something to read, at least its end.
            Self::Now(_, turns) if *turns < MOST_TURNS => {
                if inner.poll_read_ready(cx).is_ready() {
                    *turns += 1;
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Self::Now(cause, _) => Poll::Ready(Err(cause.kind().into())),
            Self::Known(kind) => Poll::Ready(Err((*kind).into())),
            Self::No => Poll::Pending,
        }
    }

    fn read(&mut self) {
        if let Self::Now(cause, _) = self {
            *self = Self::Known(cause.kind());
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        if this.budget.is_spent() {
            return Poll::Ready(Err(io::Error::other("more was sent than is read")));
        }
        let before = buffer.filled().len();
        let read = ready!(this.inner.poll_read(cx, buffer));
        this.broken.read();
        read?;
        this.budget.spend(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        let written = match this.broken {
            Broken::No => ready!(this.inner.as_mut().poll_write(cx, bytes)),
            _ => Ok(0),
        };
        this.broken.or_written(written, &this.inner, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        let written = match this.broken {
            Broken::No => ready!(this.inner.as_mut().poll_write_vectored(cx, slices)),
            _ => Ok(0),
        };
        this.broken.or_written(written, &this.inner, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// What carries HTTP: a [`Metered`] connection, or TLS on one.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Reader and writer are the same task, so one turn is enough. The limit is for a reader that does not read any more.
const MOST_TURNS: u8 = 32;

/// A TLS handshake, a head and a body fit into it, each at its own limit, with room for their frames.
const MOST_ON_THE_WIRE: usize = 256 * 1024;
