//! Finding blocks that are whole by their CRC at any byte offset, in time linear in the bytes.

use super::super::syndrome::advance;

/// Looks for blocks of one length: so many bytes, then the CRC-32 over them.
///
/// The CRC of a window is had from that of the window one byte before it, by taking one byte in
/// and one out: three table look-ups a byte, whatever the block's length. On random bytes one
/// offset in 2^32 fits by chance, so the caller must judge what is found.
pub(super) struct BlockScanner {
    covered: usize,
    /// What a byte contributes once it has left the window.
    leaving: [u32; 256],
    /// The CRC-32 of as many zeros as the window is long.
    of_zeros: u32,
}

impl BlockScanner {
    pub(super) fn new(covered: usize) -> Self {
        let mut leaving = [0; 256];
        for (byte, contribution) in (0_u8..=255).zip(&mut leaving) {
            *contribution = (0..covered).fold(advance(0, byte), |register, _| advance(register, 0));
        }
        Self { covered, leaving, of_zeros: crc32fast::hash(&vec![0; covered]) }
    }

    /// The first offset from `from` on at which a block is whole by its CRC and `accept`s it.
    pub(super) fn next(
        &self,
        bytes: &[u8],
        from: usize,
        mut accept: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let bytes_left = bytes.get(from..)?;
        let (first, behind) = bytes_left.split_at_checked(self.covered)?;
        let mut register = first.iter().fold(0, |register, &byte| advance(register, byte));
        for (at, (&out, next)) in bytes_left.iter().zip(behind.windows(4)).enumerate() {
            let &[entering, second, third, fourth] = next else { return None };
            let stored = u32::from_be_bytes([entering, second, third, fourth]);
            let offset = from.saturating_add(at);
            if register ^ self.of_zeros == stored && accept(offset) {
                return Some(offset);
            }
            register = advance(register, entering) ^ self.contribution_of(out);
        }
        None
    }

    fn contribution_of(&self, byte: u8) -> u32 {
        self.leaving.get(usize::from(byte)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_the_offsets_are_found_at_which_the_crc_fits(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..600),
            covered in 1_usize..190,
            places in proptest::collection::vec(0_usize..600, 0..4),
        ) {
            for place in places {
                let crc = bytes.get(place..place + covered).map(crc32fast::hash);
                let stored = bytes.get_mut(place + covered..place + covered + 4);
                if let (Some(crc), Some(stored)) = (crc, stored) {
                    stored.copy_from_slice(&crc.to_be_bytes());
                }
            }
            let fits = |at: &usize| {
                crc32fast::hash(&bytes[*at..at + covered]).to_be_bytes() == bytes[at + covered..][..4]
            };
            let expected: Vec<usize> =
                (0..(bytes.len() + 1).saturating_sub(covered + 4)).filter(fits).collect();
            let mut found = Vec::new();
            let scanner = BlockScanner::new(covered);
            scanner.next(&bytes, 0, |at| {
                found.push(at);
                false
            });
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(scanner.next(&bytes, 0, |_| true), expected.first().copied());
        }
    }
}
