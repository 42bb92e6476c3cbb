//! What is left to do.

use std::collections::VecDeque;
use std::time::Duration;

use super::costs::Costs;
use super::work::Work;

/// What is left to do, at the time of an estimate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// Who works, and on what.
    pub workers: Workers,
    /// All jobs that wait, together.
    pub waiting: Work,
    /// The jobs that come last, in their order; [`Left::LAST`] of them are enough.
    pub last: VecDeque<Work>,
    /// The largest jobs of those that wait; [`Left::LARGE`] of them are enough.
    pub large: Vec<Large>,
}

/// Who works, and on what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workers {
    /// How many there are, idle ones included.
    pub number: u32,
    /// The jobs that are worked on.
    pub running: Vec<Running>,
}

/// A large job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Large {
    /// The job.
    pub work: Work,
    /// All jobs together that wait and come before it.
    pub before: Work,
}

/// A job that is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Running {
    /// The mailbox in hand.
    pub in_hand: Work,
    /// Since when it is.
    pub since: Duration,
    /// How many of its messages were checked since then; 0 where that is not known.
    pub checked: u64,
    /// The job's other mailboxes that are not done yet.
    pub later: Work,
}

impl Left {
    /// How many of the last jobs an estimate makes use of.
    pub const LAST: usize = 128;
    /// How many of the largest jobs an estimate makes use of.
    pub const LARGE: usize = 8;

    /// Adds a job that waits, behind all that were added before. Keeps no more of it than is needed.
    pub fn add_waiting(&mut self, work: Work) {
        self.large.push(Large { work, before: self.waiting });
        if self.large.len() > Self::LARGE {
            let size = |(_, large): &(usize, &Large)| Costs::USUAL.of(&large.work);
            let smallest = self
                .large
                .iter()
                .enumerate()
                .min_by(|one, other| size(one).total_cmp(&size(other)));
            if let Some((smallest, _)) = smallest {
                self.large.remove(smallest);
            }
        }
        self.last.push_back(work);
        if self.last.len() > Self::LAST {
            self.last.pop_front();
        }
        self.waiting += work;
    }
}
