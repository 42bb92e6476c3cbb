//! The compression function, for one digest and for two.

use sha1::block_api;

/// The five words of a digest under way.
pub(crate) type State = [u32; 5];
pub(crate) type Block = [u8; 64];

/// FIPS 180-4, 5.3.1.
pub(crate) const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// Adds blocks to one digest.
pub(crate) fn alone(state: &mut State, blocks: &[Block]) {
    block_api::compress(state, blocks);
}

/// Adds equally many blocks to two digests.
pub(crate) fn pair([first, second]: [&mut State; 2], blocks: [&[Block]; 2]) {
    #[cfg(target_arch = "x86_64")]
    if lanes::compress_where_able([first, second], blocks) {
        return;
    }
    one_after_the_other([first, second], blocks);
}

fn one_after_the_other(states: [&mut State; 2], blocks: [&[Block]; 2]) {
    for (state, blocks) in states.into_iter().zip(blocks) {
        alone(state, blocks);
    }
}

/// Two digests in turns, by the instructions of x86 (Intel SDM volume 2, `SHA1RNDS4` and its kin).
#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::is_x86_feature_detected;
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
        _mm_sha1msg1_epu32, _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32,
        _mm_shuffle_epi8, _mm_xor_si128,
    };

    use super::{Block, State};

    /// Whether the processor has the instructions; if it has, the blocks are added.
    #[allow(unsafe_code, reason = "a safe function cannot require instructions of its caller")]
    pub(super) fn compress_where_able(states: [&mut State; 2], blocks: [&[Block]; 2]) -> bool {
        let is_able = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        if is_able {
            // SAFETY: all that `compress` asks for is that the processor has the instructions which
            // its attribute names, and those were just found.
            unsafe { compress(states, blocks) };
        }
        is_able
    }

    /// A digest as the instructions have it: four words from the highest lane down, and the fifth in
    /// the highest lane.
    #[derive(Clone, Copy)]
    struct Lane {
        abcd: __m128i,
        e: __m128i,
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn compress(states: [&mut State; 2], blocks: [&[Block]; 2]) {
        let mut lanes = [load_state(states[0]), load_state(states[1])];
        for (first, second) in blocks[0].iter().zip(blocks[1]) {
            add_block(&mut lanes, [load_block(first), load_block(second)]);
        }
        for (state, lane) in states.into_iter().zip(lanes) {
            *state = store_state(lane);
        }
    }

    /// The 80 rounds, four by four; what a step does for one digest does not wait for the other.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn add_block(lanes: &mut [Lane; 2], mut words: [[__m128i; 4]; 2]) {
        let start = *lanes;
        for (lane, words) in lanes.iter_mut().zip(&words) {
            lane.e = _mm_add_epi32(lane.e, words[0]);
        }
        // Four rounds with function `$function`, with the words of place `$step % 4`, of which the
        // next ones are put into the place of the oldest.
        macro_rules! rounds {
            ($($step:literal)+, $function:literal) => {$(
                for ((lane, words), start) in lanes.iter_mut().zip(&mut words).zip(start) {
                    let abcd = _mm_sha1rnds4_epu32::<$function>(lane.abcd, lane.e);
                    let next = if $step < 19 {
                        let place = ($step + 1) % 4;
                        if $step >= 3 {
                            let mixed = _mm_sha1msg1_epu32(words[place], words[($step + 2) % 4]);
                            let mixed = _mm_xor_si128(mixed, words[($step + 3) % 4]);
                            words[place] = _mm_sha1msg2_epu32(mixed, words[$step % 4]);
                        }
                        words[place]
                    } else {
                        start.e
                    };
                    lane.e = _mm_sha1nexte_epu32(lane.abcd, next);
                    lane.abcd = abcd;
                }
            )+};
        }
        rounds!(0 1 2 3 4, 0);
        rounds!(5 6 7 8 9, 1);
        rounds!(10 11 12 13 14, 2);
        rounds!(15 16 17 18 19, 3);
        for (lane, start) in lanes.iter_mut().zip(start) {
            lane.abcd = _mm_add_epi32(lane.abcd, start.abcd);
        }
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn load_block(block: &Block) -> [__m128i; 4] {
        // The words are big-endian, and the first is in the highest lane.
        let reverse = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        let (halves, _) = block.as_chunks();
        [0, 2, 4, 6].map(|half| {
            let [low, high] = [halves[half], halves[half + 1]].map(i64::from_le_bytes);
            _mm_shuffle_epi8(_mm_set_epi64x(high, low), reverse)
        })
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn load_state(state: &State) -> Lane {
        let [a, b, c, d, last] = state.map(u32::cast_signed);
        Lane { abcd: _mm_set_epi32(a, b, c, d), e: _mm_set_epi32(last, 0, 0, 0) }
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn store_state(Lane { abcd, e }: Lane) -> State {
        let words = [
            _mm_extract_epi32::<3>(abcd),
            _mm_extract_epi32::<2>(abcd),
            _mm_extract_epi32::<1>(abcd),
            _mm_extract_epi32::<0>(abcd),
            _mm_extract_epi32::<3>(e),
        ];
        words.map(i32::cast_unsigned)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks() -> impl Strategy<Value = Vec<Block>> {
        prop::collection::vec(any::<u8>(), 0..1300).prop_map(|bytes| bytes.as_chunks().0.to_vec())
    }

    proptest! {
        #[test]
        fn two_in_turns_come_to_what_one_after_the_other_does(
            states: [State; 2], first in blocks(), second in blocks(),
        ) {
            let shared = first.len().min(second.len());
            let blocks = [&first[..shared], &second[..shared]];
            let [mut a, mut b] = states;
            pair([&mut a, &mut b], blocks);
            let [mut c, mut d] = states;
            one_after_the_other([&mut c, &mut d], blocks);
            prop_assert_eq!([a, b], [c, d]);
        }
    }
}
