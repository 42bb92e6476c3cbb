use super::*;
use crate::index::layout::RecordField;
use crate::index::recount;
use crate::{Guid, InternalFlags, ModSeq, SystemFlags, Timestamp, Uid};

fn with_crc() -> impl Iterator<Item = &'static Layout> {
    Layout::ALL.into_iter().filter(|layout| layout.has_crc())
}

fn layout_of(version: u32) -> &'static Layout {
    Layout::of_version(version).unwrap()
}

fn record(uid: u32) -> IndexRecord {
    let date = |seconds: u32| Timestamp::from_seconds((1_600_000_000 + seconds + uid).into());
    IndexRecord {
        uid: Uid(uid),
        internaldate: date(1),
        sentdate: date(2),
        gmtime: date(3),
        last_updated: date(4),
        savedate: date(5),
        size: u64::from(1_000 + uid),
        header_size: 500 + uid,
        content_offset: 500 + uid,
        guid: Guid::of(&uid.to_be_bytes()),
        system_flags: SystemFlags::DELETED,
        modseq: ModSeq(u64::from(uid) + 10),
        createdmodseq: ModSeq(uid.into()),
        cache_offset: u64::from(uid) * 500,
        cache_version: 11,
        ..IndexRecord::default()
    }
}

fn records(uids: impl IntoIterator<Item = u32>) -> Vec<IndexRecord> {
    uids.into_iter().map(record).collect()
}

fn header_of(layout: &Layout, records: &[IndexRecord]) -> IndexHeader {
    let mut header = IndexHeader {
        last_uid: records.iter().map(|record| record.uid).max().unwrap_or_default(),
        highestmodseq: records.iter().map(|record| record.modseq).max().unwrap_or_default(),
        deletedmodseq: ModSeq(1),
        changes_epoch: Timestamp::from_seconds(1_000),
        generation_no: 3,
        ..IndexHeader::default()
    };
    recount(layout, records).apply(&mut header);
    header
}

fn file(layout: &Layout, header: &IndexHeader, records: &[IndexRecord]) -> Vec<u8> {
    let mut bytes = header.encode(layout);
    for record in records {
        record.encode_into(layout, &mut bytes);
    }
    bytes
}

fn index_of(layout: &Layout, uids: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let records = records(uids);
    file(layout, &header_of(layout, &records), &records)
}

/// One letter a slot: sound, repaired, doubtful, destroyed; with the UIDs of those that are proven.
fn picture(salvaged: &Salvaged) -> String {
    let slots = salvaged.slots.iter().map(|slot| match slot {
        SalvagedSlot::Sound(record) => format!("{}", record.uid),
        SalvagedSlot::Repaired(record) => format!("{}r", record.uid),
        SalvagedSlot::Doubtful(doubtful) => format!("({})", doubtful.fields().uid),
        SalvagedSlot::Destroyed => "-".to_owned(),
    });
    slots.collect::<Vec<_>>().join(" ")
}

fn salvaged(bytes: &[u8]) -> Salvaged {
    salvage(bytes, None).expect("something is there to be had")
}

/// Makes the header's CRC fit again after its bytes were changed.
fn seal(bytes: &mut [u8], layout: &Layout) {
    let crc = layout.header_crc_offset().unwrap();
    let computed = crc32fast::hash(&bytes[..crc]);
    bytes[crc..][..4].copy_from_slice(&computed.to_be_bytes());
}

#[test]
fn an_intact_index_of_any_version_is_all_sound() {
    for layout in Layout::ALL {
        let found = salvaged(&index_of(layout, 1..=5));
        assert_eq!((found.layout, found.header_state), (layout, HeaderState::Sound));
        assert_eq!((picture(&found).as_str(), found.missing), ("1 2 3 4 5", 0));
        assert!(!found.displaced && found.beyond.is_empty());
        let empty = salvaged(&index_of(layout, []));
        assert_eq!((empty.layout, empty.header_state), (layout, HeaderState::Sound));
        assert!(empty.slots.is_empty());
    }
}

#[test]
fn any_flipped_bit_of_header_or_records_is_flipped_back() {
    for layout in with_crc() {
        let intact = index_of(layout, 1..=2);
        let whole = salvaged(&intact);
        let crc_end = layout.record_crc_offset().unwrap() + 4;
        for byte in 0..layout.header_size + crc_end {
            let mut bytes = intact.clone();
            bytes[byte] ^= 1 << (byte % 8);
            let found = salvaged(&bytes);
            let in_header = byte < layout.header_size;
            assert_eq!(found.header_state == HeaderState::Repaired(HeaderRepair::Bit), in_header);
            assert_eq!(picture(&found), if in_header { "1 2" } else { "1r 2" });
            assert_eq!((&found.header, found.layout), (&whole.header, layout));
            assert_eq!(found.slots[0].record(), whole.slots[0].record(), "byte {byte}");
            assert!(!found.displaced);
        }
    }
}

