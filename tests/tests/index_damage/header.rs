//! Damage to the index's header and to `cyrus.header`: what proves the mailbox's own numbers.

use std::fs;

use anyhow::{Context as _, Result};
use mailstore_format::header_file::HeaderFile;
use mailstore_tests::{Cyrus, KnownStore, Layout, Losses, ServerOptions};

use super::{INBOX, Scene};

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
