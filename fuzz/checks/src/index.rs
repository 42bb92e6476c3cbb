//! `cyrus.index`, read as its header says.

use mailstore_format::header_file::FlagNames;
use mailstore_format::index::sync_crc::{self, SyncCrcDialect};
use mailstore_format::index::{
    CrcState, IndexFile, IndexHeader, IndexRecord, Layout, Slot, recount,
};

/// The file as it is, and with all its CRCs put right, so that what lies behind them is reached.
pub(crate) fn check(bytes: &[u8]) {
    opened(bytes);
    if let Some(whole) = with_right_crcs(bytes) {
        opened(&whole);
    }
}

fn opened(bytes: &[u8]) {
    let Ok(file) = IndexFile::open(bytes) else { return };
    let layout = file.layout();
    header_is_written_back(bytes, &file);
    let slots: Vec<Slot<'_>> = file.slots().collect();
    let in_slots = slots.len() * layout.record_size;
    assert_eq!(layout.header_size + in_slots + file.trailing_bytes().len(), bytes.len());
    assert!(file.trailing_bytes().len() < layout.record_size);
    for slot in &slots {
        record_is_written_back(layout, slot);
    }
    let counted = u64::from(file.header().num_records);
    let present = file.counted_slots().count() as u64;
    assert_eq!(present + u64::from(file.missing_records()), counted);
    sums_agree_once_applied(file.header(), layout, &slots);
}

/// The bytes, with the CRC that the encoder would give them.
fn with_crc(bytes: &[u8], crc_at: Option<usize>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(crc_at) = crc_at {
        let crc = crc32fast::hash(&bytes[..crc_at]);
        bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

fn header_is_written_back(bytes: &[u8], file: &IndexFile<'_>) {
    let layout = file.layout();
    let crc_at = layout.header_crc_offset();
    let front = &bytes[..layout.header_size];
    let written = file.header().encode(layout);
    assert_eq!(written, with_crc(front, crc_at), "the header of version {}", layout.version);
    if file.header_crc() == CrcState::Good {
        assert_eq!(written, front);
    }
    assert_eq!(IndexHeader::decode(&written).as_ref(), Ok(file.header()));
}

fn record_is_written_back(layout: &Layout, slot: &Slot<'_>) {
    let mut written = Vec::new();
    slot.record.encode_into(layout, &mut written);
    assert_eq!(written, with_crc(slot.bytes, layout.record_crc_offset()));
    assert_eq!(slot.crc == CrcState::Good, layout.has_crc() && written == slot.bytes);
    assert_eq!(IndexRecord::decode(layout, &written), Ok(slot.record));
    assert_eq!(slot.record.first_misfit(layout), None);
    assert_eq!(slot.record.as_stored(layout), slot.record);
}

fn sums_agree_once_applied(header: &IndexHeader, layout: &Layout, slots: &[Slot<'_>]) {
    let counts = recount(layout, slots.iter().map(|slot| &slot.record));
    let mut header = header.clone();
    counts.apply(&mut header);
    assert_eq!(counts.differences(&header, layout), []);
    let dialects = SyncCrcDialect::candidates(layout.version);
    let records = slots.iter().map(|slot| &slot.record);
    let all = sync_crc::of_records(records, &FlagNames::default(), dialects);
    // An XOR: twice the same records are none.
    let twice = slots.iter().chain(slots).map(|slot| &slot.record);
    let none = sync_crc::of_records(twice, &FlagNames::default(), dialects);
    let of_none = sync_crc::of_records(None::<IndexRecord>, &FlagNames::default(), dialects);
    assert_eq!(none, of_none);
    assert!(!slots.is_empty() || all == of_none);
}

/// The file with the CRCs of its header and records put right, where it names a version that has
/// them.
pub(crate) fn with_right_crcs(bytes: &[u8]) -> Option<Vec<u8>> {
    let file = IndexFile::open(bytes).ok().filter(|file| file.layout().has_crc())?;
    let layout = file.layout();
    let (front, records) = bytes.split_at(layout.header_size);
    let mut whole = with_crc(front, layout.header_crc_offset());
    for record in records.chunks(layout.record_size) {
        let crc_at = layout.record_crc_offset().filter(|_| record.len() == layout.record_size);
        whole.extend(with_crc(record, crc_at));
    }
    Some(whole)
}
