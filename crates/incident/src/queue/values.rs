//! What the queue is about: jobs, claims, runners, events.

use mailstore_format::Timestamp;

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

impl Claim {
    /// Whether nobody had the job before, nor changed it.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.token == 1
    }
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
    /// It was the so many-th to end.
    pub number: u64,
    /// How much there was to do.
    pub size: Size,
    /// How long it took.
    pub seconds: f64,
    /// So many jobs were worked on then.
    pub at_once: u32,
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
    /// What is left to do in these.
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

/// Names in the database and in JSON.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $type {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

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
