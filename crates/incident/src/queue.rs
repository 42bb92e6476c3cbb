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

use std::collections::HashMap;

use mailstore_format::Timestamp;

use crate::error::Error;
use crate::mailboxes::MailboxId;
use crate::stores::StoreId;

/// A job of this queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(crate) i64);

impl JobId {
    /// Its number, which no other job of the incident has.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// A process that works on jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerId(pub(crate) i64);

/// The right to work on a job: whoever has the job's newest token. Of a job that changed hands
/// meanwhile nothing can be said or done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    pub(crate) token: i64,
}

/// How much there is to do; what is to be read is an estimate of triage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages in them.
    pub messages: u64,
    /// Messages that have to be read.
    pub to_read: u64,
    /// Bytes of these.
    pub bytes_to_read: u64,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobState {
    /// It waits for its turn.
    Waiting,
    /// A runner works on it.
    Running,
    /// An operator keeps it back.
    Held,
    /// It failed too often: an operator has to look at it.
    SetAside,
    /// All of its mailboxes are rebuilt.
    Done,
    /// An operator took it out of the queue.
    Cancelled,
}

/// Whether the job's user is kept from logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Not by us.
    Open,
    /// They are to be denied before anything else is done.
    Closing,
    /// By us, until the job is over.
    Closed,
    /// By an operator who had done so before: that is left as it is.
    Theirs,
}

/// A user's mailboxes, to be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id in this queue.
    pub id: JobId,
    /// The store.
    pub store: StoreId,
    /// Whose mailboxes; empty for those that are nobody's.
    pub user: String,
    /// How far it has come.
    pub state: JobState,
    /// Whether the user can log in.
    pub access: Access,
    /// The higher, the sooner.
    pub priority: i64,
    /// How often it failed since it was queued or tried again.
    pub attempts: u32,
    /// Why it failed, or was set aside.
    pub why: Option<String>,
    /// All there is to do.
    pub size: Size,
    /// What of that is done.
    pub done: Size,
    /// When it came into the queue.
    pub added: Timestamp,
    /// When it was last claimed.
    pub claimed: Option<Timestamp>,
    /// When it was over, or set aside.
    pub ended: Option<Timestamp>,
}

/// A job that is to come into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Whose mailboxes; empty for those that are nobody's.
    pub user: String,
    /// In the order in which they are rebuilt, each with its size.
    pub mailboxes: Vec<(MailboxId, Size)>,
    /// The higher, the sooner.
    pub priority: i64,
    /// Whether the user is to be kept from logging in until all is done.
    pub deny: bool,
}

/// What became of a job that was to come into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job.
    pub job: JobId,
    /// Whether the user had one that was not over: then that has these mailboxes too.
    pub was_there: bool,
}

/// A mailbox of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobMailbox {
    /// Its place in the job's order.
    pub position: u32,
    /// Which it is.
    pub mailbox: MailboxId,
    /// How much there is to do.
    pub size: Size,
    /// What became of it; none as long as it waits.
    pub end: Option<MailboxEnd>,
}

/// What became of a mailbox of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct MailboxEnd {
    /// What the repair made of it, as the tool's JSON output has it; none where it was not there any
    /// more.
    pub outcome: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// When that was.
    pub at: Timestamp,
}

/// A mailbox that is done, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// How much there was to do.
    pub size: Size,
    /// How long it took.
    pub seconds: f64,
    /// When it was done.
    pub at: Timestamp,
}

/// What an operator can do to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Before all others.
    Bump,
    /// At least this priority.
    RaiseTo(i64),
    /// Not before it is released.
    Hold,
    /// Again in its turn.
    Release,
    /// Again in its turn, though it failed too often.
    Retry,
    /// Not any more.
    Cancel,
}

/// A job that is worked on, as somebody sees it who wonders whether the runner is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The claim that counts.
    pub claim: Claim,
    /// Whose it is.
    pub runner: RunnerId,
    /// That runner's beat: as long as it grows, the runner is alive.
    pub beat: i64,
    /// Whether the runner has ended and left the job.
    pub is_left: bool,
}

/// A runner, as it reports itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Its id in this queue.
    pub id: RunnerId,
    /// What it calls itself.
    pub name: String,
    /// Jobs that it works on at a time.
    pub workers: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it last reported.
    pub reported: Timestamp,
    /// When it ended; none where it did not, or was killed.
    pub ended: Option<Timestamp>,
}

/// Jobs of one state, and how much they have to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateTotal {
    /// The state.
    pub state: JobState,
    /// How many jobs.
    pub jobs: u64,
    /// What there is to do in all of them.
    pub size: Size,
    /// What of that is done.
    pub done: Size,
}

/// Where a waiting job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Jobs that wait and come before it.
    pub before: u64,
    /// What is left to do in these, and in those that are worked on.
    pub left_before: Size,
}

