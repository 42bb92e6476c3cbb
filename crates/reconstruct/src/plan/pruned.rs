//! Records that `--prune` expunged come back with their messages.

use std::fmt::Write as _;

use mailstore_format::header_file::FlagNames;
use mailstore_format::{Guid, InternalFlags, Uid, UserFlags};

use super::{Draft, Draughtsman};
use crate::evidence::MessageEvidence;
use crate::finding::{Code, Remedy};
use crate::journal::Wanted;

impl Draughtsman<'_> {
    /// A message that `--prune` once expunged, whose file is there again. One that somebody else
    /// expunged since has a tombstone with another modseq, and stays expunged.
    pub(super) fn bring_back_if_pruned(&mut self, draft: &mut Draft, message: &MessageEvidence) {
        let Some(guid) = message.guid_read().filter(|_| draft.record.is_expunged()) else { return };
        let (uid, tombstone) = (draft.record.uid, draft.record.modseq);
        let Some(pruned) =
            self.pruned_record(uid, guid).filter(|pruned| pruned.tombstone == tombstone)
        else {
            return;
        };
        let tombstones = InternalFlags::EXPUNGED.with(InternalFlags::UNLINKED);
        draft.record.internal_flags = draft.record.internal_flags.without(tombstones);
        draft.record.system_flags = pruned.record.system_flags;
        draft.record.user_flags = self.slots_of_keywords(&pruned);
        draft.record.last_updated = self.policy.now;
        draft.changed = true;
        self.report_restored(&pruned);
    }

    /// Tells of a message that is back under its old record.
    pub(super) fn report_restored(&mut self, pruned: &Wanted) {
        let uid = pruned.record.uid;
        let mut detail =
            "its file is back; it has its old record again, UID and flags included".to_owned();
        if !pruned.annotations.is_empty() {
            let _ = write!(
                detail,
                "; its {} annotations are in the journal of the run that pruned it, and must be \
                 set by hand",
                pruned.annotations.len()
            );
        }
        self.find_about(uid, Code::PrunedRestored, Remedy::Repair, detail);
    }

    /// The keywords of a pruned record, in the slots that have their names now. One whose name is
    /// gone gets it back, in its old slot or another free one.
    pub(super) fn slots_of_keywords(&mut self, pruned: &Wanted) -> UserFlags {
        let mut words = UserFlags::default().0;
        let Some(before) = self.current_header_file() else { return pruned.record.user_flags };
        let mut file = before.clone();
        for (old_slot, name) in &pruned.keywords {
            let Some(slot) = slot_for(&mut file.flag_names, name, *old_slot) else {
                let name = String::from_utf8_lossy(name).into_owned();
                let detail = format!("no slot is left for its keyword {name}");
                let uid = pruned.record.uid;
                self.find_about(uid, Code::KeywordUnnamed, Remedy::Left, detail);
                continue;
            };
            if let Some(word) = words.get_mut(slot / 32) {
                *word |= 1 << (slot % 32);
            }
        }
        if file != before {
            self.header_file = Some(file);
        }
        UserFlags(words)
    }

    fn pruned_record(&self, uid: Uid, guid: Guid) -> Option<Wanted> {
        self.evidence
            .journal
            .pruned()
            .rev()
            .find(|pruned| pruned.record.uid == uid && pruned.record.guid == guid)
            .cloned()
    }

    /// The pruned record of a message that came back after its tombstone was purged.
    pub(super) fn pruned_orphan(&self, message: &MessageEvidence) -> Option<Wanted> {
        self.pruned_record(message.uid, message.guid_read()?)
    }
}

/// The slot that has the name, or now gets it: the preferred one where that is free, else any.
fn slot_for(names: &mut FlagNames, name: &[u8], preferred: usize) -> Option<usize> {
    if let Some(slot) = names.slot_of(name) {
        return Some(slot);
    }
    let mut slots = std::iter::once(preferred).chain(0..UserFlags::SLOTS);
    let free = slots.find(|&slot| slot < UserFlags::SLOTS && names.get(slot).is_none())?;
    names.set(free, Some(name.to_vec())).then_some(free)
}
