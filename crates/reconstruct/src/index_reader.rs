//! From the bytes of a `cyrus.index` to evidence: each record stands on its own CRC.

use mailstore_format::index::{HeaderRepair, HeaderState, Layout, Salvaged, SalvagedSlot, salvage};

use crate::evidence::{FileIdentity, IndexEvidence, Slot};
use crate::plan::DEFAULT_VERSION;
use crate::site::Site;

/// Reads what can be read of an index file.
///
/// `usual_version` is the version of the store's other mailboxes: it decides between versions whose
/// records look alike, where the header does not.
pub(crate) fn read_index(
    bytes: &[u8],
    identity: FileIdentity,
    usual_version: Option<u32>,
) -> IndexEvidence {
    let usual_version = usual_version.unwrap_or(DEFAULT_VERSION);
    match salvage(bytes, Some(usual_version)) {
        Some(salvaged) => evidence_of(salvaged, bytes, identity),
        None => IndexEvidence {
            unreadable: Some(why_unreadable(bytes)),
            identity: Some(identity),
            header_bytes: header_bytes(bytes, Layout::LARGEST_HEADER),
            ..IndexEvidence::default()
        },
    }
}

/// The same of a mailbox of the store that `site` is about, whose other mailboxes tell more.
pub(crate) fn read_index_at(site: &Site, bytes: &[u8], identity: FileIdentity) -> IndexEvidence {
    let mut index = read_index(bytes, identity, site.index_version());
    let header = index.header.as_ref().filter(|_| index.header_proven);
    let instead = header.zip(index.layout).and_then(|(header, layout)| {
        Layout::of_version(site.version_instead(layout.version, header.uidvalidity)?)
    });
    if instead.is_some() {
        index.layout = instead;
        index.header_repair = Some(HeaderRepair::Named);
    }
    index
}

fn evidence_of(salvaged: Salvaged, bytes: &[u8], identity: FileIdentity) -> IndexEvidence {
    let is_repaired = |slot: &SalvagedSlot| matches!(slot, SalvagedSlot::Repaired(_));
    let slots = salvaged.slots.iter().enumerate();
    let repaired = slots.filter(|(_, slot)| is_repaired(slot)).map(|(at, _)| at).collect();
    IndexEvidence {
        unreadable: None,
        identity: Some(identity),
        header_bytes: header_bytes(bytes, salvaged.layout.header_size),
        header: salvaged.header,
        header_proven: salvaged.header_state.is_proven(),
        header_repair: match salvaged.header_state {
            HeaderState::Repaired(repair) => Some(repair),
            HeaderState::Sound | HeaderState::Doubtful => None,
        },
        layout: Some(salvaged.layout),
        repaired_slots: repaired,
        slots: salvaged.slots.into_iter().map(Slot::from).collect(),
        truncated_slots: salvaged.missing,
        beyond: salvaged.beyond,
        displaced: salvaged.displaced,
    }
}

impl From<SalvagedSlot> for Slot {
    fn from(slot: SalvagedSlot) -> Self {
        match slot {
            SalvagedSlot::Sound(record) | SalvagedSlot::Repaired(record) => Self::Record(record),
            SalvagedSlot::Doubtful(doubtful) => Self::Doubtful(doubtful),
            SalvagedSlot::Destroyed => Self::Destroyed,
        }
    }
}

fn header_bytes(bytes: &[u8], size: usize) -> Vec<u8> {
    bytes.get(..size).unwrap_or(bytes).to_vec()
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
    use mailstore_format::index::{IndexHeader, IndexRecord};
    use mailstore_format::{Timestamp, Uid};

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
    fn what_one_flipped_bit_broke_is_put_right_and_remembered() {
        let mut bytes = index_of(17, &[1, 2, 3]);
        let whole = read_index(&bytes, IDENTITY, None);
        bytes[160 + 112 + 5] ^= 1;
        bytes[30] ^= 8;
        let evidence = read_index(&bytes, IDENTITY, None);
        assert!(evidence.header_proven);
        assert_eq!(evidence.header_repair, Some(HeaderRepair::Bit));
        assert_eq!((&evidence.header, &evidence.slots), (&whole.header, &whole.slots));
        assert_eq!((evidence.repaired_slots, whole.repaired_slots), (vec![1], vec![]));
        assert_eq!(evidence.header_bytes, bytes[..160]);
    }

    #[test]
    fn a_record_with_a_wrong_crc_is_no_record_and_the_others_stay() {
        let mut bytes = index_of(17, &[1, 2, 3]);
        bytes[160 + 112 + 5] ^= 3;
        let evidence = read_index(&bytes, IDENTITY, None);
        assert!(evidence.header_proven);
        assert_eq!((evidence.record(1), evidence.unproven_slots()), (None, 1));
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
