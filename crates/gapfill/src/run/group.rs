//! The mailboxes of one owner, from reading both sides to what is said of each.

use std::collections::HashMap;
use std::ffi::OsStr;

use mailstore::lock::LockWait;
use mailstore_format::conversations::MessageRows;
use mailstore_format::db;

use super::belongings::LazySeen;
use super::outcome::Outcome;
use super::{Options, Run};
use crate::compare::{Comparison, Pair, compare};
use crate::contents::{Contents, IndexState, Voucher};
use crate::error::Error;
use crate::hash;
use crate::loose::{Known, LooseSet};
use crate::merge::merged;
use crate::pairing::{Group, PlannedPair, id_of};
use crate::report::MailboxReport;
use crate::source::{Source, SourceMailbox, UserFileAt, UserFileOf};

/// A larger database is not read into memory.
const LARGEST_DATABASE: u64 = 1 << 30;

/// A run on one group.
pub(super) struct GroupRun<'a> {
    pub(super) run: Run<'a>,
    pub(super) group: &'a Group,
    pub(super) loose: &'a LooseSet<'a>,
    /// Read when it is first asked for.
    pub(super) seen: &'a LazySeen<'a>,
}

/// A mailbox that is being compared, and what is said of it so far.
pub(super) struct Work {
    pub(super) plan: PlannedPair,
    pub(super) report: MailboxReport,
}

impl GroupRun<'_> {
    /// Compares the group. The reports are in the order of its pairs; those of live mailboxes that
    /// no source has follow, where there is anything to say of them.
    pub(super) fn compare(&self) -> Result<Vec<MailboxReport>, Error> {
        let mut conversations = SourceConversations::of(self.run.sources, self.group);
        let (mut works, mut pairs) = (Vec::new(), Vec::new());
        for plan in &self.group.pairs {
            let mut work = self.work(plan.clone());
            match self.pair(plan, &mut work.report, &mut conversations) {
                Ok(pair) => pairs.push(pair),
                Err(error) => {
                    work.report.error = Some(error.to_string());
                    pairs.push(Pair::default());
                }
            }
            works.push(work);
        }
        let mut compared = compare(&pairs);
        let lacks = |comparison: &Comparison| {
            comparison.verdicts.iter().any(|verdict| verdict.class.is_to_be_restored())
        };
        if compared.iter().any(lacks) || !self.loose.is_empty() {
            self.add_live_only(&mut works, &mut pairs);
            self.add_live_rows(&works, &mut pairs);
            compared = compare(&pairs);
        }
        self.note_loose(&pairs)?;
        let outcome = Outcome { group: self, works, pairs, compared };
        outcome.reports()
    }

    fn work(&self, plan: PlannedPair) -> Work {
        let owner = self.group.owner.as_deref();
        let owner = owner.map(|owner| String::from_utf8_lossy(owner).into_owned());
        let mailbox = Some(plan.id.clone());
        let report =
            MailboxReport { mailbox, store: self.group.store, owner, ..MailboxReport::of_now() };
        Work { plan, report }
    }

    /// Reads both sides of a mailbox.
    fn pair(
        &self,
        plan: &PlannedPair,
        report: &mut MailboxReport,
        conversations: &mut SourceConversations<'_>,
    ) -> Result<Pair, Error> {
        let live = plan.live.map(|live| self.live(live)).transpose()?;
        let mut source: Option<Contents> = None;
        for &(number, at) in &plan.parts {
            let found = self.run.sources.get(number);
            let Some(mailbox) = found.and_then(|found| found.mailboxes.get(at)) else { continue };
            let part = self.part(number, mailbox, report, conversations);
            source = Some(match source {
                Some(before) => merged(before, part),
                None => part,
            });
        }
        let source = source.unwrap_or_default();
        let unreadable = source.skipped.iter().filter(|skipped| skipped.hides_mail());
        report.unreadable.extend(unreadable.map(ToString::to_string));
        let messages = u64::try_from(source.messages.len()).unwrap_or(u64::MAX);
        self.run.observer.progressed(messages, report.bytes_read);
        let covered = source.index == IndexState::Whole && source.skipped.is_empty();
        let wanted = self.run.memory.map(|memory| {
            let wanted = memory.wanted(self.group.store, &plan.id.uniqueid).iter();
            wanted.map(|still| (still.uid, still.guid)).collect()
        });
        let mut standing = plan.standing;
        standing.covered = covered;
        Ok(Pair { source, live, standing, wanted: wanted.unwrap_or_default() })
    }

    fn live(&self, mailbox: usize) -> Result<Contents, Error> {
        let Some(store) = self.run.stores.get(self.group.store) else {
            return Ok(Contents::default());
        };
        store.read(mailbox, &mut |wait: &LockWait| self.run.observer.waiting(wait))
    }

    /// What one source knows of a mailbox.
    fn part(
        &self,
        number: usize,
        mailbox: &SourceMailbox,
        report: &mut MailboxReport,
        conversations: &mut SourceConversations<'_>,
    ) -> Contents {
        let mut contents = Contents::read_listed(mailbox.places.clone(), &mailbox.listings);
        contents.look_again();
        contents.add_orphans();
        let &Options { paranoid, retry_bad, .. } = self.run.options;
        let hashed = hash::hash(&mut contents, paranoid, retry_bad);
        report.files_read = report.files_read.saturating_add(hashed.messages);
        report.bytes_read = report.bytes_read.saturating_add(hashed.bytes);
        for (_, size) in hashed.not_mail {
            report.counts.add(crate::class::Class::NotMail, size);
        }
        let unsure = contents.index != IndexState::Whole
            || contents.messages.iter().any(|message| message.voucher == Voucher::File);
        if unsure && let Some(rows) = conversations.of_source(number) {
            let name = mailbox.name.as_ref().map_or(&b""[..], |name| name.as_bytes());
            for rows in rows {
                contents.add_rows(rows.of_mailbox(&mailbox.uniqueid, name).unwrap_or_default());
            }
        }
        contents
    }

    /// Adds the owner's live mailboxes that no source has: messages may have been moved there.
    fn add_live_only(&self, works: &mut Vec<Work>, pairs: &mut Vec<Pair>) {
        let Some(store) = self.run.stores.get(self.group.store) else { return };
        for &at in &self.group.live_only {
            let Some(mailbox) = store.mailboxes().get(at) else { continue };
            let plan = PlannedPair {
                live: Some(at),
                parts: Vec::new(),
                id: id_of(mailbox),
                source_id: None,
                standing: crate::compare::Standing::default(),
                renamed_to: None,
            };
            let mut work = self.work(plan);
            match self.live(at) {
                Ok(live) => pairs.push(Pair { live: Some(live), ..Pair::default() }),
                Err(error) => {
                    work.report.error = Some(error.to_string());
                    pairs.push(Pair::default());
                }
            }
            works.push(work);
        }
    }

    /// Adds the tombstones that only the owner's live conversations know.
    fn add_live_rows(&self, works: &[Work], pairs: &mut [Pair]) {
        let Some(store) = self.run.stores.get(self.group.store) else { return };
        let first = works.iter().find_map(|work| work.plan.live);
        let Some(rows) = first.and_then(|first| store.conversations(first)) else { return };
        for (work, pair) in works.iter().zip(pairs) {
            let mailbox = work.plan.live.and_then(|live| store.mailboxes().get(live));
            if let (Some(mailbox), Some(live)) = (mailbox, &mut pair.live) {
                let rows = rows.of_mailbox(&mailbox.uniqueid, mailbox.name.as_bytes());
                live.add_tombstones(rows.unwrap_or_default());
            }
        }
    }

    /// Notes what the records of both sides tell of loose messages.
    fn note_loose(&self, pairs: &[Pair]) -> Result<(), Error> {
        if self.loose.is_empty() {
            return Ok(());
        }
        let owner = self.group.owner.as_deref().unwrap_or_default();
        for pair in pairs {
            for message in pair.live.iter().flat_map(|live| &live.messages) {
                let has = !message.expunged && message.file != crate::contents::FileState::Missing;
                if has {
                    self.loose.note_holder(&message.guid, owner)?;
                }
                let known = match (has, message.expunged) {
                    (true, _) => Known::Present,
                    (false, true) => Known::Deleted,
                    (false, false) => continue,
                };
                self.loose.note(&message.guid, known)?;
            }
            for gone in pair.source.messages.iter().filter(|message| message.expunged) {
                self.loose.note(&gone.guid, Known::Deleted)?;
            }
        }
        Ok(())
    }
}

