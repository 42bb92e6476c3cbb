//! How gently a disk is read: by how many readers at a time, and how fast.
//!
//! A [`Gate`] stands before each device that sources lie on. Who reads a file passes it: it lets in
//! so many at a time, each when the files and bytes that were read before it are within the
//! [`Rate`].

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mailstore::pace::Pace;
pub use mailstore::pace::Rate;

/// The devices that sources lie on, each with a gate of its own.
#[derive(Debug)]
pub struct Devices {
    readers: NonZeroUsize,
    rate: Rate,
    clock: Arc<dyn Clock>,
    gates: Mutex<HashMap<u64, Arc<Gate>>>,
}

impl Devices {
    /// Each device is read by so many at a time, and no faster than `rate`.
    #[must_use]
    pub fn new(readers: NonZeroUsize, rate: Rate) -> Self {
        let clock = Arc::new(SystemClock(Instant::now()));
        Self { readers, rate, clock, gates: Mutex::default() }
    }

    /// The gate of the device with this number (`st_dev`).
    pub(crate) fn gate(&self, device: u64) -> Arc<Gate> {
        let new = || Arc::new(Gate::new(self.readers, self.rate, Arc::clone(&self.clock)));
        Arc::clone(locked(&self.gates).entry(device).or_insert_with(new))
    }
}

/// What lets readers of a device in.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
    pace: Mutex<Pace>,
    clock: Arc<dyn Clock>,
}

/// A reader that was let in.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a Gate);

impl Gate {
    fn new(readers: NonZeroUsize, rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let pace = Mutex::new(Pace::new(rate));
        Self { free: Mutex::new(readers.get()), freed: Condvar::new(), pace, clock }
    }

    /// Waits until there is room for one more reader.
    pub(crate) fn enter(&self) -> Reader<'_> {
        let mut free = locked(&self.free);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free = free.saturating_sub(1);
        Reader(self)
    }
}

impl Reader<'_> {
    /// Reads one file as soon as the pace allows it: `read` says how many bytes it was.
    pub(crate) fn read<T>(&self, read: impl FnOnce() -> (T, u64)) -> T {
        let Self(gate) = self;
        let wait = locked(&gate.pace).next_item(gate.clock.now());
        if !wait.is_zero() {
            gate.clock.sleep(wait);
        }
        let (result, bytes) = read();
        locked(&gate.pace).had(bytes, gate.clock.now());
        result
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut free = locked(&self.0.free);
        *free = free.saturating_add(1);
        self.0.freed.notify_one();
    }
}

/// What tells the time and lets it pass.
trait Clock: fmt::Debug + Send + Sync {
    /// The time since some beginning.
    fn now(&self) -> Duration;
    fn sleep(&self, time: Duration);
}

#[derive(Debug)]
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Time passes only while somebody sleeps.
    #[derive(Debug, Default)]
    struct FakeClock(Mutex<Duration>);

    impl Clock for FakeClock {
        fn now(&self) -> Duration {
            *locked(&self.0)
        }

        fn sleep(&self, time: Duration) {
            *locked(&self.0) += time;
        }
    }

    /// What the clock says after so many files of so many bytes.
    fn after(files: u64, bytes: u64, rate: Rate) -> Duration {
        let clock = Arc::new(FakeClock::default());
        let gate = Gate::new(NonZeroUsize::MIN, rate, Arc::<FakeClock>::clone(&clock));
        (0..files).for_each(|_| gate.enter().read(|| ((), bytes)));
        clock.now()
    }

    fn rate(files: u64, bytes: u64) -> Rate {
        Rate { items: NonZeroU64::new(files), bytes: NonZeroU64::new(bytes) }
    }

    #[test]
    fn the_slower_of_both_limits_counts() {
        let seconds = Duration::from_secs;
        // The first waits for nobody, and each later one for those before it.
        assert_eq!(after(101, 1000, rate(50, 0)), seconds(2));
        assert_eq!(after(101, 1000, rate(0, 10_000)), seconds(10));
        assert_eq!(after(101, 1000, rate(50, 10_000)), seconds(10));
        assert_eq!(after(101, 1000, rate(10, 1_000_000)), seconds(10));
        assert_eq!(after(101, u64::MAX, Rate::default()), seconds(0));
    }

    #[test]
    fn no_more_readers_are_let_in_at_a_time_than_a_device_has() {
        let devices = Devices::new(NonZeroUsize::new(2).unwrap(), Rate::default());
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let gate = devices.gate(1);
                        let reader = gate.enter();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        reader.read(|| (std::thread::yield_now(), 0));
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert!(!Arc::ptr_eq(&devices.gate(1), &devices.gate(2)), "each has a gate of its own");
    }
}
