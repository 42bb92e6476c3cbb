//! What damage does to a CRC-32, by its linearity: which single flipped bit explains a mismatch,
//! and where two halves of a block that was torn apart belong together.
//!
//! A *block* is a header or record up to and with its CRC: `covered` bytes, then the CRC over them,
//! big-endian. Its *syndrome* is the XOR of the CRC of the bytes and the CRC that is stored: 0 where
//! the block is whole. Changing bytes changes the syndrome by an amount that depends on their place and
//! on the bits changed only, not on what else the block holds.
//!
//! Blocks are at most 192 bytes long. At that length CRC-32 tells any two words apart that differ in
//! fewer than five bits (its Hamming distance is 5 up to 2,974 bits), so damage to two or three bits
//! is never taken for damage to one.

use std::sync::LazyLock;

/// Bytes of the CRC at the end of a block.
pub(super) const STORED: usize = 4;

/// The most bytes a CRC covers: those of a header of version 20.
const LONGEST: usize = 188;

/// The CRC-32 of zlib, byte by byte.
const TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut rest = table.as_mut_slice();
    let mut byte = 0_u32;
    while let [first, more @ ..] = rest {
        let (mut register, mut bits) = (byte, 8);
        while bits > 0 {
            let carry = register & 1;
            register = (register >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(carry));
            bits -= 1;
        }
        *first = register;
        byte = byte.wrapping_add(1);
        rest = more;
    }
    table
};

/// The register of a CRC-32 after one more byte.
pub(super) fn advance(register: u32, byte: u8) -> u32 {
    let [_, _, _, low] = register.to_be_bytes();
    (register >> 8) ^ TABLE.get(usize::from(low ^ byte)).copied().unwrap_or(0)
}

/// Of every bit of the longest block, what it does to the CRC.
struct BitEffects {
    /// `by_distance[n][b]`: bit `b` of a byte that `n` covered bytes follow.
    by_distance: Vec<[u32; 8]>,
    /// The same with its place, sorted: effect, distance, bit.
    sorted: Vec<(u32, usize, u8)>,
}

static EFFECTS: LazyLock<BitEffects> = LazyLock::new(|| {
    let mut effects = [0_u8, 1, 2, 3, 4, 5, 6, 7].map(|bit| advance(0, 1 << bit));
    let mut by_distance = Vec::with_capacity(LONGEST);
    let mut sorted = Vec::with_capacity(LONGEST.saturating_mul(8));
    for distance in 0..LONGEST {
        by_distance.push(effects);
        sorted.extend(effects.iter().zip(0_u8..).map(|(effect, bit)| (*effect, distance, bit)));
        effects = effects.map(|effect| advance(effect, 0));
    }
    sorted.sort_unstable();
    BitEffects { by_distance, sorted }
});

/// The syndrome of the block at the start of `bytes`; none where they are too few.
pub(super) fn syndrome(bytes: &[u8], covered: usize) -> Option<u32> {
    let (body, rest) = bytes.split_at_checked(covered)?;
    Some(crc32fast::hash(body) ^ u32::from_be_bytes(*rest.first_chunk()?))
}

/// By how much the syndrome changes when the bits of `mask` change in the byte at `position`.
pub(super) fn effect(position: usize, mask: u8, covered: usize) -> u32 {
    if position >= covered {
        let stored = position.saturating_sub(covered);
        let byte = [0, 1, 2, 3].map(|at: usize| if at == stored { mask } else { 0 });
        return u32::from_be_bytes(byte);
    }
    let distance = covered.saturating_sub(position).saturating_sub(1);
    let effects = EFFECTS.by_distance.get(distance).copied().unwrap_or_default();
    let changed = effects.iter().zip(0_u8..).filter(|(_, bit)| mask >> bit & 1 == 1);
    changed.fold(0, |all, (effect, _)| all ^ effect)
}

