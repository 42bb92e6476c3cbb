//! One thing broken in one mailbox: what must survive, what is lost, and that the real server
//! serves the result.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use mailstore_format::header_file::HeaderFile;
use mailstore_tests::generate::Random;
use mailstore_tests::{
    Cyrus, Expect, IndexImage, KnownStore, Layout, Losses, MailboxFiles, ServerOptions, Snapshot,
    ToolRun, Tree, long_form,
};

const INBOX: &str = "user.alice";

/// Alice's INBOX (see `populate_one`) before it is damaged, its server at rest.
struct Scene {
    known: KnownStore,
    files: MailboxFiles,
}

impl Scene {
    fn set(test: &str, layout: Layout) -> Result<Option<Self>> {
        let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(None) };
        let known = KnownStore::with_one_mailbox(&cyrus, ServerOptions::new(layout))?;
        let files = known.files(INBOX)?;
        Ok(Some(Self { known, files }))
    }

    fn index(&self) -> Result<IndexImage> {
        IndexImage::read(&self.files.index)
    }

    fn edit_index(&self, edit: impl FnOnce(&mut IndexImage) -> Result<()>) -> Result<()> {
        let mut index = self.index()?;
        edit(&mut index)?;
        index.write()
    }

    /// Repairs the mailbox, which must end with this exit status and this finding.
    fn repair(&self, status: i32, code: &str) -> Result<ToolRun> {
        let run = self.known.reconstruct().run()?;
        let said = format!("{}{}", run.stdout, run.stderr);
        ensure!(run.status == Some(status), "exit status {:?}: {said}", run.status);
        ensure!(!run.findings(code).is_empty(), "no finding {code}: {said}");
        Ok(run)
    }

    /// That the mailbox is left alone, and the run says so.
    fn must_be_left(&self, status: i32, code: &str) -> Result<()> {
        let before = Tree::read(&self.known.spool())?;
        let run = self.repair(status, code)?;
        let changed = before.differences(&Tree::read(&self.known.spool())?);
        ensure!(changed.is_empty(), "the mailbox was not left alone: {changed:#?}");
        ensure!(run.summary()["repaired"] == 0, "{}", run.stdout);
        Ok(())
    }

    fn recovered(&mut self, losses: &Losses) -> Result<()> {
        self.known.check_repaired(losses)
    }

    /// Files that were set aside under this part of the run's folder, by name.
    fn set_aside(&self, part: &str) -> Result<Vec<PathBuf>> {
        let tree = Tree::read(&self.known.spool().join(".mailstore-recovery"))?;
        let in_part = |path: &&PathBuf| path.parent().is_some_and(|parent| parent.ends_with(part));
        let root = self.known.spool().join(".mailstore-recovery");
        Ok(tree.entries.keys().filter(in_part).map(|path| root.join(path)).collect())
    }
}

