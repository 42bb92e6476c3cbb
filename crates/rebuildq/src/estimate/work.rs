//! How much work something is, as triage told it beforehand.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// How many numbers a [`Work`] has.
pub(super) const FEATURES: usize = 4;
/// The numbers of a [`Work`], or of something for each of them.
pub(super) type Features = [f64; FEATURES];

/// What triage told of a mailbox or of many together, before they were rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages in them.
    pub messages: u64,
    /// Messages that have to be read.
    pub to_read: u64,
    /// Bytes of those.
    pub bytes: u64,
}

impl Work {
    /// Its numbers, for arithmetic.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn features(&self) -> Features {
        [self.mailboxes, self.messages, self.to_read, self.bytes].map(|number| number as f64)
    }
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            mailboxes: self.mailboxes.saturating_add(other.mailboxes),
            messages: self.messages.saturating_add(other.messages),
            to_read: self.to_read.saturating_add(other.to_read),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl Sub for Work {
    type Output = Self;

    /// What is left of it without `other`; nothing where that was more.
    fn sub(self, other: Self) -> Self {
        Self {
            mailboxes: self.mailboxes.saturating_sub(other.mailboxes),
            messages: self.messages.saturating_sub(other.messages),
            to_read: self.to_read.saturating_sub(other.to_read),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
