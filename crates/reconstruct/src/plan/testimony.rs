//! What there is to tell of a message whose record is lost: damaged records, records that never
//! counted, what earlier runs noted, and what the owner's conversations know.

use std::collections::HashMap;

use mailstore_format::index::layout::RecordField;
use mailstore_format::index::{DoubtfulRecord, IndexRecord, KnownFields, KnownMessage};
use mailstore_format::{Guid, InternalFlags, Timestamp, Uid};

use super::adoption::{Found, Witness, shown_flags};
use super::dates::start_of_local_day;
use super::free_slots::keeps_places;
use crate::evidence::{ConversationRow, Evidence, Slot};
use crate::journal::{Arriving, Wanted};

/// So many damaged records that stand where a file's record would are tried for it, whatever UID and
/// GUID they seem to have: enough for a page that was hit.
const MOST_TRIED: usize = 16;

/// Why a message is believed to be one that a run brought.
const ARRIVING: &str = "a run had noted it as one that it brings";

/// All testimony about the messages of a mailbox, by message.
pub(super) struct Testimony<'a> {
    rows: HashMap<(Uid, Guid), ConversationRow>,
    /// Records that are whole but were not counted, with why they are believed.
    uncounted: HashMap<(Uid, Guid), (&'a IndexRecord, &'static str)>,
    pruned: HashMap<(Uid, Guid), &'a Wanted>,
    /// What earlier runs brought, or were about to bring, from outside.
    arrived: HashMap<(Uid, Guid), &'a Arriving>,
    /// Whether the index is an older state of the mailbox's.
    older: bool,
    doubtful_by_uid: HashMap<Uid, Vec<&'a DoubtfulRecord>>,
    doubtful_by_guid: HashMap<Guid, Vec<&'a DoubtfulRecord>>,
    /// By the gap between sound records in which they stand, as [`FreeSlots`] counts them.
    doubtful_by_gap: HashMap<usize, Vec<&'a DoubtfulRecord>>,
}

impl<'a> Testimony<'a> {
    pub(super) fn of(evidence: &'a Evidence, last_uid: Uid) -> Self {
        let beyond = evidence.index.beyond.iter().filter(|record| record.uid > last_uid);
        let beyond = beyond.map(|record| (record, "its record stands behind those that count"));
        let leftover = evidence.leftover.records.iter();
        let leftover = leftover.map(|record| (record, "a cyrus.index.NEW has its record"));
        // Of several the last counts: what stands in the index itself.
        let uncounted = leftover.chain(beyond);
        let uncounted =
            uncounted.map(|(record, why)| ((record.uid, record.guid), (record, why))).collect();
        let rows = evidence.witnesses.conversations.iter().flatten();
        let pruned = evidence.journal.pruned();
        let mut testimony = Self {
            rows: rows.map(|row| ((row.uid, row.guid), *row)).collect(),
            uncounted,
            pruned: pruned.map(|it| ((it.record.uid, it.record.guid), it)).collect(),
            arrived: evidence.journal.arrived.iter().map(|it| ((it.to, it.guid), it)).collect(),
            older: evidence.index_trust.is_older(),
            doubtful_by_uid: HashMap::new(),
            doubtful_by_guid: HashMap::new(),
            doubtful_by_gap: HashMap::new(),
        };
        let in_places = keeps_places(&evidence.index);
        let (mut gap, mut highest) = (0_usize, None);
        for slot in &evidence.index.slots {
            match slot {
                Slot::Doubtful(doubtful) => testimony.add_doubtful(doubtful, gap),
                Slot::Record(record) if highest.is_none_or(|highest| highest < record.uid) => {
                    highest = Some(record.uid);
                    gap += usize::from(in_places);
                }
                Slot::Record(_) | Slot::Destroyed => {}
            }
        }
        testimony
    }

    fn add_doubtful(&mut self, doubtful: &'a DoubtfulRecord, gap: usize) {
        let fields = doubtful.fields();
        if doubtful.has(RecordField::Uid) {
            self.doubtful_by_uid.entry(fields.uid).or_default().push(doubtful);
        }
        if doubtful.has(RecordField::Guid) && !fields.guid.is_null() {
            self.doubtful_by_guid.entry(fields.guid).or_default().push(doubtful);
        }
        let in_gap = self.doubtful_by_gap.entry(gap).or_default();
        if in_gap.len() < MOST_TRIED {
            in_gap.push(doubtful);
        }
    }

