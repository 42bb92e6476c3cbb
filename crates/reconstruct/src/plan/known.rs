//! Messages that have a record: what it says stays, what it derives from the message is checked.

use mailstore_format::index::IndexRecord;
use mailstore_format::message::MessageFields;
use mailstore_format::{InternalFlags, Timestamp};

use super::{CacheSource, Draft, Draughtsman, old_cache};
use crate::evidence::{CacheItem, ChosenDialect, FileEvidence, MessageEvidence, Place, Reading};
use crate::finding::{Code, Remedy};
use crate::journal::WantedBecause;

impl<'a> Draughtsman<'a> {
    /// Drafts every record of the index.
    pub(super) fn keep_known_records(&mut self) {
        self.report_record_order();
        let evidence = self.evidence;
        for message in &evidence.messages {
            let Some(record) = message.slot.and_then(|slot| evidence.index.record(slot)) else {
                continue;
            };
            let draft = self.keep_record(message, record);
            self.drafts.push(draft);
        }
    }

    /// Duplicates were resolved when the evidence was gathered; here they and disorder are told.
    fn report_record_order(&mut self) {
        let mut highest = None;
        let (mut disordered, mut records) = (0_usize, 0_usize);
        let index = &self.evidence.index;
        for record in (0..index.slots.len()).filter_map(|slot| index.record(slot)) {
            records += 1;
            disordered += usize::from(highest.is_some_and(|uid| record.uid < uid));
            highest = highest.max(Some(record.uid));
        }
        let kept = self.evidence.messages.iter().filter(|message| message.slot.is_some()).count();
        if disordered > 0 {
            let detail = format!("{disordered} records stand behind one with a higher UID");
            self.find(Code::RecordOutOfOrder, Remedy::Repair, detail);
        }
        if kept < records {
            let detail = format!("{} records repeat a UID; the newest is kept", records - kept);
            self.find(Code::RecordDuplicate, Remedy::Repair, detail);
        }
    }

    fn keep_record(&mut self, message: &'a MessageEvidence, record: &'a IndexRecord) -> Draft {
        let cache = old_cache(record, message.cache);
        let mut draft = Draft { record: *record, cache, changed: false };
        if record.is_unlinked() {
            // A delete order: its file, if there still is one, is the server's to remove, unless
            // this tool had pruned it.
            self.bring_back_if_pruned(&mut draft, message.guid_read());
            return draft;
        }
        self.follow_newer_conversations(&mut draft, message.file);
        if let Some(source) = self.matching.source(record.uid).cloned() {
            self.put_back(&mut draft, message, &source);
            return draft;
        }
        match message.file {
            FileEvidence::Absent => {
                if !draft.record.is_expunged() {
                    self.want(record, WantedBecause::Missing);
                }
            }
            FileEvidence::Odd => self.keep_without_its_file(&draft.record),
            FileEvidence::Unreadable(errno) => {
                let error = std::io::Error::from_raw_os_error(errno);
                let detail = format!("its file cannot be read: {error}; the record stays");
                self.find_about(record.uid, Code::MessageUnreadable, Remedy::Left, detail);
            }
            FileEvidence::Regular { .. } if self.is_damaged(message, record) => {
                self.keep_damaged(message, &draft.record);
            }
            FileEvidence::Regular { place, identity, in_both } => {
                if identity.size == 0 {
                    let detail = "its file is empty; the record stays";
                    self.find_about(record.uid, Code::MessageEmpty, Remedy::Left, detail);
                    return draft;
                }
                if !in_both {
                    self.settle_place(&mut draft, place);
                }
                match &message.reading {
                    Some(reading) => self.compare_with_reading(&mut draft, message, reading),
                    None => self.compare_size(&mut draft, identity.size),
                }
                self.restore_line_ends(message, record);
                self.bring_back_if_pruned(&mut draft, message.guid_read());
            }
        }
        draft
    }

    /// The bit that says in which place the file lies follows the file.
    pub(super) fn settle_place(&mut self, draft: &mut Draft, place: Place) {
        let archived = draft.record.internal_flags.contains(InternalFlags::ARCHIVED);
        if archived == (place == Place::Archive) {
            return;
        }
        let flags = draft.record.internal_flags;
        draft.record.internal_flags = match place {
            Place::Archive => flags.with(InternalFlags::ARCHIVED),
            Place::Spool => flags.without(InternalFlags::ARCHIVED),
        };
        draft.changed = true;
        // Its cache item stands in the other place's cache, which the old offset does not mean.
        self.stale_cache_of(place);
        let detail = match place {
            Place::Archive => "its file lies in the archive; the record said spool",
            Place::Spool => "its file lies in the spool; the record said archive",
        };
        self.find_about(draft.record.uid, Code::ArchivedFlag, Remedy::Repair, detail);
    }

    fn compare_size(&mut self, draft: &mut Draft, size: u64) {
        if draft.record.size != size {
            let detail =
                format!("its file has {size} bytes, its record says {}", draft.record.size);
            self.find_about(draft.record.uid, Code::SizeMismatch, Remedy::Left, detail);
        }
    }

    fn compare_with_reading(
        &mut self,
        draft: &mut Draft,
        message: &MessageEvidence,
        reading: &Reading,
    ) {
        let uid = draft.record.uid;
        let fields = &reading.fields;
        if !draft.record.guid.is_null() && draft.record.guid != fields.guid {
            let detail = format!(
                "its file has SHA-1 {} and {} bytes, its record says {} and {}; the record stays",
                fields.guid, fields.size, draft.record.guid, draft.record.size
            );
            self.find_about(uid, Code::GuidMismatch, Remedy::Left, detail);
            // The damaged bytes are what the server serves; its cache item must not be missing.
            if draft.changed || !matches!(message.cache, CacheItem::Sound(_)) {
                self.take_staged_cache(draft, message, reading);
            }
            return;
        }
        if draft.record.guid.is_null() && draft.record.size != fields.size {
            self.compare_size(draft, fields.size);
            self.take_staged_cache(draft, message, reading);
            return;
        }
        self.settle_derived_fields(draft, reading);
        self.take_staged_cache(draft, message, reading);
    }