/// The scene of this test, or its end.
macro_rules! scene_or_skip {
    ($test:literal, $layout:expr) => {
        match Scene::set($test, $layout)? {
            Some(scene) => scene,
            None => return Ok(()),
        }
    };
}

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
fn wrong_numbers_under_a_good_checksum_of_the_index_header_cost_nothing() -> Result<()> {
    let mut scene = scene_or_skip!(
        "wrong_numbers_under_a_good_checksum_of_the_index_header_cost_nothing",
        Layout::ById
    );
    let cases = [
        ("start_offset", 192, "index-header-damaged"),
        ("record_size", 144, "index-header-damaged"),
        ("minor_version", 12, "index-header-damaged"),
        ("num_records", 3, "header-counts"),
        ("num_records", 70_000, "header-counts"),
    ];
    for (field, value, code) in cases {
        let copy = scene.known.copy()?;
        let files = copy.files(INBOX)?;
        let mut hit = Scene { known: copy, files };
        hit.edit_index(|index| index.set_header(field, value))?;
        hit.repair(0, code).with_context(|| format!("{field} {value}"))?;
        hit.recovered(&Losses::none()).with_context(|| format!("{field} {value}"))?;
    }
    scene.recovered(&Losses::none())
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
fn an_index_cut_within_its_header_is_made_anew() -> Result<()> {
    let mut scene = scene_or_skip!("an_index_cut_within_its_header_is_made_anew", Layout::ByName);
    scene.edit_index(|index| {
        index.bytes_mut().truncate(70);
        Ok(())
    })?;
    scene.known.start_again()?;
    scene.repair(0, "index-header-damaged")?;
    scene.recovered(&Losses::of_indexes([INBOX.to_string()]))
}

#[test]
fn an_empty_index_is_made_anew() -> Result<()> {
    let mut scene = scene_or_skip!("an_empty_index_is_made_anew", Layout::ById);
    scene.edit_index(|index| {
        index.bytes_mut().clear();
        Ok(())
    })?;
    scene.repair(0, "index-unreadable")?;
    scene.recovered(&Losses::of_indexes([INBOX.to_string()]))
}

#[test]
fn every_single_bit_of_the_index_header_may_flip_without_loss() -> Result<()> {
    let mut scene =
        scene_or_skip!("every_single_bit_of_the_index_header_may_flip_without_loss", Layout::ById);
    let sound = fs::read(scene.files.index.join("cyrus.index"))?;
    // Generation, version, start, record size, count, last UID, UIDVALIDITY, options, highest
    // modseq, header CRC.
    for byte in [3, 11, 15, 19, 22, 23, 28, 31, 44, 47, 60, 68, 75, 159] {
        let copy = scene.known.copy()?;
        let files = copy.files(INBOX)?;
        let mut bytes = sound.clone();
        bytes[byte] ^= 0x40;
        fs::write(files.index.join("cyrus.index"), bytes)?;
        let mut hit = Scene { known: copy, files };
        hit.repair(0, "index-header-bit").with_context(|| format!("byte {byte}"))?;
        hit.recovered(&Losses::none()).with_context(|| format!("byte {byte}"))?;
    }
    scene.recovered(&Losses::none())
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

#[test]
fn every_count_and_checksum_of_the_header_is_put_right() -> Result<()> {
    let mut scene =
        scene_or_skip!("every_count_and_checksum_of_the_header_is_put_right", Layout::ByName);
    let fields = [
        "exists",
        "deleted",
        "answered",
        "flagged",
        "unseen",
        "quota_mailbox_used",
        "quota_annot_used",
        "synccrcs.basic",
        "synccrcs.annot",
    ];
    let sound = scene.index()?;
    scene.edit_index(|index| {
        fields.iter().try_for_each(|field| index.set_header(field, index.header(field)? + 3))
    })?;
    scene.repair(0, "header-counts")?;
    let repaired = scene.index()?;
    for field in fields {
        assert_eq!(repaired.header(field)?, sound.header(field)?, "{field}");
    }
    scene.recovered(&Losses::none())
}

#[test]
fn a_last_uid_and_a_highest_modseq_that_are_too_low_are_raised() -> Result<()> {
    let mut scene =
        scene_or_skip!("a_last_uid_and_a_highest_modseq_that_are_too_low_are_raised", Layout::ById);
    scene.edit_index(|index| {
        index.set_header("last_uid", 3)?;
        index.set_header("highestmodseq", 2)
    })?;
    let run = scene.repair(0, "last-uid-low")?;
    assert_eq!(run.findings("highestmodseq-low").len(), 1);
    scene.recovered(&Losses::none())
}

#[test]
fn a_wrong_crc_of_the_header_file_is_put_right() -> Result<()> {
    let mut scene = scene_or_skip!("a_wrong_crc_of_the_header_file_is_put_right", Layout::ByName);
    scene.edit_index(|index| index.set_header("header_file_crc", 0x0bad_cafe))?;
    scene.known.start_again()?;
    scene.repair(0, "header-file-crc")?;
    scene.recovered(&Losses::none())
}

#[test]
fn an_order_to_wipe_the_mailbox_is_cleared_before_the_server_obeys_it() -> Result<()> {
    let mut scene = scene_or_skip!(
        "an_order_to_wipe_the_mailbox_is_cleared_before_the_server_obeys_it",
        Layout::ById
    );
    scene.edit_index(|index| {
        let options = index.header("options")?;
        index.set_header("options", options | 1 << 31)
    })?;
    scene.repair(0, "header-options")?;
    scene.recovered(&Losses::none())
}

#[test]
fn a_stale_cyrus_expunge_goes_to_quarantine_and_no_message_with_it() -> Result<()> {
    let mut scene = scene_or_skip!(
        "a_stale_cyrus_expunge_goes_to_quarantine_and_no_message_with_it",
        Layout::ByName
    );
    // An order to delete every message of the mailbox.
    let expunge = scene.files.data.join("cyrus.expunge");
    let order = fs::read(scene.files.index.join("cyrus.index"))?;
    fs::write(&expunge, &order)?;
    scene.known.cyrus().account().own(&expunge)?;
    scene.repair(0, "stale-expunge")?;
    assert!(!expunge.exists());
    let quarantine = scene.set_aside("quarantine")?;
    let [kept] = quarantine.as_slice() else { panic!("quarantine: {quarantine:?}") };
    assert_eq!(fs::read(kept)?, order);
    scene.recovered(&Losses::none())
}

#[test]
fn a_keyword_without_a_name_gets_one_that_no_new_keyword_takes_over() -> Result<()> {
    let mut scene = scene_or_skip!(
        "a_keyword_without_a_name_gets_one_that_no_new_keyword_takes_over",
        Layout::ById
    );
    let slots = [2, 70];
    scene
        .edit_index(|index| slots.iter().try_for_each(|&slot| index.set_keyword(4, slot, true)))?;
    let run = scene.repair(0, "keyword-unnamed")?;
    assert_eq!(run.findings("keyword-unnamed").len(), slots.len());

    scene.known.start_again()?;
    let mut alice = scene.known.login("alice")?;
    alice.select("INBOX")?;
    alice.store("7", "+FLAGS (brand-new)")?;
    let with_new: Vec<u32> = alice.search("KEYWORD brand-new")?;
    assert_eq!(with_new, [7]);
    let flags = alice.fetch("4", "(FLAGS)")?.first().context("message 4")?.flags()?;
    for name in slots.map(|slot| format!("$RecoveredKeyword{slot}")) {
        assert!(flags.contains(&name), "{flags:?}");
    }
    // Back to what it was, but for what has happened.
    alice.store("4", "-FLAGS ($RecoveredKeyword2 $RecoveredKeyword70)")?;
    alice.store("7", "-FLAGS (brand-new)")?;
    alice.logout()?;
    scene.recovered(&Losses::none())
}

#[test]
fn a_lost_header_file_is_made_from_mailboxes_db_and_keywords_stay_told_apart() -> Result<()> {
    let mut scene = scene_or_skip!(
        "a_lost_header_file_is_made_from_mailboxes_db_and_keywords_stay_told_apart",
        Layout::ByName
    );
    scene.known.start_again()?;
    scene.known.login("alice")?.setacl("INBOX", "bob", "lrs")?;
    scene.known.stop()?;
    let path = scene.files.header.join("cyrus.header");
    let lost = HeaderFile::decode(&fs::read(&path)?)?;
    fs::remove_file(&path)?;
    scene.repair(0, "header-file-missing")?;

    let made = HeaderFile::decode(&fs::read(&path)?)?;
    assert_eq!((&made.uniqueid, &made.acl), (&lost.uniqueid, &lost.acl));
    let placeholder = |flag: &String| {
        let slot = (0..128).find(|&slot| lost.flag_names.get(slot) == Some(flag.as_bytes()));
        slot.map_or_else(|| flag.clone(), |slot| format!("$RecoveredKeyword{slot}"))
    };
    scene.known.start_again()?;
    let mut alice = scene.known.login("alice")?;
    alice.select("INBOX")?;
    for (uid, message) in &scene.known.mailbox_shown(INBOX)?.messages {
        let fetched = alice.fetch(&uid.to_string(), "(FLAGS)")?;
        let mut flags = fetched.first().context("a message")?.flags()?;
        flags.retain(|flag| flag != "\\Recent");
        let mut expected: Vec<String> = message.flags.iter().map(placeholder).collect();
        expected.sort();
        assert_eq!(flags, expected, "{uid}");
    }
    let acl = format!("{:?}", alice.ok("GETACL INBOX")?.values_of("ACL")?);
    assert!(acl.contains("bob"), "{acl}");
    alice.logout()?;
    scene.known.stop()?;
    scene.known.check_at_rest()
}

#[test]
fn a_mailbox_of_which_only_messages_are_left_is_made_from_mailboxes_db() -> Result<()> {
    let name = "a_mailbox_of_which_only_messages_are_left_is_made_from_mailboxes_db";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ByName).with_conversations();
    let mut known = KnownStore::with_one_mailbox(&cyrus, options)?;
    let files = known.files(INBOX)?;
    for file in ["cyrus.header", "cyrus.index", "cyrus.cache"] {
        fs::remove_file(files.data.join(file))?;
    }
    let run = known.reconstruct().run()?;
    assert_eq!(run.status, Some(0), "{}{}", run.stdout, run.stderr);
    // The user's counters prove the highest modseq.
    assert!(run.findings("modseq-unproven").is_empty(), "{}", run.stdout);
    known.check_repaired(&Losses::of_indexes([INBOX.to_string()]))
}

#[test]
fn a_header_file_of_garbage_is_made_from_mailboxes_db() -> Result<()> {
    let mut scene =
        scene_or_skip!("a_header_file_of_garbage_is_made_from_mailboxes_db", Layout::ById);
    let path = scene.files.header.join("cyrus.header");
    let sound = fs::read(&path)?;
    for garbage in [&b""[..], &sound[..50], &sound[..sound.len() - 9], &[0; 4096]] {
        fs::write(&path, garbage)?;
        scene.repair(0, "header-file-damaged")?;
        let made = HeaderFile::decode(&fs::read(&path)?)?;
        assert_eq!(made.uniqueid, HeaderFile::decode(&sound)?.uniqueid);
        scene.known.check_at_rest()?;
    }
    // With the names of its keywords back, everything is as it was.
    fs::write(&path, sound)?;
    scene.repair(0, "header-file-crc")?;
    scene.recovered(&Losses::none())
}

#[test]
fn a_header_file_whose_unique_id_was_damaged_gets_that_of_mailboxes_db() -> Result<()> {
    let mut scene = scene_or_skip!(
        "a_header_file_whose_unique_id_was_damaged_gets_that_of_mailboxes_db",
        Layout::ByName
    );
    let path = scene.files.header.join("cyrus.header");
    let sound = fs::read(&path)?;
    let uniqueid = HeaderFile::decode(&sound)?.uniqueid.context("it has one")?;
    let at = sound.windows(uniqueid.len()).position(|window| window == uniqueid);
    let mut bytes = sound.clone();
    bytes[at.context("it stands there")? + 3] ^= 1;
    fs::write(&path, &bytes)?;
    scene.repair(0, "header-file-damaged")?;
    assert_eq!(HeaderFile::decode(&fs::read(&path)?)?, HeaderFile::decode(&sound)?);
    scene.known.check_at_rest()?;

    // The same where there is no index that would tell.
    fs::write(&path, &bytes)?;
    fs::remove_file(scene.files.index.join("cyrus.index"))?;
    scene.repair(0, "header-file-damaged")?;
    assert_eq!(HeaderFile::decode(&fs::read(&path)?)?, HeaderFile::decode(&sound)?);
    scene.recovered(&Losses::of_indexes([INBOX.to_string()]))
}

/// Damages `bytes` somewhere.
fn ruin(bytes: &mut Vec<u8>, random: &mut Random) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    let begin = random.below(len);
    let end = (begin + 1 + random.below(700)).min(len);
    match random.below(4) {
        0 => (0..=random.below(20)).for_each(|_| {
            let at = random.below(len);
            bytes[at] ^= 1 << random.below(8);
        }),
        1 => bytes[begin..end].fill(0),
        2 => bytes[begin..end].fill_with(|| random.bits().to_le_bytes()[0]),
        _ => bytes.truncate(begin),
    }
}

