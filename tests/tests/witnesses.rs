//! What is lost of a mailbox's own files, and known elsewhere on the server: other mailboxes'
//! keywords, conversations, what users have seen.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use mailstore_format::header_file::HeaderFile;
use mailstore_tests::{
    Cyrus, Expect, KnownStore, Layout, Losses, MailboxFiles, NewMessage, ServerOptions, Snapshot,
    ToolRun,
};

const INBOX: &str = "user.alice";
const SENT: &str = "user.alice.Sent";

/// Repairs `known`, which must find this code.
fn repair(known: &KnownStore, code: &str) -> Result<ToolRun> {
    let run = known.reconstruct().run()?;
    let said = format!("{}{}", run.stdout, run.stderr);
    ensure!(run.status == Some(0), "exit status {:?}: {said}", run.status);
    ensure!(!run.findings(code).is_empty(), "no finding {code}: {said}");
    Ok(run)
}

fn header_path(files: &MailboxFiles) -> std::path::PathBuf {
    files.header.join("cyrus.header")
}

#[test]
fn keywords_of_a_lost_header_file_come_back_from_the_other_mailboxes() -> Result<()> {
    let name = "keywords_of_a_lost_header_file_come_back_from_the_other_mailboxes";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    for (layout, seed) in [(Layout::ById, 3), (Layout::ByName, 4)] {
        let mut known = KnownStore::populated(&cyrus, ServerOptions::new(layout), seed)?;
        let path = header_path(&known.files(SENT)?);
        let lost = fs::read(&path)?;
        fs::remove_file(&path)?;
        let run = repair(&known, "keywords-proved")?;
        ensure!(run.findings("keyword-unnamed").is_empty(), "{}", run.stdout);
        ensure!(fs::read(&path)? == lost, "it is not the file that was lost");
        known.check_repaired(&Losses::none())?;
    }
    Ok(())
}

#[test]
fn keywords_are_proved_by_the_checksum_for_replication_where_one_of_them_is_unknown() -> Result<()>
{
    let name = "keywords_are_proved_by_the_checksum_for_replication_where_one_of_them_is_unknown";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let known = KnownStore::populated(&cyrus, ServerOptions::new(Layout::ById), 5)?;
    // `passing` is on no message any more, and no other mailbox has it: it alone is lost.
    let path = header_path(&known.files(INBOX)?);
    let before = HeaderFile::decode(&fs::read(&path)?)?;
    fs::write(&path, b"")?;
    let mut known = known;
    let run = repair(&known, "keywords-proved")?;
    ensure!(run.findings("header-file-damaged").len() == 1, "{}", run.stdout);
    let after = HeaderFile::decode(&fs::read(&path)?)?;
    let missing =
        before.flag_names.iter().filter(|(slot, _)| after.flag_names.get(*slot).is_none());
    let missing: Vec<_> = missing.map(|(_, name)| name.to_vec()).collect();
    assert_eq!(missing, [b"passing".to_vec()]);
    known.check_repaired(&Losses::none())
}

#[test]
fn a_flipped_bit_in_a_header_file_is_put_right_wherever_it_is() -> Result<()> {
    let name = "a_flipped_bit_in_a_header_file_is_put_right_wherever_it_is";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let known = KnownStore::with_one_mailbox(&cyrus, ServerOptions::new(Layout::ById))?;
    let path = header_path(&known.files(INBOX)?);
    let sound = fs::read(&path)?;
    let text = |needle: &[u8]| sound.windows(needle.len()).position(|found| found == needle);
    let keyword = text(b"later").context("the keyword")?;
    let id = text(b" I ").context("the unique id")?;
    for position in [0, 40, id, id + 5, keyword + 1, sound.len() - 1] {
        let mut damaged = sound.clone();
        damaged[position] ^= 0x04;
        fs::write(&path, &damaged)?;
        repair(&known, "header-file-damaged").with_context(|| format!("byte {position}"))?;
        assert_eq!(fs::read(&path)?, sound, "byte {position}");
    }
    Ok(())
}

#[test]
fn of_a_lost_index_conversations_bring_back_flags_dates_threads_and_tombstones() -> Result<()> {
    let name = "of_a_lost_index_conversations_bring_back_flags_dates_threads_and_tombstones";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    for layout in [Layout::ById, Layout::ByName] {
        let options = ServerOptions::new(layout).with_conversations();
        let mut known = KnownStore::with_one_mailbox(&cyrus, options)?;
        let files = known.files(INBOX)?;
        fs::remove_file(files.index.join("cyrus.index"))?;
        // Nothing but the conversations tells when the messages came.
        for uid in files.messages()?.keys() {
            let file = fs::File::options().append(true).open(files.message(*uid))?;
            file.set_modified(std::time::SystemTime::now())?;
        }
        let run = repair(&known, "index-missing")?;
        known.start_again()?;
        let mut after = Snapshot::take(&known, "alice")?;
        known.stop()?;
        let before = known.shown().get("alice").context("what alice saw")?;
        let mut expected = before.clone();
        let inbox = expected.mailboxes.get_mut("INBOX").context("the INBOX")?;
        for message in inbox.messages.values_mut() {
            // Keywords and the time of saving only the index knew.
            message.flags.retain(|flag| flag.starts_with('\\'));
            message.savedate.clear();
            message.modseq = 0;
        }
        for message in after.mailboxes.values_mut().flat_map(|inbox| inbox.messages.values_mut()) {
            message.savedate.clear();
            message.modseq = 0;
        }
        let differences = expected.differences(&after, Expect::SameContent);
        assert!(differences.is_empty(), "{layout:?}: {differences}\n{}", run.stdout);
        known.check_at_rest()?;
    }
    Ok(())
}

