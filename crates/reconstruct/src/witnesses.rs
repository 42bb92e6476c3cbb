//! What the server's other files know of a mailbox. What takes reading is read only where something
//! is wrong with the mailbox that it could put right: a sound one costs nothing.

mod conversations;
mod header_traces;
mod older_list;
mod seen;
mod sources;

use std::time::Duration;

use mailstore_format::Uid;
use mailstore_format::counters::Counters;
use mailstore_format::index::IndexRecord;

use crate::evidence::{
    Evidence, FileEvidence, HeaderFileEvidence, IndexEvidence, MessageEvidence, Slot, Witnesses,
};
use crate::run::Context;
use crate::target::Target;

pub(crate) use sources::WitnessSources;

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
    let counters = target.counters_file.as_ref().and_then(|path| std::fs::read(path).ok());
    let counters = counters.and_then(|bytes| Counters::decode(&bytes).ok());
    let mut witnesses = Witnesses {
        counters_highest: counters.map(|counters| counters.highestmodseq),
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
        || witnesses.foldermodseq.is_some_and(|listed| listed > header.highestmodseq)
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
    let known = evidence.index.header.as_ref().map_or(0, |header| header.header_file_crc);
    match &evidence.header_file {
        HeaderFileEvidence::Sound { crc, .. } => {
            evidence.index.header_proven && known != 0 && known != *crc
        }
        HeaderFileEvidence::Damaged(_) | HeaderFileEvidence::Missing => true,
        HeaderFileEvidence::Unreadable(_) => false,
    }
}
