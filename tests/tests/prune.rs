//! `--prune` takes messages that are proved absent out of sight, and nothing else: never what
//! cannot be read, never more than its fuse allows, and never for good.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mailstore_format::index::{IndexFile, IndexRecord};
use mailstore_tests::{
    Account, Cyrus, Expect, Fixture, Layout, MailboxSnapshot, Reconstruct, Server, ServerOptions,
    Snapshot, ToolRun, Tree, populate,
};
use serde_json::Value;

const SEED: u64 = 20_061_109;
/// Of `cyr_expire`: every tombstone at once.
const EXPIRE: [&str; 4] = ["-E", "1", "-X", "0"];

/// Message files that lie elsewhere for a while.
struct MovedFiles {
    directory: PathBuf,
    elsewhere: tempfile::TempDir,
    names: Vec<String>,
}

impl MovedFiles {
    fn take(directory: &Path, uids: &[u32]) -> Result<Self> {
        let elsewhere = tempfile::tempdir()?;
        let names: Vec<String> = uids.iter().map(|uid| format!("{uid}.")).collect();
        for name in &names {
            let (from, to) = (directory.join(name), elsewhere.path().join(name));
            fs::rename(&from, &to).with_context(|| format!("can't move {}", from.display()))?;
        }
        Ok(Self { directory: directory.to_owned(), elsewhere, names })
    }

    fn put_back(&self) -> Result<()> {
        for name in &self.names {
            fs::rename(self.elsewhere.path().join(name), self.directory.join(name))?;
        }
        Ok(())
    }
}

/// The lines of all journals below a partition's root.
fn journal(root: &Path) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    let files = Tree::read(&root.join(".mailstore-recovery"))?;
    for path in files.entries.keys().filter(|path| path.ends_with("journal.jsonl")) {
        let text = fs::read_to_string(root.join(".mailstore-recovery").join(path))?;
        for line in text.lines() {
            lines.push(serde_json::from_str(line)?);
        }
    }
    Ok(lines)
}

fn inbox(snapshot: &Snapshot) -> Result<&MailboxSnapshot> {
    snapshot.mailboxes.get("INBOX").context("an INBOX")
}

/// Five messages of an INBOX: with keywords, without, the annotated one, and the last.
fn five(inbox: &MailboxSnapshot) -> Vec<u32> {
    let uids: Vec<u32> = inbox.messages.keys().copied().collect();
    let with_keywords = |uid: &&u32| {
        inbox.messages[uid].flags.iter().any(|flag| !flag.starts_with('\\') && !flag.is_empty())
    };
    let mut chosen: Vec<u32> = uids.iter().filter(with_keywords).take(3).copied().collect();
    chosen.extend([6, *uids.last().unwrap_or(&6)]);
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn run(server: &Server, arguments: &[&str]) -> Result<ToolRun> {
    Reconstruct::new(server).args(arguments).arg("--json").run()
}

/// What must be the same before a prune and when it was undone, `after` with what was pruned taken
/// out of `before`.
fn without(before: &Snapshot, pruned: &[u32]) -> Snapshot {
    let mut expected = before.clone();
    if let Some(inbox) = expected.mailboxes.get_mut("INBOX") {
        inbox.messages.retain(|uid, _| !pruned.contains(uid));
    }
    expected
}

fn assert_shows(server: &Server, expected: &Snapshot) -> Result<()> {
    let differences = expected.differences(&Snapshot::take(server, "alice")?, Expect::SameContent);
    ensure!(differences.is_empty(), "{differences}");
    assert_eq!(server.deaths(), [""; 0]);
    Ok(())
}

#[test]
fn pruned_messages_are_expunged_and_come_back_with_their_files() -> Result<()> {
    const NAME: &str = "pruned_messages_are_expunged_and_come_back_with_their_files";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById).with_conversations();
    let server = Server::start(&cyrus, options)?;
    populate(&server, SEED)?;
    let before = Snapshot::take(&server, "alice")?;
    let uids = five(inbox(&before)?);
    assert_eq!(uids.len(), 5, "{uids:?}");
    let directory = server.mailbox_dir("user.alice")?;
    // A client that knows the mailbox through all of it.
    let mut session = server.login("alice")?;
    session.select("INBOX")?;
    let files = MovedFiles::take(&directory, &uids)?;

    let prune = run(&server, &["--user", "alice", "--prune"])?;
    assert_eq!(prune.status, Some(0), "{prune:#?}");
    assert_eq!(prune.findings("pruned").len(), 5, "{prune:#?}");
    assert_shows(&server, &without(&before, &uids))?;
    session.noop()?;

    let lines = journal(&server.spool())?;
    let by_uid: BTreeMap<u64, &Value> =
        lines.iter().filter_map(|line| Some((line["uid"].as_u64()?, line))).collect();
    for uid in &uids {
        let message = &inbox(&before)?.messages[uid];
        let line = by_uid[&u64::from(*uid)];
        assert_eq!(line["guid"], message.body, "{line}");
        assert_eq!(line["size"], message.size, "{line}");
        assert_eq!(line["modseq"], message.modseq, "{line}");
        let keywords = line["keywords"].as_array().context("keywords are a list")?;
        let mut named: Vec<&str> = keywords.iter().filter_map(|pair| pair[1].as_str()).collect();
        named.sort_unstable();
        let mut flags: Vec<&str> = message.flags.iter().map(String::as_str).collect();
        flags.retain(|flag| !flag.starts_with('\\'));
        assert_eq!(named, flags, "{line}");
        let thread = format!("{:016x}", line["thread_id"].as_u64().context("a thread id")?);
        assert!(message.thread_id.contains(&thread), "{line} {}", message.thread_id);
        let comments = line["annotations"].as_array().context("annotations are a list")?;
        let commented = comments.iter().any(|note| note["entry"] == "/comment");
        assert_eq!(commented, *uid == 6, "{line}");
        assert!(line["internaldate"].as_i64() > Some(0), "{line}");
    }

    let again = run(&server, &["--user", "alice", "--prune"])?;
    assert_eq!((again.status, &again.summary()["repaired"]), (Some(0), &Value::from(0)));

    // A client that was told of the expunge must not meet the messages again in the same session:
    // Cyrus 3.6 ends it with an assertion (`index_refresh_locked` in `imap/index.c`).
    session.logout()?;
    files.put_back()?;
    let restore = run(&server, &["--user", "alice"])?;
    assert_eq!(restore.status, Some(0), "{restore:#?}");
    assert_eq!(restore.findings("pruned-restored").len(), 5, "{restore:#?}");
    assert_shows(&server, &before)?;
    let mut session = server.login("alice")?;
    session.select("INBOX")?;
    session.store("1:*", "+FLAGS (later-still)")?;
    session.store("1:*", "-FLAGS (later-still)")?;
    session.logout()?;
    assert_shows(&server, &before)?;
    let third = run(&server, &["--user", "alice", "--check", "full"])?;
    assert_eq!((third.status, &third.summary()["repaired"]), (Some(0), &Value::from(0)));
    Ok(())
}

