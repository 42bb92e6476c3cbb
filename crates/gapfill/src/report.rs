//! What a run says: of each mailbox, and in sum.

use std::collections::BTreeMap;
use std::time::SystemTime;

use incident::{Gap, GapKey, GoneMailbox, MailboxId, SeenNumbers};
use mailstore_format::Timestamp;

use crate::class::Class;
use crate::compare::Counts;

/// What is said of one mailbox.
#[derive(Debug, Clone, Default)]
pub struct MailboxReport {
    /// The mailbox; none where messages belong to no mailbox that is known.
    pub mailbox: Option<MailboxId>,
    /// The number of the live store.
    pub store: usize,
    /// The user it belongs to, as far as that is text; none for a shared one.
    pub owner: Option<String>,
    /// Messages of the sources by class.
    pub counts: Counts,
    /// What is remembered of it.
    pub gaps: Vec<Gap>,
    /// The messages of a mailbox that the live store does not have: remembered one by one, told as one
    /// gap.
    pub within: Vec<Gap>,
    /// What the sources know of the mailbox itself, where the live store does not have it.
    pub gone: Option<GoneMailbox>,
    /// Gaps that earlier runs saw and the live store lacks no more, each with the mailbox it was
    /// remembered of.
    pub closed: Vec<(MailboxId, GapKey)>,
    /// When the live mailbox was looked at.
    pub looked_at: Timestamp,
    /// The highest numbers that clients of the sources may have seen of it.
    pub seen: SeenNumbers,
    /// Files that were read, and their bytes.
    pub files_read: u64,
    /// Bytes of these.
    pub bytes_read: u64,
    /// How much of the sources could not be read here.
    pub unreadable: Vec<String>,
    /// Why it could not be compared.
    pub error: Option<String>,
}

/// The sums of a run.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Mailboxes that were compared, or could not be.
    pub mailboxes: u64,
    /// Those that could not be.
    pub failed: u64,
    /// Messages by class.
    pub counts: Counts,
    /// The same for each user.
    pub by_user: BTreeMap<String, Counts>,
    /// What of the sources could not be read.
    pub unreadable: u64,
    /// Entries that are neither files nor directories.
    pub passed_over: u64,
    /// Gaps of earlier runs that the live stores lack no more.
    pub closed: u64,
    /// Files that were read.
    pub files_read: u64,
    /// Bytes of these.
    pub bytes_read: u64,
}

impl MailboxReport {
    /// Of a mailbox that is looked at now.
    #[must_use]
    pub(crate) fn of_now() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let looked_at = Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
        Self { looked_at, ..Self::default() }
    }
}

impl Summary {
    /// Adds what is said of a mailbox.
    pub fn add(&mut self, report: &MailboxReport) {
        self.mailboxes = self.mailboxes.saturating_add(u64::from(report.mailbox.is_some()));
        self.failed = self.failed.saturating_add(u64::from(report.error.is_some()));
        self.counts.merge(&report.counts);
        let user = report.owner.clone().unwrap_or_default();
        self.by_user.entry(user).or_default().merge(&report.counts);
        let unreadable = u64::try_from(report.unreadable.len()).unwrap_or(u64::MAX);
        self.unreadable = self.unreadable.saturating_add(unreadable);
        let closed = u64::try_from(report.closed.len()).unwrap_or(u64::MAX);
        self.closed = self.closed.saturating_add(closed);
        self.files_read = self.files_read.saturating_add(report.files_read);
        self.bytes_read = self.bytes_read.saturating_add(report.bytes_read);
    }

    /// How many messages the live stores lack.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        let gaps = Class::ALL.iter().filter(|class| class.is_gap());
        gaps.map(|&class| self.counts.of(class).messages).sum()
    }

    /// 2: a live mailbox could not be read. 3: some of a source could not. 1: there are gaps. 0: none.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match (self.failed, self.unreadable, self.gaps()) {
            (1.., _, _) => 2,
            (0, 1.., _) => 3,
            (0, 0, 1..) => 1,
            (0, 0, 0) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_tells_the_worst() {
        let mut summary = Summary::default();
        summary.counts.add(Class::Present, 5);
        summary.counts.add(Class::Deleted, 5);
        assert_eq!(summary.exit_status(), 0);
        summary.counts.add(Class::Ambiguous, 5);
        assert_eq!((summary.exit_status(), summary.gaps()), (1, 1));
        summary.unreadable = 1;
        assert_eq!(summary.exit_status(), 3);
        summary.failed = 1;
        assert_eq!(summary.exit_status(), 2);
    }
}
