//! Nothing comes twice, and nothing that its owner deleted comes back.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::outage::{exported, gapfill, new_incident};
use mailstore_tests::{Cyrus, Reconstruct, ToolRun};
use serde_json::Value;

use crate::folders::{Case, Folders, MISSING, states_of};
use crate::scene::{redeliver, text};

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

/// Compares again, and delivers what is missed.
fn again(scene: &Folders, case: &Case) -> Result<ToolRun> {
    let from = [scene.rescued.path().to_owned()];
    gapfill(&scene.server, &from, &["--incident", text(&scene.incident)?])?;
    case.redeliver(scene)
}

#[test]
fn what_was_delivered_and_lost_its_file_again_gets_it_back() -> Result<()> {
    const NAME: &str = "what_was_delivered_and_lost_its_file_again_gets_it_back";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let run = case.redeliver(&scene)?;
    let uid = run.json[0]["messages"][0]["uid"].as_u64().context("a UID")?;
    fs::remove_file(scene.server.mailbox_dir(&case.mailbox)?.join(format!("{uid}.")))?;
    let run = again(&scene, &case)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(states_of(&run), ["verified"]);
    assert_eq!(run.json[0]["messages"][0]["uid"], uid, "it keeps its UID");
    assert_eq!(case.shown(&scene)?, scene.expected);
    assert_eq!(states_of(&again(&scene, &case)?), [""; 0]);
    scene.end()
}

#[test]
fn a_mailbox_that_was_set_back_behind_its_delivery_gets_it_again() -> Result<()> {
    const NAME: &str = "a_mailbox_that_was_set_back_behind_its_delivery_gets_it_again";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let directory = scene.server.mailbox_dir(&case.mailbox)?;
    let kept: Vec<_> = ["cyrus.index", "cyrus.cache", "cyrus.header"]
        .into_iter()
        .map(|name| Ok((name, fs::read(directory.join(name))?)))
        .collect::<Result<_>>()?;
    let run = case.redeliver(&scene)?;
    let messages = run.json[0]["messages"].as_array().context("messages")?;
    for message in messages {
        fs::remove_file(directory.join(format!("{}.", message["uid"])))?;
    }
    for (name, bytes) in kept {
        fs::write(directory.join(name), bytes)?;
    }
    let run = again(&scene, &case)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(states_of(&run), ["verified"; MISSING.len()]);
    assert_eq!(case.shown(&scene)?, scene.expected);
    scene.end()
}

#[test]
fn what_its_owner_may_have_deleted_comes_back_only_on_request_when_the_server_has_forgotten_it()
-> Result<()> {
    const NAME: &str = "what_its_owner_may_have_deleted_comes_back_only_on_request_when_the_server_has_forgotten_it";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    ensure!(case.redeliver(&scene)?.status == Some(0), "the first delivery");
    let mut session = scene.session()?;
    session.select(&case.folder)?;
    session.store("4:*", "+FLAGS (\\Deleted)")?;
    session.expunge()?;
    session.logout()?;
    scene.server.tool_output("cyr_expire", &["-X", "0", "-E", "1"])?;
    let from = [scene.rescued.path().to_owned()];
    gapfill(&scene.server, &from, &["--incident", text(&scene.incident)?])?;
    let over_imap = case.redeliver_over_imap(&scene)?;
    assert_eq!(states_of(&over_imap), ["held"; MISSING.len()], "IMAP cannot tell: {over_imap:?}");
    let run = again(&scene, &case)?;
    ensure!(run.status == Some(1), "{run:?}");
    assert_eq!(states_of(&run), ["held"; MISSING.len()]);
    assert_eq!(scene.session()?.status(&case.folder, &["MESSAGES"])?, [3]);

    let mut command = redeliver(&scene.server, &scene.incident)?;
    let output = command.args(["--mailbox", &case.mailbox, "--json", "--again"]).output()?;
    let run = ToolRun::of(&output).parsed()?;
    assert_eq!(states_of(&run), ["verified"; MISSING.len()], "{run:?}");
    let shown = case.shown(&scene)?;
    let marked = shown.iter().filter(|(_, flags, _)| flags.iter().any(|it| it == "$Recovered"));
    assert_eq!(marked.count(), MISSING.len());
    scene.end()
}

#[test]
fn what_another_run_finds_as_loose_files_is_no_second_gap() -> Result<()> {
    const NAME: &str = "what_another_run_finds_as_loose_files_is_no_second_gap";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let lost_and_found = scene.server.path().join("lost+found");
    fs::create_dir(&lost_and_found)?;
    for entry in fs::read_dir(scene.rescued.mailbox_dir(&case.mailbox)?)? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name())
        };
        let name = name.to_string_lossy();
        if let Some(uid) = name.strip_suffix('.') {
            fs::copy(&path, lost_and_found.join(format!("#{uid}")))?;
        }
    }
    let gaps = exported(&scene.server, &scene.incident, "gap")?.len();
    gapfill(&scene.server, &[lost_and_found], &["--incident", text(&scene.incident)?])?;
    assert_eq!(exported(&scene.server, &scene.incident, "gap")?.len(), gaps);
    let run = case.redeliver(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(case.shown(&scene)?, scene.expected);
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
