//! What lies in a mailbox where a message file should, or without a record: nothing is followed,
//! opened or waited for that is no message, and every message comes back, once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{
    Cyrus, IndexImage, KnownStore, Layout, Losses, MailboxFiles, ServerOptions, ToolRun,
};

const INBOX: &str = "user.alice";
const ORPHAN: &[u8] =
    b"Subject: nobody knows me\r\nDate: Mon, 2 Feb 2026 10:00:00 +0000\r\n\r\n.\r\n";

/// Alice's INBOX (see `populate_one`), its server at rest.
fn one_mailbox(cyrus: &Cyrus, layout: Layout) -> Result<(KnownStore, MailboxFiles)> {
    let known = KnownStore::with_one_mailbox(cyrus, ServerOptions::new(layout))?;
    let files = known.files(INBOX)?;
    Ok((known, files))
}

fn repair(known: &KnownStore, status: i32) -> Result<ToolRun> {
    let run = known.reconstruct().run()?;
    ensure!(
        run.status == Some(status),
        "exit status {:?}: {}{}",
        run.status,
        run.stdout,
        run.stderr
    );
    Ok(run)
}

/// A file that belongs to the server's account.
fn put(known: &KnownStore, path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes)?;
    known.cyrus().account().own(path)
}

/// The UIDs of findings with this code.
fn uids_of(run: &ToolRun, code: &str) -> Vec<u64> {
    run.findings(code).iter().filter_map(|finding| finding["uid"].as_u64()).collect()
}

/// The bytes that the server shows for a message, and its flags.
fn fetch(known: &KnownStore, uid: u32) -> Result<(Vec<u8>, Vec<String>)> {
    let mut alice = known.login("alice")?;
    alice.examine("INBOX")?;
    let fetched = alice.fetch(&uid.to_string(), "(BODY.PEEK[] FLAGS)")?;
    let message = fetched.first().with_context(|| format!("message {uid} is not there"))?;
    let bytes = message.item("BODY[]")?.bytes().context("a body")?.to_vec();
    let mut flags = message.flags()?;
    flags.retain(|flag| flag != "\\Recent");
    alice.logout()?;
    Ok((bytes, flags))
}

/// Removes a message for good from the server that runs, and stops it.
fn forget(known: &mut KnownStore, uid: u32) -> Result<()> {
    let mut alice = known.login("alice")?;
    alice.select("INBOX")?;
    alice.store(&uid.to_string(), "+FLAGS (\\Deleted)")?;
    alice.ok(&format!("UID EXPUNGE {uid}"))?;
    alice.logout()?;
    Ok(())
}

/// What can stand where a message file should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Odd {
    Directory,
    LinkToSecret,
    LinkToMessage,
    DanglingLink,
    NamedPipe,
    Socket,
}

impl Odd {
    fn make(self, path: &Path, outside: &Path) -> Result<()> {
        use std::os::unix::fs::symlink;
        match self {
            Self::Directory => {
                fs::create_dir(path)?;
                fs::write(path.join("6."), b"Subject: inside\r\n\r\n")?;
            }
            Self::LinkToSecret => {
                let secret = outside.join("secret");
                fs::write(&secret, b"Subject: secret\r\n\r\n")?;
                symlink(secret, path)?;
            }
            Self::LinkToMessage => symlink("6.", path)?,
            Self::DanglingLink => symlink("/nowhere/at/all", path)?,
            Self::NamedPipe => {
                let status = Command::new("mkfifo").arg(path).status()?;
                ensure!(status.success(), "mkfifo failed");
            }
            Self::Socket => drop(std::os::unix::net::UnixListener::bind(path)?),
        }
        Ok(())
    }
}

#[test]
fn whatever_stands_in_for_a_message_is_put_away_unopened_and_its_record_waits() -> Result<()> {
    let name = "whatever_stands_in_for_a_message_is_put_away_unopened_and_its_record_waits";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (base, _) = one_mailbox(&cyrus, Layout::ById)?;
    for odd in [
        Odd::Directory,
        Odd::LinkToSecret,
        Odd::LinkToMessage,
        Odd::DanglingLink,
        Odd::NamedPipe,
        Odd::Socket,
    ] {
        let mut known = base.copy()?;
        let files = known.files(INBOX)?;
        // 6 has a record and 50 has none; the lost cache makes the tool rewrite the mailbox.
        let (stood_in, stray, aside) =
            (files.message(4), files.message(50), known.path().join("aside"));
        fs::rename(&stood_in, &aside)?;
        odd.make(&stood_in, known.path())?;
        odd.make(&stray, known.path())?;
        if odd == Odd::Directory {
            // Who may not write to a directory cannot move it.
            [&stood_in, &stray]
                .into_iter()
                .try_for_each(|path| known.cyrus().account().own(path))?;
        }
        fs::remove_file(files.cache.join("cyrus.cache"))?;

        let begun = Instant::now();
        let run = repair(&known, 1).with_context(|| format!("{odd:?}"))?;
        assert!(begun.elapsed() < Duration::from_secs(20), "{odd:?}: nothing is waited for");
        assert_eq!(run.mailbox(INBOX)["state"], "repaired", "{odd:?}: {}", run.stdout);
        assert_eq!(uids_of(&run, "not-a-regular-file"), [4, 50], "{odd:?}: {}", run.stdout);
        assert_eq!(uids_of(&run, "message-missing"), [4], "{odd:?}: {}", run.stdout);
        let there = [&stood_in, &stray].map(|path| fs::symlink_metadata(path).is_ok());
        assert_eq!(there, [false, false], "{odd:?} is out of the server's way");
        assert!(!fs::read(files.index.join("cyrus.index"))?.is_empty());

        // A second run has nothing to add, though damage is left.
        let again = known.check_second_run(&known.reconstruct())?;
        assert_eq!(again.status, Some(1), "{odd:?}");

        // The operator puts the message back.
        fs::rename(&aside, &stood_in)?;
        repair(&known, 0).with_context(|| format!("{odd:?} is away"))?;
        known.check_repaired(&Losses::none()).with_context(|| format!("{odd:?}"))?;
    }
    Ok(())
}

