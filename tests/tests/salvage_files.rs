//! Message files that were mixed up, cut, badly named or copied: each message comes back once, under
//! its own UID wherever a record or another witness tells it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{
    Cyrus, IndexImage, KnownStore, Layout, Losses, MailboxFiles, Server, ServerOptions, ToolRun,
    populate_one,
};

const INBOX: &str = "user.alice";

/// Alice's INBOX with the messages 1 to 20, its server at rest.
fn one_mailbox(cyrus: &Cyrus, options: ServerOptions) -> Result<(KnownStore, MailboxFiles)> {
    let known = KnownStore::with_one_mailbox(cyrus, options)?;
    let files = known.files(INBOX)?;
    Ok((known, files))
}

/// Repairs, and then finds nothing more to do; `status` is that of both runs.
fn repair(known: &KnownStore, status: i32) -> Result<ToolRun> {
    let run = known.reconstruct().run()?;
    let said = format!("{}{}", run.stdout, run.stderr);
    ensure!(run.status == Some(status), "exit status {:?}: {said}", run.status);
    ensure!(run.mailbox(INBOX)["state"] == "repaired", "{said}");
    let again = known.check_second_run(&known.reconstruct()).context(said)?;
    ensure!(again.status == Some(status), "exit status {:?}: {}", again.status, again.stdout);
    Ok(run)
}

fn uids_of(run: &ToolRun, code: &str) -> Vec<u64> {
    run.findings(code).iter().filter_map(|finding| finding["uid"].as_u64()).collect()
}

/// A file that belongs to the server's account.
fn put(known: &KnownStore, path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes)?;
    known.cyrus().account().own(path)
}

fn swap(one: &Path, other: &Path) -> Result<()> {
    let between = one.with_extension("between");
    fs::rename(one, &between)?;
    fs::rename(other, one)?;
    Ok(fs::rename(between, other)?)
}

/// Names in the mailbox's directory that are neither messages 1 to 20 nor the server's.
fn other_names(files: &MailboxFiles) -> Result<Vec<PathBuf>> {
    let own: Vec<PathBuf> = (1..=20).map(|uid| files.message(uid)).collect();
    let mut names = Vec::new();
    for entry in fs::read_dir(&files.data)? {
        let entry = entry?;
        let of_server = entry.file_name().to_string_lossy().starts_with("cyrus.");
        if !of_server && entry.file_type()?.is_file() && !own.contains(&entry.path()) {
            names.push(entry.path());
        }
    }
    Ok(names)
}

#[test]
fn swapped_files_are_under_their_own_names_again() -> Result<()> {
    let name = "swapped_files_are_under_their_own_names_again";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    for layout in [Layout::ById, Layout::ByName] {
        let (mut known, files) = one_mailbox(&cyrus, ServerOptions::new(layout))?;
        swap(&files.message(3), &files.message(9))?;
        swap(&files.message(9), &files.message(14))?;
        let run = repair(&known, 0)?;
        assert_eq!(uids_of(&run, "message-put-back"), [3, 9, 14], "{}", run.stdout);
        assert_eq!(other_names(&files)?, [] as [PathBuf; 0]);
        known.check_repaired(&Losses::none())?;
    }
    Ok(())
}

#[test]
fn a_shifted_run_of_files_is_shifted_back() -> Result<()> {
    let name = "a_shifted_run_of_files_is_shifted_back";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, ServerOptions::new(Layout::ById))?;
    let there: Vec<u32> = (3..=19).filter(|&uid| files.message(uid).exists()).collect();
    let last = *there.last().context("messages")?;
    let overwritten = fs::read(files.message(last))?;
    for pair in there.windows(2).rev() {
        fs::rename(files.message(pair[0]), files.message(pair[1]))?;
    }
    let run = known.reconstruct().run()?;
    assert_eq!(uids_of(&run, "message-missing"), [u64::from(last)], "{}", run.stdout);
    assert!(!files.message(last).exists(), "no other message has its name");
    let put_back = uids_of(&run, "message-put-back");
    assert_eq!(put_back.len(), there.len() - 1, "{}", run.stdout);
    known.check_second_run(&known.reconstruct())?;
    // The last one comes back from a backup.
    put(&known, &files.message(last), &overwritten)?;
    known.check_repaired(&Losses::none())
}

