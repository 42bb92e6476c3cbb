//! Message files without a record: they come back, under their own UID wherever that is safe.

use std::collections::HashMap;

use mailstore_format::index::IndexRecord;
use mailstore_format::message::CACHE_VERSION;
use mailstore_format::{InternalFlags, Uid};

use super::known::{NO_FLAGS, with_derived_fields};
use super::{CacheSource, Draft, Draughtsman, Rename, UID_JUMP};
use crate::evidence::{FileEvidence, FileIdentity, MessageEvidence, Place, Slot};
use crate::finding::{Code, Remedy};

/// UIDs above this leave too little room for the messages to come; no server ever gave them out.
const PLAUSIBLE_UID: Uid = Uid(u32::MAX - 16 * 1024 * 1024);

/// What becomes of a file without a record.
enum Fate {
    KeepsUid(&'static str),
    NewUid(String),
}

impl<'a> Draughtsman<'a> {
    /// Gives every message file without a record one.
    pub(super) fn adopt_orphans(&mut self) {
        let orphans = self.readable_orphans();
        let distrust_files = super::dates::times_are_of_a_copy(orphans.iter().copied());
        if distrust_files {
            self.report_distrusted_times();
        }
        let fates = self.decide_fates(&orphans);
        let index_gone = self.evidence.index.slots.is_empty();
        let mut renumbered = Vec::new();
        let mut kept = 0_usize;
        for (message, fate) in orphans.into_iter().zip(fates) {
            match fate {
                Fate::KeepsUid(why) => {
                    kept += 1;
                    if !index_gone {
                        let detail = format!("its file has no record; {why}");
                        let code = Code::MessageWithoutRecord;
                        self.find_about(message.uid, code, Remedy::Repair, detail);
                    }
                    self.last_uid = self.last_uid.max(message.uid);
                    self.adopt(message, message.uid, distrust_files);
                }
                Fate::NewUid(why) => renumbered.push((message, why)),
            }
        }
        if index_gone && kept > 0 {
            let detail = format!("{kept} message files keep the UIDs of their names");
            self.find(Code::MessageWithoutRecord, Remedy::Repair, detail);
        }
        self.jump_last_uid();
        self.renumber(renumbered, distrust_files);
    }

    /// The orphans that are messages; what is not is told and left.
    fn readable_orphans(&mut self) -> Vec<&'a MessageEvidence> {
        let evidence = self.evidence;
        let mut readable = Vec::new();
        for message in evidence.messages.iter().filter(|message| message.slot.is_none()) {
            let (code, detail) = match (message.file, &message.reading) {
                (FileEvidence::Odd, _) => (
                    Code::NotARegularFile,
                    "the name of a message, but no regular file; left in place".to_owned(),
                ),
                (FileEvidence::Unreadable(errno), _) => {
                    let error = std::io::Error::from_raw_os_error(errno);
                    (Code::MessageUnreadable, format!("a file without a record: {error}"))
                }
                (FileEvidence::Regular { identity, .. }, _) if identity.size == 0 => {
                    (Code::MessageEmpty, "an empty file without a record; left".to_owned())
                }
                (FileEvidence::Absent, _) | (FileEvidence::Regular { .. }, None) => continue,
                (FileEvidence::Regular { .. }, Some(_)) => {
                    readable.push(message);
                    continue;
                }
            };
            self.find_about(message.uid, code, Remedy::Left, detail);
        }
        readable
    }

    fn decide_fates(&self, orphans: &[&MessageEvidence]) -> Vec<Fate> {
        let slots = FreeSlots::of(self.evidence);
        let mut claims = HashMap::<usize, u64>::new();
        for orphan in orphans.iter().filter(|orphan| orphan.uid <= self.last_uid) {
            *claims.entry(slots.gap_of(orphan.uid)).or_default() += 1;
        }
        orphans
            .iter()
            .map(|orphan| {
                let uid = orphan.uid;
                if self.pruned_orphan(orphan).is_some() {
                    return Fate::KeepsUid("it was pruned and is back under its old record");
                }
                if uid > PLAUSIBLE_UID {
                    return Fate::NewUid("no server ever gave out a UID like this".to_owned());
                }
                if uid > self.last_uid {
                    return Fate::KeepsUid("its UID is above the last one given out");
                }
                let gap = slots.gap_of(uid);
                let (free, claimed) = (slots.free_in(gap), claims.get(&gap).copied().unwrap_or(0));
                if free >= claimed {
                    Fate::KeepsUid("a destroyed record between its neighbours was its own")
                } else if free == 0 {
                    Fate::NewUid(
                        "no record is missing where it would stand, so its UID was expunged"
                            .to_owned(),
                    )
                } else {
                    Fate::NewUid(format!(
                        "{claimed} files claim the {free} records destroyed where it would stand"
                    ))
                }
            })
            .collect()
    }

