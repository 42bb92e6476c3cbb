//! A message comes back that a session knows as gone.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Layout, Reconstruct, Server, ServerOptions};

use crate::assert_nobody_died;

/// imapd asserted when a UID appeared among those it knew.
#[test]
fn a_session_that_knows_a_returning_message_as_gone_is_ended_and_nothing_dies() -> Result<()> {
    let cyrus = cyrus_or_skip!("a_session_that_knows_a_returning_message_as_gone_is_ended");
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    server.admin()?.create("user.alice")?;
    let mut session = server.login("alice")?;
    for number in 0..3 {
        let text = format!("Subject: {number}\r\n\r\nmessage {number}\r\n");
        session.append("INBOX", &[], None, text.as_bytes())?;
    }
    let message = server.mailbox_dir("user.alice")?.join("2.");
    let away = server.path().join("away");
    fs::rename(&message, &away)?;
    let repair = || Reconstruct::new(&server).args(["--user", "alice", "--json"]);
    ensure!(repair().arg("--prune").run()?.status == Some(0), "it is pruned");
    let selected = session.select("INBOX")?;
    ensure!(selected.exists == 2, "{selected:?}");
    fs::rename(&away, &message)?;
    let run = repair().run()?;
    ensure!(run.findings("session-ended").len() == 1, "{run:?}");
    ensure!(session.noop().is_err(), "the session goes on");
    let exists = server.login("alice")?.select("INBOX").context("a new session")?.exists;
    ensure!(exists == 3, "{exists} messages are there");
    assert_nobody_died(&server);
    Ok(())
}
