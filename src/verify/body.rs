use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// The response body of [`Webhook`](super::Webhook): the inner service's, or one of our own.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Own { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    pub(crate) fn own(body: Bytes) -> Self {
        Self { kind: Kind::Own { body: Full::new(body) } }
    }
}

/// An empty body, which other middleware asks for to answer by itself, such as tower-http's `TimeoutLayer`.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::own(Bytes::new())
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Own { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Own { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Own { body } => body.size_hint(),
        }
    }
}

/// Collects the frames of a request body. One frame is kept as it is; more are copied as they come.
#[derive(Debug, Default)]
pub(super) struct Collected {
    single: Option<Bytes>,
    rest: Vec<u8>,
}

impl Collected {
    /// A body that is whole already.
    pub(super) fn whole(body: Bytes) -> Self {
        Self { single: Some(body), rest: Vec::new() }
    }

    /// Takes a frame. `expected` is how large the body may become: memory grows with what has arrived, and stops there.
    pub(super) fn push(&mut self, frame: Bytes, expected: usize) {
        if frame.is_empty() {
            return;
        }
        if self.single.is_none() && self.rest.is_empty() {
            self.single = Some(frame);
            return;
        }
        let first = self.single.take();
        let length = first.as_ref().map_or(self.rest.len(), Bytes::len);
        let needed = length + frame.len();
        if needed > self.rest.capacity() {
            let capacity = needed.max((2 * length).min(expected));
            self.rest.reserve_exact(capacity - self.rest.len());
        }
        if let Some(first) = first {
            self.rest.extend_from_slice(&first);
        }
        self.rest.extend_from_slice(&frame);
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.single.unwrap_or_else(|| Bytes::from(self.rest))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Collected;

    #[test]
    fn a_single_frame_is_not_copied() {
        let frame = Bytes::from(vec![1; 100]);
        let mut collected = Collected::default();

        collected.push(Bytes::new(), 100);
        collected.push(frame.clone(), 100);

        assert_eq!(collected.into_bytes().as_ptr(), frame.as_ptr());
    }

    #[test]
    fn frames_come_out_in_order_and_memory_stops_at_what_is_expected() {
        let mut collected = Collected::default();
        for index in 0..100u8 {
            collected.push(Bytes::from(vec![index; 10]), 1000);
            assert!(collected.rest.capacity() <= 1000);
        }

        let bytes = collected.into_bytes();
        assert_eq!(bytes.len(), 1000);
        assert!(
            bytes.chunks(10).enumerate().all(|(index, chunk)| chunk.iter().all(|byte| usize::from(*byte) == index))
        );
    }
}
