//! Messages whose record is, or was, in the live mailbox, and whose file is gone.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::outage::{gapfill, new_incident};
use mailstore_tests::{
    Cyrus, Layout, MailboxSnapshot, Reconstruct, Server, ServerOptions, Store, ToolRun, Tree, judge,
};

use crate::scene::{looks, redeliver, text};

/// A live server whose INBOX has four messages, and a copy of its store from before it lost any.
fn servers(cyrus: &Cyrus, options: ServerOptions) -> Result<(Server, Store)> {
    let server = Server::start(cyrus, options.in_memory())?;
    server.admin()?.create("user.alice")?;
    let mut alice = server.login("alice")?;
    for number in 1..=4 {
        let message = format!("Subject: {number}\r\n\r\nmessage {number}\r\n");
        let date = Some("07-Nov-2006 10:11:12 +0000");
        alice.append("INBOX", &["\\Flagged", "later"], date, message.as_bytes())?;
    }
    alice.logout()?;
    let store = server.into_store()?;
    let rescued = store.copy()?;
    Ok((Server::serve(store)?, rescued))
}

fn inbox(server: &Server) -> Result<MailboxSnapshot> {
    MailboxSnapshot::take(&mut server.login("alice")?, "INBOX")
}

fn delivered(live: &Server, rescued: &Store, arguments: &[&str]) -> Result<ToolRun> {
    let incident = live.path().join("outage");
    if !incident.exists() {
        new_incident(live, &incident)?;
    }
    let reconstruct = Reconstruct::new(live).args(["--user", "alice"]).args(arguments);
    reconstruct.arg("--incident").arg(&incident).run()?;
    let run = gapfill(live, &[rescued.path().to_owned()], &["--incident", text(&incident)?])?;
    ensure!(run.status == Some(1), "{run:?}");
    let output = redeliver(live, &incident)?.arg("--json").output()?;
    let run = ToolRun::of(&output).parsed()?;
    ensure!(run.status == Some(0), "{run:?}");
    Ok(run)
}

fn cyrus_finds_nothing(live: Server) -> Result<()> {
    let verdict = judge(&live.into_store()?)?;
    ensure!(verdict.is_clean(), "{verdict}");
    Ok(())
}

#[test]
fn a_message_whose_record_waits_for_it_keeps_its_uid() -> Result<()> {
    const NAME: &str = "a_message_whose_record_waits_for_it_keeps_its_uid";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (live, rescued) = servers(&cyrus, ServerOptions::new(Layout::ById))?;
    let before = inbox(&live)?;
    fs::remove_file(live.mailbox_dir("user.alice")?.join("3."))?;
    let run = delivered(&live, &rescued, &[])?;
    assert_eq!(run.json[0]["messages"][0]["uid"], 3, "{run:?}");
    let after = inbox(&live)?;
    assert_eq!(after.messages, before.messages);
    assert_eq!(after.uidnext, before.uidnext);
    let check = Reconstruct::new(&live).args(["-n", "--check", "full", "--user", "alice"]).run()?;
    ensure!(check.status == Some(0), "{check:?}");
    cyrus_finds_nothing(live)
}

#[test]
fn a_message_that_was_pruned_comes_back_with_its_flags_under_a_new_uid() -> Result<()> {
    const NAME: &str = "a_message_that_was_pruned_comes_back_with_its_flags_under_a_new_uid";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (live, rescued) = servers(&cyrus, ServerOptions::new(Layout::ByName))?;
    let before = inbox(&live)?;
    fs::remove_file(live.mailbox_dir("user.alice")?.join("3."))?;
    let run = delivered(&live, &rescued, &["--prune"])?;
    let after = inbox(&live)?;
    assert_eq!(after.messages.keys().copied().collect::<Vec<_>>(), [1, 2, 4, 5], "{run:?}");
    assert_eq!(looks(&after.messages[&5]), looks(&before.messages[&3]));
    // Cyrus's own would forget the tombstone of a message without a file.
    let check = Reconstruct::new(&live).args(["-n", "--check", "full", "--user", "alice"]).run()?;
    ensure!(check.status == Some(0), "{check:?}");
    Ok(())
}

/// The archive partition's records and the metadata partition's files are as Cyrus wants them.
#[test]
fn an_archive_and_a_metadata_partition_are_respected() -> Result<()> {
    const NAME: &str = "an_archive_and_a_metadata_partition_are_respected";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById)
        .with_archive()
        .with_metapartition_files(&["header", "index", "cache"])
        .with_line("archive_after: 1d");
    let (live, rescued) = servers(&cyrus, options)?;
    // What is old goes to the archive on both sides, and one file is lost there.
    live.tool_output("cyr_expire", &["-A", "1d", "-E", "1"])?;
    let archived = live
        .archive()
        .join(live.mailbox_dir("user.alice")?.strip_prefix(live.spool()).context("in the spool")?);
    ensure!(archived.join("3.").is_file(), "nothing was archived");
    let before = inbox(&live)?;
    fs::remove_file(archived.join("3."))?;
    let server = Server::serve(rescued)?;
    let text = b"Subject: 5\r\n\r\nmessage 5\r\n";
    server.login("alice")?.append("INBOX", &["\\Seen"], None, text)?;
    let rescued = server.into_store()?;
    delivered(&live, &rescued, &[])?;
    let after = inbox(&live)?;
    assert_eq!(after.messages.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 6]);
    for uid in 1..=4 {
        assert_eq!(looks(&after.messages[&uid]), looks(&before.messages[&uid]), "UID {uid}");
    }
    ensure!(live.meta().is_dir(), "no metadata partition");
    for partition in live.partitions() {
        let left = Tree::read(&partition)?;
        let left =
            left.entries.keys().find(|path| path.components().any(|c| c.as_os_str() == "new"));
        ensure!(left.is_none(), "{left:?} was not swept");
    }
    cyrus_finds_nothing(live)
}