#[test]
fn a_directory_that_we_cannot_move_is_told_and_left() -> Result<()> {
    let name = "a_directory_that_we_cannot_move_is_told_and_left";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    if !cyrus.account().differs_from_ours() {
        return Ok(()); // Only root can make one that is another's.
    }
    let (mut known, files) = one_mailbox(&cyrus, Layout::ById)?;
    let (path, aside) = (files.message(4), known.path().join("aside"));
    fs::rename(&path, &aside)?;
    Odd::Directory.make(&path, known.path())?;
    fs::remove_file(files.cache.join("cyrus.cache"))?;
    let run = repair(&known, 1)?;
    assert_eq!(run.mailbox(INBOX)["state"], "repaired", "{}", run.stdout);
    assert_eq!(run.findings("not-a-regular-file")[0]["remedy"], "left", "{}", run.stdout);
    assert!(path.join("6.").exists());
    fs::remove_dir_all(&path)?;
    fs::rename(&aside, &path)?;
    repair(&known, 0)?;
    known.check_repaired(&Losses::none())
}

#[test]
fn a_message_above_the_last_uid_keeps_the_uid_of_its_name() -> Result<()> {
    let name = "a_message_above_the_last_uid_keeps_the_uid_of_its_name";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, Layout::ByName)?;
    // As a crash between writing the file and writing the record leaves it.
    put(&known, &files.message(21), ORPHAN)?;
    put(&known, &files.message(40), b"Subject: later\r\n\r\n")?;
    known.start_again()?;
    let run = repair(&known, 0)?;
    assert_eq!(uids_of(&run, "message-without-record"), [21, 40], "{}", run.stdout);
    assert_eq!(fetch(&known, 21)?, (ORPHAN.to_vec(), vec![]));
    let mut alice = known.login("alice")?;
    let selected = alice.examine("INBOX")?;
    // More than one file says that the index is an older one: no UID that may have been given out
    // since is given out again.
    assert_eq!(selected.uidnext, 1_041);
    assert!(selected.highestmodseq > known.mailbox_shown(INBOX)?.highestmodseq);
    alice.logout()?;
    known.stop()?;
    known.check_at_rest()?;

    known.start_again()?;
    forget(&mut known, 21)?;
    forget(&mut known, 40)?;
    known.check_repaired(&Losses::none())
}

#[test]
fn a_message_whose_record_was_purged_gets_a_new_uid() -> Result<()> {
    let name = "a_message_whose_record_was_purged_gets_a_new_uid";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, Layout::ById)?;
    // As an interrupted clean-up leaves it: the tombstone is gone, the file is not. Clients were
    // told that UID 5 vanished; it must not come back under that UID.
    let mut index = IndexImage::read(&files.index)?;
    index.remove_record(5)?;
    index.write()?;
    let bytes = fs::read(files.message(5))?;
    let run = repair(&known, 0)?;
    assert_eq!(uids_of(&run, "message-renumbered"), [5], "{}", run.stdout);
    assert!(!files.message(5).exists());
    assert_eq!(fs::read(files.message(21))?, bytes);
    known.start_again()?;
    assert_eq!(fetch(&known, 21)?, (bytes, vec![]));
    assert!(fetch(&known, 5).is_err());
    known.stop()?;
    known.check_at_rest()?;
    known.start_again()?;
    forget(&mut known, 21)?;
    known.check_repaired(&Losses::none())
}

#[test]
fn more_files_than_destroyed_records_between_two_neighbours_all_get_new_uids() -> Result<()> {
    let name = "more_files_than_destroyed_records_between_two_neighbours_all_get_new_uids";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, Layout::ByName)?;
    // The records of 11 and 12 are gone, with one slot left between 10 and 13.
    let mut index = IndexImage::read(&files.index)?;
    index.remove_record(11)?;
    index.record_mut(12)?.fill(0xee);
    index.write()?;
    let bodies = [fs::read(files.message(11))?, fs::read(files.message(12))?];
    let run = repair(&known, 0)?;
    assert_eq!(uids_of(&run, "message-renumbered"), [11, 12], "{}", run.stdout);
    known.start_again()?;
    for (uid, body) in [21, 22].into_iter().zip(bodies) {
        assert_eq!(fetch(&known, uid)?, (body, vec![]));
    }
    known.stop()?;
    known.check_at_rest()
}

