//! Whether the index is this mailbox's and its newest: a copy of another mailbox, or of an older
//! state, laid over it is sound in itself and wrong in what it says.

use std::collections::{HashMap, HashSet};

use mailstore_format::index::layout::HeaderField;
use mailstore_format::index::{IndexHeader, IndexRecord};
use mailstore_format::{Guid, InternalFlags, ModSeq, Uid};

use super::loose::UIDS_IN_REACH;
use super::{Draft, Draughtsman};
use crate::evidence::{
    CacheItem, ConversationRow, Coverage, Evidence, FileEvidence, HeaderFileEvidence,
    IndexEvidence, IndexTrust, MessageEvidence, Slot, Witnesses,
};
use crate::finding::{Code, Remedy};

/// A cache this many generations ahead has no generation number but damage.
const GENERATIONS_AHEAD: u32 = 1_000;
/// So few messages prove nothing about a whole index.
const FEW: usize = 2;
/// So many do, where there is nothing else to go by.
const MANY: usize = 5;

/// Judges `evidence.index` by the mailbox's other files. Of a header that its CRC does not prove
/// nothing is believed anyway; whose the records are has to be asked all the same.
pub(crate) fn judge(evidence: &Evidence) -> IndexTrust {
    let index = &evidence.index;
    let header = index.header.as_ref().filter(|_| index.header_proven);
    let another = match header {
        Some(header) => is_another_mailboxes(evidence, header),
        None => is_of_strangers(evidence),
    };
    let another = another.or_else(|| rows_know_others(evidence));
    if let Some(sign) = another.filter(|_| Fit::of(evidence).speaks_against_the_index()) {
        let as_read = Box::default();
        return IndexTrust::Foreign { why: sign, as_read };
    }
    let behind = match header {
        Some(header) => is_behind(evidence, header),
        None => rows_are_newer(evidence),
    };
    behind.map_or(IndexTrust::Current, IndexTrust::Older)
}

/// What of a foreign index can be used: the records whose message is there, by UID and GUID.
///
/// `messages` are of the mailbox as it would be without any index; those that have their record get
/// its slot.
pub(crate) fn believable_part(
    index: &IndexEvidence,
    messages: &mut [MessageEvidence],
) -> IndexEvidence {
    let records = (0..index.slots.len()).filter_map(|slot| index.record(slot));
    let by_uid: HashMap<Uid, &IndexRecord> = records.map(|record| (record.uid, record)).collect();
    let mut slots = Vec::new();
    for message in messages {
        let guid = message.guid_read().filter(|guid| !guid.is_null());
        let record = by_uid.get(&message.uid).filter(|record| guid == Some(record.guid));
        if let Some(record) = record {
            message.slot = Some(slots.len());
            slots.push(Slot::Record(**record));
        }
    }
    let header = index.header.as_ref().filter(|_| index.header_proven);
    let generation_no = header.map_or(0, |header| header.generation_no);
    IndexEvidence {
        identity: index.identity,
        header_bytes: index.header_bytes.clone(),
        header: Some(IndexHeader { generation_no, ..IndexHeader::default() }),
        layout: index.layout,
        slots,
        ..IndexEvidence::default()
    }
}

/// The sign that the index is another mailbox's: one of the two numbers that tie it to its own; or,
/// where `cyrus.header` is lost and the numbers are equal, that nearly no record is of its file.
fn is_another_mailboxes(evidence: &Evidence, header: &IndexHeader) -> Option<String> {
    let listed = evidence.witnesses.uidvalidity.filter(|listed| listed.0 != 0)?;
    if listed != header.uidvalidity {
        let own = header.uidvalidity;
        return Some(format!("its UIDVALIDITY is {own}, that of mailboxes.db is {listed}"));
    }
    let known = header.header_file_crc;
    let traces = &evidence.witnesses.header_traces;
    match &evidence.header_file {
        HeaderFileEvidence::Sound { crc, .. } if known != 0 && known != *crc => {
            Some("it knows another cyrus.header".to_owned())
        }
        HeaderFileEvidence::Damaged(_) | HeaderFileEvidence::Missing
            if traces.sibling_crcs.contains(&known) =>
        {
            Some("it knows the cyrus.header of another mailbox of this user".to_owned())
        }
        HeaderFileEvidence::Damaged(_) | HeaderFileEvidence::Missing => is_of_strangers(evidence),
        HeaderFileEvidence::Sound { .. } | HeaderFileEvidence::Unreadable(_) => None,
    }
}

