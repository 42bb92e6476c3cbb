//! SHA-1 of two streams of bytes at once, on one core.
//!
//! Within one digest each of a processor's SHA instructions waits for the one before. Two digests
//! computed in turns take hardly longer than one. A message is hashed twice, as a whole and part by
//! part: a [`WholeDigest`] of it stands by, and goes on by a block for each that is added to a
//! [`PartDigest`]. What either has more than the other is computed alone, and so is everything where
//! the processor has no such instructions.
//!
//! ```
//! use sha1_pair::{PartDigest, WholeDigest};
//!
//! let mut whole = WholeDigest::new(b"abc");
//! let mut part = PartDigest::default();
//! part.update(b"b", &mut whole);
//! let part: [u8; 20] = part.finish(&mut whole);
//! let whole: [u8; 20] = whole.finish();
//! assert!(part.starts_with(&[0xe9, 0xd7]) && whole.starts_with(&[0xa9, 0x99]));
//! ```

mod compress;

use compress::{Block, INITIAL, State};

/// The digest of bytes that are all at hand. It waits for others, to be computed beside them.
#[derive(Debug)]
pub struct WholeDigest<'a> {
    state: State,
    /// The whole blocks that are not in `state` yet.
    waiting: &'a [Block],
    tail: &'a [u8],
    length: usize,
}

impl<'a> WholeDigest<'a> {
    /// Nothing is computed yet.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let (waiting, tail) = bytes.as_chunks();
        Self { state: INITIAL, waiting, tail, length: bytes.len() }
    }

    /// Computes what is left.
    #[must_use]
    pub fn finish(self) -> [u8; 20] {
        let Self { mut state, waiting, tail, length } = self;
        compress::alone(&mut state, waiting);
        Padded::new(tail, length).add_to(|blocks| compress::alone(&mut state, blocks));
        to_bytes(state)
    }

    /// Adds `blocks` to `state`, and as many of the waiting ones to this digest.
    fn go_on_beside(&mut self, state: &mut State, blocks: &[Block]) {
        let shared = blocks.len().min(self.waiting.len());
        let (ours, waiting) = self.waiting.split_at(shared);
        let (theirs, rest) = blocks.split_at(shared);
        compress::pair([&mut self.state, state], [ours, theirs]);
        compress::alone(state, rest);
        self.waiting = waiting;
    }
}

/// The digest of bytes that come piece by piece.
#[derive(Debug, Clone)]
pub struct PartDigest {
    state: State,
    /// The bytes of an unfinished block, `length % 64` of them.
    pending: Block,
    length: usize,
}

impl Default for PartDigest {
    fn default() -> Self {
        Self { state: INITIAL, pending: [0; 64], length: 0 }
    }
}

impl PartDigest {
    /// Takes the next bytes, and lets `whole` go on meanwhile.
    pub fn update(&mut self, bytes: &[u8], whole: &mut WholeDigest<'_>) {
        let filled = self.length % 64;
        self.length = self.length.wrapping_add(bytes.len());
        let mut bytes = bytes;
        if filled > 0 {
            let room = &mut self.pending[filled..];
            let Some((head, rest)) = bytes.split_at_checked(room.len()) else {
                room[..bytes.len()].copy_from_slice(bytes);
                return;
            };
            room.copy_from_slice(head);
            whole.go_on_beside(&mut self.state, &[self.pending]);
            bytes = rest;
        }
        let (blocks, tail) = bytes.as_chunks();
        whole.go_on_beside(&mut self.state, blocks);
        self.pending[..tail.len()].copy_from_slice(tail);
    }

    /// The digest of all bytes taken.
    #[must_use]
    pub fn finish(self, whole: &mut WholeDigest<'_>) -> [u8; 20] {
        let Self { mut state, pending, length } = self;
        let tail = &pending[..length % 64];
        Padded::new(tail, length).add_to(|blocks| whole.go_on_beside(&mut state, blocks));
        to_bytes(state)
    }
}

/// The end of a stream: what is left of it, a bit, zeros, and its length in bits (FIPS 180-4, 5.1.1).
struct Padded {
    blocks: [Block; 2],
    is_one: bool,
}

impl Padded {
    fn new(tail: &[u8], length: usize) -> Self {
        let mut bytes = [0; 128];
        bytes[..tail.len()].copy_from_slice(tail);
        bytes[tail.len()] = 0x80;
        let is_one = tail.len() < 56;
        let end = if is_one { 64 } else { 128 };
        let bits = (length as u64).wrapping_mul(8);
        bytes[end - 8..end].copy_from_slice(&bits.to_be_bytes());
        let mut blocks = [[0; 64]; 2];
        blocks.as_flattened_mut().copy_from_slice(&bytes);
        Self { blocks, is_one }
    }

    fn add_to(&self, add: impl FnOnce(&[Block])) {
        add(if self.is_one { &self.blocks[..1] } else { &self.blocks });
    }
}

fn to_bytes(state: State) -> [u8; 20] {
    let mut digest = [0; 20];
    digest.as_chunks_mut().0.copy_from_slice(&state.map(u32::to_be_bytes));
    digest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha1::{Digest, Sha1};

    use super::*;

    fn reference(bytes: &[u8]) -> [u8; 20] {
        Sha1::digest(bytes).into()
    }

    proptest! {
        #[test]
        fn both_digests_are_those_of_the_sha1_crate(
            whole: Vec<u8>,
            parts in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4), 0..4),
        ) {
            let mut digest = WholeDigest::new(&whole);
            for pieces in parts {
                let mut part = PartDigest::default();
                for piece in &pieces {
                    part.update(piece, &mut digest);
                }
                prop_assert_eq!(part.finish(&mut digest), reference(&pieces.concat()));
            }
            prop_assert_eq!(digest.finish(), reference(&whole));
        }
    }

    #[test]
    fn every_length_about_a_block_is_padded_right() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..bytes.len() {
            let bytes = &bytes[..length];
            let mut whole = WholeDigest::new(bytes);
            let mut part = PartDigest::default();
            for byte in bytes.chunks(7) {
                part.update(byte, &mut whole);
            }
            assert_eq!(part.finish(&mut whole), reference(bytes), "{length}");
            assert_eq!(whole.finish(), reference(bytes), "{length}");
        }
    }
}