#[test]
fn pruned_messages_come_back_even_after_the_server_purged_their_tombstones() -> Result<()> {
    const NAME: &str = "pruned_messages_come_back_even_after_the_server_purged_their_tombstones";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ByName))?;
    populate(&server, SEED)?;
    let before = Snapshot::take(&server, "alice")?;
    // The server forgets a message's annotations with its tombstone.
    let uids: Vec<u32> = five(inbox(&before)?).into_iter().filter(|uid| *uid != 6).collect();
    let files = MovedFiles::take(&server.mailbox_dir("user.alice")?, &uids)?;
    let prune = run(&server, &["--mailbox", "user.alice", "--prune"])?;
    assert_eq!(prune.status, Some(0), "{prune:#?}");
    let expired = without(&before, &uids);
    server.tool_output("cyr_expire", &EXPIRE)?;
    assert_shows(&server, &expired)?;
    assert_eq!(unlinked(&server)?, [0_u32; 0], "the server forgot the records");
    files.put_back()?;
    let restore = run(&server, &["--mailbox", "user.alice"])?;
    assert_eq!(restore.status, Some(0), "{restore:#?}");
    assert_shows(&server, &before)?;
    server.tool_output("cyr_expire", &EXPIRE)?;
    assert_shows(&server, &before)
}

/// UIDs of an INBOX's records that order the server to remove their files.
fn unlinked(server: &Server) -> Result<Vec<u32>> {
    let bytes = fs::read(server.mailbox_dir("user.alice")?.join("cyrus.index"))?;
    let records = IndexFile::open(&bytes)?.slots().map(|slot| slot.record);
    Ok(records.filter(IndexRecord::is_unlinked).map(|record| record.uid.0).collect())
}

/// A fixture that belongs to the account that servers run as, and a directory of erin's INBOX in it.
fn erins_inbox() -> Result<(Fixture, PathBuf, Vec<u32>)> {
    let fixture = Fixture::unpack(Fixture::BY_ID)?;
    fixture.without("sync_host")?;
    fixture.give_to(&Account::for_servers()?)?;
    let directory = fixture.mailbox_dir("user.erin")?;
    let bytes = fs::read(directory.join("cyrus.index"))?;
    let records = IndexFile::open(&bytes)?.slots().map(|slot| slot.record);
    let live = records.filter(|record| !record.is_expunged()).map(|record| record.uid.0).collect();
    Ok((fixture, directory, live))
}

