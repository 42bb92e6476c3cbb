//! Noting how far the queue is, and when all will be done.

use std::sync::PoisonError;
use std::time::Duration;

use incident::queue::{JobState, ProgressSample};
use mailstore_format::Timestamp;

use super::{RunnerError, Shop};
use crate::clock::now;
use crate::status::Estimate;

impl Shop<'_> {
    /// Notes how far it is, unless some runner has done so within `every`.
    pub(super) fn take_sample(&self, every: Duration) -> Result<(), RunnerError> {
        let (queue, store, at) = (self.queue, self.runner.store, now());
        let every = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX);
        let since = Timestamp(at.0.saturating_sub(every));
        let last = queue.samples(store, 1)?.pop();
        if last.is_some_and(|last| last.at > since) {
            return Ok(());
        }
        let mut sample = ProgressSample { at, users: 0, mailboxes: 0, messages: 0, estimate: None };
        for total in queue.totals(store)?.iter().filter(|total| total.state != JobState::Cancelled)
        {
            if total.state == JobState::Done {
                sample.users = total.jobs;
            }
            sample.mailboxes += total.done.mailboxes;
            sample.messages += total.done.messages;
        }
        let published = last.and_then(|last| {
            let (earliest, latest) = last.estimate?;
            Some(Estimate { made: last.at, earliest, latest })
        });
        let mut forecaster = self.forecaster.lock().unwrap_or_else(PoisonError::into_inner);
        forecaster.learn(queue, store)?;
        let estimate = forecaster.of_all(queue, store, at, published)?;
        sample.estimate = estimate.map(|estimate| (estimate.earliest, estimate.latest));
        queue.sample(store, &sample, since)?;
        Ok(())
    }
}