fn is_of_strangers(evidence: &Evidence) -> Option<String> {
    let why = "of most records neither message nor cache item is there";
    let strangers = !is_tied_to_the_mailbox(evidence) && Fit::of(evidence).is_of_strangers();
    strangers.then(|| why.to_owned())
}

/// Whether something vouches for the records, however damaged the messages are: `cyrus.header` by
/// the CRC that the index holds of it, or the owner's conversations.
fn is_tied_to_the_mailbox(evidence: &Evidence) -> bool {
    let known = evidence.index.header.as_ref().map(|header| header.header_file_crc);
    let by_header_file = match &evidence.header_file {
        HeaderFileEvidence::Sound { crc, .. } => known == Some(*crc),
        _ => false,
    };
    let rows = RowsOfRecords::of(evidence);
    by_header_file || rows.same > rows.others
}

/// The sign that the records are another mailbox's: the owner's conversations know other messages
/// under nearly all of their UIDs.
fn rows_know_others(evidence: &Evidence) -> Option<String> {
    let RowsOfRecords { same, others } = RowsOfRecords::of(evidence);
    let most = others >= MANY && others > same.saturating_mul(3);
    most.then(|| format!("of {others} of its UIDs conversations know other messages"))
}

/// What the owner's conversations know under the UIDs of the records.
#[derive(Debug, Default)]
struct RowsOfRecords {
    /// The very message.
    same: usize,
    /// Other messages.
    others: usize,
}

impl RowsOfRecords {
    fn of(evidence: &Evidence) -> Self {
        let mut counts = Self::default();
        let Some(rows) = evidence.witnesses.conversations.as_deref() else { return counts };
        let index = &evidence.index;
        let records = (0..index.slots.len()).filter_map(|slot| index.record(slot));
        for record in records.filter(|record| !record.guid.is_null()) {
            if row_of(rows, record).is_some() {
                counts.same += 1;
            } else if rows.binary_search_by_key(&record.uid, |row| row.uid).is_ok() {
                counts.others += 1;
            }
        }
        counts
    }
}

/// How well records and files go together.
#[derive(Debug, Default)]
struct Fit {
    /// Records whose message is there.
    fitting: usize,
    /// Records whose file is another message.
    misfits: usize,
    /// Those of them whose cache item is of yet another message, or none; where the cache is lost, those
    /// that have another date and another header than their record. What is left of a damaged message
    /// shows itself to be the one of its cache item, or of its record.
    strange: usize,
    /// Those of them of which nothing tells whether they are.
    untold: usize,
    /// Records without a file.
    missing: usize,
    /// Files without a record.
    strangers: usize,
}

impl Fit {
    fn of(evidence: &Evidence) -> Self {
        let read: HashSet<Guid> =
            evidence.messages.iter().filter_map(MessageEvidence::guid_read).collect();
        let mut fit = Self::default();
        for message in &evidence.messages {
            let record = message.slot.and_then(|slot| evidence.index.record(slot));
            let live = record.filter(|record| !record.is_expunged());
            match (live, message.file) {
                (Some(_), FileEvidence::Absent) => fit.missing += 1,
                (Some(record), FileEvidence::Regular { identity, .. }) => {
                    // Files that only changed their names are this mailbox's.
                    let is_its = match message.guid_read() {
                        Some(guid) if !record.guid.is_null() => {
                            record.guid == guid || read.contains(&record.guid)
                        }
                        _ => record.size == identity.size,
                    };
                    fit.fitting += usize::from(is_its);
                    if !is_its {
                        fit.misfits += 1;
                        let strange = is_a_strange_message(evidence, message, record);
                        fit.strange += usize::from(strange == Some(true));
                        fit.untold += usize::from(strange.is_none());
                    }
                }
                (None, FileEvidence::Regular { .. }) if record.is_none() => fit.strangers += 1,
                _ => {}
            }
        }
        fit
    }

    /// Whether nearly all records are of messages that are not there. Some may have been copied from
    /// or to the other mailbox.
    fn is_of_strangers(&self) -> bool {
        let most = self.strange > self.fitting.saturating_mul(3);
        most && self.strange >= MANY && self.strange + self.untold == self.misfits
    }

    /// Whether most of the records that can be compared are of other messages.
    fn speaks_against_the_index(&self) -> bool {
        let nothing_fits = self.fitting == 0 && self.missing >= FEW && self.strangers >= FEW;
        nothing_fits || (self.misfits >= FEW && self.misfits > self.fitting)
    }
}

