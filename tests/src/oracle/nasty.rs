//! Messages that break rules, one against another: headers and structures are put together from the
//! tokens that a parser of mail looks at, mostly in an order in which they make sense.

mod charsets;
mod dates;
mod fields;
mod soup;
mod structure;

use super::corpus::Sample;
use crate::generate::Random;
use structure::Entities;

/// An endless sequence of messages, the same one for the same seed.
#[derive(Debug)]
pub struct NastyMessages {
    seed: u64,
    made: u64,
}

impl NastyMessages {
    /// The sequence that `seed` stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, made: 0 }
    }
}

impl Iterator for NastyMessages {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        self.made += 1;
        let mut random = Random::new(self.seed << 32 | self.made);
        let mut bytes = Vec::new();
        if random.one_in(40) {
            bytes.extend_from_slice(b"From a@example.org Thu Sep 12 10:00:00 2002\r\n");
        }
        Entities::new(&mut random).message(&mut bytes);
        if random.one_in(12) {
            soup::spoil(&mut random, &mut bytes);
        }
        if bytes.is_empty() {
            // An empty file is no message.
            bytes.push(b'\n');
        }
        Some(Sample { source: format!("nasty {} of seed {}", self.made, self.seed), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_messages_and_another_makes_others() {
        let some = |seed| NastyMessages::new(seed).take(50).collect::<Vec<_>>();
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
    }

    #[test]
    fn messages_nest_and_have_all_fields_that_are_read() {
        let all: Vec<u8> =
            NastyMessages::new(1).take(500).flat_map(|sample| sample.bytes).collect();
        let all = String::from_utf8_lossy(&all).to_lowercase();
        for needed in ["content-type: multipart/", "message/rfc822", "\nbcc:", "=?", "content-md5:"]
        {
            assert!(all.contains(needed), "{needed}");
        }
    }
}