    fn adopt(&mut self, message: &MessageEvidence, uid: Uid, distrust_files: bool) {
        let FileEvidence::Regular { place, .. } = message.file else { return };
        let Some(reading) = &message.reading else { return };
        let now = self.policy.now;
        let mut record = IndexRecord {
            uid,
            internaldate: Self::internaldate_of(message, distrust_files),
            last_updated: now,
            savedate: now,
            system_flags: NO_FLAGS,
            cache_version: CACHE_VERSION,
            cache_crc: reading.fields.cache_crc,
            ..IndexRecord::default()
        };
        if let Some(pruned) = self.pruned_orphan(message) {
            record = IndexRecord { last_updated: now, ..pruned.record };
            record.cache_version = CACHE_VERSION;
            record.cache_crc = reading.fields.cache_crc;
        }
        record.internal_flags = match place {
            Place::Archive => record.internal_flags.with(InternalFlags::ARCHIVED),
            Place::Spool => record.internal_flags.without(InternalFlags::ARCHIVED),
        };
        let record = with_derived_fields(record, &reading.fields);
        let cache = reading.staged.map_or(CacheSource::None, CacheSource::Staged);
        self.stale_cache_of(place);
        self.drafts.push(Draft { record, cache, changed: true });
    }

    /// Leaves room above every UID that may have been given out, where nothing proves the last one.
    fn jump_last_uid(&mut self) {
        if self.evidence.index.header_proven {
            return;
        }
        let known = self.last_uid;
        self.last_uid = Uid(known.0.saturating_add(UID_JUMP));
        let detail = format!(
            "the last UID known is {known}; {} is taken, above any that may have been given out",
            self.last_uid
        );
        self.find(Code::LastUidUnproven, Remedy::Note, detail);
    }

    fn renumber(&mut self, orphans: Vec<(&MessageEvidence, String)>, distrust_files: bool) {
        for (message, why) in orphans {
            let FileEvidence::Regular { place, identity, .. } = message.file else { continue };
            let from = message.uid;
            if let Some(to) = self.linked_by_an_interrupted_run(from, identity) {
                let detail =
                    format!("the same file as {to}., its new name since a run that was cut short");
                self.find_about(from, Code::MessageRenumbered, Remedy::Repair, detail);
                self.renames.push(Rename { place, from, to, identity });
                continue;
            }
            let Some(to) = self.last_uid.0.checked_add(1).map(Uid) else {
                let detail = "its file has no record, and no UID is left to give";
                self.find_about(from, Code::MessageRenumbered, Remedy::Left, detail);
                continue;
            };
            self.last_uid = to;
            let detail = format!("its file has no record; it gets UID {to}, because {why}");
            self.find_about(from, Code::MessageRenumbered, Remedy::Repair, detail);
            self.renames.push(Rename { place, from, to, identity });
            self.adopt(message, to, distrust_files);
        }
    }

    /// The higher name of the same file, where there is one: a run was interrupted after it had
    /// linked the new name, or after the index named it, and left the old name to be put away.
    /// An expunged message is no such name: the server copies within a mailbox by linking too, and
    /// the orphan would go with its deleted copy.
    fn linked_by_an_interrupted_run(&self, uid: Uid, identity: FileIdentity) -> Option<Uid> {
        let same_file = |file: FileEvidence| matches!(file, FileEvidence::Regular { identity: found, .. } if found.ino == identity.ino);
        let is_expunged =
            |slot: usize| self.evidence.index.record(slot).is_some_and(IndexRecord::is_expunged);
        let above = self.evidence.messages.iter().rev().take_while(|other| other.uid > uid);
        above
            .filter(|other| same_file(other.file) && !other.slot.is_some_and(is_expunged))
            .map(|other| other.uid)
            .next()
    }
}

/// How many destroyed record slots lie between which UIDs.
///
/// Gap `n` lies below the `n`-th UID that has a record; the last gap lies above all of them.
struct FreeSlots {
    uids: Vec<Uid>,
    free: Vec<u64>,
}

impl FreeSlots {
    fn of(evidence: &crate::evidence::Evidence) -> Self {
        let index = &evidence.index;
        let mut uids = Vec::new();
        let mut free = vec![0_u64];
        for slot in &index.slots {
            match slot {
                Slot::Destroyed => {
                    if let Some(last) = free.last_mut() {
                        *last += 1;
                    }
                }
                // A record out of order bounds no gap.
                Slot::Record(record) if uids.last().is_none_or(|&last| last < record.uid) => {
                    uids.push(record.uid);
                    free.push(0);
                }
                Slot::Record(_) => {}
            }
        }
        if let Some(last) = free.last_mut() {
            *last += u64::try_from(index.truncated_slots).unwrap_or(u64::MAX);
        }
        Self { uids, free }
    }

    fn gap_of(&self, uid: Uid) -> usize {
        self.uids.partition_point(|&known| known < uid)
    }

    fn free_in(&self, gap: usize) -> u64 {
        self.free.get(gap).copied().unwrap_or(0)
    }
}
