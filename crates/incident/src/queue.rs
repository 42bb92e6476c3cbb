//! The queue of rebuilds: whose mailboxes come next, who works on them, what happened.
//!
//! It sits behind three traits, for those who may do what: [`Roster`] for operators, [`Work`] for
//! runners, [`Chronicle`] for what is told. [`Queue`] is all of them. [`Incident`](crate::Incident)
//! is the one in its SQLite database; one in a server's can follow.
//!
//! Nothing here compares clocks of two processes. Whether a runner is alive is seen by whether its
//! beat grows while another watches ([`Running::beat`]); who may still write is told by tokens alone
//! ([`Claim`]).

mod chronicle;
mod claims;
mod jobs;
mod rows;
mod values;

use std::collections::HashMap;

use mailstore_format::Timestamp;

pub(crate) use chronicle::events_after;

use crate::error::Error;
use crate::stores::StoreId;

pub use values::{
    Access, Change, Claim, Enqueued, Event, EventKind, Job, JobId, JobMailbox, JobState, Link,
    MailboxEnd, Measured, NewJob, Place, ProgressSample, QueueNote, RebuildRequest, Runner,
    RunnerId, Running, Settings, Size, StateTotal,
};

/// What operators do.
pub trait Roster {
    /// Puts jobs into the queue, in this order, all or none. A user who has one that is not over gets
    /// the mailboxes into that, and the higher priority.
    fn enqueue(&self, store: StoreId, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error>;

    /// The latest job of a user.
    fn job_of(&self, store: StoreId, user: &str) -> Result<Option<Job>, Error>;

    /// A job.
    fn job(&self, job: JobId) -> Result<Option<Job>, Error>;

    /// The jobs that are not over, the next first; then those that are, the latest first.
    fn jobs(&self, store: StoreId) -> Result<Vec<Job>, Error>;

    /// The mailboxes of a job, in their order.
    fn mailboxes_of(&self, job: JobId) -> Result<Vec<JobMailbox>, Error>;

    /// Does this to a job; `false` where its state does not allow it.
    fn change(&self, job: JobId, change: Change) -> Result<bool, Error>;

    /// Notes whether the user can log in, and tells it.
    fn set_access(&self, job: JobId, access: Access) -> Result<(), Error>;

    /// Jobs of users who are, or are to be, denied by us.
    fn closed_jobs(&self, store: StoreId) -> Result<Vec<Job>, Error>;

    /// Where a waiting job stands; none where it does not wait.
    fn place_of(&self, job: JobId) -> Result<Option<Place>, Error>;

    /// Where every waiting job stands.
    fn places(&self, store: StoreId) -> Result<HashMap<JobId, Place>, Error>;

    /// How many jobs of each state there are, and how large they are.
    fn totals(&self, store: StoreId) -> Result<Vec<StateTotal>, Error>;

    /// When the first job came into the queue, and when the last one was over or set aside.
    fn span(&self, store: StoreId) -> Result<Option<(Timestamp, Option<Timestamp>)>, Error>;

    /// What holds for the queue as a whole.
    fn settings(&self) -> Result<Settings, Error>;

    /// Lets no job be claimed, or lets them be again.
    fn set_paused(&self, paused: bool) -> Result<(), Error>;

    /// Where users can see how far it is.
    fn set_status_url(&self, url: &str) -> Result<(), Error>;
}

/// What runners do.
pub trait Work {
    /// Notes that a runner begins.
    fn begin_runner(&self, name: &str, workers: u32) -> Result<RunnerId, Error>;

    /// Reports that a runner is alive.
    fn report(&self, runner: RunnerId) -> Result<(), Error>;

    /// Notes that a runner ends.
    fn end_runner(&self, runner: RunnerId) -> Result<(), Error>;

    /// The runners that have not ended, and those that ended last: at most 64.
    fn runners(&self) -> Result<Vec<Runner>, Error>;

    /// The next job, if there is one and the queue does not stand still.
    fn claim(&self, store: StoreId, runner: RunnerId) -> Result<Option<(Claim, Job)>, Error>;

    /// The jobs that are worked on.
    fn running(&self, store: StoreId) -> Result<Vec<Running>, Error>;

