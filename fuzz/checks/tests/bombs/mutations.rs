//! Valid files changed at random: no check fails, and none takes more memory than its input explains.

use std::fs;
use std::path::Path;

use decoder_checks::{ALL, Check};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::cost::cost_of;

/// Bytes of memory, at once and for each byte of input, of a check: it holds several copies of what
/// it reads and writes.
fn most_memory(check: &Check, length: usize) -> usize {
    let more = match check.name {
        // A header of 160 bytes can count 65,536 lost records, each of which has its place.
        "index_salvage" => 64 << 20,
        // 256 files that the remains may be of.
        "header_file" => 256 * 16 * length,
        // Tables of character sets, unpacked when one is first used.
        "message" => 1 << 20,
        _ => 0,
    };
    (1 << 17) + 200 * length + more
}

/// How often a check may ask for memory, which bounds its steps.
fn most_requests(check: &Check, length: usize) -> usize {
    // That of `cyrus.header` reads the file once for each place in it, where it may be changed.
    let readings = if check.name == "header_file" { length } else { 1 };
    1000 + 40 * length * readings
}

#[derive(Debug, Clone)]
enum Change {
    Overwrite(usize, Vec<u8>),
    /// A length or a count that promises much.
    Number(usize, u32),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize, usize),
    Truncate(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let place = |at: usize| at % (len + 1);
        let end = |at: usize, length: usize| (place(at) + length).min(len);
        match self {
            Self::Overwrite(at, new) => {
                bytes.iter_mut().skip(place(*at)).zip(new).for_each(|(byte, new)| *byte = *new);
            }
            Self::Number(at, number) => {
                let new = number.to_be_bytes();
                bytes.iter_mut().skip(place(*at) & !3).zip(new).for_each(|(byte, new)| *byte = new);
            }
            Self::Insert(at, new) => drop(bytes.splice(place(*at)..place(*at), new.clone())),
            Self::Remove(at, length) => drop(bytes.drain(place(*at)..end(*at, *length))),
            Self::Repeat(at, length, times) => {
                let part = bytes[place(*at)..end(*at, *length)].repeat(*times);
                bytes.splice(place(*at)..place(*at), part);
            }
            Self::Truncate(at) => bytes.truncate(place(*at)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = || 0_usize..10_000;
    let block = || proptest::collection::vec(any::<u8>(), 1..40);
    let number = prop_oneof![
        proptest::sample::select(vec![0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, u32::MAX]),
        any::<u32>(),
    ];
    prop_oneof![
        (at(), block()).prop_map(|(at, block)| Change::Overwrite(at, block)),
        (at(), number).prop_map(|(at, number)| Change::Number(at, number)),
        (at(), block()).prop_map(|(at, block)| Change::Insert(at, block)),
        (at(), 1_usize..600).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), 1_usize..60, 1_usize..60).prop_map(|(at, l, times)| Change::Repeat(at, l, times)),
        at().prop_map(Change::Truncate),
    ]
}

fn seeds_of(check: &Check) -> Vec<Vec<u8>> {
    let folders = check.seeds();
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = folders.iter().flat_map(|folder| fs::read_dir(fuzz.join(folder)).expect(folder));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

#[test]
fn a_valid_file_changed_anyhow_is_read_within_bounds() {
    for check in &ALL {
        let changed =
            (proptest::sample::select(seeds_of(check)), proptest::collection::vec(change(), 1..6));
        let outcome = TestRunner::default().run(&changed, |(mut bytes, changes)| {
            for change in &changes {
                change.apply(&mut bytes);
            }
            let cost = cost_of(|| check.run(&bytes));
            prop_assert!(
                cost.peak <= most_memory(check, bytes.len()),
                "{} bytes: {cost:?}",
                bytes.len()
            );
            prop_assert!(
                cost.requests <= most_requests(check, bytes.len()),
                "{} bytes: {cost:?}",
                bytes.len()
            );
            Ok(())
        });
        assert!(outcome.is_ok(), "{}: {}", check.name, outcome.expect_err("it is none"));
    }
}