/// Runs it, and asserts that nothing was pruned or changed.
fn assert_refused(fixture: &Fixture, arguments: &[&str], says: &str) -> Result<()> {
    let before = Tree::read(&fixture.path())?;
    let tool = fixture.reconstruct().args(["--mailbox", "user.erin", "--json", "--prune"]);
    let run = tool.args(arguments).run()?;
    assert_eq!(run.status, Some(1), "{run:#?}");
    let refusals = run.findings("prune-refused");
    assert!(refusals.len() == 1 && refusals[0]["detail"].to_string().contains(says), "{run:#?}");
    assert!(run.findings("pruned").is_empty(), "{run:#?}");
    assert_eq!(before.differences(&Tree::read(&fixture.path())?), [""; 0], "{run:#?}");
    Ok(())
}

fn prunes(fixture: &Fixture, arguments: &[&str]) -> Result<usize> {
    let tool = fixture.reconstruct().args(["--mailbox", "user.erin", "--json", "--prune"]);
    let run = tool.args(arguments).run()?;
    assert_eq!(run.status, Some(0), "{run:#?}");
    Ok(run.findings("pruned").len())
}

#[test]
fn more_than_ten_messages_of_a_small_mailbox_are_pruned_only_when_told_so() -> Result<()> {
    let (fixture, directory, live) = erins_inbox()?;
    let _away = MovedFiles::take(&directory, &live[..11])?;
    assert_refused(&fixture, &[], "--max-prune")?;
    assert_refused(&fixture, &["--max-prune", "2"], "--max-prune")?;
    assert_eq!(prunes(&fixture, &["--max-prune", "50"])?, 11);

    let (fixture, directory, live) = erins_inbox()?;
    let _away = MovedFiles::take(&directory, &live[..10])?;
    assert_eq!(prunes(&fixture, &[])?, 10);
    Ok(())
}

#[test]
fn a_dry_run_tells_what_would_be_pruned_and_does_not() -> Result<()> {
    let (fixture, directory, live) = erins_inbox()?;
    let _away = MovedFiles::take(&directory, &live[..3])?;
    let before = Tree::read(&fixture.path())?;
    let tool = fixture.reconstruct().args(["-n", "--user", "erin", "--prune", "--json"]);
    let run = tool.run()?;
    assert_eq!((run.status, run.findings("pruned").len()), (Some(1), 3), "{run:#?}");
    assert_eq!(before.differences(&Tree::read(&fixture.path())?), [""; 0]);
    Ok(())
}

#[test]
fn a_replicated_store_is_pruned_only_when_told_so() -> Result<()> {
    let (fixture, directory, live) = erins_inbox()?;
    fixture.configure("sync_host: replica.example.com")?;
    let _away = MovedFiles::take(&directory, &live[..2])?;
    assert_refused(&fixture, &[], "--even-on-replica")?;
    assert_refused(&fixture, &["--max-prune", "100"], "--even-on-replica")?;
    assert_eq!(prunes(&fixture, &["--even-on-replica"])?, 2);
    Ok(())
}

#[test]
fn a_message_that_cannot_be_read_is_never_taken_for_absent() -> Result<()> {
    let (fixture, directory, live) = erins_inbox()?;
    for uid in &live[..3] {
        // Other mailboxes may have links to the same file.
        let path = directory.join(format!("{uid}."));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000))?;
    }
    let _away = MovedFiles::take(&directory, &live[3..5])?;
    let tool = fixture.reconstruct().args(["--mailbox", "user.erin", "--json", "--prune"]);
    let run = tool.args(["--check", "full"]).run()?;
    assert_eq!(run.status, Some(1), "{run:#?}");
    let pruned: Vec<u64> =
        run.findings("pruned").iter().filter_map(|one| one["uid"].as_u64()).collect();
    assert_eq!(pruned, live[3..5].iter().copied().map(u64::from).collect::<Vec<_>>(), "{run:#?}");
    assert_eq!(run.findings("message-unreadable").len(), 3, "{run:#?}");
    let index = directory.join("cyrus.index");
    let bytes = fs::read(&index)?;
    let records: Vec<IndexRecord> =
        IndexFile::open(&bytes)?.slots().map(|slot| slot.record).collect();
    for uid in &live[..3] {
        let record = records.iter().find(|record| record.uid.0 == *uid).context("its record")?;
        assert!(!record.is_expunged(), "{record:?}");
    }
    Ok(())
}
