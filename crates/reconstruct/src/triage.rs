//! Who is hit, how badly, and what is left to repair from: told from metadata alone.
//!
//! No message is opened. A mailbox costs one listing of its directories, its index and header, and
//! a few samples of its cache and of its messages' sizes; so that a whole store is looked over in
//! minutes, and what is told of sizes and cache records is an estimate ([`MailboxTriage::sampled`]).

mod mailbox;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::finding::Code;
use crate::site::Site;
use crate::target::Target;

/// How badly a mailbox is hit, from not at all to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is wrong that metadata would show.
    Sound,
    /// Its index is whole; messages, its cache or its header are not.
    Blemished,
    /// Its index is damaged, and most of what it said is left.
    Damaged,
    /// Its index is gone, or most of it: flags come from other witnesses or not at all.
    Lost,
    /// Nothing can be said: its disk is not mounted, or refuses.
    Unavailable,
}

impl Severity {
    /// Every one, worst first.
    pub const WORST_FIRST: [Self; 5] =
        [Self::Unavailable, Self::Lost, Self::Damaged, Self::Blemished, Self::Sound];
}

/// What a repair could go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// Records of the index that stand on their own CRCs.
    IndexRecords,
    /// The index's header.
    IndexHeader,
    /// `cyrus.header`: the names of the keywords, among others.
    HeaderFile,
    /// An entry in mailboxes.db: name, UIDVALIDITY, ACL.
    MailboxList,
    /// The owner's conversations: flags, dates, threads, what was expunged.
    Conversations,
    /// The owner's counters: the highest modseq handed out.
    Counters,
    /// Message files: the messages themselves, and when they arrived.
    Messages,
}

/// One kind of damage and how often it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// What it is.
    pub code: Code,
    /// How often; 1 for what concerns the mailbox as a whole.
    pub count: u64,
}

/// What triage says of one mailbox.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MailboxTriage {
    /// Its name, as operators write it.
    pub mailbox: String,
    /// Whose it is; empty for a shared one.
    pub user: String,
    /// How badly it is hit.
    pub severity: Severity,
    /// Messages: live records, or files where there are more.
    pub messages: u64,
    /// What is wrong.
    pub damage: Vec<Damage>,
    /// What is left to repair from.
    pub left: Vec<Witness>,
    /// Messages that a repair would have to read; an estimate.
    pub to_read: u64,
    /// Bytes of those; an estimate.
    pub bytes_to_read: u64,
    /// How many messages were sampled for their size and cache record.
    pub sampled: u64,
    /// Why nothing could be said, where nothing could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// How quickly a repair goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Messages read a second.
    pub messages: f64,
    /// Bytes read a second.
    pub bytes: f64,
}

/// What triage says of a store.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StoreTriage {
    /// Mailboxes by severity, in the order of [`Severity::WORST_FIRST`].
    pub mailboxes: [u64; 5],
    /// Users with at least one mailbox that is not sound.
    pub users_hit: BTreeSet<String>,
    /// Messages in all.
    pub messages: u64,
    /// Messages that repairs would have to read.
    pub to_read: u64,
    /// Bytes of those.
    pub bytes_to_read: u64,
}

impl Rate {
    /// How long to read so much takes at least.
    #[must_use]
    pub fn time_for(&self, messages: u64, bytes: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = (messages as f64 / self.messages).max(bytes as f64 / self.bytes);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

impl StoreTriage {
    fn add(&mut self, mailbox: &MailboxTriage) {
        let at = Severity::WORST_FIRST.iter().position(|&is| is == mailbox.severity);
        if let Some(count) = at.and_then(|at| self.mailboxes.get_mut(at)) {
            *count += 1;
        }
        if mailbox.severity != Severity::Sound {
            self.users_hit.insert(mailbox.user.clone());
        }
        self.messages = self.messages.saturating_add(mailbox.messages);
        self.to_read = self.to_read.saturating_add(mailbox.to_read);
        self.bytes_to_read = self.bytes_to_read.saturating_add(mailbox.bytes_to_read);
    }

    /// How many mailboxes are hit as badly as this.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        let counted = Severity::WORST_FIRST.iter().zip(self.mailboxes);
        counted.filter(|(is, _)| **is == severity).map(|(_, count)| count).sum()
    }
}

/// Looks over the mailboxes, `jobs` at a time; `tell` is called for each when it is done.
pub fn triage(
    site: &Site,
    targets: &[Target],
    jobs: usize,
    tell: &(dyn Fn(&MailboxTriage) + Sync),
) -> StoreTriage {
    let (next, store) = (AtomicUsize::new(0), Mutex::new(StoreTriage::default()));
    let worker = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mailbox = mailbox::look_over(site, target);
            tell(&mailbox);
            if let Ok(mut store) = store.lock() {
                store.add(&mailbox);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, targets.len().max(1)) {
            scope.spawn(worker);
        }
    });
    store.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