#[test]
fn a_record_that_two_bits_destroy_is_kept_for_what_it_is_worth() {
    for layout in with_crc() {
        let mut bytes = index_of(layout, 1..=3);
        let at = layout.header_size + layout.record_size;
        bytes[at + 37] ^= 0x11;
        let found = salvaged(&bytes);
        assert_eq!(picture(&found), "1 (2) 3");
        let SalvagedSlot::Doubtful(doubtful) = &found.slots[1] else { unreachable!() };
        assert_eq!(doubtful.fields().modseq, record(2).modseq);
        assert!(doubtful.has(RecordField::Modseq));
        for fill in [0, 1, 0xff] {
            bytes[at..][..layout.record_size].fill(fill);
            assert_eq!(picture(&salvaged(&bytes)), "1 - 3");
        }
    }
}

#[test]
fn a_cut_record_is_kept_as_far_as_it_goes_and_the_others_are_counted() {
    let layout = layout_of(17);
    let bytes = index_of(layout, 1..=4);
    let found = salvaged(&bytes[..160 + 112 + 60]);
    assert_eq!((picture(&found).as_str(), found.missing), ("1 (2)", 2));
    let found = salvaged(&bytes[..160 + 112 + 3]);
    assert_eq!((picture(&found).as_str(), found.missing), ("1", 3));
    assert!(!found.displaced);
}

#[test]
fn every_version_is_certain_behind_wrong_version_numbers() {
    for layout in with_crc() {
        let intact = index_of(layout, 1..=5);
        let expected = salvaged(&intact);
        let mut damaged = intact.clone();
        damaged[8..20].fill(0xff);
        let repaired = HeaderState::Repaired(HeaderRepair::Named);
        for bytes in [&damaged[..], &damaged[..layout.header_size]] {
            let found = salvaged(bytes);
            assert_eq!((found.layout, found.header_state), (layout, repaired));
            assert_eq!(
                found.header.unwrap().highestmodseq,
                expected.header.as_ref().unwrap().highestmodseq
            );
        }
        assert_eq!(salvaged(&damaged).slots, expected.slots);
    }
}

#[test]
fn wrong_numbers_under_a_valid_crc_hide_no_record() {
    for layout in with_crc() {
        let intact = index_of(layout, 1..=5);
        // Start offset, record size; the version is told by the others or stays as it is named.
        for (offset, number) in [(12, 4_096_u32), (16, 100), (16, 0), (12, u32::MAX)] {
            let mut bytes = intact.clone();
            bytes[offset..][..4].copy_from_slice(&number.to_be_bytes());
            seal(&mut bytes, layout);
            let found = salvage(&bytes, Some(layout.version)).unwrap();
            assert_eq!(found.layout.record_size, layout.record_size);
            assert_eq!(
                (found.layout.version, picture(&found).as_str()),
                (layout.version, "1 2 3 4 5")
            );
            assert_eq!(found.header_state, HeaderState::Repaired(HeaderRepair::Named));
        }
    }
}

#[test]
fn a_whole_header_of_an_unknown_version_is_not_taken_for_a_known_one_without_its_records() {
    for layout in with_crc() {
        let mut bytes = index_of(layout, 1..=5);
        bytes[8..12].copy_from_slice(&21_u32.to_be_bytes());
        seal(&mut bytes, layout);
        assert_eq!(salvage(&bytes[..layout.header_size], None), None);
        for record in bytes[layout.header_size..].chunks_mut(layout.record_size) {
            record[40] ^= 3;
        }
        assert_eq!(salvage(&bytes, None), None);
    }
}

#[test]
fn a_header_that_names_another_known_record_size_under_a_valid_crc_is_put_right() {
    let mut bytes = index_of(layout_of(19), 1..=5);
    bytes[19] = 144;
    seal(&mut bytes, layout_of(19));
    let found = salvaged(&bytes);
    assert_eq!((found.layout, picture(&found).as_str()), (layout_of(19), "1 2 3 4 5"));
    assert_eq!(found.header_state, HeaderState::Repaired(HeaderRepair::Named));
}

#[test]
fn every_version_is_found_behind_a_header_that_is_damaged_twice() {
    for layout in with_crc() {
        let mut bytes = index_of(layout, 1..=5);
        bytes[0] = 0xff;
        bytes[8..12].fill(0xff);
        let found = salvaged(&bytes);
        assert_eq!(
            (found.layout.version, found.layout.record_size, picture(&found).as_str()),
            (layout.version, layout.record_size, "1 2 3 4 5")
        );
        assert_eq!(found.header_state, HeaderState::Doubtful);
    }
}

