//! How gently a disk is read: by how many readers at a time, and how fast.
//!
//! A [`Gate`] stands before each device that sources lie on. Who reads a file passes it: it lets in
//! so many at a time, each when the files and bytes that were read before it are within the
//! [`Rate`].

use std::collections::HashMap;
use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What was not used of a limit is there for so long: sleeping is not exact.
const CREDIT: Duration = Duration::from_millis(100);

/// How much may be read of a device in a second; without a number, as much as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Files.
    pub files: Option<NonZeroU64>,
    /// Bytes.
    pub bytes: Option<NonZeroU64>,
}

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
        let pace = Pace { files: Limit::of(rate.files), bytes: Limit::of(rate.bytes) };
        Self { free: Mutex::new(readers.get()), freed: Condvar::new(), pace: pace.into(), clock }
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
        let wait = locked(&gate.pace).next_file(gate.clock.now());
        if !wait.is_zero() {
            gate.clock.sleep(wait);
        }
        let (result, bytes) = read();
        locked(&gate.pace).has_read(bytes, gate.clock.now());
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

/// Both limits of a device.
#[derive(Debug)]
struct Pace {
    files: Option<Limit>,
    bytes: Option<Limit>,
}

impl Pace {
    /// How long the next file has to wait. How many bytes it has is not known before it was read:
    /// so it waits until those before it are paid for.
    fn next_file(&mut self, now: Duration) -> Duration {
        let files = self.files.as_mut().map(|files| files.take(1, now));
        let bytes = self.bytes.as_ref().map(|bytes| bytes.wait(now));
        files.max(bytes).unwrap_or_default()
    }

    fn has_read(&mut self, bytes: u64, now: Duration) {
        if let Some(limit) = &mut self.bytes {
            limit.take(bytes, now);
        }
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
        Rate { files: NonZeroU64::new(files), bytes: NonZeroU64::new(bytes) }
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
    fn of_an_idle_time_a_tenth_of_a_second_is_made_up_for() {
        let mut limit = Limit::of(NonZeroU64::new(100)).unwrap();
        let now = Duration::from_secs(100);
        let waits: Vec<_> = (0..13).map(|_| limit.take(1, now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 20]);
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
