//! How fast something may be done: so many items, so many bytes a second.

use std::num::NonZeroU64;
use std::time::Duration;

/// What was not used of a limit is there for so long: sleeping is not exact.
const CREDIT: Duration = Duration::from_millis(100);

/// How much may be done in a second; without a number, as much as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Files or messages.
    pub items: Option<NonZeroU64>,
    /// Bytes.
    pub bytes: Option<NonZeroU64>,
}

/// What keeps to a [`Rate`]. It only reckons: who uses it has a clock, which tells the time since
/// some beginning, and sleeps.
#[derive(Debug)]
pub struct Pace {
    items: Option<Limit>,
    bytes: Option<Limit>,
}

impl Pace {
    /// That of a rate.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { items: Limit::of(rate.items), bytes: Limit::of(rate.bytes) }
    }

    /// How long the next item has to wait. How many bytes it has is not known before it was read:
    /// so it waits until those before it are paid for.
    pub fn next_item(&mut self, now: Duration) -> Duration {
        let items = self.items.as_mut().map(|items| items.take(1, now));
        let bytes = self.bytes.as_ref().map(|bytes| bytes.wait(now));
        items.max(bytes).unwrap_or_default()
    }

    /// The item that came last had so many bytes.
    pub fn had(&mut self, bytes: u64, now: Duration) {
        if let Some(limit) = &mut self.bytes {
            limit.take(bytes, now);
        }
    }

    /// How long so many items with so many bytes have to wait.
    pub fn next_items(&mut self, items: u64, bytes: u64, now: Duration) -> Duration {
        let items = self.items.as_mut().map(|limit| limit.take(items, now));
        let bytes = self.bytes.as_mut().map(|limit| limit.take(bytes, now));
        items.max(bytes).unwrap_or_default()
    }
}

/// A token bucket, as the time at which it is full again for the next one.
#[derive(Debug)]
struct Limit {
    per_second: NonZeroU64,
    due: Duration,
}

impl Limit {
    fn of(per_second: Option<NonZeroU64>) -> Option<Self> {
        per_second.map(|per_second| Self { per_second, due: Duration::ZERO })
    }

    fn wait(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }

    /// Takes so many; how long whoever takes them has to wait.
    fn take(&mut self, amount: u64, now: Duration) -> Duration {
        let wait = self.wait(now);
        let nanos = u128::from(amount).saturating_mul(1_000_000_000);
        let nanos = nanos / u128::from(self.per_second.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due = self.due.max(now.saturating_sub(CREDIT)).saturating_add(cost);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_idle_time_a_tenth_of_a_second_is_made_up_for() {
        let mut limit = Limit::of(NonZeroU64::new(100)).unwrap();
        let now = Duration::from_secs(100);
        let waits: Vec<_> = (0..13).map(|_| limit.take(1, now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 20]);
    }

    #[test]
    fn several_items_wait_for_those_before_them_by_the_slower_limit() {
        let rate =
            |items, bytes| Rate { items: NonZeroU64::new(items), bytes: NonZeroU64::new(bytes) };
        let now = Duration::from_secs(100);
        for (rate, waits) in [(rate(10, 0), 5), (rate(0, 1000), 8), (rate(0, 0), 0)] {
            let mut pace = Pace::new(rate);
            assert_eq!(pace.next_items(51, 8100, now), Duration::ZERO);
            assert_eq!(pace.next_items(1, 1, now), Duration::from_secs(waits));
        }
    }
}
