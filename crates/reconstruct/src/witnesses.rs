//! What the server's other files know of a mailbox. What takes reading is read only where something
//! is wrong with the mailbox that it could put right: a sound one costs nothing.

mod conversations;
mod header_traces;
mod older_list;
mod seen;
mod sources;

use std::path::Path;
use std::time::Duration;

use mailstore_format::counters::Counters;
use mailstore_format::index::IndexRecord;
use mailstore_format::{ModSeq, Uid};

use crate::evidence::{
    Evidence, FileEvidence, HeaderFileEvidence, IndexEvidence, MessageEvidence, Slot, Witnesses,
};
use crate::gather::read_file;
use crate::plan::index_trust::listed_modseq_above;
use crate::run::Context;
use crate::target::Target;

pub(crate) use sources::WitnessSources;

/// A file of counters has some hundred bytes.
const LARGEST_COUNTERS: u64 = 1 << 16;
/// How long a database is waited for while others wait for us.
pub(crate) const HURRY: Duration = Duration::from_millis(200);

/// What was gathered already, and how much there is time for.
pub(crate) struct Gathered<'a> {
    /// The mailbox's own files.
    pub(crate) evidence: &'a Evidence,
    /// Whether its locks are held, so that nothing may be waited for.
    pub(crate) held: bool,
    /// What was known before the locks were taken.
    pub(crate) previous: Option<&'a Evidence>,
}

/// What the server's files say of a mailbox, at this moment.
pub(crate) fn read(context: &Context<'_>, target: &Target, gathered: &Gathered<'_>) -> Witnesses {
    let mut witnesses = Witnesses {
        counters_highest: target.counters_file.as_deref().and_then(highest_counted),
        store_version: context.site.index_version(),
        replicated: context.site.is_replicated(),
        ..target.listed.clone()
    };
    let evidence = gathered.evidence;
    let annotated = evidence.annotations.iter().map(|annotation| annotation.uid).max();
    witnesses.highest_uid = annotated.filter(|&uid| uid != Uid(0));
    let sources = context.site.witness_sources();
    if speaks_of_damage(evidence, &witnesses) {
        conversations::read(context, target, gathered, &mut witnesses);
        let seen = seen::highest_uid(target, gathered.held);
        witnesses.highest_uid = witnesses.highest_uid.max(seen);
    }
    if header_is_in_question(evidence) {
        witnesses.header_traces = match gathered.previous.filter(|_| gathered.held) {
            Some(previous) => previous.witnesses.header_traces.clone(),
            None => header_traces::read(target, evidence, sources),
        };
    }
    if !evidence.index.header_proven || header_is_in_question(evidence) {
        sources.complete_from_older_lists(target, &mut witnesses);
    }
    witnesses
}

/// The highest modseq in a file of counters.
fn highest_counted(path: &Path) -> Option<ModSeq> {
    let mut bytes = Vec::new();
    read_file(path, LARGEST_COUNTERS, &mut bytes).ok()?;
    Counters::decode(&bytes).ok().map(|counters| counters.highestmodseq)
}

/// Whether anything is wrong with the mailbox for which a row of each message could be of use.
fn speaks_of_damage(evidence: &Evidence, witnesses: &Witnesses) -> bool {
    let index = &evidence.index;
    let Some(header) = index.header.as_ref().filter(|_| index.header_proven) else { return true };
    let lost = index.slots.iter().any(|slot| !matches!(slot, Slot::Record(_)));
    let caches = [Some(evidence.spool_cache), evidence.archive_cache];
    let mut generations = caches.into_iter().flatten().filter_map(|cache| cache.generation);
    lost || index.truncated_slots > 0
        || evidence.strays.iter().any(|stray| stray.reading.is_some())
        || evidence.messages.iter().any(|message| !is_as_recorded(index, message))
        || witnesses.highest_uid > Some(header.last_uid)
        || witnesses.uidvalidity.is_some_and(|listed| listed != header.uidvalidity)
        || listed_modseq_above(index, witnesses).is_some()
        || generations.any(|generation| generation > header.generation_no)
}

/// Whether a UID's record and file vouch for one another.
fn is_as_recorded(index: &IndexEvidence, message: &MessageEvidence) -> bool {
    let record = message.slot.and_then(|slot| index.record(slot));
    match (record, message.file) {
        (Some(record), _) if record.is_unlinked() => true,
        (Some(record), FileEvidence::Absent) => record.is_expunged(),
        (Some(record), FileEvidence::Regular { identity, .. }) => {
            record.size == identity.size && has_guid_of(record, message)
        }
        _ => false,
    }
}

fn has_guid_of(record: &IndexRecord, message: &MessageEvidence) -> bool {
    let read = message.guid_read().filter(|_| !record.guid.is_null());
    read.is_none_or(|guid| guid == record.guid)
}

/// Whether `cyrus.header` is lost, or is not the one that the index knows.
fn header_is_in_question(evidence: &Evidence) -> bool {
    match &evidence.header_file {
        HeaderFileEvidence::Sound { crc, .. } => {
            let mut known = evidence.header_file_crcs().peekable();
            known.peek().is_some() && known.all(|known| known != *crc)
        }
        HeaderFileEvidence::Damaged(_) | HeaderFileEvidence::Missing => true,
        HeaderFileEvidence::Unreadable(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use mailstore_format::UidValidity;

    use super::*;
    use crate::plan::tests::sound;

    fn needs_rows(change: impl FnOnce(&mut Evidence)) -> bool {
        let mut evidence = sound(&[1, 2, 5]);
        change(&mut evidence);
        speaks_of_damage(&evidence, &evidence.witnesses)
    }

    #[test]
    fn a_sound_mailbox_costs_no_reading_of_conversations() {
        assert!(!needs_rows(|_| {}));
        assert!(!needs_rows(|evidence| {
            // A tombstone whose file is gone, and a mailboxes.db in step.
            let Some(Slot::Record(record)) = evidence.index.slots.first_mut() else { return };
            record.internal_flags = mailstore_format::InternalFlags::EXPUNGED;
            evidence.messages[0].file = FileEvidence::Absent;
            evidence.witnesses.uidvalidity = Some(UidValidity(42));
            evidence.witnesses.foldermodseq = Some(ModSeq(1000));
        }));
        assert!(!header_is_in_question(&sound(&[1])));
    }

    #[test]
    fn damage_of_any_kind_asks_the_conversations() {
        assert!(needs_rows(|evidence| evidence.index.header_proven = false));
        assert!(needs_rows(|evidence| evidence.index.slots[1] = Slot::Destroyed));
        assert!(needs_rows(|evidence| evidence.index.truncated_slots = 1));
        assert!(needs_rows(|evidence| evidence.messages[1].file = FileEvidence::Absent));
        assert!(needs_rows(|evidence| evidence.messages[1].file = FileEvidence::Odd));
        assert!(needs_rows(|evidence| evidence.messages[1].slot = None));
        assert!(needs_rows(|evidence| evidence.spool_cache.generation = Some(8)));
        assert!(needs_rows(|evidence| evidence.witnesses.highest_uid = Some(Uid(6))));
        assert!(needs_rows(|evidence| evidence.witnesses.uidvalidity = Some(UidValidity(41))));
        assert!(needs_rows(|evidence| evidence.witnesses.foldermodseq = Some(ModSeq(1001))));
    }
}
