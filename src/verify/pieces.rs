use std::mem;

use bytes::Bytes;

/// Collects the frames of a request body under a memory budget.
///
/// They are copied into pieces of one size, which allocators hand out again as they are. A buffer that grows leaves holes behind
/// that the next one does not fit into: with many bodies at once the process would hold twice what is counted.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// A single frame is kept without a copy.
    single: Option<Bytes>,
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

/// Unused pieces, for the next body. They are reused, so that it does not matter which thread's heap has room.
pub(super) type Spare = Vec<Vec<u8>>;

pub(super) const PIECE: usize = 64 * 1024;

/// The bytes that another frame needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) bytes: usize,
    /// How many of the pieces in them are whole.
    pub(super) pieces: usize,
}

/// The memory for so many bytes of a body that may become as large as `expected`. It never shrinks as `length` grows.
fn capacity(length: usize, expected: usize) -> usize {
    let rounded = if length <= PIECE { length.next_power_of_two() } else { length.next_multiple_of(PIECE) };
    rounded.min(expected.max(length))
}

impl Pieces {
    /// A body that is in one piece already.
    pub(super) fn whole(body: Bytes) -> Self {
        Self { single: Some(body), ..Self::default() }
    }

    /// Takes a body that is in one piece and was not copied.
    pub(super) fn take_single(&mut self) -> Option<Bytes> {
        self.single.take()
    }

    fn len(&self) -> usize {
        self.single.as_ref().map_or(self.full.len() * PIECE + self.last.len(), Bytes::len)
    }

    /// Returns how much memory another frame takes.
    pub(super) fn growth(&self, frame: usize, expected: usize) -> Growth {
        let length = self.len();
        if length == 0 || frame == 0 {
            return Growth { bytes: frame, pieces: 0 };
        }
        let held = if self.single.is_some() { 0 } else { capacity(length, expected) };
        let wanted = capacity(length + frame, expected);
        Growth { bytes: wanted - held.max(length), pieces: wanted / PIECE - held / PIECE }
    }

    /// Takes a frame. `expected` is how large the body may become; `spare` holds pieces that may be used.
    pub(super) fn push(&mut self, frame: Bytes, expected: usize, spare: &mut Spare) {
        if frame.is_empty() {
            return;
        }
        if self.len() == 0 {
            self.single = Some(frame);
            return;
        }
        if let Some(first) = self.single.take() {
            self.append(&first, first.len() + frame.len(), expected, spare);
        }
        self.append(&frame, self.len() + frame.len(), expected, spare);
    }

    /// Copies bytes, after which the body will have `length`.
    fn append(&mut self, mut bytes: &[u8], length: usize, expected: usize, spare: &mut Spare) {
        let capacity = capacity(length, expected);
        while !bytes.is_empty() {
            if self.last.len() == PIECE {
                self.full.push(mem::take(&mut self.last));
            }
            let piece = PIECE.min(capacity - self.full.len() * PIECE);
            if piece == PIECE
                && self.last.capacity() < PIECE
                && let Some(mut whole) = spare.pop()
            {
                whole.extend_from_slice(&self.last);
                self.last = whole;
            }
            self.last.reserve_exact(piece - self.last.len());
            let (now, later) = bytes.split_at(bytes.len().min(piece - self.last.len()));
            self.last.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Returns the body in one piece.
    pub(super) fn into_bytes(self) -> Bytes {
        if let Some(single) = self.single {
            return single;
        }
        if self.full.is_empty() {
            return Bytes::from(self.last);
        }
        // Each piece is freed as soon as it was copied, so that the body is not in memory twice.
        let mut body = Vec::with_capacity(self.len());
        for piece in self.full.into_iter().chain([self.last]) {
            body.extend_from_slice(&piece);
        }
        Bytes::from(body)
    }

    /// Returns the whole pieces, for another body.
    pub(super) fn into_spare(self) -> impl Iterator<Item = Vec<u8>> {
        self.full.into_iter().chain([self.last]).filter(|piece| piece.capacity() == PIECE).map(|mut piece| {
            piece.clear();
            piece
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{PIECE, Pieces};

    fn allocated(pieces: &Pieces) -> usize {
        let single = pieces.single.as_ref().map_or(0, Bytes::len);
        single + pieces.full.iter().map(Vec::capacity).sum::<usize>() + pieces.last.capacity()
    }

    #[test]
    fn a_single_frame_is_not_copied() {
        let frame = Bytes::from(vec![1; 100]);
        let mut pieces = Pieces::default();

        pieces.push(Bytes::new(), 100, &mut Vec::new());
        pieces.push(frame.clone(), 100, &mut Vec::new());

        assert_eq!(pieces.into_bytes().as_ptr(), frame.as_ptr());
    }

    #[test]
    fn bytes_come_out_in_order_and_what_is_allocated_is_what_was_counted() {
        let sizes = [1, 7, 0, 100, 4096, 8192, 70_000, 3, 200_000, PIECE, 1];
        let total: usize = sizes.iter().sum();
        for expected in [total, total + 1, 1 << 20, 25 << 20] {
            let (mut pieces, mut counted, mut sent) = (Pieces::default(), 0, Vec::new());
            for (index, size) in sizes.into_iter().enumerate() {
                let frame: Vec<u8> = (0..size).map(|at| (at * 31 + index) as u8).collect();
                sent.extend_from_slice(&frame);
                let growth = pieces.growth(size, expected);
                counted += growth.bytes;
                let mut spare = Vec::new();
                spare.resize_with(growth.pieces, || Vec::with_capacity(PIECE));
                pieces.push(frame.into(), expected, &mut spare);
                assert!(spare.is_empty(), "after frame {index} of {expected}");
                assert_eq!(allocated(&pieces), counted, "after frame {index} of {expected}");
                assert!(counted <= expected && counted < 2 * sent.len().max(PIECE));
            }
            assert_eq!(pieces.into_bytes(), sent);
        }
    }
}
