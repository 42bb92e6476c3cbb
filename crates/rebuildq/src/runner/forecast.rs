//! Noting how far the queue is, and when all will be done.

use std::time::Duration;

use incident::StoreId;
use incident::queue::{JobState, ProgressSample, Queue};
use mailstore_format::Timestamp;

use super::{RunnerError, Shop};
use crate::clock::now;

impl Shop<'_> {
    /// Notes how far it is, unless some runner has done so within `every`.
    pub(super) fn take_sample(&self, every: Duration) -> Result<(), RunnerError> {
        let at = now();
        let every = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX);
        let since = Timestamp(at.0.saturating_sub(every));
        let sample = sample(self.queue, self.runner.store, at)?;
        self.queue.sample(self.runner.store, &sample, since)?;
        Ok(())
    }
}

fn sample(
    queue: &dyn Queue,
    store: StoreId,
    at: Timestamp,
) -> Result<ProgressSample, incident::Error> {
    let mut sample = ProgressSample { at, users: 0, mailboxes: 0, messages: 0, estimate: None };
    for total in queue.totals(store)?.iter().filter(|total| total.state != JobState::Cancelled) {
        if total.state == JobState::Done {
            sample.users = total.jobs;
        }
        sample.mailboxes += total.done.mailboxes;
        sample.messages += total.done.messages;
    }
    Ok(sample)
}
