//! What a run found and did, for people and programs.

use mailstore_format::Uid;
use serde::Serialize;

use crate::aftercare::Failure;
use crate::arrivals::Arrived;
use crate::finding::{Code, Finding, Remedy};

/// What became of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing had to be done.
    Sound,
    /// Damage was found, and nothing was written: it is left to the operator.
    Left,
    /// It was repaired and read back.
    Repaired,
    /// Messages came into it from outside, and were read back.
    Delivered,
    /// A repair is planned; this was a dry run.
    Planned,
    /// The run that is resumed had already done it.
    Resumed,
    /// What an earlier run had done to it was undone.
    Undone,
    /// It was not worked on, because it is not what it was; see `error`.
    Refused,
    /// It could not be worked on; see `error`.
    Failed,
}

/// What Cyrus keeps outside of the mailbox and this tool does not change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowUp {
    /// The usage of the quota root: `quota -f`.
    Quota,
    /// New messages of this user have no thread id yet: `ctl_conversationsdb -b USER`.
    Conversations(String),
    /// This user's conversations know of messages that are gone or have another UID, or know
    /// other flags of them: `ctl_conversationsdb -R USER`, after a dump.
    ConversationCounts(String),
    /// What the server has cached for STATUS of the mailbox with this internal name:
    /// `cyr_dbtool … delete`.
    StatusCache(String),
}

/// The outcome of one mailbox.
#[derive(Debug, Clone, Serialize)]
pub struct MailboxReport {
    /// Its name, as operators write it.
    pub mailbox: String,
    /// What became of it.
    pub state: State,
    /// Messages with a record or a file.
    pub messages: u64,
    /// Messages that were read.
    pub messages_read: u64,
    /// Bytes that were read of them.
    pub bytes_read: u64,
    /// How long its locks were held, in milliseconds; 0 where none were taken.
    pub locked_ms: u64,
    /// Messages whose record is there and whose file is gone or damaged.
    pub wanted: u64,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What became of messages that were to come in from outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arrived: Vec<Arrived>,
    /// What the server keeps elsewhere and has to be brought in step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follow_up: Vec<FollowUp>,
    /// What could not be brought in step, though it was tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aftercare_failures: Vec<Failure>,
    /// What went wrong, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl State {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Left => "left",
            Self::Repaired => "repaired",
            Self::Delivered => "delivered",
            Self::Planned => "planned",
            Self::Resumed => "resumed",
            Self::Undone => "undone",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl MailboxReport {
    /// A report that says nothing else yet.
    #[must_use]
    pub fn new(mailbox: &str, state: State) -> Self {
        Self {
            mailbox: mailbox.to_owned(),
            state,
            messages: 0,
            messages_read: 0,
            bytes_read: 0,
            locked_ms: 0,
            wanted: 0,
            findings: Vec::new(),
            arrived: Vec::new(),
            follow_up: Vec::new(),
            aftercare_failures: Vec::new(),
            error: None,
        }
    }

    /// A report of a mailbox that could not be worked on.
    #[must_use]
    pub fn failed(mailbox: &str, error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::new(mailbox, State::Failed) }
    }

    /// A report of a mailbox that is not what it was when it was decided what to do with it.
    #[must_use]
    pub fn refused(mailbox: &str, why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), ..Self::new(mailbox, State::Refused) }
    }

    /// The messages of which an undo took back what the run had done, by UID.
    pub fn taken_back(&self) -> impl Iterator<Item = Uid> {
        let undone =
            |finding: &&Finding| finding.code == Code::Undone && finding.remedy == Remedy::Repair;
        self.findings.iter().filter(undone).filter_map(|finding| finding.uid)
    }

    /// How many messages were pruned.
    pub(crate) fn pruned(&self) -> u64 {
        let pruned = self.findings.iter().filter(|finding| finding.code == Code::Pruned);
        u64::try_from(pruned.count()).unwrap_or(u64::MAX)
    }

    /// Whether damage is left in the mailbox, as far as it could be worked on.
    #[must_use]
    pub fn damage_left(&self) -> bool {
        if self.state == State::Failed {
            return false;
        }
        let left = self.findings.iter().any(|finding| finding.remedy == Remedy::Left);
        left || matches!(self.state, State::Planned | State::Refused)
    }
}

