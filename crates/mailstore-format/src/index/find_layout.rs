//! Which version an index file is of when its header does not say: CRCs tell.

use super::counts::recount;
use super::file::Slots;
use super::header::{IndexHeader, crc_before};
use super::layout::Layout;
use crate::{ModSeq, Uid};

/// What an index file with an unreadable header says of its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundLayout {
    /// The layout that fits best.
    pub layout: &'static Layout,
    /// Bytes before the first record.
    pub start_offset: usize,
    /// Records whose CRC fits under this layout.
    pub records_valid: usize,
    /// Whole records that the file has room for.
    pub records: usize,
    /// Whether no other version is possible. Else it is one of [`FoundLayout::alternatives`]:
    /// their records read alike, except that 14 has content lines where 15 has the save date.
    pub certain: bool,
}

/// Finds the layout under which the header's CRC fits once version, start offset and record size
/// are put right, or else the one under which most records' CRCs fit; none where nothing fits.
///
/// Only versions with CRCs (12 and later) can be found, and only files whose records begin where
/// their version puts them. Reads the file once for each distinct form of records, and once more
/// for each version between which the header has to decide.
#[must_use]
pub fn find_layout(bytes: &[u8]) -> Option<FoundLayout> {
    let mut best: Vec<FoundLayout> = Vec::new();
    for layout in Layout::ALL.into_iter().filter(|layout| layout.has_crc()) {
        let slots = Slots::new(bytes, layout);
        let records = slots.len();
        let counted = best.iter().find(|found| has_same_records(found.layout, layout));
        let records_valid = match counted {
            Some(found) => found.records_valid,
            None => slots.filter(|slot| slot.crc.is_good()).count(),
        };
        let certain = header_fits_once_named(bytes, layout);
        let start_offset = layout.header_size;
        let found = FoundLayout { layout, start_offset, records_valid, records, certain };
        if certain {
            return Some(found);
        }
        let most = best.first().map_or(1, |found| found.records_valid);
        if records_valid > most {
            best.clear();
        }
        if records_valid >= most {
            best.push(found);
        }
    }
    let certain = best.len() == 1;
    // Of layouts that agree equally well the lowest version is taken: every release that can read
    // the others can read it.
    let chosen = best.into_iter().min_by_key(|found| contradictions(bytes, found.layout))?;
    Some(FoundLayout { certain, ..chosen })
}

impl FoundLayout {
    /// All layouts under which the same record CRCs fit, this one included: what is known of other
    /// mailboxes of the server may decide better between them than a ruined header.
    pub fn alternatives(&self) -> impl Iterator<Item = &'static Layout> + use<> {
        let chosen = self.layout;
        Layout::ALL.into_iter().filter(move |layout| has_same_records(chosen, layout))
    }
}

/// Whether damage to the header, if any, is only in the fields by which its layout is known.
fn header_fits_once_named(bytes: &[u8], layout: &'static Layout) -> bool {
    const NAMED: std::ops::Range<usize> = 8..20;
    let (Some(header), Some(crc)) = (bytes.get(..layout.header_size), layout.header_crc_offset())
    else {
        return false;
    };
    let mut repaired = header.to_vec();
    let named = IndexHeader::default().encode(layout);
    if let (Some(to), Some(from)) = (repaired.get_mut(NAMED), named.get(NAMED)) {
        to.copy_from_slice(from);
    }
    header.get(crc..) == Some(&crc_before(&repaired, crc).to_be_bytes())
}

/// Whether the same CRCs fit under both layouts.
fn has_same_records(one: &Layout, other: &Layout) -> bool {
    one.header_size == other.header_size
        && one.record_size == other.record_size
        && one.record_crc_offset() == other.record_crc_offset()
}