/// The one bit that explains a syndrome: its byte's position in the block, and its mask.
///
/// Of 2^32 syndromes about 1,000 are explained so: bytes that are no block at all are taken for one
/// with a flipped bit once in four million.
pub(super) fn flipped_bit(syndrome: u32, covered: usize) -> Option<(usize, u8)> {
    if syndrome.is_power_of_two() {
        let bytes = syndrome.to_be_bytes();
        let (at, mask) = bytes.into_iter().enumerate().find(|(_, byte)| *byte != 0)?;
        return Some((covered.saturating_add(at), mask));
    }
    let sorted = &EFFECTS.sorted;
    let found = sorted.binary_search_by_key(&syndrome, |&(effect, ..)| effect).ok()?;
    let &(_, distance, bit) = sorted.get(found)?;
    let position = covered.checked_sub(distance)?.checked_sub(1)?;
    Some((position, 1 << bit))
}

/// Flips the one bit back that explains why the block at the start of `bytes` is not whole; tells
/// whether there is one.
pub(super) fn flip_back(bytes: &mut [u8], covered: usize) -> bool {
    let flipped = syndrome(bytes, covered)
        .filter(|&syndrome| syndrome != 0)
        .and_then(|syndrome| flipped_bit(syndrome, covered));
    let Some((position, mask)) = flipped else { return false };
    bytes.get_mut(position).is_some_and(|byte| {
        *byte ^= mask;
        true
    })
}

/// The block whose front begins `front` and whose rest ends `back`, where there is one place at
/// which they join to a whole block. Both are as long as what is returned.
///
/// A block can be joined in as many places as it has bytes: bytes that never belonged together are
/// taken for one once in twenty million.
pub(super) fn join(front: &[u8], back: &[u8], covered: usize) -> Option<Vec<u8>> {
    let mut remaining = syndrome(back, covered)?;
    let whole = covered.saturating_add(STORED);
    for (position, (&byte, &other)) in front.iter().zip(back).enumerate().take(whole) {
        remaining ^= effect(position, byte ^ other, covered);
        if remaining == 0 {
            let mut joined = front.to_vec();
            let after = position.saturating_add(1);
            joined.truncate(after);
            joined.extend_from_slice(back.get(after..)?);
            return Some(joined);
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(body: &[u8]) -> Vec<u8> {
        [body, &crc32fast::hash(body).to_be_bytes()].concat()
    }

    #[test]
    fn each_bit_of_the_longest_block_is_found_again() {
        let whole = block(&[0x5a; LONGEST]);
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[position] ^= 1 << bit;
                assert!(flip_back(&mut damaged, LONGEST), "bit {bit} of byte {position}");
                assert_eq!(damaged, whole);
            }
        }
        assert!(!flip_back(&mut whole.clone(), LONGEST), "nothing is flipped in a whole block");
    }

    #[test]
    fn no_two_bits_of_the_longest_block_have_one_effect() {
        let mut effects: Vec<u32> = EFFECTS.sorted.iter().map(|(effect, ..)| *effect).collect();
        effects.extend((0..32).map(|bit| 1_u32 << bit));
        effects.sort_unstable();
        assert!(effects.windows(2).all(|pair| pair[0] != pair[1]));
    }

    proptest! {
        #[test]
        fn two_or_three_flipped_bits_are_never_taken_for_one(
            body in proptest::collection::vec(any::<u8>(), 92..=LONGEST),
            flips in proptest::collection::btree_set(0_usize..(92 + STORED) * 8, 2..=3),
        ) {
            let mut damaged = block(&body);
            for flip in flips {
                damaged[flip / 8] ^= 1 << (flip % 8);
            }
            prop_assert!(!flip_back(&mut damaged, body.len()));
        }

        #[test]
        fn a_block_torn_anywhere_is_joined(
            body in proptest::collection::vec(any::<u8>(), 92..=LONGEST),
            at in 1_usize..96,
            between in proptest::collection::vec(any::<u8>(), 1..300),
        ) {
            let whole = block(&body);
            let torn = [&whole[..at], &between, &whole[at..]].concat();
            let (front, back) = (&torn[..whole.len()], &torn[torn.len() - whole.len()..]);
            prop_assert_eq!(join(front, back, body.len()), Some(whole));
        }
    }
}
