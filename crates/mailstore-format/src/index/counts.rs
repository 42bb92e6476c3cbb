//! What the header says of all records together, recomputed from them.

use std::borrow::Borrow;

use super::header::IndexHeader;
use super::layout::{HeaderField, Layout};
use super::record::IndexRecord;
use crate::{SystemFlags, Timestamp};

/// The derived header fields (`mailbox_index_recalc`, `header_update_counts` in `imap/mailbox.c`).
///
/// Sync CRCs and the annotation quota need flag names and annotations: see [`super::sync_crc`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All records.
    pub num_records: u32,
    /// Messages: records that are not expunged. The next four count among them.
    pub exists: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Messages with `\Answered`.
    pub answered: u32,
    /// Messages with `\Flagged`.
    pub flagged: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Bytes of all messages.
    pub quota_mailbox_used: u64,
    /// Bytes of messages with `\Deleted`.
    pub quota_deleted_used: u64,
    /// Bytes of expunged messages that are not unlinked.
    pub quota_expunged_used: u64,
    /// The earliest `last_updated` of an expunged record that is not unlinked; 0 where there is
    /// none. Cyrus updates its `first_expunged` only as it expunges and cleans up, so the stored
    /// value may be earlier; later would be wrong.
    pub oldest_expunged: Timestamp,
}

/// Counts `records`, all of those the index holds, as the releases that write `layout` do.
pub fn recount<R: Borrow<IndexRecord>>(
    layout: &Layout,
    records: impl IntoIterator<Item = R>,
) -> Counts {
    // Since 3.10, which brought version 18, a record is not counted either once it is unlinked,
    // expunged or not.
    let unlinked_counts = layout.version < 18;
    let mut counts = Counts::default();
    for record in records {
        let record = record.borrow();
        counts.num_records = counts.num_records.saturating_add(1);
        if record.is_expunged() {
            counts.add_expunged(record);
        } else if unlinked_counts || !record.is_unlinked() {
            counts.add_message(record);
        }
    }
    counts
}

impl Counts {
    fn add_message(&mut self, record: &IndexRecord) {
        let flags = record.system_flags;
        let add = |count: &mut u32, counted: bool| {
            *count = count.saturating_add(counted.into());
        };
        add(&mut self.exists, true);
        add(&mut self.deleted, flags.contains(SystemFlags::DELETED));
        add(&mut self.answered, flags.contains(SystemFlags::ANSWERED));
        add(&mut self.flagged, flags.contains(SystemFlags::FLAGGED));
        add(&mut self.unseen, !flags.contains(SystemFlags::SEEN));
        self.quota_mailbox_used = self.quota_mailbox_used.saturating_add(record.size);
        if flags.contains(SystemFlags::DELETED) {
            self.quota_deleted_used = self.quota_deleted_used.saturating_add(record.size);
        }
    }

    fn add_expunged(&mut self, record: &IndexRecord) {
        if record.is_unlinked() {
            return;
        }
        self.quota_expunged_used = self.quota_expunged_used.saturating_add(record.size);
        let none_yet = self.oldest_expunged == Timestamp::default();
        if none_yet || record.last_updated < self.oldest_expunged {
            self.oldest_expunged = record.last_updated;
        }
    }

    /// Puts the counts into `header`. `first_expunged` is left as it is: it is a watermark, not a
    /// sum.
    pub fn apply(&self, header: &mut IndexHeader) {
        header.num_records = self.num_records;
        header.exists = self.exists;
        header.deleted = self.deleted;
        header.answered = self.answered;
        header.flagged = self.flagged;
        header.unseen = self.unseen;
        header.quota_mailbox_used = self.quota_mailbox_used;
        header.quota_deleted_used = self.quota_deleted_used;
        header.quota_expunged_used = self.quota_expunged_used;
    }

    /// The fields in which `header`, stored as `layout`, disagrees with these counts.
    #[must_use]
    pub fn differences(&self, header: &IndexHeader, layout: &Layout) -> Vec<CountDifference> {
        let mut differences = Vec::new();
        let mut compare = |field, stored: u64, computed: u64| {
            if stored != computed && layout.header_has(field) {
                differences.push(CountDifference { field, stored, computed });
            }
        };
        compare(HeaderField::NumRecords, header.num_records.into(), self.num_records.into());
        compare(HeaderField::Exists, header.exists.into(), self.exists.into());
        compare(HeaderField::Deleted, header.deleted.into(), self.deleted.into());
        compare(HeaderField::Answered, header.answered.into(), self.answered.into());
        compare(HeaderField::Flagged, header.flagged.into(), self.flagged.into());
        compare(HeaderField::Unseen, header.unseen.into(), self.unseen.into());
        compare(HeaderField::QuotaMailboxUsed, header.quota_mailbox_used, self.quota_mailbox_used);
        compare(HeaderField::QuotaDeletedUsed, header.quota_deleted_used, self.quota_deleted_used);
        compare(
            HeaderField::QuotaExpungedUsed,
            header.quota_expunged_used,
            self.quota_expunged_used,
        );
        differences
    }
}

/// A header field that does not say what the records do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountDifference {
    /// Which field.
    pub field: HeaderField,
    /// What the header says.
    pub stored: u64,
    /// What the records say.
    pub computed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InternalFlags;

    fn record(system: u16, internal: InternalFlags) -> IndexRecord {
        IndexRecord {
            system_flags: SystemFlags(system),
            internal_flags: internal,
            size: 10,
            last_updated: Timestamp::from_seconds(7),
            ..IndexRecord::default()
        }
    }

    #[test]
    fn expunged_records_count_only_as_records() {
        let both = InternalFlags::EXPUNGED.with(InternalFlags::UNLINKED);
        let records = [
            record(0b11111, InternalFlags::default()),
            record(0, InternalFlags::default()),
            record(0b111, InternalFlags::EXPUNGED),
            record(0b111, both),
        ];
        let counts = recount(Layout::of_version(18).unwrap(), records);
        let expected = Counts {
            num_records: 4,
            exists: 2,
            deleted: 1,
            answered: 1,
            flagged: 1,
            unseen: 1,
            quota_mailbox_used: 20,
            quota_deleted_used: 10,
            quota_expunged_used: 10,
            oldest_expunged: Timestamp::from_seconds(7),
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn an_unlinked_record_that_is_not_expunged_counts_before_version_18() {
        let records = [record(0, InternalFlags::UNLINKED)];
        assert_eq!(recount(Layout::of_version(17).unwrap(), records).exists, 1);
        assert_eq!(recount(Layout::of_version(18).unwrap(), records).exists, 0);
    }

    #[test]
    fn only_fields_the_version_stores_differ() {
        let counts = Counts { unseen: 1, exists: 1, ..Counts::default() };
        let fields = |version| {
            let layout = Layout::of_version(version).unwrap();
            let differences = counts.differences(&IndexHeader::default(), layout);
            differences.into_iter().map(|found| found.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(10), []);
        assert_eq!(fields(13), [HeaderField::Exists]);
        assert_eq!(fields(14), [HeaderField::Exists, HeaderField::Unseen]);
        let mut header = IndexHeader::default();
        counts.apply(&mut header);
        assert_eq!(counts.differences(&header, Layout::of_version(20).unwrap()), []);
    }
}