    /// What tells of this very message under this very UID, whose record would stand in `gap`; and
    /// why that is believed.
    pub(super) fn about(
        &self,
        uid: Uid,
        gap: usize,
        found: Found<'_>,
    ) -> Option<(&'static str, Witness<'a>)> {
        let guid = found.reading.fields.guid;
        let message = (uid, guid);
        let row = self.rows.get(&message);
        if let Some(record) = self.proven_record(uid, gap, found, row) {
            let why = "its damaged record is proven by what its file tells";
            let newer = row.filter(|_| self.older).map(|row| brought_up_to(&record, row));
            return Some((
                why,
                match newer.filter(|newer| *newer != record) {
                    Some(newer) => Witness::Uncounted(Box::new(newer)),
                    None => Witness::Proven(Box::new(record)),
                },
            ));
        }
        if let Some((record, why)) = self.uncounted.get(&message) {
            let record = row.map_or(**record, |row| brought_up_to(record, row));
            return Some((why, Witness::Uncounted(Box::new(record))));
        }
        if let Some(pruned) = self.pruned.get(&message) {
            return Some((
                "it was pruned and is back under its old record",
                Witness::Journal(pruned),
            ));
        }
        if let Some(row) = row {
            let why = "the owner's conversations know it, but not its keywords";
            return Some((why, Witness::Row(*row)));
        }
        if let Some(arriving) = self.arrived.get(&message) {
            return Some((ARRIVING, Witness::Arriving(arriving)));
        }
        let known = self.doubtful_by_guid.contains_key(&guid);
        known.then_some(("a damaged record has its SHA-1", Witness::None))
    }

    /// What speaks for a file's UID alone, where nothing tells of its message.
    pub(super) fn about_name(&self, uid: Uid, gap: usize) -> Option<(&'static str, Witness<'a>)> {
        let in_gap = self.doubtful_by_gap.get(&gap).into_iter().flatten();
        let mut with_uid = in_gap.filter(|doubtful| doubtful.has(RecordField::Uid));
        let known = with_uid.any(|doubtful| doubtful.fields().uid == uid);
        known.then_some(("a damaged record where its own would stand has its UID", Witness::None))
    }

    /// The record of this message, where one of the damaged ones is proven to be it.
    fn proven_record(
        &self,
        uid: Uid,
        gap: usize,
        found: Found<'_>,
        row: Option<&ConversationRow>,
    ) -> Option<IndexRecord> {
        let fields = &found.reading.fields;
        let of_message = self.doubtful_by_guid.get(&fields.guid);
        let of_name = self.doubtful_by_uid.get(&uid);
        let in_gap = self.doubtful_by_gap.get(&gap);
        let mut tried = of_message.into_iter().chain(of_name).chain(in_gap).flatten();
        let dates = [row.map(|row| row.internaldate), Some(found.identity.mtime)];
        tried.find_map(|doubtful| {
            dates.into_iter().flatten().find_map(|internaldate| {
                let record = doubtful.proven_with(&known_fields(uid, found, internaldate, row))?;
                let same =
                    (record.uid, record.guid, record.size) == (uid, fields.guid, fields.size);
                same.then_some(record)
            })
        })
    }
}

/// A record that may be an older state, with what the owner's conversations know of the message.
fn brought_up_to(record: &IndexRecord, row: &ConversationRow) -> IndexRecord {
    let expunged = row.internal_flags.contains(InternalFlags::EXPUNGED);
    let tombstone = if expunged { InternalFlags::EXPUNGED } else { InternalFlags(0) };
    let internal_flags = record.internal_flags.with(tombstone);
    IndexRecord { system_flags: shown_flags(row), internal_flags, ..*record }
}

/// What a file, its name and its row tell of its record.
fn known_fields(
    uid: Uid,
    found: Found<'_>,
    internaldate: Timestamp,
    row: Option<&ConversationRow>,
) -> KnownFields {
    let fields = &found.reading.fields;
    let (guid, size, header_size) = (fields.guid, fields.size, fields.header_size);
    KnownFields {
        uid: Some(uid),
        message: Some(KnownMessage { guid, size, header_size }),
        sentdate: Some(fields.sentdate.unwrap_or_else(|| start_of_local_day(internaldate))),
        gmtime: Some(fields.gmtime.unwrap_or(internaldate)),
        cache_crc: Some(fields.cache_crc),
        internaldate: Some(internaldate),
        flags: row.map(|row| (row.system_flags, row.internal_flags)),
        cid: row.map(|row| row.cid),
    }
}
