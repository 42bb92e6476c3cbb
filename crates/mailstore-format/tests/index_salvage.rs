//! Random damage to random indexes: whatever was untouched comes back, each record once, and nothing
//! that was not there.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test's helpers fail the test"
)]

use std::ops::Range;

use mailstore_format::index::{
    IndexHeader, IndexRecord, Layout, Salvaged, SalvagedSlot, recount, salvage,
};
use mailstore_format::{
    Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid, UserFlags,
};
use proptest::prelude::*;

fn record(uid: u32, random: u64) -> IndexRecord {
    let low = u32::try_from(random % 1_000_000).unwrap();
    let date = |offset: u32| Timestamp::from_seconds((1_300_000_000 + low + offset).into());
    let flagged = u16::try_from(random >> 32 & 0x1f).unwrap();
    let expunged = (random >> 40).is_multiple_of(4);
    IndexRecord {
        uid: Uid(uid),
        internaldate: date(0),
        sentdate: date(1),
        gmtime: date(2),
        last_updated: date(3),
        size: u64::from(low) + 700,
        header_size: 600,
        content_offset: 600,
        system_flags: SystemFlags(flagged),
        internal_flags: if expunged { InternalFlags::EXPUNGED } else { InternalFlags::default() },
        user_flags: UserFlags([low, 0, 0, 1]),
        guid: Guid::of(&random.to_be_bytes()),
        modseq: ModSeq(u64::from(low) + 5),
        createdmodseq: ModSeq(5),
        cid: ThreadId(random),
        cache_offset: u64::from(uid) * 300,
        cache_version: 11,
        cache_crc: low,
        ..IndexRecord::default()
    }
}

/// An index, and where each record's bytes lie in it.
#[derive(Debug, Clone)]
struct Index {
    layout: &'static Layout,
    bytes: Vec<u8>,
    records: Vec<IndexRecord>,
}

impl Index {
    fn of(layout: &'static Layout, randoms: &[u64]) -> Self {
        let uids = (1..).scan(0, |uid, step: u32| {
            *uid += 1 + step % 3;
            Some(*uid)
        });
        let records: Vec<IndexRecord> =
            uids.zip(randoms).map(|(uid, &random)| record(uid, random).as_stored(layout)).collect();
        let mut header = IndexHeader {
            last_uid: records.last().map_or(Uid(0), |record| record.uid),
            highestmodseq: ModSeq(2_000_000),
            ..IndexHeader::default()
        };
        recount(layout, &records).apply(&mut header);
        let mut bytes = header.encode(layout);
        for record in &records {
            record.encode_into(layout, &mut bytes);
        }
        Self { layout, bytes, records }
    }

    /// The bytes of a record that matter: those up to the end of its CRC.
    fn place(&self, record: usize) -> Range<usize> {
        let start = self.layout.header_size + record * self.layout.record_size;
        let covered =
            self.layout.record_crc_offset().map_or(self.layout.record_size, |crc| crc + 4);
        start..start + covered
    }
}

#[derive(Debug, Clone)]
enum Damage {
    /// Other bytes over some.
    Overwrite(usize, Vec<u8>),
    /// Zeros over some.
    Zero(usize, usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Truncate(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = 0_usize..6_000;
    let block = || {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..80),
            proptest::collection::vec(any::<u8>(), 512),
            Just(b"Subject: this is not what belongs here\r\n".repeat(13)),
        ]
    };
    let size = || prop_oneof![1_usize..150, Just(512)];
    prop_oneof![
        (place.clone(), block()).prop_map(|(at, block)| Damage::Overwrite(at, block)),
        (place.clone(), size()).prop_map(|(at, size)| Damage::Zero(at, size)),
        (place.clone(), block()).prop_map(|(at, block)| Damage::Insert(at, block)),
        (place.clone(), size()).prop_map(|(at, size)| Damage::Remove(at, size)),
        place.prop_map(Damage::Truncate),
    ]
}

/// Bytes with where each came from; none for foreign ones.
type Traced = Vec<(u8, Option<usize>)>;

