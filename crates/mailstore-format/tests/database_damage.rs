//! What comes out of databases that are damaged, torn by a crash, or hostile.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking"
)]

use std::collections::BTreeMap;

use mailstore_format::db::{self, DbContents, DbFault, DbKind, Standing};
use proptest::prelude::*;

const MAILBOXES_3_6: &[u8] = include_bytes!("../testdata/mailboxes-3.6.1.db");
const MAILBOXES_3_13: &[u8] = include_bytes!("../testdata/mailboxes-3.13.db");
const CONVERSATIONS: &[u8] = include_bytes!("../testdata/conversations-3.6.1.skiplist");

fn pairs<'a>(contents: &'a DbContents<'_>) -> BTreeMap<&'a [u8], &'a [u8]> {
    contents.entries.iter().map(|entry| (&*entry.key, &*entry.value)).collect()
}

/// What was live and no longer comes out, and how many proven entries were never there.
fn lost_and_invented(before: &DbContents<'_>, after: &DbContents<'_>) -> (usize, usize) {
    let (before, found) = (pairs(before), pairs(after));
    let lost = before.iter().filter(|(key, value)| found.get(*key) != Some(value)).count();
    let is_invented = |entry: &&db::DbEntry<'_>| {
        entry.standing == Standing::Live && before.get(&*entry.key) != Some(&&*entry.value)
    };
    (lost, after.entries.iter().filter(is_invented).count())
}

#[test]
fn one_flipped_byte_in_a_twoskip_costs_one_entry_at_most_and_is_reported() {
    for (file, label) in [(MAILBOXES_3_6, "3.6.1"), (MAILBOXES_3_13, "3.13")] {
        let sound = db::read(file).expect("Cyrus's own");
        assert_eq!(sound.damage, []);
        let mut damaged = file.to_vec();
        for at in 0..file.len() {
            damaged[at] ^= 0x21;
            let after = db::read(&damaged).expect("still recognised");
            assert_eq!(after.kind, DbKind::Twoskip);
            let (lost, invented) = lost_and_invented(&sound, &after);
            assert!(lost <= 1, "{label}: byte {at}: {lost} entries are lost");
            assert_eq!(invented, 0, "{label}: byte {at}");
            assert_ne!(after.damage, [], "{label}: byte {at}");
            damaged[at] = file[at];
        }
    }
}

#[test]
fn a_lost_disk_block_costs_the_entries_that_lie_in_it() {
    for file in [MAILBOXES_3_6, MAILBOXES_3_13] {
        let sound = db::read(file).expect("Cyrus's own");
        for start in (0..file.len()).step_by(512) {
            let end = file.len().min(start + 512);
            let mut damaged = file.to_vec();
            damaged[start..end].fill(0);
            let after = db::read(&damaged).expect("still recognised");
            let (lost, invented) = lost_and_invented(&sound, &after);
            // A record is 40 bytes at the least, and those at either end may be cut.
            assert!(lost <= 512 / 100 + 2, "block at {start}: {lost} entries are lost");
            assert_eq!(invented, 0, "block at {start}");
        }
    }
}

#[test]
fn a_twoskip_cut_anywhere_gives_only_what_was_there() {
    let sound = db::read(MAILBOXES_3_6).expect("Cyrus's own");
    for length in 400..MAILBOXES_3_6.len() {
        let after = db::read(&MAILBOXES_3_6[..length]).expect("still recognised");
        assert_eq!(lost_and_invented(&sound, &after).1, 0, "cut at {length}");
        let truncated =
            |damage: &db::DbDamage| matches!(damage.fault, DbFault::Truncated { expected: 8824 });
        assert!(after.damage.iter().any(truncated), "cut at {length}");
    }
}

