//! `cyrus.index`, of which whatever can be had is taken: only what a CRC proves is a record.

use mailstore_format::Uid;
use mailstore_format::index::layout::RecordField;
use mailstore_format::index::{
    HeaderState, IndexFile, IndexRecord, KnownFields, Layout, Salvaged, SalvagedSlot, salvage,
};

use crate::index::with_right_crcs;

/// Places of lost records are told of one by one up to this number, whatever a header counts.
const MOST_LOST_PLACES: usize = 1 << 16;

/// With every version the store may have, by the length of the bytes; as they are, and with the CRCs
/// on the grid put right.
pub(crate) fn check(bytes: &[u8]) {
    let usual = u32::try_from(6 + bytes.len() % 15).ok();
    for usual_version in [None, usual] {
        salvaged(bytes, usual_version);
    }
    if let Some(whole) = with_right_crcs(bytes) {
        salvaged(&whole, usual);
        sound_file_is_read_as_it_is(&whole);
    }
}

fn salvaged(bytes: &[u8], usual_version: Option<u32>) {
    let Some(found) = salvage(bytes, usual_version) else { return };
    let layout = found.layout;
    let room = bytes.len().div_ceil(layout.record_size);
    // Bytes lost or inserted can put a cut record on either side of a place.
    let most = room * 2 + 2 + MOST_LOST_PLACES;
    assert!(found.slots.len() <= most, "{} places in {} bytes", found.slots.len(), bytes.len());
    assert!(found.beyond.len() <= room);
    if found.header_state == HeaderState::Sound && layout.has_crc() {
        let file = IndexFile::open(bytes).expect("a sound header names its layout");
        assert!(file.header_crc().is_good());
    }
    for slot in &found.slots {
        match slot {
            SalvagedSlot::Sound(record) if layout.has_crc() => {
                assert!(holds(bytes, &covered(record, layout)), "no CRC proves {record:?}");
            }
            SalvagedSlot::Repaired(record) => repaired_is_there(bytes, record, layout),
            SalvagedSlot::Doubtful(doubtful) => {
                assert!(layout.record.iter().any(|placed| doubtful.has(placed.field)));
                let known =
                    KnownFields { uid: Some(doubtful.fields().uid), ..KnownFields::default() };
                if let Some(record) = doubtful.proven_with(&known) {
                    assert!(
                        doubtful.has(RecordField::Crc) && record.first_misfit(layout).is_none()
                    );
                }
            }
            SalvagedSlot::Sound(_) | SalvagedSlot::Destroyed => {}
        }
    }
    if !layout.has_crc() {
        uids_ascend(&found);
    }
}

/// The bytes of a record that matter: up to the end of its CRC.
fn covered(record: &IndexRecord, layout: &Layout) -> Vec<u8> {
    let mut raw = Vec::new();
    record.encode_into(layout, &mut raw);
    raw.truncate(layout.record_crc_offset().map_or(layout.record_size, |crc_at| crc_at + 4));
    raw
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// A repaired record lies in the file but for one bit, or as two halves that were torn apart.
fn repaired_is_there(bytes: &[u8], record: &IndexRecord, layout: &Layout) {
    assert!(layout.has_crc(), "nothing can be repaired without a CRC");
    let raw = covered(record, layout);
    let differing_bits = |window: &[u8]| -> u32 {
        window.iter().zip(&raw).map(|(there, right)| (there ^ right).count_ones()).sum()
    };
    if bytes.windows(raw.len()).any(|window| differing_bits(window) <= 1) {
        return;
    }
    let torn = (1..raw.len()).any(|at| {
        let front = memchr::memmem::find(bytes, &raw[..at]);
        let back = memchr::memmem::rfind(bytes, &raw[at..]);
        front.zip(back).is_some_and(|(front, back)| front + at <= back)
    });
    assert!(torn, "nothing in the file is {record:?}");
}

fn uids_ascend(found: &Salvaged) {
    let records = found.slots.iter().filter_map(SalvagedSlot::record);
    let uids: Vec<Uid> = records.map(|record| record.uid).collect();
    assert!(uids.is_sorted_by(|a, b| a < b), "{uids:?}");
}

/// Where nothing is damaged and all is in order, salvage reads what the header says.
fn sound_file_is_read_as_it_is(bytes: &[u8]) {
    let Ok(file) = IndexFile::open(bytes) else { return };
    let records: Vec<IndexRecord> = file.slots().map(|slot| slot.record).collect();
    let ascending = records.is_sorted_by(|a, b| a.uid < b.uid);
    let counted = Ok(file.header().num_records) == u32::try_from(records.len());
    let all_there = counted && file.trailing_bytes().is_empty();
    if !(all_there && ascending && records.iter().all(is_ordinary)) {
        return;
    }
    let found = salvage(bytes, None).expect("a sound file is an index");
    let read: Vec<SalvagedSlot> = records.into_iter().map(SalvagedSlot::Sound).collect();
    assert_eq!(found.slots, read);
    assert_eq!((found.header_state, found.missing), (HeaderState::Sound, 0));
    assert!(found.beyond.is_empty() && !found.displaced);
}

/// Whether a server can have written the record: others are not believed, whatever their CRC says.
fn is_ordinary(record: &IndexRecord) -> bool {
    record.uid != Uid(0)
        && u64::from(record.header_size) <= record.size
        && record.size < 1 << 40
        && record.cache_version < 1 << 8
        && record.modseq.0 < 1 << 60
}
