//! Raising those who ask for it by mail.

use std::time::Duration;

use incident::StoreId;
use incident::queue::{Change, Job, JobState, Queue, RebuildRequest};
use mailstore_format::Timestamp;

use crate::clock::now;
use crate::request::{Answer, Decision, Outcome, Policy, Raise, Request, Unclear, decide};
use crate::status::Estimate;

/// The priority of those who asked for it.
pub const REQUESTED: i64 = 100;
/// Over which time a sender's requests are counted.
const COUNTED_OVER: Duration = Duration::from_hours(1);

/// What decides about requests.
pub struct Intake<'a> {
    /// The queue.
    pub queue: &'a dyn Queue,
    /// Of which store.
    pub store: StoreId,
    /// Whether the store has an account of this name.
    pub is_account: &'a dyn Fn(&str) -> bool,
    /// Who may ask for whom.
    pub policy: &'a Policy,
    /// How many requests of a sender count within an hour; of operators all do.
    pub per_hour: u64,
    /// When a job that waits will be done, where that can be told.
    pub estimate: &'a dyn Fn(&Job) -> Option<Estimate>,
}

/// What is answered to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The address.
    pub to: String,
    /// What.
    pub answer: Answer,
}

impl Intake<'_> {
    /// Does what a request asks for, or keeps it for the operators. None where nobody is answered.
    pub fn take(&self, request: &Request) -> Result<Option<Reply>, incident::Error> {
        let page = self.queue.settings()?.status_url;
        match decide(request, self.is_account, self.policy) {
            Decision::Ignored => Ok(None),
            Decision::Raise(raise) => {
                let to = raise.answered.clone();
                if !raise.by_operator && self.is_too_often(&to)? {
                    return Ok(Some(Reply { to, answer: Answer::TooOften { page } }));
                }
                let each = raise.accounts.iter().map(|account| {
                    let outcome = self.raise(account, &raise)?;
                    Ok((account.clone(), outcome))
                });
                let each = each.collect::<Result<_, incident::Error>>()?;
                Ok(Some(Reply { to, answer: Answer::Accounts { each, page } }))
            }
            Decision::Unclear(unclear) => {
                let sender = request.sender.as_ref().map(|sender| sender.address.as_str());
                // What nobody is known to have sent is not counted together: it would be lost.
                if let Some(sender) = sender
                    && self.is_too_often(sender)?
                {
                    let answer = Answer::TooOften { page };
                    return Ok(unclear.answered.map(|to| Reply { to, answer }));
                }
                self.keep(sender, &unclear)?;
                let answer = Answer::Unclear { page };
                Ok(unclear.answered.map(|to| Reply { to, answer }))
            }
        }
    }

    fn is_too_often(&self, sender: &str) -> Result<bool, incident::Error> {
        let over = i64::try_from(COUNTED_OVER.as_nanos()).unwrap_or(i64::MAX);
        let since = Timestamp(now().0.saturating_sub(over));
        Ok(self.queue.requests_since(&sender.to_lowercase(), since)? >= self.per_hour)
    }

    fn raise(&self, account: &str, raise: &Raise) -> Result<Outcome, incident::Error> {
        self.queue.keep_request(&RebuildRequest {
            at: now(),
            sender: raise.answered.to_lowercase(),
            user: Some(account.to_owned()),
            why: None,
            subject: None,
            text: None,
        })?;
        let Some(job) = self.queue.job_of(self.store, account)? else {
            return Ok(Outcome::NotQueued);
        };
        // What has this priority already stays in its place.
        self.queue.change(job.id, Change::RaiseTo(REQUESTED))?;
        Ok(match job.state {
            JobState::Waiting => {
                let before = self.queue.place_of(job.id)?.unwrap_or_default().before;
                let place = before.saturating_add(1);
                Outcome::Raised { place, estimate: (self.estimate)(&job) }
            }
            JobState::Running => Outcome::Running,
            JobState::Done => Outcome::Done,
            JobState::Held | JobState::SetAside => Outcome::KeptBack,
            JobState::Cancelled => Outcome::NotQueued,
        })
    }

    fn keep(&self, sender: Option<&str>, unclear: &Unclear) -> Result<(), incident::Error> {
        self.queue.keep_request(&RebuildRequest {
            at: now(),
            sender: sender.unwrap_or_default().to_lowercase(),
            user: None,
            why: Some(unclear.why.as_str().to_owned()),
            subject: Some(unclear.subject.clone()),
            text: Some(unclear.text.clone()),
        })
    }
}
