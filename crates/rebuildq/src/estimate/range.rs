//! From when to when.

use std::time::Duration;

/// How often the rest is played through.
const PLAYS: u16 = 200;
/// So many plays that end earliest, and so many that end latest, are left out of account.
const LEFT_OUT: usize = 8;
/// An edge that would move by less than this share of the time left stays.
const STEADY: f64 = 0.03;

/// From when to when, from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Not before.
    pub earliest: Duration,
    /// Not after.
    pub latest: Duration,
}

impl Range {
    /// That of the plays, each of which is told its number and how many there are, and says after
    /// how many seconds it ends.
    pub(super) fn of_plays(play: impl Fn(u16, u16) -> f64) -> Self {
        let mut ends: Vec<f64> = (0..PLAYS).map(|number| play(number, PLAYS)).collect();
        ends.sort_by(f64::total_cmp);
        let after = |seconds: Option<&f64>| {
            let seconds = seconds.copied().unwrap_or_default();
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        };
        Self { earliest: after(ends.get(LEFT_OUT)), latest: after(ends.iter().rev().nth(LEFT_OUT)) }
    }

    /// The same range, which does not jump about: an edge of the one that was published last, so
    /// long ago, stays where it would move by no more than a little of the time left.
    #[must_use]
    pub fn steadied(self, published: Self, ago: Duration) -> Self {
        let little = (self.earliest + self.latest).mul_f64(STEADY / 2.0);
        let edge = |new: Duration, old: Duration| {
            let old = old.saturating_sub(ago);
            if new.abs_diff(old) <= little { old } else { new }
        };
        Self {
            earliest: edge(self.earliest, published.earliest),
            latest: edge(self.latest, published.latest),
        }
    }
}