#[test]
fn one_flipped_byte_in_a_skiplist_costs_few_keys() {
    let sound = db::read(CONVERSATIONS).expect("Cyrus's own");
    assert_eq!(sound.damage, []);
    let mut damaged = CONVERSATIONS.to_vec();
    for at in 0..damaged.len() {
        damaged[at] ^= 0x21;
        let after = db::read(&damaged).expect("still recognised");
        let found = pairs(&after);
        let lost = sound.entries.iter().filter(|entry| !found.contains_key(&*entry.key)).count();
        // There are no checksums: a length that grew can swallow the records that follow.
        assert!(lost <= 3, "byte {at}: {lost} keys are lost");
        damaged[at] = CONVERSATIONS[at];
    }
}

#[test]
fn a_skiplist_cut_anywhere_keeps_what_was_committed_before() {
    let sound = db::read(CONVERSATIONS).expect("Cyrus's own");
    let mut most = 0;
    for length in (400..=CONVERSATIONS.len()).step_by(4) {
        let after = db::read(&CONVERSATIONS[..length]).expect("still recognised");
        let live = after.entries.iter().filter(|entry| entry.standing == Standing::Live).count();
        assert!(live <= sound.entries.len(), "cut at {length}");
        most = most.max(live);
    }
    assert_eq!(most, sound.entries.len());
}

proptest! {
    #[test]
    fn any_damage_leaves_a_readable_rest(
        holes in prop::collection::vec((0..8824_usize, 1..700_usize, any::<u8>()), 1..6),
        length in 400..9000_usize,
    ) {
        for file in [MAILBOXES_3_6, CONVERSATIONS] {
            let mut damaged = file[..length.min(file.len())].to_vec();
            for &(start, size, fill) in &holes {
                let end = damaged.len().min(start + size);
                if let Some(hole) = damaged.get_mut(start..end) {
                    hole.fill(fill);
                }
            }
            if let Ok(after) = db::read(&damaged) {
                prop_assert!(after.entries.is_sorted_by(|a, b| a.key < b.key));
            }
        }
    }

    #[test]
    fn any_bytes_are_a_database_or_an_error(bytes: Vec<u8>, start in 0..4_usize) {
        let starts: [&[u8]; 4] = [
            b"", b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0", b"\xa1\x02\x8b\x0dskiplist file\0\0\0",
            &MAILBOXES_3_6[..336],
        ];
        let _ = db::read(&[starts[start], &bytes].concat());
    }
}

/// A twoskip file with chosen pointers.
struct Twoskip(Vec<u8>);

impl Twoskip {
    fn new(first: [u64; 2]) -> Self {
        let mut file = Self(vec![0; 64]);
        let mut pointers = [0; 32];
        pointers[..2].copy_from_slice(&first);
        file.push(b'=', &pointers, b"", b"");
        file
    }

    /// Adds a record and returns its offset.
    fn push(&mut self, kind: u8, pointers: &[u64], key: &[u8], value: &[u8]) -> u64 {
        let offset = self.0.len();
        let level = u8::try_from(pointers.len() - 1).expect("few");
        let (keys, values) = (u16::try_from(key.len()), u32::try_from(value.len()));
        let mut body = [key, value].concat();
        body.resize(body.len().next_multiple_of(8), 0);
        let file = &mut self.0;
        file.extend([kind, level]);
        file.extend(keys.expect("short").to_be_bytes());
        file.extend(values.expect("short").to_be_bytes());
        file.extend(pointers.iter().flat_map(|pointer| pointer.to_be_bytes()));
        let crc = crc32fast::hash(&file[offset..]);
        file.extend(crc.to_be_bytes());
        file.extend(crc32fast::hash(&body).to_be_bytes());
        file.extend(body);
        offset as u64
    }

    /// The file, its header saying that it ends at `committed` and has so many entries.
    fn finish(mut self, committed: usize, entries: u64) -> Vec<u8> {
        let mut header = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0\0\0\0\x01".to_vec();
        for number in [1, entries, 336, committed as u64] {
            header.extend(number.to_be_bytes());
        }
        header.extend([0; 4]);
        header.extend(crc32fast::hash(&header).to_be_bytes());
        self.0[..64].copy_from_slice(&header);
        self.0
    }
}

