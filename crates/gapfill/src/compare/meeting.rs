//! One mailbox: which messages of both sides are the same.

use std::collections::{HashMap, HashSet};

use mailstore_format::{Guid, Uid};

use super::{Because, Comparison, Counts, Pair, Verdict, rules};
use crate::class::Class;
use crate::contents::{Contents, FileState, Message};

/// How far a mailbox has been compared.
#[derive(Debug, Default)]
pub(super) struct Meeting {
    pub(super) counts: Counts,
    pub(super) verdicts: Vec<Verdict>,
    /// Messages that a source has and the live mailbox lacks.
    pub(super) surplus: Vec<Surplus>,
    /// Live messages that no source has here.
    pub(super) live_left: Vec<usize>,
    /// Messages that a source has as expunged and the live mailbox still has: positions in both.
    pub(super) behind: Vec<(usize, usize)>,
    /// Messages that each side expunged by itself since they were one.
    pub(super) deleted_on_both_sides: Vec<usize>,
    /// Live tombstones that no source has.
    pub(super) tombstones: Vec<usize>,
    /// Live records without a file that no source has.
    pub(super) unfiled: Vec<usize>,
    /// Whether UIDs of both sides mean the same.
    pub(super) same_uids: bool,
    /// The highest UID under which both sides have, or had, the same message.
    pub(super) common_uid: Uid,
}

/// A message that the live mailbox lacks, and what the other message or record of its UID tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surplus {
    pub(super) message: usize,
    pub(super) hint: Hint,
}

/// What the live mailbox has under the UID of a message that it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// Nothing.
    Nothing,
    /// The message's tombstone.
    Tombstone,
    /// The message's record, there or under another UID, whose file is gone.
    RecordWithoutFile,
    /// Another message, or its tombstone.
    UidTaken,
}

/// Whether the live mailbox has the message: a file that is gone is no message.
fn has(message: &Message) -> bool {
    !message.expunged && !matches!(message.file, FileState::Missing | FileState::Bad)
}

impl Meeting {
    pub(super) fn of(pair: &Pair) -> Self {
        let mut meeting = Self::default();
        let nothing = Contents::default();
        let live = pair.live.as_ref().unwrap_or(&nothing);
        let known = pair.source.uidvalidity.filter(|generation| generation.0 != 0);
        // A source that lost its header names its files by UIDs all the same.
        meeting.same_uids = known.is_none() || known == live.uidvalidity;
        if meeting.same_uids {
            meeting.by_uid(&pair.source.messages, &live.messages);
        } else {
            (0..pair.source.messages.len()).for_each(|at| meeting.source_only(pair, at));
            (0..live.messages.len()).for_each(|at| meeting.live_only(live, at));
        }
        meeting.by_guid(&pair.source.messages, &live.messages);
        meeting.unfiled_by_guid(&pair.source.messages, &live.messages);
        meeting
    }

    /// Goes through both sides in order of UID.
    fn by_uid(&mut self, source: &[Message], live: &[Message]) {
        let (mut left, mut right) = (0, 0);
        loop {
            let pair = (source.get(left), live.get(right));
            let (step_left, step_right) = match pair {
                (None, None) => break,
                (Some(one), Some(other)) => (one.uid <= other.uid, other.uid <= one.uid),
                (one, other) => (one.is_some(), other.is_some()),
            };
            match pair {
                (Some(one), Some(other)) if step_left && step_right && one.uid != Uid(0) => {
                    self.same_uid((left, one), (right, other));
                }
                (Some(one), _) if step_left => self.add_source(left, one, Hint::Nothing),
                (_, Some(other)) => self.add_live(right, other),
                _ => {}
            }
            left += usize::from(step_left);
            right += usize::from(step_right);
        }
    }

    fn same_uid(&mut self, (left, one): (usize, &Message), (right, other): (usize, &Message)) {
        if one.guid != other.guid || one.guid.is_null() {
            self.add_source(left, one, Hint::UidTaken);
            self.add_live(right, other);
            return;
        }
        self.common_uid = self.common_uid.max(one.uid);
        match (one.expunged, has(other)) {
            (false, true) => self.present(left, one, other),
            (true, true) => self.behind.push((left, right)),
            (true, false) => {
                self.counts.add(Class::Deleted, one.size);
                // Before the fork both have one and the same tombstone.
                if other.expunged && one.last_change() != other.last_change() {
                    self.deleted_on_both_sides.push(left);
                }
            }
            (false, false) if other.expunged => {
                self.surplus.push(Surplus { message: left, hint: Hint::Tombstone });
            }
            (false, false) => {
                self.surplus.push(Surplus { message: left, hint: Hint::RecordWithoutFile });
            }
        }
    }

    fn present(&mut self, at: usize, one: &Message, other: &Message) {
        self.counts.add(Class::Present, one.size);
        let differs = one.system_flags != other.system_flags;
        if differs && one.last_change() > other.last_change() {
            self.behind_in(at, one, Because::FlagsNewer);
        }
    }

