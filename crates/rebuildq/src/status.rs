//! What is told of the queue, to everybody and to each user: values, which pages show.

use std::time::Duration;

use mailstore_format::Timestamp;

/// A runner that has not reported for so long is silent.
pub const SILENT_AFTER: Duration = Duration::from_mins(2);

/// Whether at `now` nothing was heard for so long since `reported`.
#[must_use]
pub fn is_silent(reported: Timestamp, now: Timestamp, after: Duration) -> bool {
    let since = u64::try_from(now.0.saturating_sub(reported.0)).unwrap_or(0);
    Duration::from_nanos(since) >= after
}

/// What everybody may know. No account's name is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// When this was read.
    pub made: Timestamp,
    /// What is happening.
    pub phase: Phase,
    /// When the first job came into the queue.
    pub begun: Option<Timestamp>,
    /// When a runner last reported.
    pub reported: Option<Timestamp>,
    /// Users whose mailboxes are rebuilt.
    pub users: Count,
    /// Users who were set aside: somebody has to look at their mailboxes.
    pub set_aside: u64,
    /// Mailboxes of all of them.
    pub mailboxes: Count,
    /// Messages in these, as far as is known.
    pub messages: Count,
    /// How fast it goes; none before anything was measured.
    pub rate: Option<Rate>,
    /// When all will be done; none before anything was measured, or when all is.
    pub estimate: Option<Estimate>,
    /// What was estimated earlier, oldest first; at most a few.
    pub earlier: Vec<Estimate>,
    /// How far it was at some earlier times, oldest first; at most a few hundred.
    pub progress: Vec<Sample>,
    /// What the operators tell, newest first.
    pub notes: Vec<Note>,
}

impl Status {
    /// With nothing in it but the time and what is happening.
    #[must_use]
    pub fn new(made: Timestamp, phase: Phase) -> Self {
        Self {
            made,
            phase,
            begun: None,
            reported: None,
            users: Count::default(),
            set_aside: 0,
            mailboxes: Count::default(),
            messages: Count::default(),
            rate: None,
            estimate: None,
            earlier: Vec::new(),
            progress: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// What is happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is nothing in the queue, and was nothing.
    Empty,
    /// Jobs wait, and nobody works on them yet.
    NotBegun,
    /// Mailboxes are rebuilt.
    Running,
    /// An operator has the queue stand still.
    Paused {
        /// Since when.
        since: Timestamp,
    },
    /// Work should go on, and no runner has reported for too long.
    Silent,
    /// The runners have ended, and jobs are left.
    Stopped,
    /// All is done but for what was set aside.
    Done {
        /// Since when.
        since: Timestamp,
    },
}

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Are done.
    pub done: u64,
    /// There are.
    pub total: u64,
}

impl Count {
    /// How many are not done.
    #[must_use]
    pub const fn left(self) -> u64 {
        self.total.saturating_sub(self.done)
    }
}

/// How fast it goes, over the last while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Users an hour.
    pub users: f64,
    /// Messages a second.
    pub messages: f64,
}

/// A range of times within which all will be done, and when that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// When it was made.
    pub made: Timestamp,
    /// Not before.
    pub earliest: Timestamp,
    /// Not after.
    pub latest: Timestamp,
}

/// To how many seconds the ends of an estimate are rounded where it is told.
const STEP: i64 = 300;

impl Estimate {
    /// As it is told: its ends rounded outwards to five minutes.
    #[must_use]
    pub fn rounded(self) -> Self {
        let (earliest, latest) = (self.earliest.seconds(), self.latest.seconds());
        let down = earliest.div_euclid(STEP).saturating_mul(STEP);
        let up = latest.saturating_add(STEP - 1).div_euclid(STEP).saturating_mul(STEP);
        let (earliest, latest) = (Timestamp::from_seconds(down), Timestamp::from_seconds(up));
        Self { earliest, latest, ..self }
    }
}

/// How far it was at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The time.
    pub at: Timestamp,
    /// Users whose mailboxes were rebuilt by then.
    pub users: u64,
    /// Messages in their mailboxes.
    pub messages: u64,
}

/// What an operator tells everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// What; any text.
    pub text: String,
}

/// What one user may know of their own account.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnStatus {
    /// The account.
    pub user: String,
    /// How far it is.
    pub standing: Standing,
    /// Its mailboxes.
    pub mailboxes: Count,
    /// Whether it cannot be logged in to for now.
    pub is_closed: bool,
}

/// How far the rebuilding of one account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// So many are before it; and when it will be done, where that can be told.
    Waiting {
        /// Accounts before it.
        before: u64,
        /// When it will be done.
        estimate: Option<Estimate>,
    },
    /// An operator keeps it back.
    Held,
    /// It is worked on since.
    Running {
        /// The time.
        since: Timestamp,
    },
    /// It is done since.
    Done {
        /// The time.
        since: Timestamp,
    },
    /// Somebody has to look at it.
    SetAside {
        /// Since when.
        since: Timestamp,
    },
    /// It was taken out of the queue.
    Cancelled {
        /// Since when.
        since: Timestamp,
    },
}
