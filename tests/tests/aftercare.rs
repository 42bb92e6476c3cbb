//! What the server keeps outside of a mailbox is in step with it after a repair.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};

use anyhow::{Context as _, Result};
use mailstore_tests::{Cyrus, ImapClient, Layout, Reconstruct, Server, ServerOptions, Store};

const MESSAGE: &[u8] = b"From: a@example.org\r\nSubject: hello\r\n\r\nworld\r\n";

/// A server with one mailbox of `messages` messages.
fn served(cyrus: &Cyrus, options: ServerOptions, messages: usize) -> Result<Server> {
    let server = Server::start(cyrus, options.in_memory())?;
    server.admin()?.create("user.alice")?;
    let mut alice = server.login("alice")?;
    for number in 0..messages {
        let text = [format!("Message-ID: <{number}@example.org>\r\n").as_bytes(), MESSAGE].concat();
        alice.append("INBOX", &["\\Seen"], None, &text)?;
    }
    alice.logout()?;
    Ok(server)
}

fn lose_index(store: &Store) -> Result<()> {
    Ok(fs::remove_file(store.mailbox_dir("user.alice")?.join("cyrus.index"))?)
}

fn status(session: &mut ImapClient) -> Result<String> {
    let reply = session.ok("STATUS INBOX (MESSAGES UIDNEXT UNSEEN)")?;
    let values = reply.values_of("STATUS")?.into_iter().flatten().last();
    Ok(values.context("STATUS told nothing")?.to_string())
}

#[test]
fn a_stale_status_cache_entry_goes_and_only_with_the_tools_at_hand() -> Result<()> {
    let name = "a_stale_status_cache_entry_goes_and_only_with_the_tools_at_hand";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById).with_line("statuscache: yes");
    let server = served(&cyrus, options, 3)?;
    let mut alice = server.login("alice")?;
    let before = status(&mut alice)?;
    // A message that the server has not seen: only a repair makes it one.
    let directory = server.mailbox_dir("user.alice")?;
    let owner = fs::metadata(directory.join("1."))?;
    fs::write(directory.join("4."), b"Subject: found again\r\n\r\nbody\r\n")?;
    chown(directory.join("4."), Some(owner.uid()), Some(owner.gid()))?;
    let run = Reconstruct::new(&server).args(["--mailbox", "user.alice"]).run()?;
    let command = "twoskip delete user.alice%";
    assert!(run.status == Some(0) && run.stdout.contains(command), "{run:?}");
    assert_eq!(status(&mut alice)?, before, "the server still tells what it had cached");

    lose_index(&server)?;
    let repair = Reconstruct::new(&server).with_cyrus_tools(&server);
    let run = repair.args(["--mailbox", "user.alice"]).run()?;
    assert!(run.status == Some(0) && !run.stdout.contains(command), "{run:?}");
    let after = status(&mut alice)?;
    assert!(after.contains("MESSAGES 4") && after.contains("UNSEEN 4"), "{after}");
    Ok(())
}

#[test]
fn quotas_and_conversations_are_right_after_a_repair_with_the_tools_at_hand() -> Result<()> {
    let name = "quotas_and_conversations_are_right_after_a_repair_with_the_tools_at_hand";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById).with_conversations();
    let server = served(&cyrus, options, 4)?;
    server.admin()?.ok("SETQUOTA user.alice (STORAGE 1000)")?;
    let directory = server.mailbox_dir("user.alice")?;
    fs::remove_file(directory.join("cyrus.header"))?;
    fs::remove_file(directory.join("2."))?;
    let repair = Reconstruct::new(&server).with_cyrus_tools(&server);
    let run = repair.args(["--mailbox", "user.alice", "--prune", "--json"]).run()?;
    assert_eq!(run.status, Some(0), "{run:?}");

    let told = server.tool_output("quota", &["-f", "-n", "-q"])?;
    assert_eq!(told, "", "quota has nothing to put right");
    let dump = || server.tool("ctl_conversationsdb", &["-d", "alice"]).map(|output| output.stdout);
    let after = dump()?;
    server.tool_output("ctl_conversationsdb", &["-R", "alice"])?;
    assert_eq!(after, dump()?, "counting anew changes nothing");
    let run_name = run.summary()["run"].as_str().context("the run has no name")?;
    let kept = server.spool().join(".mailstore-recovery").join(run_name).join("conversations");
    let kept = fs::read(kept.join("alice.conversations"))?;
    assert!(!kept.is_empty() && kept != after, "the rows were dumped before");
    Ok(())
}

#[test]
fn replication_and_the_search_indexer_are_told_of_repaired_mailboxes_only() -> Result<()> {
    let name = "replication_and_the_search_indexer_are_told_of_repaired_mailboxes_only";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let server = served(&cyrus, ServerOptions::new(Layout::ByName), 2)?;
    server.login("alice")?.create("INBOX.Sent Mail")?;
    fs::remove_file(server.mailbox_dir("user.alice.Sent Mail")?.join("cyrus.index"))?;
    let run = Reconstruct::new(&server)
        .args(["--user", "alice", "--sync-log", "", "--sync-log", "squatter"])
        .run()?;
    assert_eq!(run.status, Some(0), "{run:?}");
    for log in ["sync/log", "sync/squatter/log"] {
        let told = fs::read_to_string(server.conf().join(log))?;
        assert_eq!(told, "MAILBOX \"user.alice.Sent Mail\"\n", "{log}");
    }
    let refused = Reconstruct::new(&server).args(["--all", "--sync-log", "../x"]).run()?;
    assert!(refused.status == Some(2) && refused.stderr.contains("channel"), "{refused:?}");
    Ok(())
}

#[test]
fn a_tool_that_fails_is_told_and_what_it_should_have_done_is_left_to_do() -> Result<()> {
    let name = "a_tool_that_fails_is_told_and_what_it_should_have_done_is_left_to_do";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let server = served(&cyrus, ServerOptions::new(Layout::ById), 2)?;
    lose_index(&server)?;
    let run = Reconstruct::new(&server)
        .args(["--mailbox", "user.alice", "--cyrus-bin", "/nonexistent"])
        .run()?;
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.stderr.contains("quota failed"), "{run:?}");
    assert!(run.stdout.contains("quota -C") && run.stdout.contains("-f"), "{run:?}");
    Ok(())
}

/// `quota -f` opens every mailbox, and the server then deletes what a stale `cyrus.expunge` lists.
#[test]
fn the_tools_are_held_back_while_any_mailbox_has_an_order_to_delete() -> Result<()> {
    let name = "the_tools_are_held_back_while_any_mailbox_has_an_order_to_delete";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let server = served(&cyrus, ServerOptions::new(Layout::ById), 2)?;
    server.admin()?.create("user.bob")?;
    fs::write(server.mailbox_dir("user.bob")?.join("cyrus.expunge"), b"an order")?;
    lose_index(&server)?;
    let repair = || Reconstruct::new(&server).with_cyrus_tools(&server);
    let run = repair().args(["--mailbox", "user.alice"]).run()?;
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.stderr.contains("held back") && run.stdout.contains("quota -C"), "{run:?}");

    lose_index(&server)?;
    let run = repair().arg("--all").run()?;
    assert!(!run.stderr.contains("held back"), "{run:?}");
    Ok(())
}
