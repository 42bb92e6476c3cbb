//! How considerate of the live server a run is: how fast it goes, and when it waits.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mailstore::pace::{Pace, Rate};
use mailstore::stop::Stop;

/// A server that is too slow is left alone for so long at first, then for twice as long each time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// But for no longer than this: it is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How considerate of the live server a run is.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// How many messages, and bytes, are delivered in a second.
    pub rate: Rate,
    /// Nothing is delivered while the server, or its disk, takes longer than this for next to nothing.
    pub max_latency: Option<Duration>,
    /// What tells the run to stop.
    pub stop: Stop,
}

/// Lets messages go as the manners have it. Threads share it.
#[derive(Debug)]
pub(crate) struct Gate {
    manners: Manners,
    pace: Mutex<Pace>,
    begun: Instant,
}

impl Gate {
    pub(crate) fn new(manners: Manners) -> Self {
        let pace = Mutex::new(Pace::new(manners.rate));
        Self { manners, pace, begun: Instant::now() }
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.manners.stop
    }

    /// So many of `most` messages may go at once: no more than those of a tenth of a second, so that
    /// nobody waits long for what goes together.
    pub(crate) fn at_once(&self, most: usize) -> usize {
        let a_second = self.manners.rate.items.and_then(|items| usize::try_from(items.get()).ok());
        a_second.map_or(most, |a_second| (a_second / 10).clamp(1, most))
    }

    /// Waits until so many may go, or the run is told to stop.
    pub(crate) fn wait(&self, messages: u64, bytes: u64) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let time = pace.next_items(messages, bytes, self.begun.elapsed());
        drop(pace);
        if !time.is_zero() {
            self.stop().sleep(time);
        }
    }

    /// Waits while the server is too slow, or until the run is told to stop. `probe` tells how slow it
    /// is; it is not asked where nobody cares. `slow` is told before each pause.
    pub(crate) fn ease<E>(
        &self,
        mut probe: impl FnMut() -> Result<Duration, E>,
        slow: &dyn Fn(Duration),
    ) -> Result<(), E> {
        let Some(max_latency) = self.manners.max_latency else { return Ok(()) };
        let mut pause = SHORTEST_PAUSE;
        while !self.stop().is_asked() {
            let took = probe()?;
            if took <= max_latency {
                break;
            }
            slow(took);
            self.stop().sleep(pause);
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;
    use std::num::NonZeroU64;

    use super::*;

    fn gate(max_latency: Option<Duration>) -> Gate {
        Gate::new(Manners { max_latency, ..Manners::default() })
    }

    /// What is told of a server that takes these milliseconds, one time after the other.
    fn told(gate: &Gate, times: &[u64]) -> (Vec<Duration>, usize) {
        let (told, mut left) = (RefCell::new(Vec::new()), times.iter());
        let probe =
            || Ok::<_, Infallible>(Duration::from_millis(*left.next().expect("asked too often")));
        gate.ease(probe, &|took| told.borrow_mut().push(took)).unwrap();
        (told.into_inner(), left.len())
    }

    #[test]
    fn a_slow_server_is_asked_until_it_is_fast_again() {
        let gate = gate(Some(Duration::from_millis(50)));
        assert_eq!(told(&gate, &[50, 90]), (vec![], 1));
        let slow = vec![Duration::from_millis(51), Duration::from_millis(90)];
        assert_eq!(told(&gate, &[51, 90, 3, 90]), (slow, 1));
    }

    #[test]
    fn a_run_that_is_told_to_stop_waits_for_no_server() {
        let gate = gate(Some(Duration::ZERO));
        gate.stop().ask();
        assert_eq!(told(&gate, &[90]), (vec![], 1));
    }

    #[test]
    fn what_goes_at_once_is_a_message_at_least_and_no_more_than_can_go() {
        for (items, at_once) in [(1, 1), (300, 30), (9000, 200)] {
            let rate = Rate { items: NonZeroU64::new(items), bytes: None };
            let gate = Gate::new(Manners { rate, ..Manners::default() });
            assert_eq!(gate.at_once(200), at_once, "{items}");
        }
        assert_eq!(gate(None).at_once(200), 200);
    }

    #[test]
    fn nobody_asks_where_nobody_cares() {
        assert_eq!(told(&gate(None), &[90]), (vec![], 1));
    }
}
