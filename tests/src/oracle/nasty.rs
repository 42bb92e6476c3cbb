//! Messages that break rules.

use super::corpus::Sample;
use crate::generate::Random;

/// An endless sequence of messages.
#[derive(Debug)]
pub struct NastyMessages {
    random: Random,
}

impl NastyMessages {
    /// The sequence that `seed` stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed) }
    }
}

impl Iterator for NastyMessages {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        Some(Sample { source: "x".into(), bytes: self.random.bits().to_string().into_bytes() })
    }
}
