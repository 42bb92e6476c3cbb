//! A delivery that is taken back.

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, ToolRun};

use crate::folders::{Case, Folders, MISSING};
use crate::scene::{redeliver, subcommand};

pub(crate) fn undo(scene: &Folders, run: &ToolRun, arguments: &[&str]) -> Result<ToolRun> {
    let name = run.summary()["run"].as_str().context("the run has no name")?;
    let command = redeliver(&scene.server, &scene.incident)?;
    let mut command = subcommand(&command, &["undo", name]);
    ToolRun::of(&command.args(arguments).arg("--json").output()?).parsed()
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
