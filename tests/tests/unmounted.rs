//! A file system that is not mounted looks like a store whose mail is gone. Nothing may be done
//! about that, whatever the operator allowed, and when it is back everything is as before.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{
    Cyrus, Expect, Layout, Reconstruct, Server, ServerOptions, Snapshot, Store, ToolRun, Tree,
    USERS, populate,
};

const SEED: u64 = 20_061_108;

/// How an operator in a hurry might run it.
const RUNS: [&[&str]; 3] = [
    &["--all", "--json"],
    &["--all", "--check", "full", "--json"],
    &["--all", "--prune", "--max-prune", "100", "--json"],
];

/// Something of a store that lies elsewhere for a while.
struct Away {
    place: PathBuf,
    elsewhere: PathBuf,
    parent: (PathBuf, std::time::SystemTime),
}

impl Away {
    fn take(store: &Store, place: &Path) -> Result<Self> {
        let parent = place.parent().context("nobody moves the root")?;
        let parent = (parent.to_owned(), fs::metadata(parent)?.modified()?);
        let name = format!("{}-away", store.path().file_name().context("a name")?.display());
        let elsewhere = store.path().with_file_name(name);
        fs::rename(place, &elsewhere)?;
        Ok(Self { place: place.to_owned(), elsewhere, parent })
    }

    /// Puts it back and leaves no trace of its having been away.
    fn put_back(self) -> Result<()> {
        if self.place.is_dir() {
            fs::remove_dir_all(&self.place)?;
        }
        fs::rename(&self.elsewhere, &self.place)?;
        Ok(fs::File::open(&self.parent.0)?.set_modified(self.parent.1)?)
    }
}

fn run(store: &Store, arguments: &[&str]) -> Result<ToolRun> {
    Reconstruct::new(store).args(arguments).run()
}

/// Runs it in every way, and asserts that it neither wrote anything nor said that all is well.
fn assert_left_alone(store: &Store, what: &str, says: &str) -> Result<()> {
    let before = Tree::read(store.path())?;
    for arguments in RUNS {
        let run = run(store, arguments)?;
        let label = format!("{what}: {arguments:?}: {run:#?}");
        assert!(matches!(run.status, Some(1 | 2)), "{label}");
        let found = run.findings("partition-unavailable");
        assert!(!found.is_empty(), "{label}");
        assert!(found.iter().all(|one| one["detail"].to_string().contains(says)), "{label}");
        assert_eq!(
            (run.summary()["repaired"].as_u64(), &run.summary()["run"]),
            (Some(0), &serde_json::Value::Null),
            "{label}"
        );
        assert!(
            run.findings("pruned").is_empty() && run.findings("message-missing").is_empty(),
            "{label}"
        );
        let changes = before.differences(&Tree::read(store.path())?);
        assert_eq!(changes, [""; 0], "{label}");
    }
    Ok(())
}

/// Asserts that `place` away, then replaced by an empty directory, is left alone, and that nothing
/// is left to do or different when it is back.
fn assert_survives_absence(store: &Store, place: &Path) -> Result<()> {
    let before = Tree::read(store.path())?;
    let shown = place.display().to_string();
    let away = Away::take(store, place)?;
    assert_left_alone(store, &format!("{shown} is away"), &shown)?;
    fs::create_dir(place)?;
    store.cyrus().account().own(place)?;
    assert_left_alone(store, &format!("{shown} is empty"), &shown)?;
    away.put_back()?;
    let again = run(store, RUNS[1])?;
    assert_eq!(
        again.status,
        Some(0),
        "{shown} was away: {:?}",
        again.findings("partition-unavailable")
    );
    assert_eq!(before.differences(&Tree::read(store.path())?), [""; 0], "{shown} was away");
    Ok(())
}

fn snapshots(server: &Server) -> Result<Vec<Snapshot>> {
    USERS.iter().map(|user| Snapshot::take(server, user)).collect()
}

/// Serves the store again: everything must be as it was.
fn assert_same_when_served(store: Store, before: &[Snapshot]) -> Result<()> {
    let server = Server::serve(store)?;
    for (before, after) in before.iter().zip(snapshots(&server)?) {
        let differences = before.differences(&after, Expect::Same);
        ensure!(differences.is_empty(), "{differences}");
    }
    assert_eq!(server.deaths(), [""; 0]);
    Ok(())
}

fn populated(cyrus: &Cyrus, options: ServerOptions) -> Result<(Store, Vec<Snapshot>)> {
    let server = Server::start(cyrus, options)?;
    populate(&server, SEED)?;
    let before = snapshots(&server)?;
    Ok((server.into_store()?, before))
}

#[test]
fn a_data_partition_or_a_mailbox_that_is_away_is_left_alone() -> Result<()> {
    const NAME: &str = "a_data_partition_or_a_mailbox_that_is_away_is_left_alone";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    for layout in [Layout::ById, Layout::ByName] {
        let (store, before) = populated(&cyrus, ServerOptions::new(layout))?;
        assert_survives_absence(&store, &store.spool())?;
        // By name, the other mailboxes of a user lie below the INBOX.
        assert_survives_absence(&store, &store.mailbox_dir("user.alice")?)?;
        assert_survives_absence(&store, &store.mailbox_dir("user.bob.Lists.cyrus")?)?;
        assert_same_when_served(store, &before)?;
    }
    Ok(())
}