/// The conversations of a group's owner in each source, read when they are first asked for.
struct SourceConversations<'a> {
    found: HashMap<usize, Vec<&'a UserFileAt>>,
    read: HashMap<usize, Vec<MessageRows>>,
}

impl<'a> SourceConversations<'a> {
    fn of(sources: &'a [Source], group: &Group) -> Self {
        let owner = group.owner.as_deref().unwrap_or_default();
        let local = owner.split(|&byte| byte == b'@').next().unwrap_or_default();
        let hashed: Vec<u8> =
            local.iter().map(|&byte| if byte == b'.' { b'^' } else { byte }).collect();
        let mut found = HashMap::<usize, Vec<&UserFileAt>>::new();
        for (number, source) in sources.iter().enumerate() {
            let ids: Vec<&[u8]> = group
                .pairs
                .iter()
                .flat_map(|pair| &pair.parts)
                .filter(|(of, _)| *of == number)
                .filter_map(|&(_, at)| source.mailboxes.get(at))
                .map(|mailbox| mailbox.uniqueid.as_slice())
                .collect();
            let is_theirs = |at: &&UserFileAt| match &at.of {
                UserFileOf::Inbox(id) => ids.contains(&id.as_slice()),
                UserFileOf::User(user) => !local.is_empty() && (user == local || *user == hashed),
            };
            found.insert(number, source.conversations.iter().filter(is_theirs).collect());
        }
        Self { found, read: HashMap::new() }
    }

    fn of_source(&mut self, number: usize) -> Option<&[MessageRows]> {
        let found = self.found.get(&number)?;
        let read = self
            .read
            .entry(number)
            .or_insert_with(|| found.iter().filter_map(|at| read_rows(at)).collect());
        Some(read)
    }
}

fn read_rows(at: &UserFileAt) -> Option<MessageRows> {
    let mut bytes = Vec::new();
    let directory = at.place.open().ok()?;
    directory.read_into(OsStr::new(&at.name), LARGEST_DATABASE, &mut bytes).ok()?;
    MessageRows::of(&db::read(&bytes).ok()?)
}
