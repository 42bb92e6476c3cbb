//! What only reading every message finds.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::{Context as _, Result};
use mailstore_tests::{
    Cyrus, IndexImage, KnownStore, Layout, Losses, ServerOptions, ToolRun, Tree, long_form,
};

const INBOX: &str = "user.alice";

fn full(known: &KnownStore) -> mailstore_tests::Reconstruct {
    known.reconstruct().args(["--check", "full"])
}

/// Code and UID of every finding that is more than a note.
fn damage(run: &ToolRun) -> Vec<(String, u64)> {
    let of_line = |line: &serde_json::Value| line["findings"].as_array().cloned();
    let findings = run.json.iter().filter_map(of_line).flatten();
    let damage = findings.filter(|finding| finding["remedy"] != "note");
    damage
        .map(|finding| {
            let code = finding["code"].as_str().unwrap_or_default().to_string();
            (code, finding["uid"].as_u64().unwrap_or_default())
        })
        .collect()
}

#[test]
fn a_full_check_has_nothing_against_what_the_server_wrote() -> Result<()> {
    let name = "a_full_check_has_nothing_against_what_the_server_wrote";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let by_name = ServerOptions::new(Layout::ByName).with_timezone("America/New_York");
    let archive = ServerOptions::new(Layout::ById).with_archive().with_line("archive_after: 0");
    for options in [by_name.with_conversations(), archive] {
        let known = KnownStore::populated(&cyrus, options, 3)?;
        let before = Tree::read(known.path())?;
        for run in [full(&known).arg("-n").run()?, full(&known).run()?] {
            assert_eq!((run.status, damage(&run)), (Some(0), vec![]), "{}", run.stdout);
            assert_eq!(run.summary()["messages_read"], run.summary()["messages"]);
        }
        assert_eq!(before.differences(&Tree::read(known.path())?), [""; 0]);
    }
    Ok(())
}

#[test]
fn a_full_check_finds_one_flipped_byte_in_one_message() -> Result<()> {
    let name = "a_full_check_finds_one_flipped_byte_in_one_message";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let base = KnownStore::with_one_mailbox(&cyrus, ServerOptions::new(Layout::ById))?;
    let uids: &[u32] = if long_form() { &[2, 3, 7, 9, 14, 18] } else { &[3, 14] };
    for &uid in uids {
        let mut known = base.copy()?;
        let path = known.files(INBOX)?.message(uid);
        let sound = fs::read(&path)?;
        let mut bytes = sound.clone();
        // Another letter, which the server minds nowhere.
        let is_letter = |at: &usize| bytes[*at].is_ascii_alphabetic();
        let at = (bytes.len() * 2 / 3..bytes.len()).find(is_letter).context("a letter")?;
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes)?;
        let inode = fs::metadata(&path)?.ino();
        let before = known.mailbox_shown(INBOX)?.messages[&uid].clone();

        let found = ["message-missing", "remains-kept"].map(|code| (code.to_owned(), uid.into()));
        let run = full(&known).arg("-n").run()?;
        assert_eq!((run.status, damage(&run)), (Some(1), found.to_vec()), "{}", run.stdout);
        // The record waits for the message; what is left of it is there beside it.
        let run = full(&known).run()?;
        assert_eq!((run.status, damage(&run)), (Some(1), found.to_vec()), "{}", run.stdout);
        assert!(!path.exists());
        let remains = known.files(INBOX)?.message(21);
        assert_eq!((fs::read(&remains)?, fs::metadata(&remains)?.ino()), (bytes, inode));
        known.start_again()?;
        let mut alice = known.login("alice")?;
        alice.select("INBOX")?;
        let mut flags = alice.fetch("21", "(FLAGS)")?.first().context("the remains")?.flags()?;
        flags.retain(|flag| flag != "\\Recent");
        flags.sort();
        let mut expected = before.flags.clone();
        expected.push("$Damaged".to_owned());
        expected.sort();
        assert_eq!(flags, expected);
        alice.store("21", "+FLAGS (\\Deleted)")?;
        alice.ok("UID EXPUNGE 21")?;
        alice.logout()?;
        known.stop()?;

        // The operator finds the message elsewhere.
        fs::write(&path, sound)?;
        known.cyrus().account().own(&path)?;
        known.check_repaired(&Losses::none())?;
    }
    Ok(())
}

