//! Taking back what a run decided, in a mailbox that was changed since: only of messages that nobody
//! touched, and without taking anything away that came.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use mailstore::spool::message_uid;
use mailstore_format::header_file::FlagNames;
use mailstore_format::index::IndexRecord;
use mailstore_format::{InternalFlags, ModSeq, Uid, UserFlags};

use super::keyword_slots::with_keyword;
use super::{Draughtsman, Return};
use crate::evidence::{FileEvidence, FileIdentity, Place};
use crate::finding::{Code, Remedy};
use crate::journal::{Arriving, Renamed};

/// What a run did to a mailbox, as far as it can be taken back.
#[derive(Debug, Default)]
pub(crate) struct Reversal {
    /// The highest modseq when it was done: a message with a higher one was touched since.
    pub(crate) highestmodseq: ModSeq,
    /// The modseqs of what undos of it expunged that were cut short.
    pub(crate) retracted_at: HashSet<ModSeq>,
    /// The sound records of before, by UID.
    pub(crate) before: HashMap<Uid, IndexRecord>,
    /// The names of the keywords of before.
    pub(crate) flag_names: Option<FlagNames>,
    /// The messages that got a new UID.
    pub(crate) renamed: Vec<Renamed>,
    /// The messages that came from outside.
    pub(crate) arrived: Vec<Arriving>,
    /// The files that were moved out of the mailbox.
    pub(crate) quarantined: Vec<Quarantined>,
}

/// A file in the quarantine of a run.
#[derive(Debug)]
pub(crate) struct Quarantined {
    pub(crate) place: Place,
    /// The name it had.
    pub(crate) name: OsString,
    pub(crate) kept: PathBuf,
    pub(crate) identity: FileIdentity,
}

const EXPUNGED: InternalFlags = InternalFlags::EXPUNGED;