#[test]
fn line_ends_that_a_copy_dropped_come_back_with_the_message() -> Result<()> {
    let name = "line_ends_that_a_copy_dropped_come_back_with_the_message";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, ServerOptions::new(Layout::ByName))?;
    let mut changed = Vec::new();
    for uid in 1..=20 {
        let path = files.message(uid);
        let Ok(bytes) = fs::read(&path) else { continue };
        let mtime = fs::metadata(&path)?.modified()?;
        let text: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != b'\r').collect();
        if text != bytes {
            put(&known, &path, &text)?;
            fs::File::options().write(true).open(&path)?.set_modified(mtime)?;
            changed.push(u64::from(uid));
        }
    }
    let run = repair(&known, 0)?;
    assert_eq!(uids_of(&run, "line-ends-restored"), changed, "{}", run.stdout);
    known.check_repaired(&Losses::none())
}

#[test]
fn messages_under_bad_names_are_put_under_their_own() -> Result<()> {
    let name = "messages_under_bad_names_are_put_under_their_own";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, ServerOptions::new(Layout::ById))?;
    for (uid, bad) in [(3, "003."), (9, "9"), (14, "99999999999."), (17, "x.")] {
        fs::rename(files.message(uid), files.data.join(bad))?;
    }
    let copy = files.data.join("12.bak");
    put(&known, &copy, &fs::read(files.message(12))?)?;
    let run = repair(&known, 0)?;
    assert_eq!(uids_of(&run, "message-put-back"), [3, 9, 14, 17], "{}", run.stdout);
    assert_eq!(run.findings("copy").len(), 1, "{}", run.stdout);
    assert_eq!(other_names(&files)?, [] as [PathBuf; 0]);
    known.check_repaired(&Losses::none())
}

#[test]
fn a_badly_named_message_that_no_record_knows_is_served_under_a_new_uid() -> Result<()> {
    let name = "a_badly_named_message_that_no_record_knows_is_served_under_a_new_uid";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, ServerOptions::new(Layout::ById))?;
    let bytes = b"Subject: found\r\nFrom: a@example.org\r\n\r\nbody\r\n";
    put(&known, &files.data.join("0."), bytes)?;
    let run = repair(&known, 0)?;
    assert_eq!(run.findings("stray-message").len(), 1, "{}", run.stdout);
    known.start_again()?;
    let mut alice = known.login("alice")?;
    alice.select("INBOX")?;
    let fetched = alice.fetch("21", "(BODY.PEEK[])")?;
    assert_eq!(fetched[0].item("BODY[]")?.bytes(), Some(bytes.as_slice()));
    alice.store("21", "+FLAGS (\\Deleted)")?;
    alice.ok("UID EXPUNGE 21")?;
    alice.logout()?;
    known.stop()?;
    known.check_repaired(&Losses::none())
}

#[test]
fn a_copy_that_its_owner_made_comes_back_from_the_other_copy() -> Result<()> {
    let name = "a_copy_that_its_owner_made_comes_back_from_the_other_copy";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    populate_one(&server)?;
    let mut alice = server.login("alice")?;
    alice.select("INBOX")?;
    alice.copy("12", "INBOX")?;
    alice.logout()?;
    let mut known = KnownStore::of(server, &["alice"])?;
    let files = known.files(INBOX)?;
    fs::remove_file(files.message(21))?;
    let run = repair(&known, 0)?;
    assert_eq!(uids_of(&run, "message-put-back"), [21], "{}", run.stdout);
    known.check_repaired(&Losses::none())
}

#[test]
fn of_two_records_of_one_message_that_one_counts_whose_message_the_file_is() -> Result<()> {
    let name = "of_two_records_of_one_message_that_one_counts_whose_message_the_file_is";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (mut known, files) = one_mailbox(&cyrus, ServerOptions::new(Layout::ById))?;
    let mut index = IndexImage::read(&files.index)?;
    // A record of another message, newer than the own one, claims the UID.
    index.append_copy_of(14)?;
    let highest = index.header("highestmodseq")?;
    index.set_record(14, "modseq", highest)?;
    index.set_record(14, "uid", 3)?;
    index.write()?;
    let run = repair(&known, 0)?;
    assert_eq!(run.findings("record-duplicate").len(), 1, "{}", run.stdout);
    known.check_repaired(&Losses::none())
}
