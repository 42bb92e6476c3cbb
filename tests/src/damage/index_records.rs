//! Damage to single records of `cyrus.index`.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::Result;

use super::index_files::IndexBytes;
use super::index_header::{byte, seal};
use super::kind::{Done, Kind, Scene};
use crate::generate::Random;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "record-bit",
        what: "one bit is flipped in each of one to four records",
        inflict: |scene| some_records(scene, 4, "one bit", |bytes, random| flip(bytes, 1, random)),
    },
    Kind {
        name: "record-bits",
        what: "two to nine bits are flipped in each of one to four records",
        inflict: |scene| {
            some_records(scene, 4, "bits", |bytes, random| {
                let count = 2 + random.below(8);
                flip(bytes, count, random);
            })
        },
    },
    Kind {
        name: "record-zeroed",
        what: "one to six records are all NULs",
        inflict: |scene| some_records(scene, 6, "zeroed", |bytes, _| bytes.fill(0)),
    },
    Kind {
        name: "record-garbage",
        what: "one to six records are random bytes",
        inflict: |scene| {
            some_records(scene, 6, "garbage", |bytes, random| bytes.fill_with(|| byte(random)))
        },
    },
    Kind {
        name: "record-uid-zeroed",
        what: "the UID of one to four records is 0",
        inflict: |scene| some_records(scene, 4, "UID zeroed", |bytes, _| bytes[..4].fill(0)),
    },
    Kind {
        name: "record-word",
        what: "an aligned 32-bit word of one to four records is random",
        inflict: |scene| some_records(scene, 4, "a word", word),
    },
    Kind {
        name: "records-duplicated",
        what: "some records stand in the index twice, and the header counts them",
        inflict: duplicated,
    },
    Kind { name: "records-swapped", what: "two records have changed places", inflict: swapped },
    Kind {
        name: "records-shuffled",
        what: "the records of a stretch of the index are in another order",
        inflict: shuffled,
    },
];

fn flip(bytes: &mut [u8], count: usize, random: &mut Random) {
    let mut flipped = BTreeSet::new();
    while flipped.len() < count {
        let bit = random.below(bytes.len() * 8);
        if flipped.insert(bit) {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

fn word(bytes: &mut [u8], random: &mut Random) {
    let begin = 4 * random.below(bytes.len() / 4);
    bytes[begin..begin + 4].fill_with(|| byte(random));
}

/// Does something to one to `most` records.
fn some_records(
    scene: &mut Scene<'_>,
    most: usize,
    what: &str,
    hit: impl Fn(&mut [u8], &mut Random),
) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let records = index.records();
    if records == 0 {
        return Ok(None);
    }
    let mut numbers = BTreeSet::new();
    for _ in 0..=scene.random.below(most) {
        numbers.insert(scene.random.below(records));
    }
    let uids: Vec<u32> = numbers.iter().map(|number| index.uid(*number)).collect();
    for &number in &numbers {
        let range = index.record(number);
        hit(&mut index.bytes[range], scene.random);
    }
    index.write()?;
    Ok(Some(Done::new(format!("{what} of records {numbers:?}")).hitting(uids)))
}

fn duplicated(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    const NUM_RECORDS: Range<usize> = 20..24;
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let records = index.records();
    if records == 0 {
        return Ok(None);
    }
    let before = index.bytes[..index.layout.header_size].to_vec();
    let count = 1 + scene.random.below(3);
    let mut uids = Vec::new();
    for _ in 0..count {
        let number = scene.random.below(records);
        uids.push(index.uid(number));
        let record = index.bytes[index.record(number)].to_vec();
        let at = index.record(scene.random.below(records + 1)).start;
        index.bytes.splice(at..at, record);
    }
    let total = u32::try_from(records + count)?;
    index.bytes[NUM_RECORDS].copy_from_slice(&total.to_be_bytes());
    seal(&mut index.bytes, &before, index.layout);
    index.write()?;
    Ok(Some(Done::new(format!("{count} records twice")).hitting(uids)))
}

fn swapped(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let records = index.records();
    if records < 2 {
        return Ok(None);
    }
    let one = scene.random.below(records);
    let other = (one + 1 + scene.random.below(records - 1)) % records;
    let uids = [index.uid(one), index.uid(other)];
    exchange(&mut index, one, other);
    index.write()?;
    Ok(Some(Done::new(format!("records {one} and {other}")).hitting(uids)))
}

fn shuffled(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let records = index.records();
    if records < 3 {
        return Ok(None);
    }
    let first = scene.random.below(records - 2);
    let count = 3 + scene.random.below(records - first - 2);
    let uids: Vec<u32> = (first..first + count).map(|number| index.uid(number)).collect();
    for number in (first + 1..first + count).rev() {
        let other = first + scene.random.below(number - first + 1);
        exchange(&mut index, number, other);
    }
    index.write()?;
    Ok(Some(Done::new(format!("records {first} to {}", first + count - 1)).hitting(uids)))
}

fn exchange(index: &mut IndexBytes, one: usize, other: usize) {
    let (first, second) = (index.record(one), index.record(other));
    let held = index.bytes[first.clone()].to_vec();
    index.bytes.copy_within(second.clone(), first.start);
    index.bytes[second].copy_from_slice(&held);
}