    /// Takes a job over from a runner that is gone; none where somebody was faster, or the runner is
    /// not gone after all.
    fn take_over(&self, seen: &Running, runner: RunnerId) -> Result<Option<(Claim, Job)>, Error>;

    /// Whether the claim still counts.
    fn holds(&self, claim: Claim) -> Result<bool, Error>;

    /// Notes what became of a mailbox; `false` where the claim does not count any more.
    fn mailbox_ended(&self, claim: Claim, position: u32, end: &MailboxEnd) -> Result<bool, Error>;

    /// Lays a job back that failed, behind those of its priority; or sets it aside where it has failed
    /// `limit` times. `None` where the claim does not count any more.
    fn fail(&self, claim: Claim, why: &str, limit: u32) -> Result<Option<JobState>, Error>;

    /// Lays a job back as it was; `false` where the claim does not count any more.
    fn lay_back(&self, claim: Claim) -> Result<bool, Error>;

    /// Notes that all of a job is done. Where mailboxes came to it meanwhile it waits again. `None`
    /// where the claim does not count any more.
    fn complete(&self, claim: Claim) -> Result<Option<JobState>, Error>;

    /// The mailboxes that were done after the one of this number (0: all), in the order in which they
    /// ended; where there are more than so many, the last of them.
    fn measured(&self, store: StoreId, after: u64, at_most: u32) -> Result<Vec<Measured>, Error>;

    /// What is left to do in the largest of the jobs that wait, the largest first.
    fn largest_left(&self, store: StoreId, at_most: u32) -> Result<Vec<(JobId, Size)>, Error>;

    /// What is left to do in those that come last, in their order.
    fn last_left(&self, store: StoreId, at_most: u32) -> Result<Vec<(JobId, Size)>, Error>;
}

/// What is told.
pub trait Chronicle {
    /// Tells something of a job, or of the queue as a whole.
    fn tell(&self, job: Option<JobId>, kind: EventKind, detail: &str) -> Result<(), Error>;

    /// What happened, in its order, after the event of this number (0: from the beginning), at most so
    /// much of it.
    fn events(&self, after: i64, at_most: u32) -> Result<Vec<Event>, Error>;

    /// What happened to a job.
    fn events_of(&self, job: JobId) -> Result<Vec<Event>, Error>;

    /// Notes how far it is, unless that was noted since `since`; `false` then.
    fn sample(
        &self,
        store: StoreId,
        sample: &ProgressSample,
        since: Timestamp,
    ) -> Result<bool, Error>;

    /// How far it was, oldest first: at most so many samples, evenly spread over the time, the first
    /// and the last among them.
    fn samples(&self, store: StoreId, at_most: u32) -> Result<Vec<ProgressSample>, Error>;

    /// Tells everybody something.
    fn note(&self, text: &str) -> Result<(), Error>;

    /// What was told, the latest first.
    fn notes(&self, at_most: u32) -> Result<Vec<QueueNote>, Error>;

    /// The token of a user's link: the one there is, else `new`, which is a secret nobody had before.
    fn link(&self, store: StoreId, user: &str, new: &str) -> Result<String, Error>;

    /// Takes a user's link back; `false` where there is none.
    fn unlink(&self, store: StoreId, user: &str) -> Result<bool, Error>;

    /// Whose link has this token.
    fn linked(&self, token: &str) -> Result<Option<Link>, Error>;

    /// Every link.
    fn links(&self, store: StoreId) -> Result<Vec<Link>, Error>;

    /// Keeps a request.
    fn keep_request(&self, request: &RebuildRequest) -> Result<(), Error>;

    /// How many requests of this sender came since.
    fn requests_since(&self, sender: &str, since: Timestamp) -> Result<u64, Error>;

    /// The requests, the latest first.
    fn requests(&self, at_most: u32) -> Result<Vec<RebuildRequest>, Error>;
}

/// A queue.
pub trait Queue: Roster + Work + Chronicle + Sync + std::fmt::Debug {}

impl<Q: Roster + Work + Chronicle + Sync + std::fmt::Debug> Queue for Q {}
