//! When all will be done, and when one user will be, reckoned from what the queue knows.

use std::collections::VecDeque;
use std::time::Duration;

use incident::StoreId;
use incident::queue::{
    Job, JobMailbox, JobState, Measured, Place, Queue, Runner, Running as AtWork, Size,
};
use mailstore_format::Timestamp;

use crate::estimate::{
    Finished, History, Large, Left, Range, Running, Work, Workers, until_all_is_done,
    until_one_is_done,
};
use crate::status::{Estimate, SILENT_AFTER, is_silent};

/// Who has not looked for a while learns of so many mailboxes, the last: what was long ago counts
/// for little.
const LEARNED_AT_ONCE: u32 = 20_000;

/// What was learned so far of how long mailboxes take.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forecaster {
    history: History,
    /// The last mailbox that was learned of.
    learned: u64,
}

impl Forecaster {
    /// Learns what was measured since it last did.
    pub(crate) fn learn(
        &mut self,
        queue: &dyn Queue,
        store: StoreId,
    ) -> Result<(), incident::Error> {
        for measured in queue.measured(store, self.learned, LEARNED_AT_ONCE)? {
            self.learned = measured.number;
            self.history.add(&finished(&measured));
        }
        Ok(())
    }

    /// When all that waits and is worked on will be done. `published` is what was last said.
    pub(crate) fn of_all(
        &self,
        queue: &dyn Queue,
        store: StoreId,
        at: Timestamp,
        published: Option<Estimate>,
    ) -> Result<Option<Estimate>, incident::Error> {
        let left = left(queue, store, at)?;
        let range = until_all_is_done(&self.history, &left);
        Ok(range.map(|range| estimate(steadied(range, at, published), at)))
    }

    /// When a job that waits at this place will be done.
    pub(crate) fn of_one(
        &self,
        workers: &Workers,
        job: &Job,
        place: &Place,
        at: Timestamp,
    ) -> Option<Estimate> {
        let (before, own) = (work(place.left_before), work(job.left()));
        let range = until_one_is_done(&self.history, workers, before, own);
        range.map(|range| estimate(range, at))
    }
}

/// Who works on what.
pub(crate) fn workers(
    queue: &dyn Queue,
    store: StoreId,
    at: Timestamp,
) -> Result<Workers, incident::Error> {
    let running = queue.running(store)?;
    let number = number_of_workers(&queue.runners()?, &running);
    let mut workers = Workers { number, running: Vec::new() };
    for job in running {
        let mailboxes = queue.mailboxes_of(job.claim.job)?;
        let claimed = queue.job(job.claim.job)?.and_then(|job| job.claimed);
        workers.running.push(at_work(&mailboxes, claimed.unwrap_or(at), at));
    }
    Ok(workers)
}

/// Those of the runners that have not ended; a killed one counts as long as jobs are in its name.
fn number_of_workers(runners: &[Runner], running: &[AtWork]) -> u32 {
    // Against the newest report, not against our own clock.
    let newest = runners.iter().map(|runner| runner.reported).max().unwrap_or(Timestamp(0));
    let reports = |runner: &Runner| {
        runner.ended.is_none() && !is_silent(runner.reported, newest, SILENT_AFTER)
    };
    let alive = runners.iter().filter(|runner| reports(runner)).map(|runner| runner.workers);
    let at_work = u32::try_from(running.len()).unwrap_or(u32::MAX);
    alive.fold(0, u32::saturating_add).max(at_work)
}

fn at_work(mailboxes: &[JobMailbox], claimed: Timestamp, at: Timestamp) -> Running {
    let mut waiting = mailboxes.iter().filter(|mailbox| mailbox.end.is_none());
    let in_hand = waiting.next().map(|mailbox| work(mailbox.size));
    let ends = mailboxes.iter().filter_map(|mailbox| Some(mailbox.end.as_ref()?.at));
    let since = ends.chain([claimed]).max().unwrap_or(claimed);
    let since = u64::try_from(at.0.saturating_sub(since.0)).unwrap_or(0);
    Running {
        in_hand: in_hand.unwrap_or_default(),
        since: Duration::from_nanos(since),
        checked: 0,
        later: waiting.map(|mailbox| work(mailbox.size)).sum(),
    }
}

fn left(queue: &dyn Queue, store: StoreId, at: Timestamp) -> Result<Left, incident::Error> {
    let totals = queue.totals(store)?;
    let waiting = totals.iter().filter(|total| total.state == JobState::Waiting);
    let waiting = waiting.map(|total| work(total.size.less(total.done))).sum();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let last: VecDeque<Work> = queue
        .last_left(store, count(Left::LAST))?
        .into_iter()
        .map(|(_, size)| work(size))
        .collect();
    let mut large = Vec::new();
    for (job, size) in queue.largest_left(store, count(Left::LARGE))? {
        let before = queue.place_of(job)?.unwrap_or_default().left_before;
        large.push(Large { work: work(size), before: work(before) });
    }
    Ok(Left { workers: workers(queue, store, at)?, waiting, last, large })
}

fn finished(measured: &Measured) -> Finished {
    Finished {
        work: work(measured.size),
        took: Duration::try_from_secs_f64(measured.seconds).unwrap_or_default(),
        at_once: measured.at_once,
    }
}

fn work(size: Size) -> Work {
    let Size { mailboxes, messages, to_read, bytes_to_read } = size;
    Work { mailboxes, messages, to_read, bytes: bytes_to_read }
}

/// The range, so that it does not jump about between one publication and the next.
fn steadied(range: Range, at: Timestamp, published: Option<Estimate>) -> Range {
    let Some(published) = published else { return range };
    let since = |from: Timestamp, to: Timestamp| {
        Duration::from_nanos(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
    };
    let before = Range {
        earliest: since(published.made, published.earliest),
        latest: since(published.made, published.latest),
    };
    range.steadied(before, since(published.made, at))
}

fn estimate(range: Range, at: Timestamp) -> Estimate {
    let after = |time: Duration| {
        Timestamp(at.0.saturating_add(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)))
    };
    Estimate { made: at, earliest: after(range.earliest), latest: after(range.latest) }
}
