//! Message files without a record: they come back, under their own UID wherever that is safe.

use std::collections::{HashMap, HashSet};

use mailstore::spool::message_uid;
use mailstore::volume::message_file_name;
use mailstore_format::index::IndexRecord;
use mailstore_format::message::CACHE_VERSION;
use mailstore_format::{InternalFlags, Uid};

use super::known::{NO_FLAGS, with_derived_fields};
use super::{CacheSource, Draft, Draughtsman, Rename, UID_JUMP};
use crate::evidence::{FileEvidence, FileIdentity, MessageEvidence, Place, Slot};
use crate::finding::{Code, Remedy};

/// UIDs above this leave too little room for the messages to come; no server ever gave them out.
pub(super) const PLAUSIBLE_UID: Uid = Uid(u32::MAX - 16 * 1024 * 1024);

/// Deliveries that an index whose header is sound may have missed; a name beyond is not believed.
const UIDS_IN_REACH: u32 = 1_000_000;

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
                Fate::NewUid(why) if self.evidence.witnesses.dav => {
                    let detail = format!(
                        "its file has no record; {why}; left, because the server's DAV database \
                         is keyed by UID"
                    );
                    let code = Code::MessageRenumbered;
                    self.find_about(message.uid, code, Remedy::Left, detail);
                }
                Fate::NewUid(why) => renumbered.push((message, why)),
            }
        }
        if index_gone && kept > 0 {
            let detail = format!("{kept} message files keep the UIDs of their names");
            self.find(Code::MessageWithoutRecord, Remedy::Repair, detail);
        }
        self.jump_last_uid();
        let taken = self.names_taken();
        self.pass_names_in_the_way(&taken);
        self.renumber(renumbered, distrust_files, &taken);
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
                if uid > self.plausible_uid() {
                    return Fate::NewUid("no server ever gave out a UID like this".to_owned());
                }
                if uid > self.last_uid {
                    return Fate::KeepsUid("its UID is above the last one given out");
                }
                let gap = slots.gap_of(uid);
                let (free, claimed) = (slots.free_in(gap), claims.get(&gap).copied().unwrap_or(0));
                if free == u64::MAX {
                    Fate::KeepsUid("nothing tells how many records the index had")
                } else if free >= claimed {
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

    /// The highest UID that a file's name can be believed to tell.
    fn plausible_uid(&self) -> Uid {
        if self.evidence.index.header_proven {
            Uid(self.last_uid.0.saturating_add(UIDS_IN_REACH)).min(PLAUSIBLE_UID)
        } else {
            PLAUSIBLE_UID
        }
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
            let user_flags = self.slots_of_keywords(&pruned);
            record = IndexRecord { last_updated: now, user_flags, ..pruned.record };
            self.report_restored(&pruned);
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
        if !self.last_uid_is_unproven() {
            return;
        }
        let known = self.last_uid.max(self.witnessed_uid());
        self.last_uid = Uid(known.0.saturating_add(UID_JUMP));
        let detail = format!(
            "the last UID known is {known}; {} is taken, above any that may have been given out",
            self.last_uid
        );
        self.find(Code::LastUidUnproven, Remedy::Note, detail);
    }

    fn renumber(
        &mut self,
        orphans: Vec<(&MessageEvidence, String)>,
        distrust_files: bool,
        taken: &HashSet<Uid>,
    ) {
        for (message, why) in orphans {
            let FileEvidence::Regular { place, identity, .. } = message.file else { continue };
            let from = message.uid;
            if let Some(to) = self.linked_by_an_interrupted_run(from, place, identity) {
                let detail =
                    format!("the same file as {to}., its new name since a run that was cut short");
                self.find_about(from, Code::MessageRenumbered, Remedy::Repair, detail);
                self.file_steps.renames.push(Rename {
                    place,
                    from: message_file_name(from).into(),
                    to,
                    identity,
                });
                continue;
            }
            let next = (self.last_uid.0..u32::MAX).map(|last| Uid(last.saturating_add(1)));
            let Some(to) = next.into_iter().find(|uid| !taken.contains(uid)) else {
                let detail = "its file has no record, and no UID is left to give";
                self.find_about(from, Code::MessageRenumbered, Remedy::Left, detail);
                continue;
            };
            self.last_uid = to;
            let detail = format!("its file has no record; it gets UID {to}, because {why}");
            self.find_about(from, Code::MessageRenumbered, Remedy::Repair, detail);
            self.file_steps.renames.push(Rename {
                place,
                from: message_file_name(from).into(),
                to,
                identity,
            });
            self.adopt(message, to, distrust_files);
        }
    }

    /// The new name of a file, where an earlier run noted it, linked it and was interrupted before
    /// it could put the old name away.
    fn linked_by_an_interrupted_run(
        &self,
        from: Uid,
        place: Place,
        identity: FileIdentity,
    ) -> Option<Uid> {
        let is_there = |uid: Uid| {
            let message = self.evidence.messages.iter().find(|message| message.uid == uid);
            message.is_some_and(|message| {
                matches!(message.file, FileEvidence::Regular { place: found, identity: file, .. }
                    if found == place && file.ino == identity.ino)
            })
        };
        let noted = self.evidence.journal.renamed.iter().rev().filter(|renamed| {
            (renamed.place, renamed.ino) == (place, identity.ino)
                && renamed.from == *message_file_name(from)
        });
        noted.map(|renamed| renamed.to).find(|&to| is_there(to))
    }

    /// Every UID that a directory entry is named after, whatever it is: none may be given out.
    fn names_taken(&self) -> HashSet<Uid> {
        let messages = self.evidence.messages.iter().map(|message| message.uid);
        let odd = self.evidence.directory.odd.iter();
        let odd = odd.filter_map(|entry| message_uid(entry.name.as_encoded_bytes()));
        messages.chain(odd).collect()
    }

    /// Lifts the last UID above the names of entries that cannot be served but lie where the server
    /// would put its next message, over them.
    fn pass_names_in_the_way(&mut self, taken: &HashSet<Uid>) {
        let reach = self.last_uid.0.saturating_add(UIDS_IN_REACH);
        let in_the_way = taken.iter().filter(|uid| uid.0 <= reach).max().copied();
        if let Some(top) = in_the_way.filter(|&top| top > self.last_uid) {
            let detail = format!(
                "the last UID was {}, but an entry is named {top}.: the server would put its next \
                 messages over it",
                self.last_uid
            );
            self.find(Code::LastUidLow, Remedy::Repair, detail);
            self.last_uid = top;
        }
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
                Slot::Destroyed | Slot::Doubtful(_) => {
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
            // No count that could be believed says how many records stood behind the last one.
            let cut_off = if index.header_proven {
                u64::try_from(index.truncated_slots).unwrap_or(u64::MAX)
            } else {
                u64::MAX
            };
            *last = last.saturating_add(cut_off);
        }
        if evidence.index_trust.is_foreign() {
            free.fill(u64::MAX); // Nothing tells how many records there were anywhere.
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