/// The outcome of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Mailboxes looked at.
    pub mailboxes: u64,
    /// Of these, how many were sound.
    pub sound: u64,
    /// How many have damage and were left as they are.
    pub left: u64,
    /// How many were repaired.
    pub repaired: u64,
    /// Into how many messages came from outside.
    pub delivered: u64,
    /// How many would be, were this no dry run.
    pub planned: u64,
    /// How many had been done by the resumed run.
    pub resumed: u64,
    /// How many are as they were before the run that was undone.
    pub undone: u64,
    /// How many were refused, because they are not what they were.
    pub refused: u64,
    /// How many could not be worked on.
    pub failed: u64,
    /// In how many some damage is left.
    pub damage_left: u64,
    /// Faults found in mailboxes.db: mailboxes may be missing from the list.
    pub list_damage: u64,
    /// Messages with a record or a file.
    pub messages: u64,
    /// Messages that were read.
    pub messages_read: u64,
    /// Bytes that were read of them.
    pub bytes_read: u64,
    /// Messages whose record is there and whose file is gone or damaged.
    pub wanted: u64,
    /// Whether an incident remembers them.
    #[serde(skip)]
    pub remembered: bool,
    /// What could not be brought in step, though it was tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aftercare_failures: Vec<Failure>,
    /// The run's name, for `--resume`, where it wrote anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Summary {
    /// Counts one mailbox in.
    pub fn add(&mut self, report: &MailboxReport) {
        self.mailboxes += 1;
        let counter = match report.state {
            State::Sound => &mut self.sound,
            State::Left => &mut self.left,
            State::Repaired => &mut self.repaired,
            State::Delivered => &mut self.delivered,
            State::Planned => &mut self.planned,
            State::Resumed => &mut self.resumed,
            State::Undone => &mut self.undone,
            State::Refused => &mut self.refused,
            State::Failed => &mut self.failed,
        };
        *counter += 1;
        self.damage_left += u64::from(report.damage_left());
        self.messages += report.messages;
        self.messages_read += report.messages_read;
        self.bytes_read += report.bytes_read;
        self.wanted += report.wanted;
        let failures = report.aftercare_failures.iter();
        self.aftercare_failures.extend(failures.cloned());
    }

    const fn out_of_step(&self) -> bool {
        !self.aftercare_failures.is_empty()
    }

    /// The exit status of the command: 0 sound, 1 damage left, 2 could not run.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        if self.failed > 0 {
            2
        } else if self.damage_left > 0 || self.list_damage > 0 || self.out_of_step() {
            1
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: State, remedy: Option<Remedy>) -> MailboxReport {
        let findings = remedy.map(|remedy| Finding::new(Code::MessageMissing, remedy, ""));
        MailboxReport {
            findings: findings.into_iter().collect(),
            ..MailboxReport::new("user.alice", state)
        }
    }

    fn status_of(reports: &[MailboxReport]) -> u8 {
        let mut summary = Summary::default();
        for report in reports {
            summary.add(report);
        }
        summary.exit_status()
    }

    #[test]
    fn the_exit_status_tells_sound_from_damage_from_failure() {
        assert_eq!(status_of(&[report(State::Repaired, Some(Remedy::Repair))]), 0);
        assert_eq!(status_of(&[report(State::Sound, Some(Remedy::Note))]), 0);
        assert_eq!(status_of(&[report(State::Sound, Some(Remedy::Left))]), 1);
        assert_eq!(status_of(&[report(State::Planned, Some(Remedy::Repair))]), 1);
        assert_eq!(status_of(&[report(State::Sound, None), report(State::Failed, None)]), 2);
    }
}
