//! One small mailbox that a real server wrote in every version: the same four messages.

use super::layout::RecordField;
use super::*;
use crate::cache::{CacheItem, CacheRecord};
use crate::{Guid, Timestamp, Uid};

macro_rules! sample {
    ($version:literal) => {
        ($version, include_bytes!(concat!("../../testdata/index/v", $version, ".index")).as_slice())
    };
}

const SAMPLES: [(u32, &[u8]); 14] = [
    sample!(6),
    sample!(7),
    sample!(8),
    sample!(9),
    sample!(10),
    sample!(12),
    sample!(13),
    sample!(14),
    sample!(15),
    sample!(16),
    sample!(17),
    sample!(18),
    sample!(19),
    sample!(20),
];

/// Whether `record` is the first message of the sample, in all that its version stores.
fn assert_first_message(record: &IndexRecord, layout: &Layout) {
    let has = |field| layout.record_has(field);
    assert_eq!(record.uid, Uid(1));
    assert_eq!(record.internaldate, Timestamp::from_seconds(1_162_003_601));
    assert_eq!((record.size, record.header_size, record.cache_offset), (359, 327, 4));
    // Converting to an older version keeps the cache and its format.
    assert_eq!(record.cache_version, if layout.version < 18 { 11 } else { 14 });
    assert_eq!(record.modseq.0 != 0, has(RecordField::Modseq));
    assert_eq!(record.createdmodseq.0 != 0, has(RecordField::CreatedModseq));
    assert_eq!(record.savedate.0 != 0, has(RecordField::Savedate));
    assert_eq!(record.gmtime.0 != 0, has(RecordField::Gmtime));
    let content_offset = if has(RecordField::ContentOffset) { record.header_size } else { 0 };
    assert_eq!(record.content_offset, content_offset);
    let guid = "cfdc4d8bb92feb1c94abe23b104180e8017c914c".parse().unwrap();
    assert_eq!(record.guid, if has(RecordField::Guid) { guid } else { Guid::NULL });
    assert_eq!(record.cache_crc, if has(RecordField::CacheCrc) { 0xd380_9baa } else { 0 });
}

#[test]
fn the_same_messages_are_read_from_every_version() {
    for (version, bytes) in SAMPLES {
        let file = IndexFile::open(bytes).unwrap();
        assert_eq!(file.layout().version, version);
        let header = file.header();
        assert_eq!((header.num_records, header.last_uid, header.deleted), (4, Uid(4), 0));
        assert_eq!(header.quota_mailbox_used, 1_514);
        let uids: Vec<u32> = file.slots().map(|slot| slot.record.uid.0).collect();
        assert_eq!(uids, [1, 2, 3, 4]);
        assert_first_message(&file.slots().next().unwrap().record, file.layout());
    }
}

#[test]
fn the_cache_offset_and_crc_of_a_record_lead_to_its_cache_record() {
    let (_, bytes) = SAMPLES[10];
    let cache = include_bytes!("../../testdata/index/v17.cache");
    let slots = IndexFile::open(bytes).unwrap().slots();
    for record in slots.map(|slot| slot.record) {
        let cached = CacheRecord::decode(cache, record.cache_offset).unwrap();
        assert_eq!(cached.crc(), record.cache_crc);
        let envelope = String::from_utf8_lossy(cached.item(CacheItem::Envelope)).into_owned();
        assert!(envelope.contains(&format!("<{}.erin@fixture>", record.uid)), "{envelope}");
    }
}

#[test]
fn version_19_records_at_the_stride_of_version_20_are_read() {
    let (_, bytes) = SAMPLES[12];
    let mut wide = bytes[..160].to_vec();
    wide[19] = 144;
    let crc = crc32fast::hash(&wide[..156]);
    wide[156..].copy_from_slice(&crc.to_be_bytes());
    for record in bytes[160..].chunks(112) {
        wide.extend_from_slice(record);
        wide.extend_from_slice(&[0; 32]);
    }
    let file = IndexFile::open(&wide).unwrap();
    assert_eq!((file.layout(), file.header_crc()), (&Layout::V19_WIDE, CrcState::Good));
    assert!(file.slots().all(|slot| slot.crc.is_good()));
    let narrow = IndexFile::open(bytes).unwrap();
    assert!(file.slots().map(|slot| slot.record).eq(narrow.slots().map(|slot| slot.record)));
}

#[test]
fn a_flipped_bit_anywhere_in_a_record_is_noticed_from_version_12_on() {
    for (version, bytes) in SAMPLES {
        let layout = Layout::of_version(version).unwrap();
        let record = &bytes[layout.header_size..][..layout.record_size];
        for byte in 0..record.len() {
            let mut damaged = record.to_vec();
            damaged[byte] ^= 0x10;
            let noticed = IndexRecord::crc_state(layout, &damaged).is_bad();
            assert_eq!(noticed, version >= 12, "byte {byte} of version {version}");
        }
    }
}
