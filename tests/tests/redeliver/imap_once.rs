//! Over IMAP nothing comes twice, and nothing into another folder.

use anyhow::{Result, ensure};
use mailstore_tests::outage::{gapfill, new_incident};
use mailstore_tests::{Cyrus, Point, Proxy, ToolRun, kill, redeliver_command};

use crate::folders::{Case, Folders, MISSING, messages, states_of};
use crate::imap_access::as_admin;
use crate::scene::{redeliver, text};

#[test]
fn an_incident_that_knows_nothing_of_a_delivery_over_imap_does_not_bring_it_twice() -> Result<()> {
    const NAME: &str =
        "an_incident_that_knows_nothing_of_a_delivery_over_imap_does_not_bring_it_twice";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let other = scene.server.path().join("other");
    new_incident(&scene.server, &other)?;
    let from = [scene.rescued.path().to_owned()];
    gapfill(&scene.server, &from, &["--incident", text(&other)?])?;
    ensure!(case.redeliver_over_imap(&scene)?.status == Some(0), "the first delivery");
    let mut command = redeliver(&scene.server, &other)?;
    command.args(as_admin(scene.server.path(), scene.server.ports().imap)?).arg("--json");
    let run = ToolRun::of(&command.output()?).parsed()?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(states_of(&run), ["found"; MISSING.len()]);
    assert_eq!(case.shown(&scene)?, scene.expected);
    scene.end()
}

#[test]
fn a_copy_that_its_owner_put_back_since_is_found_over_imap_and_counts_once() -> Result<()> {
    const NAME: &str = "a_copy_that_its_owner_put_back_since_is_found_over_imap_and_counts_once";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    // 6 is missing twice. 2 was there at the comparison: another copy of it is nobody's.
    scene.session()?.append_all(&case.folder, &messages(&[6, 2]))?;
    let run = case.redeliver_over_imap(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    let mut states = states_of(&run);
    states.sort_unstable();
    assert_eq!(states, ["found", "verified", "verified", "verified", "verified"]);
    let shown: Vec<_> = case.shown(&scene)?;
    assert_eq!(shown.len(), scene.expected.len() + 1);
    let again = case.redeliver_over_imap(&scene)?;
    ensure!(again.status == Some(0) && case.shown(&scene)? == shown, "{again:?}");
    scene.end()
}

/// What was cut off when the server had it, and its OK had not arrived.
fn cut_off(scene: &Folders, case: &Case) -> Result<()> {
    let proxy = Proxy::to(scene.server.ports().imap, Point::BeforeAnswer)?;
    let mut command = redeliver(&scene.server, &scene.incident)?;
    command.args(["--mailbox", &case.mailbox]);
    command.args(as_admin(scene.server.path(), proxy.port())?);
    let mut child = command.spawn()?;
    proxy.wait()?;
    ensure!(kill(&mut child)?, "it had ended by itself");
    Ok(())
}

#[test]
fn what_imap_left_in_doubt_the_spool_finds() -> Result<()> {
    const NAME: &str = "what_imap_left_in_doubt_the_spool_finds";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    cut_off(&scene, &case)?;
    let run = case.redeliver(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    assert_eq!(states_of(&run), ["found"; MISSING.len()]);
    assert_eq!(case.shown(&scene)?, scene.expected);
    scene.end()
}

#[test]
fn what_is_in_doubt_is_looked_for_only_among_what_came_since() -> Result<()> {
    const NAME: &str = "what_is_in_doubt_is_looked_for_only_among_what_came_since";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    cut_off(&scene, &case)?;
    // One of those that came comes once more from its owner: that copy is another.
    let mut session = scene.session()?;
    session.select(&case.folder)?;
    let last = session.search("ALL")?.into_iter().max().unwrap_or_default();
    session.append_all(&case.folder, &messages(&[4]))?;
    session.logout()?;
    let run = case.redeliver_over_imap(&scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    let lines = run.json.iter().flat_map(|line| line["messages"].as_array().into_iter().flatten());
    let uids: Vec<_> = lines.filter_map(|message| message["uid"].as_u64()).collect();
    ensure!(uids.len() == MISSING.len() && uids.iter().all(|&uid| uid <= last.into()), "{run:?}");
    assert_eq!(case.shown(&scene)?.len(), scene.expected.len() + 1);
    scene.end()
}

#[test]
fn into_another_folder_of_the_name_nothing_comes() -> Result<()> {
    const NAME: &str = "into_another_folder_of_the_name_nothing_comes";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 2)?;
    let (anew, gone) = (scene.take()?, scene.take()?);
    let mut session = scene.session()?;
    for case in [&anew, &gone] {
        session.delete(&case.folder)?;
    }
    session.create(&anew.folder)?;
    // Without the store's configuration the incident's names count, and its unique ids.
    let mut command = redeliver_command()?;
    command.args(["--json", "--to", "/nonexistent/imapd.conf", "--incident"]).arg(&scene.incident);
    command.args(as_admin(scene.server.path(), scene.server.ports().imap)?);
    let run = ToolRun::of(&command.output()?).parsed()?;
    ensure!(run.status == Some(1), "{run:?}");
    assert_eq!(states_of(&run), ["held"; 2 * MISSING.len()]);
    for (case, why) in [(&anew, "another folder has its name"), (&gone, "does not open it")] {
        let note = run.mailbox(&case.mailbox)["messages"][0]["note"].to_string();
        ensure!(note.contains(why), "{note}");
    }
    session.select(&anew.folder)?;
    assert_eq!(session.search("ALL")?, [0_u32; 0]);
    session.logout()?;
    scene.end()
}
