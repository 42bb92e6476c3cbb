//! Records whose message is not there: listed whole, told, and with `--prune` expunged, within
//! limits.

use mailstore_format::index::IndexRecord;
use mailstore_format::{InternalFlags, ModSeq};

use super::Draughtsman;
use crate::finding::{Code, Remedy};
use crate::journal::{Wanted, WantedBecause};

impl Draughtsman<'_> {
    /// Notes that the message of `record` is wanted.
    pub(super) fn want(&mut self, record: &IndexRecord, why: WantedBecause) {
        let of_message = |note: &&crate::evidence::StoredAnnotation| note.uid == record.uid;
        self.wanted.push(Wanted {
            why,
            record: *record,
            keywords: self.flag_names_of(record),
            annotations: self.evidence.annotations.iter().filter(of_message).cloned().collect(),
            tombstone: ModSeq(0),
        });
    }

    /// Tells of every wanted message, or expunges its record, as the policy has it.
    pub(super) fn settle_wanted(&mut self) {
        match self.refusal_to_prune() {
            None if self.policy.prune.is_some() => self.prune(),
            refusal => {
                self.report_wanted();
                if let Some(why) = refusal {
                    self.find(Code::PruneRefused, Remedy::Left, why);
                }
            }
        }
    }

    fn report_wanted(&mut self) {
        for at in 0..self.wanted.len() {
            let Some(wanted) = self.wanted.get(at) else { continue };
            let (uid, guid) = (wanted.record.uid, wanted.record.guid);
            let what = match wanted.why {
                WantedBecause::Damaged => "its file is not its message any more".to_owned(),
                _ => "its file is in neither spool nor archive".to_owned(),
            };
            let detail = format!(
                "{what}; the record stays and waits for the message with SHA-1 {guid} \
                 (find it, or expunge the record with --prune)"
            );
            self.find_about(uid, Code::MessageMissing, Remedy::Left, detail);
        }
    }

    /// Expunges the records of all wanted messages. They get no delete order: a file that is put
    /// back stays until this tool has seen it.
    fn prune(&mut self) {
        for at in 0..self.wanted.len() {
            let Some(wanted) = self.wanted.get_mut(at) else { continue };
            wanted.why = WantedBecause::Pruned;
            let uid = wanted.record.uid;
            self.find_about(
                uid,
                Code::Pruned,
                Remedy::Repair,
                "its file is gone; expunged as told",
            );
            // The drafts are still in the order of the evidence: by UID.
            let draft = self.drafts.binary_search_by_key(&uid, |draft| draft.record.uid);
            if let Some(draft) = draft.ok().and_then(|at| self.drafts.get_mut(at)) {
                let flags = draft.record.internal_flags;
                draft.record.internal_flags = flags.with(InternalFlags::EXPUNGED);
                draft.record.last_updated = self.policy.now;
                draft.changed = true;
            }
        }
    }

    /// The fuse: too many missing messages look more like a missing mount than like loss.
    fn refusal_to_prune(&self) -> Option<String> {
        let wanted = u64::try_from(self.wanted.len()).unwrap_or(u64::MAX);
        let prune = self.policy.prune.filter(|_| wanted > 0)?;
        let live = self.drafts.iter().filter(|draft| !draft.record.is_expunged()).count();
        let messages = u64::try_from(live).unwrap_or(u64::MAX);
        let limit = prune.mailbox_limit(messages, wanted);
        if let Some(why) = &self.evidence.directory.unverified {
            Some(format!("an absence proves nothing while not every place was seen: {why}"))
        } else if self.evidence.witnesses.replicated && !prune.even_on_replica {
            Some(
                "the store is replicated, and a prune would travel to the copy that may still have \
                 the messages (--even-on-replica)"
                    .to_owned(),
            )
        } else if wanted > limit {
            Some(format!(
                "{wanted} of {messages} messages are missing, more than the {limit} allowed \
                 (--max-prune)"
            ))
        } else if wanted > self.policy.prune_budget {
            Some(format!(
                "{wanted} messages are missing, and with them the run would prune more of all its \
                 messages than it may (--max-prune)"
            ))
        } else {
            None
        }
    }
}
