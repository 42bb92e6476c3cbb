//! Which field lies where in each minor version.
//!
//! Source: `imap/index_file.c` and `imap/mailbox.h` of the development branch, checked against
//! `mailbox_buf_to_index_header` and `mailbox_buf_to_index_record` of 3.6.1.

use super::header_tables as header;
use super::record_tables as record;

use super::field::Raw;

pub use super::field::{Kind, Placed};

/// A field of the index header, in Cyrus's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented where its value lives, in `IndexHeader`")]
pub enum HeaderField {
    GenerationNo,
    Format,
    MinorVersion,
    StartOffset,
    RecordSize,
    NumRecords,
    LastAppenddate,
    LastUid,
    QuotaMailboxUsed,
    Pop3LastLogin,
    UidValidity,
    Deleted,
    Answered,
    Flagged,
    Exists,
    Unseen,
    Options,
    LeakedCacheRecords,
    HighestModseq,
    DeletedModseq,
    FirstExpunged,
    LastRepackTime,
    HeaderFileCrc,
    SyncCrcBasic,
    SyncCrcAnnot,
    RecentUid,
    RecentTime,
    Pop3ShowAfter,
    QuotaAnnotUsed,
    QuotaDeletedUsed,
    QuotaExpungedUsed,
    CreatedModseq,
    ChangesEpoch,
    Reserved,
    Crc,
}

/// A field of an index record, in Cyrus's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented where its value lives, in `IndexRecord`")]
pub enum RecordField {
    Uid,
    Internaldate,
    Sentdate,
    Size,
    HeaderSize,
    Gmtime,
    ContentOffset,
    CacheOffset,
    LastUpdated,
    SystemFlags,
    UserFlags,
    ContentLines,
    Savedate,
    CacheVersion,
    Guid,
    Modseq,
    Cid,
    CreatedModseq,
    BaseCid,
    CacheCrc,
    Crc,
    Reserved,
}

/// One minor version's header and record: sizes, and the place of every field.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// The minor version.
    pub version: u32,
    /// Bytes of the header; the records begin there (`start_offset`).
    pub header_size: usize,
    /// Bytes from one record to the next (`record_size`).
    pub record_size: usize,
    /// The header's fields, in order and without gaps.
    pub header: &'static [Placed<HeaderField>],
    /// A record's fields, in order and without gaps.
    pub record: &'static [Placed<RecordField>],
    header_crc: Option<usize>,
    record_crc: Option<usize>,
    /// The places of a record's fields, by the order of [`RecordField`].
    places: [Option<Placed<RecordField>>; RecordField::COUNT],
}

impl RecordField {
    /// How many there are.
    const COUNT: usize = Self::Reserved as usize + 1;
}

impl Layout {
    /// Every layout, by ascending version; [`Layout::V19_WIDE`] last.
    pub const ALL: [&'static Self; 15] = [
        &Self::V6,
        &Self::V7,
        &Self::V8,
        &Self::V9,
        &Self::V10,
        &Self::V12,
        &Self::V13,
        &Self::V14,
        &Self::V15,
        &Self::V16,
        &Self::V17,
        &Self::V18,
        &Self::V19,
        &Self::V20,
        &Self::V19_WIDE,
    ];

    const V6: Self = Self::new(6, 76, 60, &header::V6, &record::V6);
    const V7: Self = Self::new(7, 76, 72, &header::V6, &record::V7);
    const V8: Self = Self::new(8, 92, 80, &header::V8, &record::V8);
    const V9: Self = Self::new(9, 96, 80, &header::V9, &record::V8);
    const V10: Self = Self::new(10, 96, 88, &header::V9, &record::V10);
    const V12: Self = Self::new(12, 128, 96, &header::V12, &record::V12);
    const V13: Self = Self::new(13, 128, 104, &header::V13, &record::V13);
    const V14: Self = Self::new(14, 160, 104, &header::V14, &record::V13);
    const V15: Self = Self::new(15, 160, 104, &header::V14, &record::V15);
    const V16: Self = Self::new(16, 160, 112, &header::V16, &record::V16);
    const V17: Self = Self::new(17, 160, 112, &header::V17, &record::V16);
    const V18: Self = Self::new(18, 160, 112, &header::V18, &record::V16);
    const V19: Self = Self::new(19, 160, 112, &header::V19, &record::V16);
    const V20: Self = Self::new(20, 192, 144, &header::V20, &record::V20);