impl Draughtsman<'_> {
    /// Takes back what the run decided that is undone.
    pub(super) fn reverse(&mut self, reversal: &Reversal) {
        self.reverse_records(reversal);
        self.expunge_arrived(reversal);
        let stay = self.expunge_new_uids(reversal);
        self.give_names_back(reversal, &stay);
    }

    /// Records are expunged, or not, and have the flags that they had before.
    fn reverse_records(&mut self, reversal: &Reversal) {
        for at in 0..self.drafts.len() {
            let Some(draft) = self.drafts.get(at) else { continue };
            let now = draft.record;
            let untouched = now.modseq <= reversal.highestmodseq && !draft.changed;
            let before = reversal.before.get(&now.uid).filter(|before| before.guid == now.guid);
            let Some(before) = before.filter(|_| untouched) else { continue };
            let mut reversed = IndexRecord { system_flags: before.system_flags, ..now };
            // What the run did was to name slots anew, not to change which are set.
            let same_slots = before.user_flags == now.user_flags;
            if let Some(names) = reversal.flag_names.as_ref().filter(|_| !same_slots) {
                reversed.user_flags = self.user_flags_by_name(before.user_flags, names);
            }
            if before.is_expunged() != now.is_expunged() {
                let tombstones = EXPUNGED.with(InternalFlags::UNLINKED);
                // A delete order is never given.
                reversed.internal_flags = if before.is_expunged() {
                    now.internal_flags.with(EXPUNGED)
                } else {
                    now.internal_flags.without(tombstones)
                };
            }
            if reversed == now {
                continue;
            }
            reversed.last_updated = self.policy.now;
            if let Some(draft) = self.drafts.get_mut(at) {
                draft.record = reversed;
                draft.changed = true;
            }
            let detail = match (before.is_expunged(), now.is_expunged()) {
                (false, true) => "it is there again, as before the run",
                (true, false) => "it is expunged again, as before the run",
                _ => "it has the flags of before the run",
            };
            self.find_about(now.uid, Code::Undone, Remedy::Repair, detail);
        }
    }

    fn user_flags_by_name(&mut self, flags: UserFlags, names: &FlagNames) -> UserFlags {
        flags.slots().fold(UserFlags::default(), |flags, slot| {
            let name = names.get(slot).map(<[u8]>::to_vec);
            let slot = name.and_then(|name| self.slot_of_keyword(&name, Some(slot)));
            slot.map_or(flags, |slot| with_keyword(flags, slot))
        })
    }

    /// A message that got a new UID is expunged there, where nobody touched it and its old name is
    /// free. Tells which old names stay where they are.
    fn expunge_new_uids(&mut self, reversal: &Reversal) -> HashSet<(Place, OsString)> {
        let by_name = reversal.quarantined.iter();
        let by_name: HashMap<(Place, &OsStr), &Quarantined> =
            by_name.map(|file| ((file.place, file.name.as_os_str()), file)).collect();
        let at: HashMap<Uid, usize> =
            self.drafts.iter().enumerate().map(|(at, draft)| (draft.record.uid, at)).collect();
        let mut stay = HashSet::new();
        for renamed in &reversal.renamed {
            let name = (renamed.place, renamed.from.as_os_str());
            let file = by_name.get(&name);
            let can_return = file.is_some_and(|file| self.name_of(file) != Name::Taken);
            let draft = at.get(&renamed.to).and_then(|&at| self.drafts.get_mut(at));
            let untouched = draft.filter(|draft| {
                let record = &draft.record;
                record.modseq <= reversal.highestmodseq && !draft.changed && !record.is_expunged()
            });
            if let Some(draft) = untouched.filter(|_| can_return) {
                draft.record.internal_flags = draft.record.internal_flags.with(EXPUNGED);
                draft.record.last_updated = self.policy.now;
                draft.changed = true;
                let detail = format!(
                    "the run gave it this UID; it is expunged, and is {} again",
                    renamed.from.display()
                );
                self.find_about(renamed.to, Code::Undone, Remedy::Repair, detail);
            } else {
                stay.insert((renamed.place, renamed.from.clone()));
                let detail = "the run gave it this UID; it stays, because it was changed since";
                self.find_about(renamed.to, Code::Undone, Remedy::Note, detail);
            }
        }
        stay
    }

    /// A message that came from outside is expunged, where nobody touched it.
    fn expunge_arrived(&mut self, reversal: &Reversal) {
        let drafts = self.drafts.iter().enumerate();
        let at: HashMap<Uid, usize> = drafts.map(|(at, draft)| (draft.record.uid, at)).collect();
        for message in &reversal.arrived {
            let Some(&at) = at.get(&message.to) else { continue };
            let Some(draft) = self.drafts.get(at) else { continue };
            let (record, changed) = (draft.record, draft.changed);
            // One that got its file back had its record before.
            if record.guid != message.guid || reversal.before.contains_key(&message.to) {
                continue;
            }
            if record.is_expunged() {
                if reversal.retracted_at.contains(&record.modseq) {
                    let detail = "the run brought it; an undo that was cut short expunged it";
                    self.find_about(message.to, Code::Undone, Remedy::Repair, detail);
                }
                continue;
            }
            // Of a thread that it got, too, the modseq tells.
            let untouched =
                record.modseq <= reversal.highestmodseq || self.has_flags_of(&record, message);
            if changed || !untouched {
                let detail = "the run brought it; it stays, because it was changed since";
                self.find_about(message.to, Code::UndoLeft, Remedy::Left, detail);
                continue;
            }
            if let Some(draft) = self.drafts.get_mut(at) {
                draft.record.internal_flags = record.internal_flags.with(EXPUNGED);
                draft.record.last_updated = self.policy.now;
                draft.changed = true;
            }
            let detail = "the run brought it; it is expunged";
            self.find_about(message.to, Code::Undone, Remedy::Repair, detail);
        }
    }

    /// Whether a record has the flags and keywords with which `message` came, as far as there are slots
    /// for these.
    fn has_flags_of(&self, record: &IndexRecord, message: &Arriving) -> bool {
        let Some(file) = self.current_header_file() else { return false };
        let came = message.keywords.iter();
        let came: HashSet<usize> =
            came.filter_map(|name| file.flag_names.slot_of(name.as_bytes())).collect();
        record.system_flags == message.system_flags
            && record.user_flags.slots().collect::<HashSet<_>>() == came
    }

    /// Files that the run set aside get their names back where these are free.
    fn give_names_back(&mut self, reversal: &Reversal, stay: &HashSet<(Place, OsString)>) {
        for file in &reversal.quarantined {
            if stay.contains(&(file.place, file.name.clone())) {
                continue;
            }
            let shown = file.name.display();
            match self.name_of(file) {
                Name::Free => {}
                Name::Back => continue,
                Name::Taken => {
                    let kept = file.kept.display();
                    let detail = format!("{shown} stays {kept}: its name belongs to another file");
                    self.find(Code::Undone, Remedy::Note, detail);
                    continue;
                }
            }
            self.find(Code::Undone, Remedy::Repair, format!("{shown} is in its place again"));
            self.file_steps.returns.push(Return {
                place: file.place,
                name: file.name.clone(),
                kept: file.kept.clone(),
                identity: file.identity,
            });
        }
    }

    /// Whose the name of `file` is now.
    fn name_of(&self, file: &Quarantined) -> Name {
        let (place, name) = (file.place, file.name.as_os_str());
        let evidence = self.evidence;
        let named = |in_place: Place, entry: &OsStr| (in_place, entry) == (place, name);
        let stray = evidence.strays.iter().find(|stray| named(stray.place, &stray.name));
        if let Some(stray) = stray {
            return Name::of(stray.identity.ino, file);
        }
        if evidence.directory.odd.iter().any(|odd| named(odd.place, &odd.entry.name)) {
            return Name::Taken;
        }
        let Some(uid) = message_uid(name.as_encoded_bytes()) else { return Name::Free };
        if self.file_steps.puts.iter().any(|put| put.uid == uid) {
            return Name::Taken;
        }
        let at = evidence.messages.binary_search_by_key(&uid, |message| message.uid);
        match at.ok().and_then(|at| evidence.messages.get(at)).map(|message| message.file) {
            None | Some(FileEvidence::Absent) => Name::Free,
            Some(FileEvidence::Regular { identity, .. }) => Name::of(identity.ino, file),
            Some(_) => Name::Taken,
        }
    }
}

/// Whose a name is that a file had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Free,
    /// The file's own: an undo that was cut short gave it back.
    Back,
    Taken,
}

impl Name {
    fn of(ino: u64, file: &Quarantined) -> Self {
        if ino == file.identity.ino { Self::Back } else { Self::Taken }
    }
}
