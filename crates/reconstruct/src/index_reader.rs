//! From the bytes of a `cyrus.index` to evidence: each record stands on its own CRC.

use mailstore_format::Uid;
use mailstore_format::index::{CrcState, IndexFile, IndexHeader, IndexRecord, Slots, find_layout};

use crate::evidence::{FileIdentity, IndexEvidence, Slot};
use crate::plan::DEFAULT_VERSION;

/// Reads what can be read of an index file.
///
/// `usual_version` is the version of the store's other mailboxes: it decides between versions whose
/// records look alike, where the header does not.
pub(crate) fn read_index(
    bytes: &[u8],
    identity: FileIdentity,
    usual_version: Option<u32>,
) -> IndexEvidence {
    match IndexFile::open(bytes) {
        Ok(file) if file.header_crc() != CrcState::Good && file.layout().has_crc() => {
            read_with_doubtful_header(bytes, identity, usual_version)
        }
        Ok(file) => IndexEvidence {
            unreadable: None,
            identity: Some(identity),
            header_bytes: header_bytes(bytes, file.layout().header_size),
            header_proven: true,
            layout: Some(file.layout()),
            slots: judge(file.counted_slots(), file.layout().has_crc(), file.header().last_uid),
            truncated_slots: usize::try_from(file.missing_records()).unwrap_or(usize::MAX),
            header: Some(file.header().clone()),
        },
        Err(_) => read_with_doubtful_header(bytes, identity, usual_version),
    }
}

/// Reads an index whose header fails its CRC or names no known version.
fn read_with_doubtful_header(
    bytes: &[u8],
    identity: FileIdentity,
    usual_version: Option<u32>,
) -> IndexEvidence {
    let by_records = find_layout(bytes).map(|found| {
        let usual = usual_version.unwrap_or(DEFAULT_VERSION);
        let mut alike = found.alternatives().filter(|_| !found.certain);
        alike.find(|layout| layout.version == usual).unwrap_or(found.layout)
    });
    let by_header = || IndexHeader::layout_in(bytes).ok().filter(|layout| layout.has_crc());
    let Some(layout) = by_records.or_else(by_header) else {
        return IndexEvidence {
            unreadable: Some(why_unreadable(bytes)),
            identity: Some(identity),
            header_bytes: header_bytes(bytes, LARGEST_HEADER),
            ..IndexEvidence::default()
        };
    };
    IndexEvidence {
        unreadable: None,
        identity: Some(identity),
        header_bytes: header_bytes(bytes, layout.header_size),
        header: IndexHeader::decode_with(bytes, layout).ok(),
        header_proven: false,
        layout: Some(layout),
        slots: judge(Slots::new(bytes, layout), true, Uid(u32::MAX)),
        truncated_slots: 0,
    }
}

/// Bytes of the largest header of any version.
const LARGEST_HEADER: usize = 192;

fn header_bytes(bytes: &[u8], size: usize) -> Vec<u8> {
    bytes.get(..size).unwrap_or(bytes).to_vec()
}

/// Tells records from bytes that are none.
///
/// Versions before 12 have no record CRC; there a record counts whose UID continues the order and
/// does not exceed the last one given out.
fn judge<'a>(
    slots: impl Iterator<Item = mailstore_format::index::Slot<'a>>,
    has_crc: bool,
    last_uid: Uid,
) -> Vec<Slot> {
    let mut previous = Uid(0);
    slots
        .map(|slot| {
            let record: IndexRecord = slot.record;
            let in_order = record.uid > previous && record.uid <= last_uid;
            let sound = if has_crc { slot.crc == CrcState::Good } else { in_order };
            if !sound || record.uid == Uid(0) {
                return Slot::Destroyed;
            }
            previous = record.uid;
            Slot::Record(record)
        })
        .collect()
}

/// Whether the bytes may be the index of a server newer than any this toolkit knows: such an index
/// must not be taken for garbage and replaced.
#[must_use]
pub(crate) fn looks_newer(bytes: &[u8]) -> Option<u32> {
    let number = |offset: usize| {
        let raw = bytes.get(offset..).and_then(<[u8]>::first_chunk)?;
        Some(u32::from_be_bytes(*raw))
    };
    let (version, start, size) = (number(8)?, number(12)?, number(16)?);
    let newest = 20;
    let plausible = (newest + 1..=newest + 80).contains(&version)
        && (128..=4096).contains(&start)
        && (96..=4096).contains(&size)
        && start % 4 == 0
        && size % 4 == 0;
    plausible.then_some(version)
}

fn why_unreadable(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "the index is empty".to_owned();
    }
    "neither the index's header nor any record CRC fits a known version".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstore_format::Timestamp;
    use mailstore_format::index::Layout;

    const IDENTITY: FileIdentity = FileIdentity { ino: 1, size: 0, mtime: Timestamp(0) };

    fn index_of(version: u32, uids: &[u32]) -> Vec<u8> {
        let layout = Layout::of_version(version).unwrap();
        let header = IndexHeader {
            num_records: u32::try_from(uids.len()).unwrap(),
            last_uid: Uid(uids.iter().copied().max().unwrap_or(0)),
            ..IndexHeader::default()
        };
        let mut bytes = header.encode(layout);
        for &uid in uids {
            IndexRecord { uid: Uid(uid), ..IndexRecord::default() }.encode_into(layout, &mut bytes);
        }
        bytes
    }

    #[test]
    fn a_record_with_a_wrong_crc_is_a_destroyed_slot_and_the_others_stay() {
        let mut bytes = index_of(17, &[1, 2, 3]);
        bytes[160 + 112 + 5] ^= 1;
        let evidence = read_index(&bytes, IDENTITY, None);
        assert!(evidence.header_proven);
        assert_eq!(evidence.slots[1], Slot::Destroyed);
        assert_eq!(evidence.record(2).unwrap().uid, Uid(3));
    }

    #[test]
    fn records_are_found_under_a_header_of_garbage() {
        let mut bytes = index_of(17, &[1, 2, 3]);
        bytes[..160].fill(0xa5);
        let evidence = read_index(&bytes, IDENTITY, None);
        assert!(!evidence.header_proven);
        assert_eq!(evidence.slots.len(), 3);
    }

    #[test]
    fn a_cut_index_tells_how_many_records_are_gone() {
        let bytes = index_of(17, &[1, 2, 3]);
        let evidence = read_index(&bytes[..160 + 112 + 50], IDENTITY, None);
        assert_eq!((evidence.slots.len(), evidence.truncated_slots), (1, 2));
    }

    #[test]
    fn an_index_of_a_newer_server_is_not_taken_for_garbage() {
        let mut bytes = index_of(17, &[]);
        bytes[8..12].copy_from_slice(&21_u32.to_be_bytes());
        assert_eq!(looks_newer(&bytes), Some(21));
        bytes.fill(0xff);
        assert_eq!(looks_newer(&bytes), None);
    }
}