#[test]
fn whatever_happens_to_index_and_cache_no_message_is_lost() -> Result<()> {
    let name = "whatever_happens_to_index_and_cache_no_message_is_lost";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    for layout in [Layout::ById, Layout::ByName] {
        let base = KnownStore::with_one_mailbox(&cyrus, ServerOptions::new(layout))?;
        for seed in 1..=if long_form() { 40 } else { 6 } {
            let mut random = Random::new(seed);
            let mut known = base.copy()?;
            let files = known.files(INBOX)?;
            for file in ["cyrus.index", "cyrus.cache"] {
                let path = files.data.join(file);
                let mut bytes = fs::read(&path)?;
                (0..=random.below(3)).for_each(|_| ruin(&mut bytes, &mut random));
                fs::write(&path, bytes)?;
            }
            let told = format!("{layout:?}, seed {seed}");
            let run = known.reconstruct().run()?;
            assert_eq!(run.status, Some(0), "{told}: {}{}", run.stdout, run.stderr);
            known.check_at_rest().context(told.clone())?;

            known.start_again()?;
            let mut after = Snapshot::take(&known, "alice")?;
            let inbox = after.mailboxes.get_mut("INBOX").context("the INBOX")?;
            // Whether a tombstone survived depends on the seed.
            inbox.messages.retain(|uid, _| !known.expunged(INBOX).contains_key(uid));
            let before = known.shown().get("alice").context("what alice saw")?;
            let differences = before.differences(&after, Expect::IndexLost);
            assert!(differences.is_empty(), "{told}:\n{differences}\n{}", run.stdout);
            assert_eq!(known.deaths(), [""; 0], "{told}");
        }
    }
    Ok(())
}