    /// Version 19 with the stride of version 20: each record is one of version 19 and 32 unused
    /// bytes. A development build wrote such files; Cyrus still reads them
    /// (`mailbox_buf_to_index_header`).
    pub const V19_WIDE: Self = Self::new(19, 160, 144, &header::V19, &record::V19_WIDE);

    const fn new(
        version: u32,
        header_size: usize,
        record_size: usize,
        header: &'static [Placed<HeaderField>],
        record: &'static [Placed<RecordField>],
    ) -> Self {
        assert!(tiles(header, header_size), "the header's fields fill it without gap or overlap");
        assert!(header_size <= Self::LARGEST_HEADER && record_size <= Self::LARGEST_RECORD);
        assert!(tiles(record, record_size), "the record's fields fill it without gap or overlap");
        let header_crc = header_crc_offset(header);
        let record_crc = record_crc_offset(record);
        assert!(header_crc.is_some() == record_crc.is_some(), "both have a CRC or none has");
        let places = places(record);
        Self { version, header_size, record_size, header, record, header_crc, record_crc, places }
    }

    /// The bytes of a field within those of a record; empty where the version lacks it.
    #[inline]
    pub(super) fn field<'a>(&self, field: RecordField, record: &'a [u8]) -> Raw<'a> {
        match self.places.get(field as usize) {
            Some(Some(placed)) => Raw { bytes: placed.of(record), kind: placed.kind },
            _ => Raw { bytes: &[], kind: Kind::U32 },
        }
    }

    /// Bytes of the largest header of any version.
    pub const LARGEST_HEADER: usize = 192;

    /// Bytes of the largest record of any version.
    pub const LARGEST_RECORD: usize = 144;

    /// The layout of a minor version; none for 11, which was never released, and for those below 6.
    #[must_use]
    pub fn of_version(version: u32) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|layout| layout.version == version)
    }

    /// The layout of a file whose header holds this minor version, start offset and record size;
    /// none where Cyrus would refuse the file as `IMAP_MAILBOX_BADFORMAT`.
    #[must_use]
    pub fn for_header(version: u32, start_offset: u32, record_size: u32) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|layout| {
            layout.version == version
                && Ok(layout.header_size) == start_offset.try_into()
                && Ok(layout.record_size) == record_size.try_into()
        })
    }

    /// Whether times are 64-bit nanoseconds, not 32-bit seconds (version 20 and later).
    #[must_use]
    pub const fn has_wide_times(&self) -> bool {
        self.version >= 20
    }

    /// Whether header and records carry a CRC-32 (version 12 and later).
    #[must_use]
    pub const fn has_crc(&self) -> bool {
        self.header_crc.is_some()
    }

    /// Whether this version's header stores `field`.
    #[must_use]
    pub fn header_has(&self, field: HeaderField) -> bool {
        self.header.iter().any(|placed| placed.field == field)
    }

    /// Whether this version's records store `field`.
    #[must_use]
    pub fn record_has(&self, field: RecordField) -> bool {
        self.record.iter().any(|placed| placed.field == field)
    }

    /// Where the header's CRC lies; it covers all before it.
    #[must_use]
    pub const fn header_crc_offset(&self) -> Option<usize> {
        self.header_crc
    }

    /// Where a record's CRC lies within the record; it covers all before it.
    #[must_use]
    pub const fn record_crc_offset(&self) -> Option<usize> {
        self.record_crc
    }
}