#[test]
fn a_partition_of_a_store_with_metadata_and_archive_elsewhere_is_left_alone() -> Result<()> {
    const NAME: &str = "a_partition_of_a_store_with_metadata_and_archive_elsewhere_is_left_alone";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById)
        .with_metapartition_files(&["header", "index", "cache"])
        .with_archive()
        .with_line("archive_after: 0");
    let server = Server::start(&cyrus, options)?;
    populate(&server, SEED)?;
    server.tool_output("cyr_expire", &["-A", "0", "-E", "7"])?;
    // One that came since lies in the spool.
    server.login("alice")?.append("INBOX", &["kept"], None, b"Subject: new\r\n\r\n")?;
    let before = snapshots(&server)?;
    let store = server.into_store()?;
    for partition in [store.spool(), store.meta(), store.archive()] {
        assert_survives_absence(&store, &partition)?;
    }
    let inbox = store.mailbox_dir("user.alice")?;
    let inbox = inbox.strip_prefix(store.spool())?;
    assert_survives_absence(&store, &store.spool().join(inbox))?;
    assert_survives_absence(&store, &store.archive().join(inbox))?;
    assert_same_when_served(store, &before)
}

#[test]
fn a_mailbox_that_lost_its_index_is_left_alone_while_its_archive_is_away() -> Result<()> {
    const NAME: &str = "a_mailbox_that_lost_its_index_is_left_alone_while_its_archive_is_away";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById).with_archive().with_line("archive_after: 0");
    let server = Server::start(&cyrus, options)?;
    server.admin()?.create("user.alice")?;
    let mut alice = server.login("alice")?;
    for number in 0..8 {
        let message = format!("Subject: {number}\r\n\r\nbody\r\n");
        alice.append("INBOX", &[], None, message.as_bytes())?;
    }
    server.tool_output("cyr_expire", &["-A", "0", "-E", "7"])?;
    alice.append("INBOX", &[], None, b"Subject: new\r\n\r\n")?;
    let before = Snapshot::take(&server, "alice")?;
    alice.logout()?;
    let store = server.into_store()?;
    fs::remove_file(store.mailbox_dir("user.alice")?.join("cyrus.index"))?;

    let away = Away::take(&store, &store.archive())?;
    assert_left_alone(&store, "the archive is away", "archive")?;
    fs::create_dir(store.archive())?;
    assert_left_alone(&store, "the archive is empty", "archive")?;
    away.put_back()?;
    let repair = run(&store, RUNS[0])?;
    assert_eq!(repair.status, Some(0), "{repair:#?}");
    let server = Server::serve(store)?;
    let differences = before.differences(&Snapshot::take(&server, "alice")?, Expect::IndexLost);
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}

#[test]
fn six_messages_that_are_away_keep_their_records_and_are_there_again_when_back() -> Result<()> {
    const NAME: &str =
        "six_messages_that_are_away_keep_their_records_and_are_there_again_when_back";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (store, before) = populated(&cyrus, ServerOptions::new(Layout::ById))?;
    let inbox = store.mailbox_dir("user.alice")?;
    let whole = Tree::read(store.path())?;
    let modified = fs::metadata(&inbox)?.modified()?;
    let elsewhere = tempfile::tempdir_in(store.path().parent().context("a parent")?)?;
    let present = before.first().and_then(|alice| alice.mailboxes.get("INBOX"));
    let present: Vec<u32> = present.context("an INBOX")?.messages.keys().copied().collect();
    let six: Vec<String> = present.iter().step_by(8).take(6).map(|uid| format!("{uid}.")).collect();
    assert_eq!(six.len(), 6);
    for name in &six {
        fs::rename(inbox.join(name), elsewhere.path().join(name))?;
    }
    let without = Tree::read(store.path())?;
    for arguments in [RUNS[0], RUNS[1]] {
        let run = run(&store, arguments)?;
        assert_eq!(run.status, Some(1), "{run:#?}");
        let missing = run.findings("message-missing");
        let uids: Vec<String> = missing.iter().map(|one| format!("{}.", one["uid"])).collect();
        assert_eq!(uids, six, "{run:#?}");
        assert_eq!(without.differences(&Tree::read(store.path())?), [""; 0], "{run:#?}");
    }
    for name in &six {
        fs::rename(elsewhere.path().join(name), inbox.join(name))?;
    }
    fs::File::open(&inbox)?.set_modified(modified)?;
    let again = run(&store, RUNS[1])?;
    assert_eq!(again.status, Some(0), "{again:#?}");
    assert_eq!(whole.differences(&Tree::read(store.path())?), [""; 0]);
    assert_same_when_served(store, &before)
}