#[test]
fn an_index_whose_records_fit_a_known_version_is_read_whatever_its_header_says() -> Result<()> {
    let mut scene = scene_or_skip!(
        "an_index_whose_records_fit_a_known_version_is_read_whatever_its_header_says",
        Layout::ById
    );
    scene.edit_index(|index| index.set_header("minor_version", 21))?;
    scene.repair(0, "index-header-damaged")?;
    scene.recovered(&Losses::none())
}

#[test]
fn an_index_of_an_unknown_version_is_left_alone() -> Result<()> {
    let mut scene = scene_or_skip!("an_index_of_an_unknown_version_is_left_alone", Layout::ByName);
    let path = scene.files.index.join("cyrus.index");
    let sound = fs::read(&path)?;
    // As a later release may write it: a larger header and records, all with checksums.
    let mut later = sound[..156].to_vec();
    later.resize(220, 0);
    for (offset, value) in [(8, 22_u32), (12, 224), (16, 160)] {
        later[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
    }
    later.extend(crc32fast::hash(&later).to_be_bytes());
    for record in sound[160..].chunks_exact(112) {
        later.extend(record.iter().map(|byte| byte ^ 0x5a));
        later.extend([0; 48]);
    }
    fs::write(&path, later)?;
    scene.must_be_left(2, "index-unreadable")?;
    fs::write(&path, sound)?;
    scene.recovered(&Losses::none())
}

#[test]
fn an_index_that_is_a_directory_or_a_symbolic_link_is_left_alone() -> Result<()> {
    let mut scene = scene_or_skip!(
        "an_index_that_is_a_directory_or_a_symbolic_link_is_left_alone",
        Layout::ById
    );
    let path = scene.files.index.join("cyrus.index");
    let elsewhere = scene.known.path().join("elsewhere");
    fs::rename(&path, &elsewhere)?;
    fs::create_dir(&path)?;
    fs::write(path.join("file"), b"somebody's")?;
    scene.must_be_left(1, "index-unreadable")?;
    fs::remove_dir_all(&path)?;

    std::os::unix::fs::symlink(&elsewhere, &path)?;
    scene.must_be_left(1, "index-unreadable")?;
    fs::remove_file(&path)?;
    fs::rename(&elsewhere, &path)?;
    scene.recovered(&Losses::none())
}

#[test]
fn a_cache_that_is_a_directory_or_a_symbolic_link_is_set_aside() -> Result<()> {
    let scene = scene_or_skip!(
        "a_cache_that_is_a_directory_or_a_symbolic_link_is_set_aside",
        Layout::ByName
    );
    let sound = fs::read(scene.files.cache.join("cyrus.cache"))?;
    for is_link in [true, false] {
        let known = scene.known.copy()?;
        let files = known.files(INBOX)?;
        let mut scene = Scene { known, files };
        let cache = scene.files.cache.join("cyrus.cache");
        let elsewhere = scene.known.path().join("elsewhere");
        fs::rename(&cache, &elsewhere)?;
        if is_link {
            std::os::unix::fs::symlink(&elsewhere, &cache)?;
        } else {
            fs::create_dir(&cache)?;
            fs::write(cache.join("file"), b"somebody's")?;
            scene.known.cyrus().account().own(&cache)?;
        }
        scene.repair(0, "cache-missing")?;
        assert_eq!(fs::read(&elsewhere)?, sound, "what a link points to is nobody's to change");
        assert!(fs::symlink_metadata(&cache)?.is_file());
        if !is_link {
            let before = scene.set_aside("before")?;
            let kept = before.iter().find(|path| path.ends_with("cyrus.cache"));
            let kept = kept.context("what stood there")?;
            assert_eq!(fs::read(kept.join("file"))?, b"somebody's");
        }
        scene.recovered(&Losses::none())?;
    }
    Ok(())
}

#[test]
fn a_cache_that_root_restored_goes_back_to_the_server() -> Result<()> {
    let mut scene =
        scene_or_skip!("a_cache_that_root_restored_goes_back_to_the_server", Layout::ById);
    let account = scene.known.cyrus().account().clone();
    if !account.differs_from_ours() {
        // Nobody but root can give files away, so there is nothing to test.
        return Ok(());
    }
    let cache = scene.files.cache.join("cyrus.cache");
    let cut = &fs::read(&cache)?[..1000];
    fs::write(&cache, cut)?;
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o644))?;
    std::os::unix::fs::chown(&cache, Some(0), Some(0))?;
    scene.repair(0, "cache-record-damaged")?;
    assert_eq!(fs::metadata(&cache)?.uid(), account.uid);
    let before = scene.set_aside("before")?;
    let kept = before.iter().find(|path| path.ends_with("cyrus.cache")).context("the original")?;
    assert_eq!(fs::read(kept)?, cut);
    scene.recovered(&Losses::none())
}
