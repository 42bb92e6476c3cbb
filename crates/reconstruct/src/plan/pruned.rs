//! Records that `--prune` expunged come back with their messages.

use std::fmt::Write as _;

use mailstore_format::{Guid, InternalFlags, UserFlags};

use super::keyword_slots::with_keyword;
use super::{Draft, Draughtsman};
use crate::finding::{Code, Remedy};
use crate::journal::Wanted;

impl Draughtsman<'_> {
    /// A message that `--prune` once expunged, whose file is there again. One that somebody else
    /// expunged since has a tombstone with another modseq, and stays expunged.
    pub(super) fn bring_back_if_pruned(&mut self, draft: &mut Draft, guid: Option<Guid>) {
        let Some(guid) = guid.filter(|_| draft.record.is_expunged()) else { return };
        let (uid, tombstone) = (draft.record.uid, draft.record.modseq);
        let mut noted = self.evidence.journal.pruned().rev();
        let noted = noted
            .find(|pruned| pruned.record.uid == uid && pruned.record.guid == guid)
            .filter(|pruned| pruned.tombstone == tombstone);
        let Some(pruned) = noted else { return };
        let tombstones = InternalFlags::EXPUNGED.with(InternalFlags::UNLINKED);
        draft.record.internal_flags = draft.record.internal_flags.without(tombstones);
        draft.record.system_flags = pruned.record.system_flags;
        draft.record.user_flags = self.slots_of_keywords(pruned);
        draft.record.last_updated = self.policy.now;
        draft.changed = true;
        self.report_restored(pruned);
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
        if self.current_header_file().is_none() {
            return pruned.record.user_flags;
        }
        let mut flags = UserFlags::default();
        for (old_slot, name) in &pruned.keywords {
            if let Some(slot) = self.slot_of_keyword(name, Some(*old_slot)) {
                flags = with_keyword(flags, slot);
            } else {
                let name = String::from_utf8_lossy(name).into_owned();
                let detail = format!("no slot is left for its keyword {name}");
                let uid = pruned.record.uid;
                self.find_about(uid, Code::KeywordUnnamed, Remedy::Left, detail);
            }
        }
        flags
    }
}
