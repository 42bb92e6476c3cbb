//! What a piece of work costs, and whether that grows with its input or faster.
#![allow(clippy::print_stderr, reason = "figures are there for who asks for a test's output")]

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::counting_allocator::{counts, reset_peak};

/// What a piece of work costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// The most memory that it had at once, in bytes.
    pub(crate) peak: usize,
    /// How often it asked for memory.
    pub(crate) requests: usize,
    /// The processor's time that this thread took for it; good for ratios only, and never asserted:
    /// `cargo xtask bench bombs` shows them.
    work: Duration,
}

/// How much longer the longer input is.
const LONGER: usize = 8;

/// Something that is linear costs 8 times as much for 8 times the input, something quadratic 64
/// times. Between the two there is room for buffers that double, caches and what is constant.
const MOST_TIMES: usize = 24;

/// Costs below these tell nothing of growth.
const FREE_BYTES: usize = 1 << 20;
const FREE_REQUESTS: usize = 1000;

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a clock that counts from 0")
}

/// Does it once.
pub(crate) fn cost_of(work: impl FnOnce()) -> Cost {
    reset_peak();
    let (before, begun) = (counts(), processor_time());
    work();
    let (after, ended) = (counts(), processor_time());
    Cost {
        peak: after.peak - before.live,
        requests: after.requests - before.requests,
        work: ended.saturating_sub(begun),
    }
}

/// The least of three: what is too much in one was another's doing.
fn least_cost_of(mut work: impl FnMut()) -> Cost {
    let costs = [(); 3].map(|()| cost_of(&mut work));
    costs.into_iter().min_by_key(|cost| cost.work).expect("three of them")
}

/// Asserts that `work` on the input of size `n` that `make` makes, and on one 8 times as long, costs
/// no more memory than in proportion; tells how time grows. `n` should be such that the work takes
/// some milliseconds.
#[track_caller]
pub(crate) fn assert_linear(
    name: &str,
    n: usize,
    make: impl Fn(usize) -> Vec<u8>,
    work: impl Fn(&[u8]),
) {
    let (short, long) = (make(n), make(LONGER * n));
    let few = least_cost_of(|| work(&short));
    let many = least_cost_of(|| work(&long));
    let told = format!("{name}: {} bytes cost {few:?}, {} cost {many:?}", short.len(), long.len());
    let growth = many.work.as_secs_f64() / few.work.as_secs_f64();
    eprintln!("{growth:5.1} times the time for {LONGER} times the input: {told}");
    assert!(many.peak <= MOST_TIMES * few.peak.max(FREE_BYTES), "memory: {told}");
    assert!(many.requests <= MOST_TIMES * few.requests.max(FREE_REQUESTS), "requests: {told}");
}

/// Asserts that `work` on `input` has at most `times` its length in memory at once, and so many
/// bytes besides.
#[track_caller]
pub(crate) fn assert_peak(
    name: &str,
    input: &[u8],
    times: usize,
    besides: usize,
    work: impl FnOnce(&[u8]),
) {
    let cost = cost_of(|| work(input));
    let tenths = cost.peak * 10 / input.len().max(1);
    let each = format!("{}.{} for each", tenths / 10, tenths % 10);
    let told = format!("{name}: {} bytes take {} at once, {each}", input.len(), cost.peak);
    eprintln!("{told}");
    assert!(cost.peak <= times * input.len() + besides, "{told}");
}
