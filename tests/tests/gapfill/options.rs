//! Options that change what is compared and how.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Layout, Server, ServerOptions, Store, ToolRun, gapfill_command};

use crate::kinds::{stores, text};
use mailstore_tests::outage::{Expected, gapfill, told};

/// Classes of what was told, by mailbox.
fn classes(run: &ToolRun) -> Vec<(String, String)> {
    told(run).into_iter().map(|(mailbox, _, class)| (mailbox, class)).collect()
}

fn missing(mailboxes: &[&str]) -> Vec<(String, String)> {
    mailboxes.iter().map(|mailbox| ((*mailbox).to_owned(), "missing".to_owned())).collect()
}

/// A run on a disk that fails to read a file the first time; none without strace.
fn on_moody_disk(
    live: &Store,
    rescued: &Store,
    file: &Path,
    retry: bool,
) -> Result<Option<ToolRun>> {
    let tool = gapfill_command()?;
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=read", "-P"]).arg(file);
    // The count is each thread's own: so one thread reads.
    command.args(["-e", "inject=read:error=EIO:when=1"]).arg(tool.get_program());
    command.arg("--from").arg(rescued.path()).arg("--to").arg(live.imapd_conf());
    command.args(["--json", "--jobs", "1"]).args(retry.then_some("--retry-bad"));
    command.env("CYRUS_USER", &live.cyrus().account().name).env_remove("MAILSTORE_INCIDENT");
    match command.output() {
        Ok(output) => Ok(Some(ToolRun::of(&output).parsed()?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn with_retry_bad_what_could_not_be_read_is_read_once_more() -> Result<()> {
    const NAME: &str = "with_retry_bad_what_could_not_be_read_is_read_once_more";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (rescued, live) = stores(&cyrus)?;
    let directory = rescued.mailbox_dir("user.alice")?;
    let run = |retry| on_moody_disk(&live, &rescued, &directory.join("4."), retry);
    // With an index only what is missing is read; without one everything.
    for with_index in [true, false] {
        if !with_index {
            fs::remove_file(directory.join("cyrus.index"))?;
        }
        let Some(once) = run(false)? else {
            mailstore_tests::skip_without_privilege(NAME, "no strace, so no disk that fails");
            return Ok(());
        };
        assert_eq!(once.status, Some(3), "index {with_index}: {}", once.stderr);
        assert_eq!(once.summary()["unreadable"], 1, "index {with_index}: {}", once.stdout);
        let twice = run(true)?.context("strace was there")?;
        assert_eq!(twice.status, Some(1), "index {with_index}: {}", twice.stderr);
        assert_eq!(classes(&twice), missing(&["user.alice"; 2]), "index {with_index}");
    }
    Ok(())
}

/// A server with an INBOX for each user and one message in it, and a copy that lacks another one.
fn two_sides(cyrus: &Cyrus, users: &[&str]) -> Result<(Store, Server)> {
    let server = Server::start(cyrus, ServerOptions::new(Layout::ById).in_memory())?;
    let mut admin = server.admin()?;
    users.iter().try_for_each(|user| admin.create(&format!("user.{user}")))?;
    let append = |server: &Server, number: u32| -> Result<()> {
        for user in users {
            let text = text(number).replace("alice", user);
            server.login(user)?.append("INBOX", &[], None, text.as_bytes())?;
        }
        Ok(())
    };
    append(&server, 1)?;
    let store = server.into_store()?;
    let live = Server::serve(store.copy()?)?;
    let server = Server::serve(store)?;
    append(&server, 2)?;
    Ok((server.into_store()?, live))
}

#[test]
fn with_user_only_that_users_mailboxes_are_compared() -> Result<()> {
    const NAME: &str = "with_user_only_that_users_mailboxes_are_compared";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (rescued, live) = two_sides(&cyrus, &["alice", "bob"])?;
    let compared = |arguments: &[&str]| -> Result<Vec<(String, String)>> {
        Ok(classes(&gapfill(&live, &[rescued.path().to_owned()], arguments)?))
    };
    assert_eq!(compared(&[])?, missing(&["user.alice", "user.bob"]));
    assert_eq!(compared(&["--user", "bob"])?, missing(&["user.bob"]));
    assert_eq!(compared(&["--user", "bob", "--user", "alice"])?.len(), 2);
    assert_eq!(compared(&["--user", "carol"])?, []);
    Ok(())
}

#[test]
fn with_several_stores_each_user_is_compared_with_the_store_that_has_them() -> Result<()> {
    const NAME: &str = "with_several_stores_each_user_is_compared_with_the_store_that_has_them";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (rescued_alice, live_alice) = two_sides(&cyrus, &["alice"])?;
    let (rescued_bob, live_bob) = two_sides(&cyrus, &["bob"])?;
    // One volume held both stores, and a message of each user lies loose beside them.
    let volume = tempfile::tempdir()?;
    for (store, name) in [(&rescued_alice, "a"), (&rescued_bob, "b")] {
        let to = volume.path().join(name);
        let copied = Command::new("cp").arg("--archive").arg(store.path()).arg(&to).status()?;
        ensure!(copied.success(), "cp");
    }
    fs::create_dir(volume.path().join("lost+found"))?;
    for (inode, user) in [(11, "alice"), (12, "bob")] {
        let text = text(3).replace("alice", user);
        fs::write(volume.path().join(format!("lost+found/#{inode}")), text)?;
    }
    let mut command = gapfill_command()?;
    command.arg("--from").arg(volume.path()).arg("--json");
    command.arg("--to").arg(live_alice.imapd_conf()).arg("--to").arg(live_bob.imapd_conf());
    command.env("CYRUS_USER", &live_alice.cyrus().account().name);
    let run = ToolRun::of(&command.output()?).parsed()?;
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let mailboxes = ["user.alice", "user.alice.Recovered", "user.bob", "user.bob.Recovered"];
    assert_eq!(classes(&run), missing(&mailboxes), "{}", run.stdout);
    assert_eq!(run.summary()["classes"]["present"]["messages"], 2, "{}", run.stdout);
    Ok(())
}

#[test]
fn a_snapshot_made_by_the_command_stands_for_its_store() -> Result<()> {
    const NAME: &str = "a_snapshot_made_by_the_command_stands_for_its_store";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (rescued, live) = stores(&cyrus)?;
    let from = [rescued.path().to_owned()];
    let itself: Vec<Expected> = told(&gapfill(&live, &from, &[])?);
    assert_eq!(itself.len(), 2, "{itself:?}");
    let mut command = gapfill_command()?;
    command.arg("snapshot").arg("-C").arg(live.imapd_conf());
    command.env("CYRUS_USER", &live.cyrus().account().name);
    let output = command.output()?;
    ensure!(output.status.success(), "{output:?}");
    // What is found on the other machine needs nothing of this one.
    let elsewhere = tempfile::tempdir()?;
    let snapshot = elsewhere.path().join("live.snapshot");
    fs::write(&snapshot, &output.stdout)?;
    drop(live);
    let mut command = gapfill_command()?;
    command.arg("--from").arg(rescued.path()).arg("--to").arg(&snapshot).arg("--json");
    let run = ToolRun::of(&command.output()?).parsed()?;
    assert_eq!((run.status, told(&run)), (Some(1), itself), "{}", run.stderr);
    Ok(())
}

#[test]
fn limits_on_reading_change_nothing_of_what_is_found() -> Result<()> {
    const NAME: &str = "limits_on_reading_change_nothing_of_what_is_found";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (rescued, live) = stores(&cyrus)?;
    let from = [rescued.path().to_owned()];
    let unlimited = told(&gapfill(&live, &from, &["--paranoid"])?);
    let limits = ["--paranoid", "--jobs", "1", "--rate", "500/s", "--rate", "1MB/s"];
    assert_eq!(told(&gapfill(&live, &from, &limits)?), unlimited);
    let mut wrong = gapfill_command()?;
    wrong.args(["--from", "/", "--to", "/", "--rate", "fast"]);
    let wrong = ToolRun::of(&wrong.output()?);
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("50/s") && wrong.stderr.contains("5MB/s"), "{}", wrong.stderr);
    Ok(())
}