#[test]
fn a_tombstones_file_stays_expunged_when_all_around_it_is_lost() -> Result<()> {
    let name = "a_tombstones_file_stays_expunged_when_all_around_it_is_lost";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, Layout::ById)?;
    let mut index = IndexImage::read(&files.index)?;
    for uid in [2, 3, 4, 6, 7, 8] {
        index.record_mut(uid)?.fill(0xee);
    }
    index.write()?;
    fs::remove_file(files.cache.join("cyrus.cache"))?;
    known.start_again()?;
    repair(&known, 0)?;
    known.check_repaired(&Losses::of_records(INBOX, [2, 3, 4, 6, 7, 8]))
}

/// The mailbox in which 5 has a file and no record, and so gets UID 21.
fn with_a_message_to_renumber(cyrus: &Cyrus) -> Result<(KnownStore, MailboxFiles, Vec<u8>)> {
    let (known, files) = one_mailbox(cyrus, Layout::ById)?;
    let mut index = IndexImage::read(&files.index)?;
    index.remove_record(5)?;
    index.write()?;
    let bytes = fs::read(files.message(5))?;
    Ok((known, files, bytes))
}

fn must_be_once_under_21(known: &mut KnownStore, files: &MailboxFiles, bytes: &[u8]) -> Result<()> {
    assert!(!files.message(5).exists(), "the old name is put away");
    known.start_again()?;
    assert_eq!(fetch(known, 21)?.0, bytes);
    let mut alice = known.login("alice")?;
    assert_eq!(alice.examine("INBOX")?.uidnext, 22, "and it is there once");
    assert_eq!(alice.search("ALL")?.iter().filter(|&&uid| uid == 5 || uid > 20).count(), 1);
    alice.logout()?;
    known.stop()?;
    known.check_at_rest()
}

#[test]
fn a_renumbering_cut_short_before_the_index_is_finished_without_a_second_copy() -> Result<()> {
    let name = "a_renumbering_cut_short_before_the_index_is_finished_without_a_second_copy";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files, bytes) = with_a_message_to_renumber(&cyrus)?;
    let old = ["cyrus.index", "cyrus.cache"].map(|name| files.index.join(name));
    let (old_index, old_cache) = (fs::read(&old[0])?, fs::read(&old[1])?);
    // The second name has been made, and noted; nothing else has happened.
    repair(&known, 0)?;
    fs::hard_link(files.message(21), files.message(5))?;
    fs::write(&old[0], old_index)?;
    fs::write(&old[1], old_cache)?;
    repair(&known, 0)?;
    must_be_once_under_21(&mut known, &files, &bytes)
}

#[test]
fn a_renumbering_cut_short_after_the_index_is_finished_without_a_second_copy() -> Result<()> {
    let name = "a_renumbering_cut_short_after_the_index_is_finished_without_a_second_copy";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files, bytes) = with_a_message_to_renumber(&cyrus)?;
    // The old name has not been put away.
    repair(&known, 0)?;
    fs::hard_link(files.message(21), files.message(5))?;
    repair(&known, 0)?;
    must_be_once_under_21(&mut known, &files, &bytes)
}

#[test]
fn what_is_no_messages_name_and_no_mail_is_told_and_left() -> Result<()> {
    let name = "what_is_no_messages_name_and_no_mail_is_told_and_left";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, Layout::ByName)?;
    let strays: Vec<PathBuf> = ["core", "0.", "07.", "4294967296.", "5..", "22.bak", "no\nnewline"]
        .into_iter()
        .map(|name| files.data.join(name))
        .collect();
    for path in &strays {
        put(&known, path, b"TODO: look at this\n")?;
    }
    let run = repair(&known, 1)?;
    assert_eq!(run.findings("odd-entry").len(), strays.len(), "{}", run.stdout);
    assert!(strays.iter().all(|path| path.exists()));
    strays.iter().try_for_each(fs::remove_file)?;
    known.check_repaired(&Losses::none())
}

#[test]
fn an_empty_message_file_is_put_away_and_its_record_waits() -> Result<()> {
    let name = "an_empty_message_file_is_put_away_and_its_record_waits";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, Layout::ById)?;
    let bytes = fs::read(files.message(8))?;
    fs::write(files.message(8), b"")?;
    put(&known, &files.message(30), b"")?;
    let run = repair(&known, 1)?;
    assert_eq!(uids_of(&run, "message-empty"), [8, 30], "{}", run.stdout);
    assert_eq!(uids_of(&run, "message-missing"), [8], "{}", run.stdout);
    assert!(!files.message(8).exists() && !files.message(30).exists());
    put(&known, &files.message(8), &bytes)?;
    known.check_repaired(&Losses::none())
}