/// Whether each field begins where the one before it ends, and the last ends at `end`.
const fn tiles<F: Copy>(mut fields: &[Placed<F>], end: usize) -> bool {
    let mut offset: usize = 0;
    while let [first, rest @ ..] = fields {
        if first.offset != offset {
            return false;
        }
        offset = offset.saturating_add(first.kind.width());
        fields = rest;
    }
    offset == end
}

const fn header_crc_offset(mut fields: &[Placed<HeaderField>]) -> Option<usize> {
    while let [first, rest @ ..] = fields {
        if matches!(first.field, HeaderField::Crc) {
            return Some(first.offset);
        }
        fields = rest;
    }
    None
}

const fn record_crc_offset(mut fields: &[Placed<RecordField>]) -> Option<usize> {
    while let [first, rest @ ..] = fields {
        if matches!(first.field, RecordField::Crc) {
            return Some(first.offset);
        }
        fields = rest;
    }
    None
}

#[expect(clippy::indexing_slicing, reason = "evaluated while it is compiled, and would not build")]
const fn places(
    mut fields: &[Placed<RecordField>],
) -> [Option<Placed<RecordField>>; RecordField::COUNT] {
    let mut places = [None; RecordField::COUNT];
    while let [first, rest @ ..] = fields {
        places[first.field as usize] = Some(*first);
        fields = rest;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_but_eleven_from_six_to_twenty_has_a_layout() {
        let known: Vec<u32> =
            (0..=u8::MAX.into()).filter(|&version| Layout::of_version(version).is_some()).collect();
        assert_eq!(known, [6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    }

    #[test]
    fn a_header_of_version_19_with_records_of_144_bytes_is_the_wide_form() {
        assert_eq!(Layout::for_header(19, 160, 144), Some(&Layout::V19_WIDE));
        assert_eq!(Layout::for_header(19, 160, 112).map(|layout| layout.record_size), Some(112));
        assert_eq!(Layout::for_header(18, 160, 144), None);
    }

    #[test]
    fn times_and_sizes_fill_eight_aligned_bytes_in_version_20() {
        let wide = Layout::V20.record.iter().filter(|placed| placed.kind.width() == 8);
        assert!(wide.clone().count() > 8);
        assert!(wide.into_iter().all(|placed| placed.offset % 8 == 0));
    }

    /// One row a field, one column a version; the cell says where the field lies and of what kind.
    fn table<F: Copy + PartialEq + std::fmt::Debug + 'static>(
        fields_of: impl Fn(&'static Layout) -> &'static [Placed<F>],
    ) -> String {
        let mut fields: Vec<F> = Vec::new();
        for placed in Layout::ALL.into_iter().flat_map(&fields_of) {
            if !fields.contains(&placed.field) {
                fields.push(placed.field);
            }
        }
        let columns = Layout::ALL.map(|layout| {
            let wide = if layout == &Layout::V19_WIDE { " wide" } else { "" };
            format!("{}{wide}", layout.version)
        });
        let mut rows = vec![format!("| | {} |", columns.join(" | "))];
        rows.push(format!("|---|{}", "---|".repeat(columns.len())));
        for field in fields {
            let cells = Layout::ALL.map(|layout| {
                let placed = fields_of(layout).iter().find(|placed| placed.field == field);
                placed.map_or(String::new(), |placed| match placed.kind {
                    Kind::U32 => placed.offset.to_string(),
                    Kind::U64 => format!("{} q", placed.offset),
                    Kind::Seconds => format!("{} s", placed.offset),
                    Kind::Nanos => format!("{} n", placed.offset),
                    Kind::Bytes(width) => format!("{} \u{d7}{width}", placed.offset),
                })
            });
            rows.push(format!("| {field:?} | {} |", cells.join(" | ")));
        }
        rows.join("\n") + "\n"
    }

    #[test]
    fn the_document_shows_these_tables() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format/index.md");
        let document = std::fs::read_to_string(document).unwrap();
        for table in [table(|layout| layout.header), table(|layout| layout.record)] {
            assert!(document.contains(&table), "docs/format/index.md lacks this table:\n{table}");
        }
    }
}