/// What happens after the copy of the index was made that is then laid over.
fn live_on(known: &KnownStore) -> Result<()> {
    let mut alice = known.login("alice")?;
    alice.select("INBOX")?;
    alice.store("3,11", "+FLAGS (\\Flagged)")?;
    alice.store("4", "-FLAGS (\\Seen)")?;
    alice.store("7,12", "+FLAGS (\\Deleted)")?;
    alice.ok("UID EXPUNGE 7,12")?;
    let new = NewMessage {
        flags: Vec::new(),
        internaldate: None,
        bytes: b"From: new@example.com\r\nSubject: new\r\n\r\nAfter the backup.\r\n".to_vec(),
    };
    alice.append_all("INBOX", &[new])?;
    alice.unselect()?;
    alice.logout()
}

#[test]
fn an_older_index_laid_over_costs_no_system_flag_and_brings_nothing_back() -> Result<()> {
    let name = "an_older_index_laid_over_costs_no_system_flag_and_brings_nothing_back";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById).with_conversations();
    let mut before = KnownStore::with_one_mailbox(&cyrus, options)?;
    let files = before.files(INBOX)?;
    let older = fs::read(files.index.join("cyrus.index"))?;
    before.start_again()?;
    live_on(&before)?;
    let newest = Snapshot::take(&before, "alice")?;
    before.stop()?;

    fs::write(files.index.join("cyrus.index"), older)?;
    let run = repair(&before, "index-older")?;
    ensure!(run.findings("message-renumbered").is_empty(), "{}", run.stdout);
    before.start_again()?;
    let after = Snapshot::take(&before, "alice")?;
    let differences = newest.differences(&after, Expect::IndexLost);
    assert!(differences.is_empty(), "{differences}\n{}", run.stdout);
    let flags = |snapshot: &Snapshot| -> Result<Vec<(u32, Vec<String>)>> {
        let inbox = snapshot.mailboxes.get("INBOX").context("the INBOX")?;
        Ok(inbox.messages.iter().map(|(uid, message)| (*uid, message.flags.clone())).collect())
    };
    assert_eq!(flags(&after)?, flags(&newest)?);
    assert_eq!(before.deaths(), [""; 0]);
    before.stop()?;
    before.check_at_rest()
}

#[test]
fn the_index_of_another_mailbox_is_not_mixed_into_this_one() -> Result<()> {
    let name = "the_index_of_another_mailbox_is_not_mixed_into_this_one";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    for with_cache in [false, true] {
        let options = ServerOptions::new(Layout::ById);
        let mut known = KnownStore::populated(&cyrus, options, 6)?;
        let (own, other) = (known.files(SENT)?, known.files(INBOX)?);
        fs::copy(other.index.join("cyrus.index"), own.index.join("cyrus.index"))?;
        if with_cache {
            fs::copy(other.cache.join("cyrus.cache"), own.cache.join("cyrus.cache"))?;
        }
        let run = repair(&known, "index-foreign")?;
        ensure!(run.findings("message-renumbered").is_empty(), "{}", run.stdout);
        known.check_repaired(&Losses::of_indexes([SENT.to_owned()]))?;
    }
    Ok(())
}

#[test]
fn what_another_user_has_seen_tells_that_a_uid_was_given_out() -> Result<()> {
    let name = "what_another_user_has_seen_tells_that_a_uid_was_given_out";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    // Bob reads in Alice's archive; then her index and her last message are lost.
    let mut known = KnownStore::populated(&cyrus, ServerOptions::new(Layout::ById), 8)?;
    known.start_again()?;
    let mut bob = known.login("bob")?;
    bob.select("user.alice.Archive")?;
    bob.store("20", "+FLAGS (\\Seen)")?;
    bob.unselect()?;
    bob.logout()?;
    known.stop()?;
    let files = known.files("user.alice.Archive")?;
    fs::remove_file(files.index.join("cyrus.index"))?;
    let messages = files.messages()?;
    let (last, _) = messages.last_key_value().context("a message")?;
    let told = |run: &ToolRun| run.findings("last-uid-unproven")[0]["detail"].to_string();
    let with_all = told(&known.reconstruct().arg("-n").run()?);
    assert!(with_all.contains(&format!("known is {last};")), "{with_all}");
    fs::remove_file(files.message(*last))?;
    let seen = told(&known.reconstruct().arg("-n").run()?);
    assert!(seen.contains(&format!("known is {last};")), "{seen}");
    Ok(())
}
