//! Messages that were damaged at random.

use super::corpus::Sample;
use crate::generate::Random;

/// An endless sequence of mutants, the same one for the same messages and seed: each is one of the
/// messages, cut short or with some of its bytes changed, or both.
#[derive(Debug)]
pub struct Mutants<'a> {
    messages: &'a [Sample],
    random: Random,
    made: usize,
}

impl<'a> Mutants<'a> {
    /// Of these messages, of which there must be at least one.
    #[must_use]
    pub fn new(messages: &'a [Sample], seed: u64) -> Self {
        Self { messages, random: Random::new(seed), made: 0 }
    }

    fn change_bytes(&mut self, bytes: &mut [u8]) {
        // Most of what is derived stands at the top.
        let reach = if self.random.one_in(2) { bytes.len() } else { bytes.len().min(2000) };
        for _ in 0..=self.random.below(12) {
            let at = self.random.below(reach);
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte = match self.random.below(3) {
                0 => *byte ^ (1 << self.random.below(8)),
                1 => self.random.bits().to_be_bytes()[0],
                _ => b"\r\n\0 \t\"\\()<>@,;:=?*-'%"[self.random.below(21)],
            };
        }
    }
}

impl Iterator for Mutants<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let original = self.messages.get(self.random.below(self.messages.len()))?;
        let mut bytes = original.bytes.clone();
        self.made += 1;
        if !self.made.is_multiple_of(3) {
            self.change_bytes(&mut bytes);
        }
        if self.made % 3 != 1 {
            // An empty file is no message.
            bytes.truncate(1 + self.random.below(bytes.len()));
        }
        Some(Sample { source: format!("mutant {} of {}", self.made, original.source), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_mutants_and_another_makes_others() {
        let message = Sample { source: "m".into(), bytes: b"Subject: hello\r\n\r\nx".repeat(9) };
        let messages = [message];
        let some = |seed| Mutants::new(&messages, seed).take(30).collect::<Vec<_>>();
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        assert!(some(1).iter().all(|mutant| mutant.bytes != messages[0].bytes));
    }
}
