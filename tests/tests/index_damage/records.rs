//! Damage to the index's records: what of each survives.

use std::fs;

use anyhow::{Context as _, Result};
use mailstore_tests::{Cyrus, IndexImage, KnownStore, Layout, Losses, ServerOptions};

use super::{INBOX, Scene};

#[test]
fn a_record_that_fails_its_crc_costs_its_own_flags_only() -> Result<()> {
    let mut scene =
        scene_or_skip!("a_record_that_fails_its_crc_costs_its_own_flags_only", Layout::ById);
    // 5 is a tombstone: nothing else tells that its message was expunged.
    let hit = [4, 5, 9, 20];
    scene.edit_index(|index| {
        for (uid, byte) in hit.into_iter().zip([40, 33, 85, 110]) {
            index.record_mut(uid)?[byte] ^= 0x11;
        }
        Ok(())
    })?;
    scene.known.start_again()?;
    let run = scene.repair(0, "record-damaged")?;
    assert_eq!(run.findings("message-without-record").len(), hit.len(), "{}", run.stdout);
    scene.recovered(&Losses::of_records(INBOX, hit))
}

#[test]
fn one_flipped_bit_in_a_record_costs_nothing() -> Result<()> {
    let mut scene = scene_or_skip!("one_flipped_bit_in_a_record_costs_nothing", Layout::ByName);
    // UID, dates, flags, a tombstone's flags, keywords, GUID, modseq, CRC.
    let hit = [(1, 3), (2, 6), (4, 35), (5, 32), (9, 39), (11, 70), (12, 87), (20, 110)];
    scene.edit_index(|index| {
        for (uid, byte) in hit {
            index.record_mut(uid)?[byte] ^= 0x01;
        }
        Ok(())
    })?;
    let run = scene.repair(0, "record-bit")?;
    assert!(run.findings("record-damaged").is_empty(), "{}", run.stdout);
    scene.recovered(&Losses::none())
}

#[test]
fn a_foreign_block_in_the_index_costs_nothing() -> Result<()> {
    let mut scene = scene_or_skip!("a_foreign_block_in_the_index_costs_nothing", Layout::ById);
    let sound = fs::read(scene.files.index.join("cyrus.index"))?;
    let block = [b"not of this file ".repeat(31).as_slice(), b"12345"].concat();
    // Before and in the header, at its end, in records.
    for at in [0, 100, 160, 512, 1_024, 2_000] {
        let copy = scene.known.copy()?;
        let files = copy.files(INBOX)?;
        let bytes = [&sound[..at], &block[..512], &sound[at..]].concat();
        fs::write(files.index.join("cyrus.index"), bytes)?;
        let mut hit = Scene { known: copy, files };
        hit.repair(0, "index-displaced").with_context(|| format!("at {at}"))?;
        hit.recovered(&Losses::none()).with_context(|| format!("at {at}"))?;
    }
    scene.recovered(&Losses::none())
}

#[test]
fn a_lost_block_of_the_index_costs_the_records_it_held() -> Result<()> {
    let mut scene =
        scene_or_skip!("a_lost_block_of_the_index_costs_the_records_it_held", Layout::ByName);
    // Bytes 512 to 1023: the end of record 4, records 5 to 7, the front of record 8.
    scene.edit_index(|index| {
        index.bytes_mut().drain(512..1_024);
        Ok(())
    })?;
    let run = scene.repair(0, "index-displaced")?;
    assert!(run.findings("message-renumbered").is_empty(), "{}", run.stdout);
    scene.recovered(&Losses::of_records(INBOX, 4..=8))
}

#[test]
fn a_record_with_a_zeroed_uid_does_not_cost_the_message_its_uid() -> Result<()> {
    let mut scene = scene_or_skip!(
        "a_record_with_a_zeroed_uid_does_not_cost_the_message_its_uid",
        Layout::ByName
    );
    scene.edit_index(|index| index.set_record(9, "uid", 0))?;
    scene.repair(0, "record-damaged")?;
    scene.recovered(&Losses::of_records(INBOX, [9]))
}

