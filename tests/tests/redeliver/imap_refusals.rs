//! What a server refuses, or cannot be reached for, is held or told; all else comes.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Point, Proxy, ToolRun};
use rustix::process::{Pid, Signal, kill_process};

use crate::folders::{Folders, MISSING, states_of};
use crate::imap_access::as_admin;
use crate::scene::redeliver;

#[test]
fn what_is_over_quota_is_held_with_the_servers_words_and_comes_when_there_is_room() -> Result<()> {
    const NAME: &str =
        "what_is_over_quota_is_held_with_the_servers_words_and_comes_when_there_is_room";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let mut admin = scene.server.admin()?;
    // Three are there.
    admin.ok("SETQUOTA user.alice (MESSAGE 5)")?;
    let run = case.redeliver_over_imap(&scene)?;
    ensure!(run.status == Some(1), "{run:?}");
    let mut states = states_of(&run);
    states.sort_unstable();
    assert_eq!(states, ["held", "held", "held", "verified", "verified"]);
    ensure!(run.stdout.contains("the server says NO Over quota"), "{}", run.stdout);
    admin.ok("SETQUOTA user.alice (MESSAGE 50)")?;
    let run = case.redeliver_over_imap(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(states_of(&run), ["verified"; 3]);
    assert_eq!(case.shown(&scene)?, scene.expected);
    admin.ok("SETQUOTA user.alice ()")?;
    scene.end()
}

#[test]
fn a_message_that_breaks_every_connection_is_held_and_the_others_come() -> Result<()> {
    const NAME: &str = "a_message_that_breaks_every_connection_is_held_and_the_others_come";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let proxy = Proxy::to(scene.server.ports().imap, Point::Always(b"message 5\r\n".to_vec()))?;
    let mut command = redeliver(&scene.server, &scene.incident)?;
    command.args(["--mailbox", &case.mailbox, "--json"]);
    command.args(as_admin(scene.server.path(), proxy.port())?);
    let run = ToolRun::of(&command.output()?).parsed()?;
    ensure!(run.status == Some(1) && proxy.hits() > 2, "{} {run:?}", proxy.hits());
    let mut states = states_of(&run);
    states.sort_unstable();
    assert_eq!(states, ["held", "verified", "verified", "verified", "verified"]);
    let run = case.redeliver_over_imap(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(case.shown(&scene)?, scene.expected);
    scene.end()
}

#[test]
fn many_connections_bring_all_of_many_folders_once() -> Result<()> {
    const NAME: &str = "many_connections_bring_all_of_many_folders_once";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 12)?;
    let run = |connections: &str| {
        let mut command = redeliver(&scene.server, &scene.incident)?;
        command.args(["--user", "alice", "--json", "--connections", connections]);
        command.args(as_admin(scene.server.path(), scene.server.ports().imap)?);
        ToolRun::of(&command.output()?).parsed()
    };
    let first = run("6")?;
    ensure!(first.status == Some(0), "{first:?}");
    assert_eq!(first.summary()["verified"], 12 * MISSING.len());
    let second = run("6")?;
    assert_eq!((second.status, &second.summary()["delivered"]), (Some(0), &0.into()));
    while !scene.fresh.is_empty() {
        let case = scene.take()?;
        assert_eq!(case.shown(&scene)?, scene.expected, "{}", case.folder);
    }
    scene.end()
}

#[test]
fn a_server_that_is_not_there_is_told_and_nothing_is_lost() -> Result<()> {
    const NAME: &str = "a_server_that_is_not_there_is_told_and_nothing_is_lost";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    scene.server.stop()?;
    let run = case.redeliver_over_imap(&scene)?;
    ensure!(run.status == Some(2) && run.stderr.contains("cannot connect"), "{run:?}");
    assert_eq!(states_of(&run), ["held"; MISSING.len()]);
    scene.server.start_again()?;
    let run = case.redeliver_over_imap(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(case.shown(&scene)?, scene.expected);
    scene.end()
}

#[test]
fn a_run_that_is_told_to_stop_ends_behind_its_batch_and_says_what_is_left() -> Result<()> {
    const NAME: &str = "a_run_that_is_told_to_stop_ends_behind_its_batch_and_says_what_is_left";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 3)?;
    let proxy = Proxy::to(scene.server.ports().imap, Point::BeforeAppend)?;
    let mut command = redeliver(&scene.server, &scene.incident)?;
    command.args(["--connections", "1"]).args(as_admin(scene.server.path(), proxy.port())?);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    proxy.wait()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a pid")?;
    kill_process(pid, Signal::TERM)?;
    // The batch in flight meets with an accident: it is not sent again.
    proxy.cut();
    let run = ToolRun::of(&child.wait_with_output()?);
    ensure!(run.status == Some(2), "{run:?}");
    ensure!(run.stdout.contains("told to stop: 3 mailboxes are not done"), "{run:?}");
    while !scene.fresh.is_empty() {
        let case = scene.take()?;
        let run = case.redeliver_over_imap(&scene)?;
        ensure!(run.status == Some(0), "{run:?}");
        assert_eq!(case.shown(&scene)?, scene.expected, "{}", case.folder);
    }
    scene.end()
}
