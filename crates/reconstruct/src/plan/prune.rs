//! `--prune`: expunging records whose message is gone, within limits, and bringing them back when
//! the message is.

use std::fmt::Write as _;

use mailstore_format::header_file::FlagNames;
use mailstore_format::{Guid, InternalFlags, ModSeq, Uid, UserFlags};

use super::{Draft, Draughtsman};
use crate::evidence::MessageEvidence;
use crate::finding::{Code, Remedy};
use crate::journal::PrunedRecord;

impl Draughtsman<'_> {
    /// Expunges a record whose message is proved absent, and notes it whole. It gets no delete
    /// order: a file that is put back stays until this tool has seen it.
    pub(super) fn prune(&mut self, draft: &mut Draft) {
        let uid = draft.record.uid;
        self.find_about(uid, Code::Pruned, Remedy::Repair, "its file is gone; expunged as told");
        let annotations = &self.evidence.annotations;
        self.pruned.push(PrunedRecord {
            record: draft.record,
            keywords: self.flag_names_of(&draft.record),
            annotations: annotations.iter().filter(|note| note.uid == uid).cloned().collect(),
            tombstone: ModSeq(0),
        });
        draft.record.internal_flags = draft.record.internal_flags.with(InternalFlags::EXPUNGED);
        draft.record.last_updated = self.policy.now;
        draft.changed = true;
    }

    /// Enforces the fuse: too many missing messages look more like a missing mount than like loss.
    pub(super) fn refuse_or_keep_pruning(&mut self) {
        let wanted = u64::try_from(self.pruned.len()).unwrap_or(u64::MAX);
        let Some(prune) = self.policy.prune.filter(|_| wanted > 0) else { return };
        let live = self.drafts.iter().filter(|draft| !draft.record.is_expunged()).count();
        let messages = u64::try_from(live).unwrap_or(u64::MAX).saturating_add(wanted);
        let refusal = if let Some(why) = &self.evidence.directory.unverified {
            format!("an absence proves nothing while not every place was seen: {why}")
        } else if self.evidence.witnesses.replicated && !prune.even_on_replica {
            "the store is replicated, and a prune would travel to the copy that may still have the \
             messages (--even-on-replica)"
                .to_owned()
        } else if wanted > prune.mailbox_limit(messages, wanted) {
            let limit = prune.mailbox_limit(messages, wanted);
            format!(
                "{wanted} of {messages} messages are missing, more than the {limit} allowed \
                 (--max-prune)"
            )
        } else if wanted > self.policy.prune_budget {
            format!(
                "{wanted} messages are missing, and with them the run would prune more of all its \
                 messages than it may (--max-prune)"
            )
        } else {
            return;
        };
        self.take_pruning_back();
        self.find(Code::PruneRefused, Remedy::Left, refusal);
    }

    /// Undoes what [`Self::prune`] planned, when the fuse blows.
    fn take_pruning_back(&mut self) {
        for pruned in std::mem::take(&mut self.pruned) {
            let uid = pruned.record.uid;
            // The drafts are still in the order of the evidence: by UID.
            let at = self.drafts.binary_search_by_key(&uid, |draft| draft.record.uid);
            if let Some(draft) = at.ok().and_then(|at| self.drafts.get_mut(at)) {
                draft.record.internal_flags =
                    draft.record.internal_flags.without(InternalFlags::EXPUNGED);
                draft.record.last_updated = pruned.record.last_updated;
                draft.changed = false;
            }
        }
        for finding in &mut self.findings {
            if finding.code == Code::Pruned {
                finding.code = Code::MessageMissing;
                finding.remedy = Remedy::Left;
                "its file is in neither spool nor archive; the record stays"
                    .clone_into(&mut finding.detail);
            }
        }
    }

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
    pub(super) fn report_restored(&mut self, pruned: &PrunedRecord) {
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
    pub(super) fn slots_of_keywords(&mut self, pruned: &PrunedRecord) -> UserFlags {
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

    fn pruned_record(&self, uid: Uid, guid: Guid) -> Option<PrunedRecord> {
        self.evidence
            .journal
            .pruned
            .iter()
            .rev()
            .find(|pruned| pruned.record.uid == uid && pruned.record.guid == guid)
            .cloned()
    }

    /// The pruned record of a message that came back after its tombstone was purged.
    pub(super) fn pruned_orphan(&self, message: &MessageEvidence) -> Option<PrunedRecord> {
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