/// Whether a file that is not the message of its record is another message, and not what is left of that
/// one; none where nothing tells.
fn is_a_strange_message(
    evidence: &Evidence,
    message: &MessageEvidence,
    record: &IndexRecord,
) -> Option<bool> {
    let Some(reading) = &message.reading else { return Some(false) };
    match (message.cache, message.cached_likeness) {
        (CacheItem::Damaged, _) if has_a_cache(evidence) => Some(!reading.blank),
        // A cache that is lost is lost for anybody's records.
        (CacheItem::Damaged, _) => {
            let fields = &reading.fields;
            let date = fields.gmtime.filter(|_| fields.has_header)?;
            let differs = fields.header_size != record.header_size && fields.size != record.size;
            if date == record.gmtime { Some(false) } else { differs.then_some(true) }
        }
        (CacheItem::Sound(_), Some(cached)) => Some(cached.is_another(reading.likeness)),
        (CacheItem::Sound(_) | CacheItem::None, _) => Some(false),
    }
}

fn has_a_cache(evidence: &Evidence) -> bool {
    let archive = evidence.archive_cache.and_then(|cache| cache.generation);
    evidence.spool_cache.generation.or(archive).is_some()
}

/// How many message files have UIDs above the last one, and are neither copies of messages it knows
/// nor what a delivery that was cut short had put there.
fn files_that_came_since(evidence: &Evidence, last: Uid) -> usize {
    let reach = Uid(last.0.saturating_add(UIDS_IN_REACH));
    let index = &evidence.index;
    let records = (0..index.slots.len()).filter_map(|slot| index.record(slot));
    let known: HashSet<Guid> = records.map(|record| record.guid).collect();
    let since = evidence
        .messages
        .iter()
        .filter(|message| message.slot.is_none() && message.uid > last && message.uid <= reach);
    let arriving = evidence.journal.arrived.iter().filter(|message| !message.committed);
    let arriving: HashSet<(Uid, Guid)> =
        arriving.map(|message| (message.to, message.guid)).collect();
    let read = since.filter_map(|message| Some((message.uid, message.guid_read()?)));
    read.filter(|it| !known.contains(&it.1) && !arriving.contains(it)).count()
}

/// The sign that records whose header proves nothing are older than conversations: these know
/// higher UIDs, and other flags of the very messages. In the newest index no flag differs.
fn rows_are_newer(evidence: &Evidence) -> Option<String> {
    let index = &evidence.index;
    let rows = evidence.witnesses.conversations.as_deref().filter(|_| has_all_flags(index))?;
    let records = || (0..index.slots.len()).filter_map(|slot| index.record(slot));
    let top = records().map(|record| record.uid).max()?;
    let newest = rows.iter().map(|row| row.uid).filter(|&uid| uid > top).max()?;
    let differ = |record: &IndexRecord| {
        row_of(rows, record).is_some_and(|row| {
            let expunged = row.internal_flags.contains(InternalFlags::EXPUNGED);
            (row.system_flags, expunged) != (record.system_flags, record.is_expunged())
        })
    };
    let changed = records().filter(|record| differ(record)).count();
    (changed > 0).then(|| {
        format!(
            "its last record is of UID {top}, but conversations know UID {newest}, and other flags \
             of {changed} messages"
        )
    })
}

/// The modseq in mailboxes.db, where it is above the index's highest. It is that of a change of the
/// mailbox's own, never above that of its index: so in all stores of real servers that were looked
/// at, whatever was renamed or shared. Versions 6 and 7 have no modseq.
pub(crate) fn listed_modseq_above(index: &IndexEvidence, witnesses: &Witnesses) -> Option<ModSeq> {
    let header = index.header.as_ref()?;
    index.layout.filter(|layout| layout.header_has(HeaderField::HighestModseq))?;
    witnesses.foldermodseq.filter(|&known| known > header.highestmodseq)
}

/// The sign that the index is older than what else is known of the mailbox.
fn is_behind(evidence: &Evidence, header: &IndexHeader) -> Option<String> {
    let (last, highest) = (header.last_uid, header.highestmodseq);
    let witnesses = &evidence.witnesses;
    let plausible = |uid: &Uid| *uid > last && *uid <= Uid::HIGHEST_PLAUSIBLE;
    if let Some(known) = witnesses.highest_uid.filter(plausible) {
        let what = "conversations, annotations or seen states";
        return Some(format!("its last UID is {last}, but {what} know UID {known}"));
    }
    if let Some(known) = listed_modseq_above(&evidence.index, witnesses) {
        return Some(format!("its highest modseq is {highest}, that in mailboxes.db {known}"));
    }
    let newer = files_that_came_since(evidence, last);
    if newer >= FEW {
        return Some(format!("its last UID is {last}, but {newer} message files have higher ones"));
    }
    let own = header.generation_no;
    let reach = own.saturating_add(GENERATIONS_AHEAD);
    let ahead = evidence.spool_cache.generation.filter(|&there| there > own && there <= reach)?;
    let damaged = |message: &MessageEvidence| message.cache == CacheItem::Damaged;
    evidence.messages.iter().any(damaged).then(|| {
        format!("its generation is {own}, that of the cache {ahead}, whose items it does not fit")
    })
}