const FIRST: u64 = 336;
/// A record of level 1 with key and value within eight bytes.
const SMALL: u64 = 40;

fn keys(file: &[u8]) -> (Vec<String>, Vec<DbFault>) {
    let contents = db::read(file).expect("a twoskip");
    let text = |entry: &db::DbEntry<'_>| {
        let pair = [&entry.key, &b"="[..], &entry.value].concat();
        let doubt = if entry.standing == Standing::Live { "" } else { "?" };
        String::from_utf8_lossy(&pair).into_owned() + doubt
    };
    let faults = contents.damage.iter().map(|damage| damage.fault.clone()).collect();
    (contents.entries.iter().map(text).collect(), faults)
}

#[test]
fn pointers_in_a_circle_end() {
    let mut file = Twoskip::new([0, FIRST]);
    file.push(b'+', &[0, FIRST + SMALL], b"a", b"1");
    file.push(b'+', &[0, FIRST], b"b", b"2");
    let end = file.0.len();
    let (found, faults) = keys(&file.finish(end, 2));
    assert_eq!(found, ["a=1", "b=2"]);
    assert!(faults.contains(&DbFault::BrokenChain));
}

/// a and b, then b deleted and a replaced: the chain leads from the dummy to the new a, and from
/// there, past the deletion, to the end.
fn with_history(tail: &[u8]) -> (Vec<u8>, usize) {
    let deletion = FIRST + 2 * SMALL;
    let replaced = deletion + 24;
    let mut file = Twoskip::new([FIRST, replaced]);
    file.push(b'+', &[0, FIRST + SMALL], b"a", b"1");
    file.push(b'+', &[0, 0], b"b", b"2");
    file.push(b'-', &[0], b"", b"");
    file.push(b'+', &[0, deletion], b"a", b"3");
    file.push(b'$', &[336], b"", b"");
    let end = file.0.len();
    file.0.extend(tail);
    (file.finish(end, 1), usize::try_from(replaced).expect("small"))
}

#[test]
fn replaced_and_deleted_entries_do_not_come_back() {
    assert_eq!(keys(&with_history(b"").0), (vec!["a=3".to_owned()], vec![]));
}

#[test]
fn what_lies_behind_the_last_commit_is_not_read() {
    let mut tail = Twoskip(Vec::new());
    tail.push(b'+', &[0, 0], b"c", b"4");
    assert_eq!(keys(&with_history(&tail.0).0), (vec!["a=3".to_owned()], vec![]));
    let (mut torn, _) = with_history(&tail.0);
    // The header was being rewritten: now only the commit says where the transaction ended.
    torn[60] ^= 1;
    assert_eq!(keys(&torn).0, ["a=3"]);
}

#[test]
fn without_the_start_of_the_chain_the_order_of_writing_tells_what_is_live() {
    let (mut file, _) = with_history(b"");
    file[64..336].fill(0);
    let (found, faults) = keys(&file);
    assert_eq!(found, ["a=3"]);
    assert_eq!(faults, [DbFault::Unreadable { length: 272 }, DbFault::BrokenChain]);
}

#[test]
fn where_the_newest_value_is_lost_the_one_before_comes_out_as_doubtful() {
    let (mut file, replaced) = with_history(b"");
    file[replaced + 33] ^= 1;
    let (found, faults) = keys(&file);
    assert_eq!(found, ["a=1?"]);
    assert!(faults.contains(&DbFault::RecordBody));
}

#[test]
fn a_record_whose_head_is_damaged_keeps_its_content() {
    let (mut file, replaced) = with_history(b"");
    file[replaced + 20] ^= 1;
    let (found, faults) = keys(&file);
    assert_eq!(found, ["a=3?"]);
    assert!(faults.contains(&DbFault::RecordHead));
}