#[test]
fn where_one_of_two_copies_cannot_be_read_the_other_one_is_served() -> Result<()> {
    let name = "where_one_of_two_copies_cannot_be_read_the_other_one_is_served";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById).with_archive();
    let mut known = KnownStore::with_one_mailbox(&cyrus, options)?;
    let uid = 3;
    let files = known.files(INBOX)?;
    let its_place = files.message(uid);
    let name = its_place.file_name().context("a name")?;
    let places = [Some(&files.data), files.archive.as_ref()];
    let mut others = places.into_iter().flatten().filter(|place| !its_place.starts_with(place));
    let other_place = others.next().context("another place")?;
    let sound = fs::read(&its_place)?;
    fs::create_dir_all(other_place)?;
    fs::copy(&its_place, other_place.join(name))?;
    known.cyrus().account().own(other_place)?;
    fs::set_permissions(&its_place, fs::Permissions::from_mode(0o000))?;

    let run = full(&known).run()?;
    assert!(run.findings("message-unreadable").is_empty(), "{}", run.stdout);
    known.start_again()?;
    let mut alice = known.login("alice")?;
    alice.select("INBOX")?;
    let body = alice.fetch(&uid.to_string(), "(BODY.PEEK[])")?;
    let body = body.first().and_then(|it| it.item("BODY[]").ok()?.bytes()).context("a body")?;
    assert_eq!(body, sound);
    Ok(())
}

#[test]
fn a_full_check_finds_one_flipped_byte_in_a_cache_record_whose_crc_was_made_good() -> Result<()> {
    let name = "a_full_check_finds_one_flipped_byte_in_a_cache_record_whose_crc_was_made_good";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let base = KnownStore::with_one_mailbox(&cyrus, ServerOptions::new(Layout::ByName))?;
    // The item's length is what lies between it and the next one.
    let index = IndexImage::read(&base.files(INBOX)?.index)?;
    let uids: &[u32] = if long_form() { &[2, 4, 7, 12, 17, 19] } else { &[7, 12] };
    for &uid in uids {
        let mut known = base.copy()?;
        let files = known.files(INBOX)?;
        let cache = files.cache.join("cyrus.cache");
        let mut bytes = fs::read(&cache)?;
        let begin = usize::try_from(index.record(uid, "cache_offset")?)?;
        let end = usize::try_from(index.record(uid + 1, "cache_offset")?)?;
        let item = bytes.get_mut(begin..end).context("the records' items follow one another")?;
        // In a text, not in a length: there, the next length would stand in its place.
        let text = item.windows(3).position(|three| three.is_ascii() && three[0] > b' ');
        item[text.context("an item has a text")? + 1] ^= 0x01;
        let crc = crc32fast::hash(item);
        fs::write(&cache, &bytes)?;
        let mut doctored = IndexImage::read(&files.index)?;
        doctored.set_record(uid, "cache_crc", crc.into())?;
        doctored.write()?;

        let run = known.reconstruct().arg("-n").run()?;
        assert_eq!(damage(&run), [], "CRC and size agree, so a quick check must believe it");
        let found = vec![("cache-record-wrong".to_string(), u64::from(uid))];
        let run = full(&known).arg("-n").run()?;
        assert_eq!((run.status, damage(&run)), (Some(1), found.clone()), "{}", run.stdout);
        let run = full(&known).run()?;
        assert_eq!((run.status, damage(&run)), (Some(0), found), "{}", run.stdout);
        known.check_repaired(&Losses::none())?;
        let again = known.check_second_run(&full(&known))?;
        assert_eq!(damage(&again), []);
    }
    Ok(())
}