/// What holds for the queue as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Since when no job is claimed; none where they are.
    pub paused: Option<Timestamp>,
    /// Where users can see how far it is.
    pub status_url: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number: they happened in this order.
    pub id: i64,
    /// When, by the clock of the process that tells it.
    pub at: Timestamp,
    /// To which job and whose; none for what concerns the queue as a whole.
    pub job: Option<(JobId, String)>,
    /// What.
    pub kind: EventKind,
    /// More of it, for people.
    pub detail: String,
}

/// How far it was at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressSample {
    /// The time.
    pub at: Timestamp,
    /// Jobs that were done.
    pub users: u64,
    /// Mailboxes that were.
    pub mailboxes: u64,
    /// Messages in these.
    pub messages: u64,
    /// Between which times all was thought to be done.
    pub estimate: Option<(Timestamp, Timestamp)>,
}

/// What an operator tells everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueNote {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// A link by which a user sees how far their own mailboxes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What stands in it, and nobody can guess.
    pub token: String,
    /// The store.
    pub store: StoreId,
    /// The user.
    pub user: String,
}

/// A mail that asked for a rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildRequest {
    /// When it came.
    pub at: Timestamp,
    /// Who sent it, as it says.
    pub sender: String,
    /// Whose job it raised.
    pub user: Option<String>,
    /// Why it did not, where it did not: then subject and text are kept.
    pub why: Option<String>,
    /// Its subject, cut.
    pub subject: Option<String>,
    /// Its text, cut.
    pub text: Option<String>,
}

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

    /// The last mailboxes that were done, the latest first.
    fn measured(&self, store: StoreId, at_most: u32) -> Result<Vec<Measured>, Error>;

    /// What is left to do in the largest jobs, the largest first.
    fn largest_left(&self, store: StoreId, at_most: u32) -> Result<Vec<Size>, Error>;
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

/// Names in the database and in JSON.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $type {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            $(#[$doc])*
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            pub(crate) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }
    };
}

named! {
    /// Its name in the database and in JSON.
    JobState {
        Waiting = "waiting",
        Running = "running",
        Held = "held",
        SetAside = "set-aside",
        Done = "done",
        Cancelled = "cancelled",
    }
}

named! {
    /// Its name in the database and in JSON.
    Access { Open = "open", Closing = "closing", Closed = "closed", Theirs = "theirs" }
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventKind {
    /// A job came into the queue.
    Queued,
    /// Its user cannot log in any more.
    Denied,
    /// Its user could not log in before; that is left as it is.
    DeniedBefore,
    /// Its priority was raised.
    Raised,
    /// It was put before all others.
    Bumped,
    /// It is kept back.
    Held,
    /// It is kept back no more.
    Released,
    /// It is tried again.
    Retried,
    /// It was taken out of the queue.
    Cancelled,
    /// A runner works on it.
    Claimed,
    /// Another runner does, because the first was gone.
    TakenOver,
    /// A runner that was told to stop laid it back.
    LaidBack,
    /// A mailbox of it is not there any more.
    MailboxGone,
    /// What the server keeps of it elsewhere could not be brought in step.
    OutOfStep,
    /// It failed, and is tried again.
    Failed,
    /// It failed too often.
    SetAside,
    /// Its user can log in again.
    Opened,
    /// All of its mailboxes are rebuilt.
    Done,
    /// No job is claimed for now.
    Paused,
    /// Jobs are claimed again.
    Resumed,
    /// A runner began.
    RunnerBegan,
    /// A runner ended.
    RunnerEnded,
}

named! {
    /// Its name in the database and in JSON.
    EventKind {
        Queued = "queued",
        Denied = "denied",
        DeniedBefore = "denied-before",
        Raised = "raised",
        Bumped = "bumped",
        Held = "held",
        Released = "released",
        Retried = "retried",
        Cancelled = "cancelled",
        Claimed = "claimed",
        TakenOver = "taken-over",
        LaidBack = "laid-back",
        MailboxGone = "mailbox-gone",
        OutOfStep = "out-of-step",
        Failed = "failed",
        SetAside = "set-aside",
        Opened = "opened",
        Done = "done",
        Paused = "paused",
        Resumed = "resumed",
        RunnerBegan = "runner-began",
        RunnerEnded = "runner-ended",
    }
}

impl JobState {
    /// Whether nothing comes of it any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

impl Job {
    /// What is left to do.
    #[must_use]
    pub fn left(&self) -> Size {
        self.size.less(self.done)
    }
}

impl Size {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            mailboxes: self.mailboxes.saturating_add(other.mailboxes),
            messages: self.messages.saturating_add(other.messages),
            to_read: self.to_read.saturating_add(other.to_read),
            bytes_to_read: self.bytes_to_read.saturating_add(other.bytes_to_read),
        }
    }

    /// What is left of it without the other.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self {
            mailboxes: self.mailboxes.saturating_sub(other.mailboxes),
            messages: self.messages.saturating_sub(other.messages),
            to_read: self.to_read.saturating_sub(other.to_read),
            bytes_to_read: self.bytes_to_read.saturating_sub(other.bytes_to_read),
        }
    }
}