/// How much of what is left of the header contradicts the records or itself under `layout`.
fn contradictions(bytes: &[u8], layout: &'static Layout) -> usize {
    let Ok(header) = IndexHeader::decode_with(bytes, layout) else { return usize::MAX };
    let (mut last_uid, mut highest, mut has_lines) = (Uid(0), ModSeq(0), false);
    let valid = Slots::new(bytes, layout).filter(|slot| slot.crc.is_good());
    let records = valid.map(|slot| slot.record).inspect(|record| {
        last_uid = last_uid.max(record.uid);
        highest = highest.max(record.modseq);
        has_lines |= record.content_lines != 0;
    });
    let differences = recount(layout, records).differences(&header, layout).len();
    let signs = [
        header.minor_version != layout.version,
        header.last_uid < last_uid,
        header.highestmodseq < highest,
        header.deletedmodseq > header.highestmodseq,
        header.reserved != [0; IndexHeader::MAX_RESERVED],
        has_lines,
    ];
    signs.into_iter().filter(|sign| *sign).count().saturating_add(differences)
}

#[cfg(test)]
mod tests {
    use super::super::IndexRecord;
    use super::*;
    use crate::{SystemFlags, Timestamp};

    fn index_of(layout: &'static Layout) -> Vec<u8> {
        let records: Vec<IndexRecord> = (1..=5)
            .map(|uid| IndexRecord {
                uid: Uid(uid),
                size: 100,
                system_flags: SystemFlags::DELETED,
                modseq: ModSeq(uid.into()),
                savedate: Timestamp::from_seconds(1_000),
                ..IndexRecord::default()
            })
            .collect();
        let mut header = IndexHeader {
            last_uid: Uid(5),
            highestmodseq: ModSeq(5),
            deletedmodseq: ModSeq(1),
            changes_epoch: Timestamp::from_seconds(1_000),
            ..IndexHeader::default()
        };
        recount(layout, &records).apply(&mut header);
        let mut bytes = header.encode(layout);
        for record in &records {
            record.encode_into(layout, &mut bytes);
        }
        bytes
    }

    #[test]
    fn every_version_with_crcs_is_certain_behind_a_damaged_version_field() {
        for layout in Layout::ALL.into_iter().filter(|layout| layout.has_crc()) {
            let mut bytes = index_of(layout);
            bytes[8..12].fill(0xff);
            let found = find_layout(&bytes).unwrap();
            assert_eq!((found.layout, found.certain, found.records_valid), (layout, true, 5));
            let found = find_layout(&bytes[..layout.header_size]).unwrap();
            assert_eq!((found.layout, found.certain, found.records), (layout, true, 0));
        }
    }

    #[test]
    fn every_version_is_found_behind_a_header_that_is_damaged_twice() {
        for layout in Layout::ALL.into_iter().filter(|layout| layout.has_crc()) {
            let mut bytes = index_of(layout);
            bytes[0] = 0xff;
            bytes[8..12].fill(0xff);
            let found = find_layout(&bytes).unwrap();
            assert_eq!(
                (found.layout.version, found.layout.record_size, found.records_valid),
                (layout.version, layout.record_size, 5,)
            );
        }
    }

    #[test]
    fn a_zeroed_header_leaves_the_form_of_the_records_known() {
        for layout in Layout::ALL.into_iter().filter(|layout| layout.has_crc()) {
            let mut bytes = index_of(layout);
            bytes[..layout.header_size].fill(0);
            let found = find_layout(&bytes).unwrap();
            assert_eq!(found.layout.record_size, layout.record_size);
            assert_eq!(found.start_offset, layout.header_size);
            assert!(found.alternatives().any(|other| other == layout));
        }
    }

    #[test]
    fn the_layout_survives_damage_to_most_records() {
        let layout = Layout::of_version(17).unwrap();
        let mut bytes = index_of(layout);
        bytes[..12].fill(0);
        (0..4).for_each(|record| bytes[160 + record * 112] ^= 1);
        let found = find_layout(&bytes).unwrap();
        assert_eq!((found.layout.version, found.records_valid, found.records), (17, 1, 5));
    }

    #[test]
    fn nothing_is_found_in_an_empty_index_or_garbage() {
        assert_eq!(find_layout(&[]), None);
        assert_eq!(find_layout(&[0; 4096]), None);
        assert_eq!(find_layout(&index_of(Layout::of_version(10).unwrap())), None);
    }
}
