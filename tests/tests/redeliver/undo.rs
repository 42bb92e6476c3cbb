//! A delivery that is taken back.
#![allow(clippy::print_stderr, reason = "a test tells what it tried")]

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, ToolRun, long_form};

use crate::folders::{Case, Folders, MISSING};
use crate::scene::{redeliver, subcommand};

pub(crate) fn undo(scene: &Folders, run: &ToolRun, arguments: &[&str]) -> Result<ToolRun> {
    let output = undoing(scene, run)?.args(arguments).arg("--json").output()?;
    ToolRun::of(&output).parsed()
}

/// The same, not yet run.
fn undoing(scene: &Folders, run: &ToolRun) -> Result<Command> {
    let name = run.summary()["run"].as_str().context("the run has no name")?;
    let command = redeliver(&scene.server, &scene.incident)?;
    Ok(subcommand(&command, &["undo", name]))
}

fn delivered(scene: &Folders, case: &Case) -> Result<ToolRun> {
    let run = case.redeliver(scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    Ok(run)
}

#[test]
fn what_nobody_touched_is_taken_back_and_can_be_delivered_again() -> Result<()> {
    const NAME: &str = "what_nobody_touched_is_taken_back_and_can_be_delivered_again";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let before = case.shown(&scene)?;
    let run = delivered(&scene, &case)?;
    let uidnext = |scene: &Folders| scene.session()?.status(&case.folder, &["UIDNEXT"]);
    let then = uidnext(&scene)?;

    let dry = undo(&scene, &run, &["-n"])?;
    ensure!(dry.status == Some(1), "{dry:?}");
    assert_eq!(case.shown(&scene)?, scene.expected, "a dry run changes nothing");
    let undone = undo(&scene, &run, &[])?;
    ensure!(undone.status == Some(0), "{undone:?}");
    assert_eq!(case.shown(&scene)?, before);
    assert_eq!(uidnext(&scene)?, then, "no UID is given out twice");
    assert_eq!(case.states(&scene)?, ["undone"; MISSING.len()]);
    let again = undo(&scene, &run, &[])?;
    ensure!(again.status == Some(0), "{again:?}");
    assert_eq!(case.shown(&scene)?, before);

    delivered(&scene, &case)?;
    assert_eq!(case.shown(&scene)?, scene.expected);
    assert_eq!(case.states(&scene)?, ["verified"; MISSING.len()]);
    scene.end()
}

#[test]
fn what_somebody_touched_stays_and_is_told() -> Result<()> {
    const NAME: &str = "what_somebody_touched_stays_and_is_told";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let run = delivered(&scene, &case)?;
    let mut session = scene.session()?;
    session.select(&case.folder)?;
    let uids = session.search("ALL")?;
    let [.., flagged, deleted] = uids.as_slice() else { anyhow::bail!("{uids:?}") };
    session.store(&flagged.to_string(), "+FLAGS (\\Answered)")?;
    session.store(&deleted.to_string(), "+FLAGS (\\Deleted)")?;
    session.ok(&format!("UID EXPUNGE {deleted}"))?;

    let undone = undo(&scene, &run, &[])?;
    ensure!(undone.status == Some(1), "{undone:?}");
    let left = undone.findings("undo-left");
    assert_eq!(left.len(), 1, "{undone:?}");
    assert_eq!(left[0]["uid"], *flagged);
    session.noop()?;
    assert_eq!(session.search("ALL")?, [1, 2, 3, *flagged]);
    let mut states = case.states(&scene)?;
    states.sort();
    assert_eq!(states, ["undone", "undone", "undone", "verified", "verified"]);

    // What was taken back comes again; what its owner deleted does not.
    delivered(&scene, &case)?;
    session.noop()?;
    assert_eq!(session.search("ALL")?.len(), 7);
    session.logout()?;
    scene.end()
}

/// The server's own tool gives threads, by which every message it gives one to changes.
#[test]
fn what_got_its_thread_since_is_taken_back() -> Result<()> {
    const NAME: &str = "what_got_its_thread_since_is_taken_back";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let before = case.shown(&scene)?;
    let run = delivered(&scene, &case)?;
    let modseq = |scene: &Folders| scene.session()?.status(&case.folder, &["HIGHESTMODSEQ"]);
    let then = modseq(&scene)?;
    scene.server.tool_output("ctl_conversationsdb", &["-b", "alice"])?;
    assert_ne!(modseq(&scene)?, then, "no thread was given");
    let undone = undo(&scene, &run, &[])?;
    ensure!(undone.status == Some(0), "{undone:?}");
    assert_eq!(case.shown(&scene)?, before);
    assert_eq!(case.states(&scene)?, ["undone"; MISSING.len()]);
    scene.end()
}

#[test]
fn an_undo_that_is_killed_at_any_time_is_finished_by_the_next_and_the_incident_knows() -> Result<()>
{
    const NAME: &str =
        "an_undo_that_is_killed_at_any_time_is_finished_by_the_next_and_the_incident_knows";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, if long_form() { 101 } else { 17 })?;
    let timed = scene.take()?;
    let before = timed.shown(&scene)?;
    let run = delivered(&scene, &timed)?;
    let begun = Instant::now();
    ensure!(undo(&scene, &run, &[])?.status == Some(0), "the undo that is timed");
    let mut moment = begun.elapsed();
    let rounds = scene.fresh.len();
    let (mut killed, mut behind_the_commit) = (0, 0);
    for round in 0..rounds {
        let case = scene.take()?;
        let run = delivered(&scene, &case)?;
        let mut command = undoing(&scene, &run)?;
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(moment);
        child.kill()?;
        let was_killed = child.wait()?.code().is_none();
        let is_done = case.shown(&scene)? == before;
        killed += usize::from(was_killed);
        behind_the_commit += usize::from(was_killed && is_done);
        // Kills gather about the commit, however busy the machine is.
        moment = match (was_killed, is_done) {
            // The first one was timed on a busier machine.
            (false, _) => moment * 3 / 4,
            (true, false) => moment * 10 / 9,
            (true, true) => moment * 97 / 100,
        };
        let again = undo(&scene, &run, &[])?;
        let what = format!("round {round}, killed: {was_killed}, done by then: {is_done}");
        ensure!(again.status == Some(0), "{what}: {again:?}");
        ensure!(case.shown(&scene)? == before, "{what}: {again:?}");
        assert_eq!(case.states(&scene)?, ["undone"; MISSING.len()], "{what}: {again:?}");
    }
    eprintln!("{killed} undos were killed, {behind_the_commit} of them behind the commit");
    ensure!(killed > 3, "most undos were done before they were killed");
    ensure!(behind_the_commit > 0 || !long_form(), "none was killed behind its commit");
    scene.end()
}
