//! How fast messages are sent, by all connections together.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use mailstore::pace::{Pace, Rate};

use crate::stop::Stop;

/// Lets messages go no faster than a rate.
#[derive(Debug)]
pub(super) struct Throttle {
    rate: Rate,
    pace: Mutex<Pace>,
    begun: Instant,
}

impl Throttle {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, pace: Mutex::new(Pace::new(rate)), begun: Instant::now() }
    }

    /// So many of `most` messages may go at once: no more than a second's.
    pub(super) fn at_once(&self, most: usize) -> usize {
        let a_second = self.rate.items.and_then(|items| usize::try_from(items.get()).ok());
        a_second.map_or(most, |a_second| a_second.min(most))
    }

    /// Waits until so many may go, or the run is told to stop.
    pub(super) fn wait(&self, messages: u64, bytes: u64, stop: &Stop) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let time = pace.next_items(messages, bytes, self.begun.elapsed());
        drop(pace);
        if !time.is_zero() {
            stop.sleep(time);
        }
    }
}