#[test]
fn a_zeroed_page_of_the_index_costs_the_flags_of_its_records_only() -> Result<()> {
    let name = "a_zeroed_page_of_the_index_costs_the_flags_of_its_records_only";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let mut known = KnownStore::populated(&cyrus, ServerOptions::new(Layout::ByName), 7)?;
    let files = known.files(INBOX)?;
    let mut index = IndexImage::read(&files.index)?;
    let uids = index.uids();
    let page = 4096..index.bytes_mut().len().min(8192);
    assert!(page.len() > 2000, "the index is long enough");
    index.bytes_mut()[page.clone()].fill(0);
    index.write()?;
    let after = IndexImage::read(&files.index)?;
    let overlaps = |slot: usize| {
        let (begin, end) = (160 + slot * 112, 160 + (slot + 1) * 112);
        begin < page.end && end > page.start
    };
    let hit = uids.iter().enumerate().filter(|(slot, _)| overlaps(*slot)).map(|(_, uid)| *uid);
    let hit: Vec<u32> = hit.collect();
    assert!(hit.iter().any(|uid| known.expunged(INBOX).contains_key(uid)), "tombstones among them");
    assert_eq!(after.uids().len(), uids.len());

    known.start_again()?;
    let run = known.reconstruct().run()?;
    assert_eq!(run.status, Some(0), "{}{}", run.stdout, run.stderr);
    known.check_repaired(&Losses::of_records(INBOX, hit))
}

#[test]
fn a_cut_index_keeps_all_records_before_the_cut() -> Result<()> {
    let mut scene = scene_or_skip!("a_cut_index_keeps_all_records_before_the_cut", Layout::ById);
    // In the middle of the 14th record.
    scene.edit_index(|index| {
        index.bytes_mut().truncate(160 + 13 * 112 + 50);
        Ok(())
    })?;
    scene.repair(0, "index-truncated")?;
    scene.recovered(&Losses::of_records(INBOX, 14..=20))
}

#[test]
fn the_same_record_twice_is_one_message() -> Result<()> {
    let mut scene = scene_or_skip!("the_same_record_twice_is_one_message", Layout::ByName);
    scene.edit_index(|index| index.append_copy_of(7))?;
    scene.known.start_again()?;
    scene.repair(0, "record-duplicate")?;
    scene.recovered(&Losses::none())
}

#[test]
fn of_two_records_for_one_uid_the_newer_counts() -> Result<()> {
    let mut scene = scene_or_skip!("of_two_records_for_one_uid_the_newer_counts", Layout::ById);
    scene.edit_index(|index| {
        index.append_copy_of(7)?;
        // The first one, in its place, is now the older.
        index.set_record(7, "system_flags", 0)?;
        index.set_record(7, "modseq", 1)
    })?;
    scene.repair(0, "record-duplicate")?;
    scene.recovered(&Losses::none())
}

#[test]
fn a_tombstone_outlives_an_older_record_of_its_message() -> Result<()> {
    let mut scene =
        scene_or_skip!("a_tombstone_outlives_an_older_record_of_its_message", Layout::ByName);
    scene.edit_index(|index| {
        index.append_copy_of(5)?;
        // As it was before the message was expunged.
        index.set_record(5, "system_flags", 0)?;
        index.set_record(5, "modseq", 1)
    })?;
    scene.repair(0, "record-duplicate")?;
    scene.recovered(&Losses::none())
}

#[test]
fn records_out_of_order_are_put_in_order() -> Result<()> {
    let mut scene = scene_or_skip!("records_out_of_order_are_put_in_order", Layout::ById);
    scene.edit_index(|index| {
        index.swap_records(6, 12)?;
        index.swap_records(5, 20)
    })?;
    scene.known.start_again()?;
    scene.repair(0, "record-out-of-order")?;
    scene.recovered(&Losses::none())
}