    /// What the record derives from its message is what the message yields.
    pub(super) fn settle_derived_fields(&mut self, draft: &mut Draft, reading: &Reading) {
        let derived = with_derived_fields(draft.record, &reading.fields);
        let derived = self.as_stored(derived, &draft.record);
        if derived != draft.record {
            let detail = derived_difference(&draft.record, &derived);
            self.find_about(draft.record.uid, Code::DerivedFields, Remedy::Repair, detail);
            draft.record = derived;
            draft.changed = true;
        }
    }

    /// `derived` as the mailbox's version can hold it. Where the version leaves the GUID to an option
    /// of the server, none is no damage.
    fn as_stored(&self, derived: IndexRecord, before: &IndexRecord) -> IndexRecord {
        let Some(layout) = self.evidence.index.layout.filter(|_| derived != *before) else {
            return derived;
        };
        let mut derived = derived.as_stored(layout);
        if !layout.has_crc() && before.guid.is_null() {
            derived.guid = before.guid;
        }
        derived
    }

    /// Uses the newly rendered cache item where the old one cannot serve.
    fn take_staged_cache(
        &mut self,
        draft: &mut Draft,
        message: &MessageEvidence,
        reading: &Reading,
    ) {
        let Some(staged) = reading.staged else { return };
        let uid = draft.record.uid;
        if reading.cache_differs {
            let detail = "its cache record is whole but not what the message yields";
            self.find_about(uid, Code::CacheRecordWrong, Remedy::Repair, detail);
        } else if message.cache == CacheItem::Damaged && self.cache_is_there(&draft.record) {
            let detail = "its cache record fails its CRC or is cut short";
            self.find_about(uid, Code::CacheRecordDamaged, Remedy::Repair, detail);
        }
        draft.cache = CacheSource::Staged(staged);
        draft.record.cache_crc = reading.fields.cache_crc;
        draft.record.cache_version = reading.fields.cache_version;
        self.stale_cache_of(Place::of(&draft.record));
    }

    /// Tells of new cache records that are not in the manner of the server's own.
    pub(super) fn report_cache_dialect(&mut self) {
        let ChosenDialect { dialect, unjudged } = self.evidence.cache_dialect;
        let Some(version) = unjudged else { return };
        let made = self.drafts.iter().filter(|draft| matches!(draft.cache, CacheSource::Staged(_)));
        let made = made.count();
        if made > 0 {
            let detail = format!(
                "{made} cache records are made as Cyrus {} makes them (version {}): its own are \
                 of version {version}, which no server has judged here",
                dialect.release(),
                dialect.cache_version()
            );
            self.find(Code::CacheDialectUnjudged, Remedy::Note, detail);
        }
    }

    fn cache_is_there(&self, record: &IndexRecord) -> bool {
        let file = match Place::of_cache(record, self.evidence.shares_cache) {
            Place::Spool => Some(self.evidence.spool_cache),
            Place::Archive => self.evidence.archive_cache,
        };
        file.is_some_and(|file| file.generation.is_some())
    }

    pub(super) fn stale_cache_of(&mut self, place: Place) {
        match place {
            Place::Spool => self.stale_spool_cache = true,
            Place::Archive if self.evidence.shares_cache => self.stale_spool_cache = true,
            Place::Archive => self.stale_archive_cache = true,
        }
    }
}

/// `record` with what a message's bytes decide taken from `fields`.
///
/// A message without a usable Date header decides no date: the record's own stay, and where it has
/// none the internal date serves, as in `mailbox_reconstruct_compare_update` (`imap/mailbox.c`).
/// The sent date is midnight in the time zone the server had; one of another zone is as good.
pub(super) fn with_derived_fields(mut record: IndexRecord, fields: &MessageFields) -> IndexRecord {
    const ZONES: u64 = 26 * 60 * 60;
    record.size = fields.size;
    record.header_size = fields.header_size;
    record.guid = fields.guid;
    let unset = |date: Timestamp| date == Timestamp::default();
    let moment = fields.gmtime.or((!unset(record.gmtime)).then_some(record.gmtime));
    record.gmtime = moment.unwrap_or(record.internaldate);
    let apart = |day: Timestamp| day.seconds().abs_diff(record.sentdate.seconds());
    match fields.sentdate {
        Some(day) if unset(record.sentdate) || apart(day) > ZONES => record.sentdate = day,
        None if unset(record.sentdate) => {
            record.sentdate = super::dates::start_of_local_day(record.internaldate);
        }
        _ => {}
    }
    record
}

fn derived_difference(before: &IndexRecord, after: &IndexRecord) -> String {
    let mut parts = Vec::new();
    if before.size != after.size {
        parts.push(format!("size {} is {}", before.size, after.size));
    }
    if before.header_size != after.header_size {
        parts.push(format!("header size {} is {}", before.header_size, after.header_size));
    }
    if before.sentdate != after.sentdate {
        let (old, new) = (before.sentdate.seconds(), after.sentdate.seconds());
        parts.push(format!("sent date {old} is {new}"));
    }
    if before.gmtime != after.gmtime {
        let (old, new) = (before.gmtime.seconds(), after.gmtime.seconds());
        parts.push(format!("GMT date {old} is {new}"));
    }
    if before.guid != after.guid {
        parts.push(format!("GUID {} is {}", before.guid, after.guid));
    }
    parts.join(", ")
}