#[test]
fn behind_a_zeroed_header_the_usual_version_decides_among_those_with_such_records() {
    for layout in with_crc() {
        let mut bytes = index_of(layout, 1..=5);
        bytes[..layout.header_size].fill(0);
        let found = salvage(&bytes, Some(layout.version)).unwrap();
        assert_eq!((found.layout, picture(&found).as_str()), (layout, "1 2 3 4 5"));
        assert_eq!(found.header_state, HeaderState::Doubtful);
        assert!(!found.displaced);
    }
}

#[test]
fn the_layout_survives_damage_to_header_and_most_records() {
    let layout = layout_of(17);
    let mut bytes = index_of(layout, 1..=5);
    bytes[..12].fill(0);
    (0..4).for_each(|record| bytes[160 + record * 112 + 40] ^= 3);
    let found = salvage(&bytes, Some(17)).unwrap();
    assert_eq!((found.layout, picture(&found).as_str()), (layout, "(1) (2) (3) (4) 5"));
}

#[test]
fn a_single_record_in_a_cut_index_behind_a_damaged_header_is_read_by_its_own_layout() {
    // Records of two sizes have their CRC in the same place: what is left over would fit the longer.
    for layout in with_crc() {
        let mut bytes = index_of(layout, 1..=3);
        let (header, size) = (layout.header_size, layout.record_size);
        bytes.truncate(header + 2 * size + size * 2 / 3);
        bytes[header - 1] ^= 0xff;
        bytes[header - 9] ^= 0xff;
        bytes[header + 4] ^= 0x18;
        let found = salvaged(&bytes);
        assert_eq!(found.layout, layout, "version {}, {size} bytes", layout.version);
        let uids: Vec<_> = found.slots.iter().filter_map(SalvagedSlot::record).collect();
        assert_eq!(uids.iter().map(|record| record.uid.0).collect::<Vec<_>>(), [2]);
    }
}

#[test]
fn nothing_is_found_in_an_empty_index_or_garbage() {
    assert_eq!(salvage(&[], None), None);
    for fill in [0, 0x55, 0xff] {
        assert_eq!(salvage(&[fill; 4_096], None), None);
    }
}

#[test]
fn a_foreign_block_costs_no_record_wherever_it_was_inserted() {
    for layout in with_crc() {
        let intact = index_of(layout, 1..=12);
        for (size, at) in [(512, 0), (512, 40), (1, 100), (512, 512), (37, 700), (4_096, 1_024)] {
            let block: Vec<u8> = (0..size).map(|byte: u32| byte.to_be_bytes()[3] ^ 0x6d).collect();
            let bytes = [&intact[..at], &block, &intact[at..]].concat();
            let found = salvaged(&bytes);
            let uids: Vec<u32> = found
                .slots
                .iter()
                .filter_map(SalvagedSlot::record)
                .map(|record| record.uid.0)
                .collect();
            assert_eq!(uids, (1..=12).collect::<Vec<_>>(), "{size} at {at}: {}", picture(&found));
            assert_eq!(found.slots.len(), 12, "{size} at {at}: {}", picture(&found));
            assert!(found.header_state.is_proven(), "{size} at {at} of {}", layout.version);
            assert_eq!(found.header, salvaged(&intact).header);
            assert!(found.displaced);
        }
    }
}

#[test]
fn a_lost_block_costs_only_the_records_it_held_and_their_number_is_known() {
    for layout in with_crc() {
        let intact = index_of(layout, 1..=40);
        for (size, at) in [(512, 512), (1, 700), (37, 1_000), (1_024, 1_024)] {
            let bytes = [&intact[..at], &intact[at + size..]].concat();
            let found = salvaged(&bytes);
            let hit = |slot: &usize| {
                let begin = layout.header_size + slot * layout.record_size;
                begin < at + size && begin + layout.record_crc_offset().unwrap() + 4 > at
            };
            let expected: Vec<u32> = (0..40_usize)
                .filter(|slot| !hit(slot))
                .map(|slot| u32::try_from(slot).unwrap() + 1)
                .collect();
            let uids: Vec<u32> = found
                .slots
                .iter()
                .filter_map(SalvagedSlot::record)
                .map(|record| record.uid.0)
                .collect();
            assert_eq!(uids, expected, "{size} at {at} of {}", layout.version);
            assert_eq!(found.slots.len(), 40, "{size} at {at}: {}", picture(&found));
            assert_eq!((found.missing, found.displaced), (0, true));
        }
    }
}