fn apply(traced: &mut Traced, damage: &Damage) {
    let len = traced.len();
    let clamp = |at: usize| if len == 0 { 0 } else { at % len };
    match damage {
        Damage::Overwrite(at, block) => {
            for (place, byte) in traced.iter_mut().skip(clamp(*at)).zip(block) {
                // A byte that is what it was is not damaged.
                *place = (*byte, place.1.filter(|_| place.0 == *byte));
            }
        }
        Damage::Zero(at, size) => {
            for place in traced.iter_mut().skip(clamp(*at)).take(*size) {
                *place = (0, place.1.filter(|_| place.0 == 0));
            }
        }
        Damage::Insert(at, block) => {
            let at = clamp(*at);
            traced.splice(at..at, block.iter().map(|byte| (*byte, None)));
        }
        Damage::Remove(at, size) => {
            let at = clamp(*at);
            traced.drain(at..(at + size).min(len));
        }
        Damage::Truncate(at) => traced.truncate(clamp(*at)),
    }
}

/// Whether these bytes are still there, in one piece and in order.
fn is_untouched(traced: &Traced, place: &Range<usize>) -> bool {
    let first = traced.iter().position(|(_, from)| *from == Some(place.start));
    first.is_some_and(|first| {
        traced.get(first..first + place.len()).is_some_and(|bytes| {
            bytes.iter().zip(place.clone()).all(|((_, from), expected)| *from == Some(expected))
        })
    })
}

fn proven(salvaged: &Salvaged) -> Vec<IndexRecord> {
    let slots = salvaged.slots.iter().filter_map(SalvagedSlot::record);
    slots.chain(&salvaged.beyond).copied().collect()
}

fn layouts(with_crc: bool) -> impl Strategy<Value = &'static Layout> {
    let layouts: Vec<_> =
        Layout::ALL.into_iter().filter(|layout| layout.has_crc() == with_crc).collect();
    proptest::sample::select(layouts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn each_untouched_record_comes_back_once_and_none_that_was_not_there(
        layout in layouts(true),
        randoms in proptest::collection::vec(any::<u64>(), 0..40),
        damages in proptest::collection::vec(damage(), 1..5),
    ) {
        let index = Index::of(layout, &randoms);
        let mut traced: Traced =
            index.bytes.iter().enumerate().map(|(at, byte)| (*byte, Some(at))).collect();
        for damage in &damages {
            apply(&mut traced, damage);
        }
        let bytes: Vec<u8> = traced.iter().map(|(byte, _)| *byte).collect();
        let salvaged = salvage(&bytes, Some(layout.version));
        let found = salvaged.as_ref().map(proven).unwrap_or_default();
        for (at, record) in index.records.iter().enumerate() {
            let times = found.iter().filter(|found| *found == record).count();
            let whole = is_untouched(&traced, &index.place(at));
            prop_assert!(times == 1 || times == 0 && !whole, "{times} of {}", record.uid);
        }
        let strange = found.iter().find(|record| !index.records.contains(record));
        prop_assert_eq!(strange, None);
    }

    #[test]
    fn random_damage_without_crcs_never_panics_and_keeps_the_order(
        layout in layouts(false),
        randoms in proptest::collection::vec(any::<u64>(), 0..40),
        damages in proptest::collection::vec(damage(), 0..5),
    ) {
        let index = Index::of(layout, &randoms);
        let mut traced: Traced = index.bytes.iter().map(|byte| (*byte, None)).collect();
        for damage in &damages {
            apply(&mut traced, damage);
        }
        let bytes: Vec<u8> = traced.iter().map(|(byte, _)| *byte).collect();
        if let Some(salvaged) = salvage(&bytes, None) {
            let uids: Vec<Uid> = proven(&salvaged).iter().map(|record| record.uid).collect();
            prop_assert!(uids.windows(2).all(|pair| pair[0] < pair[1]), "{uids:?}");
            if damages.is_empty() {
                prop_assert_eq!(uids.len(), index.records.len());
            }
        }
    }

    #[test]
    fn garbage_yields_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        prop_assert_eq!(salvage(&bytes, None), None);
    }
}