impl Draughtsman<'_> {
    /// Tells of an index that is not what it should be; whether it is not the mailbox's at all.
    pub(super) fn report_index_trust(&mut self) -> bool {
        match &self.evidence.index_trust {
            IndexTrust::Current => false,
            IndexTrust::Older(why) => {
                let detail = format!(
                    "the index is an older state of this mailbox's: {why}; it stays as evidence, \
                     but what is newer counts"
                );
                self.find(Code::IndexOlder, Remedy::Repair, detail);
                false
            }
            IndexTrust::Foreign { why, as_read } => {
                let (used, all) = (self.evidence.index.slots.len(), as_read.slots.len());
                let detail = format!(
                    "the index is not this mailbox's: {why}, and its records do not go with the \
                     message files; of {all} records the {used} whose message is there are used"
                );
                self.find(Code::IndexForeign, Remedy::Repair, detail);
                true
            }
        }
    }

    /// Where the index is an older one, brings a record up to what conversations know of the same
    /// message: its flags, and that it was expunged since.
    pub(super) fn follow_newer_conversations(&mut self, draft: &mut Draft, file: FileEvidence) {
        let witnesses = &self.evidence.witnesses;
        let Some(rows) = witnesses.conversations.as_deref() else { return };
        if !self.evidence.index_trust.is_older() || draft.record.is_expunged() {
            return;
        }
        let Some(row) = row_of(rows, &draft.record) else {
            let gone =
                file == FileEvidence::Absent && witnesses.conversations_coverage == Coverage::Whole;
            if gone && rows.binary_search_by_key(&draft.record.uid, |row| row.uid).is_err() {
                let why = "its file is gone and conversations no longer know it";
                self.expunge_since(draft, why);
            }
            return;
        };
        if row.internal_flags.contains(InternalFlags::EXPUNGED) {
            self.expunge_since(draft, "conversations know it as expunged");
        } else if has_all_flags(&self.evidence.index)
            && row.system_flags != draft.record.system_flags
        {
            draft.record.system_flags = row.system_flags;
            draft.record.last_updated = self.policy.now;
            draft.changed = true;
            let detail = "its flags are those that conversations know; the index is older";
            self.find_about(draft.record.uid, Code::IndexOlder, Remedy::Repair, detail);
        }
    }

    fn expunge_since(&mut self, draft: &mut Draft, why: &str) {
        let flags = draft.record.internal_flags.with(InternalFlags::EXPUNGED);
        draft.record.internal_flags = flags;
        draft.record.last_updated = self.policy.now;
        draft.changed = true;
        let detail = format!("{why}: it was expunged since this index was written, and stays so");
        self.find_about(draft.record.uid, Code::IndexOlder, Remedy::Repair, detail);
    }

    /// Whether nothing proves the last UID: the header that tells it is damaged, another's or older.
    pub(super) fn last_uid_is_unproven(&self) -> bool {
        !self.evidence.index.header_proven || self.evidence.index_trust.is_older()
    }

    /// The highest UID that other files of the server know, as far as it leaves room for more.
    pub(super) fn witnessed_uid(&self) -> Uid {
        let witnessed = self.evidence.witnesses.highest_uid;
        witnessed.filter(|&uid| uid <= Uid::HIGHEST_PLAUSIBLE).unwrap_or_default()
    }
}

/// Whether records have all flags that rows have: before version 12 the owner's `\Seen` is not among
/// them.
fn has_all_flags(index: &IndexEvidence) -> bool {
    index.layout.is_some_and(|layout| layout.version >= 12)
}

/// The row of a record's very message.
fn row_of<'a>(rows: &'a [ConversationRow], record: &IndexRecord) -> Option<&'a ConversationRow> {
    let first = rows.partition_point(|row| row.uid < record.uid);
    let of_uid = rows.get(first..)?.iter().take_while(|row| row.uid == record.uid);
    of_uid.into_iter().find(|row| row.guid == record.guid)
}