#[test]
fn records_are_found_where_the_front_of_the_file_is_lost() {
    for layout in with_crc() {
        let intact = index_of(layout, 1..=20);
        for lost in [1, 100, 512, 1_024] {
            let found = salvage(&intact[lost..], Some(layout.version)).unwrap();
            let first = lost.saturating_sub(layout.header_size).div_ceil(layout.record_size);
            let uids: Vec<u32> = found
                .slots
                .iter()
                .filter_map(SalvagedSlot::record)
                .map(|record| record.uid.0)
                .collect();
            let expected: Vec<u32> = (u32::try_from(first).unwrap() + 1..=20).collect();
            assert_eq!(uids, expected, "{lost} of version {}", layout.version);
            assert_eq!(found.layout.record_size, layout.record_size);
            assert_eq!(found.header_state, HeaderState::Doubtful);
            assert!(found.displaced);
        }
    }
}

#[test]
fn records_of_an_append_without_header_write_are_beyond() {
    for layout in with_crc() {
        let members = records(1..=3);
        let mut bytes = file(layout, &header_of(layout, &members), &members);
        record(4).encode_into(layout, &mut bytes);
        record(5).encode_into(layout, &mut bytes);
        let torn = bytes.len() - 40;
        for (end, beyond) in [(bytes.len(), 2), (torn, 1)] {
            let found = salvaged(&bytes[..end]);
            assert_eq!((picture(&found).as_str(), found.missing), ("1 2 3", 0));
            assert_eq!(found.beyond.len(), beyond);
            assert!(!found.displaced);
        }
    }
}

#[test]
fn a_count_that_the_headers_own_sums_or_last_uid_belie_hides_no_record() {
    for layout in with_crc() {
        let all = records(1..=5);
        let sums = IndexHeader { num_records: 3, ..header_of(layout, &all) };
        let found = salvaged(&file(layout, &sums, &all));
        assert_eq!((picture(&found).as_str(), found.beyond.len()), ("1 2 3 4 5", 0));
        // Tombstones change no sum in most versions: the last UID tells.
        let tombstone = |uid| IndexRecord {
            internal_flags: InternalFlags::EXPUNGED.with(InternalFlags::UNLINKED),
            ..record(uid)
        };
        let all = [record(1), record(2), tombstone(3), tombstone(4)];
        let header = IndexHeader { num_records: 2, ..header_of(layout, &all) };
        assert_eq!(picture(&salvaged(&file(layout, &header, &all))), "1 2 3 4");
        let header = IndexHeader { last_uid: Uid(2), ..header };
        let found = salvaged(&file(layout, &header, &all));
        assert_eq!((picture(&found).as_str(), found.beyond.len()), ("1 2", 2));
    }
}

#[test]
fn a_count_that_is_too_high_counts_nothing_behind_the_last_uid() {
    for layout in Layout::ALL {
        let all = records(1..=5);
        let header = IndexHeader { num_records: 9, ..header_of(layout, &all) };
        let found = salvaged(&file(layout, &header, &all));
        assert_eq!((picture(&found).as_str(), found.missing), ("1 2 3 4 5", 0));
        let header = IndexHeader { last_uid: Uid(20), num_records: u32::MAX, ..header };
        let found = salvaged(&file(layout, &header, &all));
        assert_eq!((found.slots.len(), found.missing), (5, u32::MAX as usize - 5));
    }
}

#[test]
fn without_crcs_one_record_with_a_wrong_uid_costs_itself_only() {
    for layout in Layout::ALL.into_iter().filter(|layout| !layout.has_crc()) {
        let mut wrong = records(1..=9);
        wrong[2].uid = Uid(8);
        let header = header_of(layout, &records(1..=9));
        let bytes = file(layout, &header, &wrong);
        assert_eq!(picture(&salvaged(&bytes)), "1 2 (8) 4 5 6 7 8 9");
        let low = IndexHeader { last_uid: Uid(2), ..header };
        assert_eq!(picture(&salvaged(&file(layout, &low, &wrong))), "1 2 (8) 4 5 6 7 8 9");
    }
}

#[test]
fn without_crcs_a_lost_header_leaves_records_that_are_beyond_doubt() {
    for layout in Layout::ALL.into_iter().filter(|layout| !layout.has_crc()) {
        let mut bytes = index_of(layout, 1..=5);
        bytes[..layout.header_size].fill(0);
        let found = salvaged(&bytes);
        // Records of versions 8 and 9 are alike; their headers differ in length.
        assert_eq!((found.layout, picture(&found).as_str()), (layout, "1 2 3 4 5"));
        assert_eq!(found.header_state, HeaderState::Doubtful);
        let two = layout.header_size + 2 * layout.record_size;
        assert_eq!(salvage(&bytes[..two], None), None, "two records show nothing");
    }
}
