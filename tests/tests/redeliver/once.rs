//! Nothing comes twice, and nothing that its owner deleted comes back.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::outage::{exported, gapfill, new_incident};
use mailstore_tests::{Cyrus, Reconstruct};
use serde_json::Value;

use crate::folders::{Folders, MISSING, states_of};
use crate::scene::text;

#[test]
fn an_incident_that_knows_nothing_of_a_delivery_does_not_bring_it_twice() -> Result<()> {
    const NAME: &str = "an_incident_that_knows_nothing_of_a_delivery_does_not_bring_it_twice";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let other = scene.server.path().join("other");
    new_incident(&scene.server, &other)?;
    let from = [scene.rescued.path().to_owned()];
    gapfill(&scene.server, &from, &["--incident", text(&other)?])?;
    ensure!(case.redeliver(&scene)?.status == Some(0), "the first delivery");
    // Nor do what runs left beside the mail and the incident that brought it tell of it.
    fs::remove_dir_all(scene.server.spool().join(".mailstore-recovery"))?;
    let run = case.redeliver_of(&scene, &other)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(states_of(&run), ["found"; MISSING.len()]);
    assert_eq!(case.shown(&scene)?, scene.expected);
    scene.end()
}

#[test]
fn what_its_owner_deletes_after_a_delivery_does_not_come_back() -> Result<()> {
    const NAME: &str = "what_its_owner_deletes_after_a_delivery_does_not_come_back";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let other = scene.server.path().join("other");
    new_incident(&scene.server, &other)?;
    let from = [scene.rescued.path().to_owned()];
    gapfill(&scene.server, &from, &["--incident", text(&other)?])?;
    ensure!(case.redeliver(&scene)?.status == Some(0), "the first delivery");
    let mut session = scene.session()?;
    session.select(&case.folder)?;
    session.store("4:*", "+FLAGS (\\Deleted)")?;
    session.expunge()?;
    for run in [case.redeliver(&scene)?, case.redeliver_of(&scene, &other)?] {
        ensure!(run.status == Some(0), "{run:?}");
        session.noop()?;
        assert_eq!(session.search("ALL")?, [1, 2, 3], "{run:?}");
    }
    session.logout()?;
    scene.end()
}

#[test]
fn into_a_damaged_mailbox_nothing_comes_before_it_is_repaired() -> Result<()> {
    const NAME: &str = "into_a_damaged_mailbox_nothing_comes_before_it_is_repaired";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 2)?;
    let (case, other) = (scene.take()?, scene.take()?);
    let directory = scene.server.mailbox_dir(&case.mailbox)?;
    let mut index = fs::read(directory.join("cyrus.index"))?;
    let middle = index.len() - 60;
    index[middle] ^= 0x10;
    index[middle + 9] ^= 0x41;
    fs::write(directory.join("cyrus.index"), &index)?;
    let run = case.redeliver(&scene)?;
    ensure!(run.status == Some(1), "{run:?}");
    assert_eq!(states_of(&run), ["held"; MISSING.len()]);
    assert_eq!(fs::read(directory.join("cyrus.index"))?, index, "nothing is written");
    ensure!(other.redeliver(&scene)?.status == Some(0), "another folder of the same owner");
    let repair = Reconstruct::new(&scene.server).args(["--mailbox", &case.mailbox]).run()?;
    ensure!(repair.status == Some(0), "{repair:?}");
    let run = case.redeliver(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(states_of(&run), ["verified"; MISSING.len()]);
    scene.end()
}

#[test]
fn what_no_copy_is_any_more_is_held_and_the_others_come() -> Result<()> {
    const NAME: &str = "what_no_copy_is_any_more_is_held_and_the_others_come";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let gaps = exported(&scene.server, &scene.incident, "gap")?;
    let path = |gap: &Value, copy: &str| gap[copy].as_str().map(PathBuf::from).context("a copy");
    // Of the first, the source still has an intact one.
    fs::write(path(&gaps[0], "staged")?, b"Subject: spoilt\r\n\r\n")?;
    // A link is not followed, wherever it leads.
    let (linked, elsewhere) = (path(&gaps[1], "staged")?, scene.server.path().join("elsewhere"));
    fs::rename(&linked, &elsewhere)?;
    std::os::unix::fs::symlink(&elsewhere, &linked)?;
    fs::remove_file(path(&gaps[1], "origin")?)?;
    let run = case.redeliver(&scene)?;
    ensure!(run.status == Some(1), "{run:?}");
    let mut states = states_of(&run);
    states.sort_unstable();
    assert_eq!(states, ["held", "verified", "verified", "verified", "verified"]);
    fs::remove_file(&linked)?;
    fs::rename(&elsewhere, &linked)?;
    let run = case.redeliver(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(case.shown(&scene)?, scene.expected);
    scene.end()
}