    fn behind_in(&mut self, at: usize, message: &Message, because: Because) {
        self.counts.add(Class::StateBehind, message.size);
        self.verdicts.push(Verdict { message: at, class: Class::StateBehind, because });
    }

    fn source_only(&mut self, pair: &Pair, at: usize) {
        if let Some(message) = pair.source.messages.get(at) {
            self.add_source(at, message, Hint::Nothing);
        }
    }

    fn live_only(&mut self, live: &Contents, at: usize) {
        if let Some(message) = live.messages.get(at) {
            self.add_live(at, message);
        }
    }

    fn add_source(&mut self, at: usize, message: &Message, hint: Hint) {
        if message.expunged {
            self.counts.add(Class::Deleted, message.size);
        } else {
            self.surplus.push(Surplus { message: at, hint });
        }
    }

    fn add_live(&mut self, at: usize, message: &Message) {
        let list = if message.expunged {
            &mut self.tombstones
        } else if has(message) {
            &mut self.live_left
        } else {
            &mut self.unfiled
        };
        list.push(at);
    }

    /// Brings together what is left over of both sides under different UIDs, each copy once.
    fn by_guid(&mut self, source: &[Message], live: &[Message]) {
        if self.surplus.is_empty() {
            return;
        }
        let guid_of = |at: usize| live.get(at).map_or(Guid::NULL, |message| message.guid);
        let mut left = HashMap::<Guid, Vec<usize>>::new();
        // What the source deleted is taken last.
        let deleted = self.behind.iter().map(|&(_, at)| at);
        for at in deleted.chain(self.live_left.iter().copied()) {
            left.entry(guid_of(at)).or_default().push(at);
        }
        left.remove(&Guid::NULL);
        let mut met = Vec::new();
        let counts = &mut self.counts;
        self.surplus.retain(|surplus| {
            let Some(message) = source.get(surplus.message) else { return false };
            let found = left.get_mut(&message.guid).and_then(Vec::pop);
            if let Some(at) = found {
                counts.add(Class::Present, message.size);
                met.push(at);
            }
            found.is_none()
        });
        if met.is_empty() {
            return;
        }
        met.sort_unstable();
        let is_met = |at: usize| met.binary_search(&at).is_ok();
        self.live_left.retain(|&at| !is_met(at));
        self.behind.retain(|&(gone, at)| {
            let message = source.get(gone).filter(|_| is_met(at));
            if let Some(message) = message {
                counts.add(Class::Deleted, message.size);
            }
            message.is_none()
        });
    }

    /// A record without a file waits for its message, under whatever UID the source has that: what was
    /// delivered and lost its file is missing once, not twice.
    fn unfiled_by_guid(&mut self, source: &[Message], live: &[Message]) {
        let mut waiting = HashMap::<Guid, Vec<usize>>::new();
        for &at in &self.unfiled {
            let guid = live.get(at).map_or(Guid::NULL, |message| message.guid);
            waiting.entry(guid).or_default().push(at);
        }
        waiting.remove(&Guid::NULL);
        let mut met = HashSet::new();
        for surplus in &mut self.surplus {
            let knows_none = matches!(surplus.hint, Hint::Nothing | Hint::UidTaken);
            let Some(message) = source.get(surplus.message).filter(|_| knows_none) else {
                continue;
            };
            if let Some(at) = waiting.get_mut(&message.guid).and_then(Vec::pop) {
                surplus.hint = Hint::RecordWithoutFile;
                met.insert(at);
            }
        }
        self.unfiled.retain(|at| !met.contains(at));
    }

    /// Classes what of the surplus `judge` knows, and keeps the rest.
    pub(super) fn settle(
        &mut self,
        source: &Contents,
        mut judge: impl FnMut(&Surplus, &Guid) -> Option<(Class, Because)>,
    ) {
        let (counts, verdicts) = (&mut self.counts, &mut self.verdicts);
        self.surplus.retain(|surplus| {
            let Some(message) = source.messages.get(surplus.message) else { return false };
            let judged = judge(surplus, &message.guid);
            if let Some((class, because)) = judged {
                verdicts.push(Verdict { message: surplus.message, class, because });
                counts.add(class, message.size);
            }
            judged.is_none()
        });
    }

    /// Classes all that is left over.
    pub(super) fn concluded(mut self, pair: &Pair) -> Comparison {
        for (gone, _) in std::mem::take(&mut self.behind) {
            if let Some(message) = pair.source.messages.get(gone) {
                self.behind_in(gone, message, Because::DeletedInSource);
            }
        }
        let mut rules = rules::Rules::of(pair, &self);
        for surplus in std::mem::take(&mut self.surplus) {
            let Some(message) = pair.source.messages.get(surplus.message) else { continue };
            let (class, because) = rules.judge(message, surplus.hint);
            self.counts.add(class, message.size);
            self.verdicts.push(Verdict { message: surplus.message, class, because });
        }
        self.verdicts.sort_by_key(|verdict| verdict.message);
        Comparison {
            counts: self.counts,
            verdicts: self.verdicts,
            unfiled: self.unfiled,
            live_only: self.live_left,
        }
    }
}
