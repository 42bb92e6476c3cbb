//! Which runners are gone: those whose beat has not grown for a lease, as this process's own clock
//! has it. No two clocks are ever compared.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use incident::queue::{Claim, RunnerId, Running};

/// What was seen of the jobs that others work on.
#[derive(Debug)]
pub(super) struct Watch {
    lease: Duration,
    seen: Mutex<HashMap<Claim, Seen>>,
}

/// A claim whose runner has not reported since.
#[derive(Debug, Clone, Copy)]
struct Seen {
    running: Running,
    since: Instant,
}

impl Watch {
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, seen: Mutex::default() }
    }

    /// Looks at all jobs that are worked on, at `now`; `own` are not watched.
    pub(super) fn look(&self, running: &[Running], own: RunnerId, now: Instant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |one: &Running| match seen.get(&one.claim) {
            Some(before) if before.running == *one => before.since,
            _ => now,
        };
        let others = running.iter().filter(|one| one.runner != own);
        let looked = others.map(|one| (one.claim, Seen { running: *one, since: since(one) }));
        *seen = looked.collect();
    }

    /// A job whose runner is gone, at `now`. It is told once.
    pub(super) fn next_left(&self, now: Instant) -> Option<Running> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |one: &Seen| {
            one.running.is_left || now.saturating_duration_since(one.since) >= self.lease
        };
        let gone = seen.values().find(|one| is_gone(one))?.running;
        seen.remove(&gone.claim);
        Some(gone)
    }
}
