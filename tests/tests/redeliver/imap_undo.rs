//! A delivery over IMAP that is taken back over IMAP.
#![allow(clippy::print_stderr, reason = "a test tells what it tried")]

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{
    Cyrus, Dovecot, Layout, Point, Proxy, ServerOptions, ToolRun, kill, redeliver_command,
};

use crate::folders::{Case, Folders, MISSING, PRESENT, messages};
use crate::imap_access::{as_admin, password_file};
use crate::scene::{redeliver, subcommand};

fn delivered(scene: &Folders, case: &Case) -> Result<ToolRun> {
    let run = case.redeliver_over_imap(scene)?;
    ensure!(run.status == Some(0), "{run:?}");
    Ok(run)
}

/// The undo of a run through `port`, not yet run. The way is not named: the incident knows it.
fn undoing(scene: &Folders, run: &ToolRun, port: u16) -> Result<Command> {
    let name = run.summary()["run"].as_str().context("the run has no name")?;
    let command = redeliver(&scene.server, &scene.incident)?;
    let mut command = subcommand(&command, &["undo", name]);
    command.args(server_at(scene.server.path(), port)?);
    Ok(command)
}

fn server_at(directory: &std::path::Path, port: u16) -> Result<Vec<String>> {
    let file = password_file(directory)?.display().to_string();
    let url = format!("imap://127.0.0.1:{port}");
    let options = ["--imap", &url, "--imap-admin", "cyrus", "--imap-password-file", &file];
    Ok(options.map(str::to_owned).to_vec())
}

fn undo(scene: &Folders, run: &ToolRun, arguments: &[&str]) -> Result<ToolRun> {
    let mut command = undoing(scene, run, scene.server.ports().imap)?;
    ToolRun::of(&command.args(arguments).arg("--json").output()?).parsed()
}

#[test]
fn what_came_over_imap_and_nobody_touched_is_taken_back_and_can_be_delivered_again() -> Result<()> {
    const NAME: &str =
        "what_came_over_imap_and_nobody_touched_is_taken_back_and_can_be_delivered_again";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let before = case.shown(&scene)?;
    let run = delivered(&scene, &case)?;
    let dry = undo(&scene, &run, &["-n"])?;
    ensure!(dry.status == Some(1) && dry.findings("undone").len() == MISSING.len(), "{dry:?}");
    assert_eq!(case.shown(&scene)?, scene.expected, "a dry run changes nothing");
    let undone = undo(&scene, &run, &[])?;
    ensure!(undone.status == Some(0), "{undone:?}");
    assert_eq!(undone.findings("undone").len(), MISSING.len(), "{undone:?}");
    assert_eq!(case.shown(&scene)?, before);
    assert_eq!(case.states(&scene)?, ["undone"; MISSING.len()]);
    let again = undo(&scene, &run, &[])?;
    ensure!(again.status == Some(0) && again.findings("undone").is_empty(), "{again:?}");
    delivered(&scene, &case)?;
    assert_eq!(case.shown(&scene)?, scene.expected);
    // The first run has nothing in it any more.
    let again = undo(&scene, &run, &[])?;
    ensure!(again.status == Some(0), "{again:?}");
    assert_eq!(case.shown(&scene)?, scene.expected);
    scene.end()
}

#[test]
fn what_came_over_imap_and_somebody_touched_stays_and_is_told() -> Result<()> {
    const NAME: &str = "what_came_over_imap_and_somebody_touched_stays_and_is_told";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let run = delivered(&scene, &case)?;
    let mut session = scene.session()?;
    session.select(&case.folder)?;
    let uids = session.search("ALL")?;
    let [.., answered, marked, keyword, deleted] = uids.as_slice() else {
        anyhow::bail!("{uids:?}")
    };
    session.store(&answered.to_string(), "+FLAGS (\\Answered)")?;
    session.store(&marked.to_string(), "+FLAGS (\\Deleted)")?;
    session.store(&keyword.to_string(), "+FLAGS (mine)")?;
    session.store(&deleted.to_string(), "+FLAGS (\\Deleted)")?;
    session.ok(&format!("UID EXPUNGE {deleted}"))?;
    let undone = undo(&scene, &run, &[])?;
    ensure!(undone.status == Some(1), "{undone:?}");
    let left = undone.findings("undo-left");
    let left: Vec<_> = left.iter().filter_map(|finding| finding["uid"].as_u64()).collect();
    assert_eq!(left, [*answered, *marked, *keyword].map(u64::from), "{undone:?}");
    session.noop()?;
    let stays = PRESENT.into_iter().chain([*answered, *marked, *keyword]);
    assert_eq!(session.search("ALL")?, stays.collect::<Vec<_>>());
    let mut states = case.states(&scene)?;
    states.sort();
    assert_eq!(states, ["undone", "verified", "verified", "verified", "verified"]);
    // What was taken back comes again; what its owner deleted does not.
    delivered(&scene, &case)?;
    session.noop()?;
    assert_eq!(session.search("ALL")?.len(), PRESENT.len() + 4);
    session.logout()?;
    scene.end()
}

#[test]
fn an_undo_over_imap_that_is_killed_at_any_point_is_finished_by_the_same_command() -> Result<()> {
    const NAME: &str =
        "an_undo_over_imap_that_is_killed_at_any_point_is_finished_by_the_same_command";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let points = [
        Point::BeforeCommand("UID STORE"),
        Point::BeforeAnswerTo("UID STORE"),
        Point::BeforeCommand("UID EXPUNGE"),
        Point::BeforeAnswerTo("UID EXPUNGE"),
    ];
    let mut scene = Folders::new(&cyrus, 2 * points.len())?;
    for point in points {
        for owner_deletes in [false, true] {
            let case = scene.take()?;
            let before = case.shown(&scene)?;
            let run = delivered(&scene, &case)?;
            let proxy = Proxy::to(scene.server.ports().imap, point.clone())?;
            let mut command = undoing(&scene, &run, proxy.port())?;
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            proxy.wait()?;
            ensure!(kill(&mut child)?, "it had ended by itself");
            proxy.cut();
            let mut session = scene.session()?;
            session.select(&case.folder)?;
            let left: Vec<u32> = session.search("ALL")?.split_off(PRESENT.len());
            let expunges = format!("{point:?}").contains("EXPUNGE");
            if let (true, Some(uid)) = (owner_deletes, left.first()) {
                session.store(&uid.to_string(), "+FLAGS (\\Deleted)")?;
                session.ok(&format!("UID EXPUNGE {uid}"))?;
            }
            let again = undo(&scene, &run, &[])?;
            let what = format!("{point:?}, deleted by its owner: {owner_deletes}");
            ensure!(again.status == Some(0), "{what}: {again:?}");
            assert_eq!(case.shown(&scene)?, before, "{what}");
            let mut states = case.states(&scene)?;
            states.sort();
            let mut expected = ["undone"; MISSING.len()];
            // What no run can have expunged its owner has deleted.
            if owner_deletes && !expunges {
                expected[MISSING.len() - 1] = "verified";
            }
            assert_eq!(states, expected, "{what}: {again:?}");
            session.logout()?;
            eprintln!("{what}: {} were there still", left.len());
        }
    }
    scene.end()
}

#[test]
fn without_uidplus_nothing_is_taken_back() -> Result<()> {
    const NAME: &str = "without_uidplus_nothing_is_taken_back";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let options = ServerOptions::new(Layout::ById).with_line("suppress_capabilities: UIDPLUS");
    let mut scene = Folders::with(&cyrus, 1, options)?;
    let case = scene.take()?;
    let run = delivered(&scene, &case)?;
    let mut session = scene.session()?;
    session.select(&case.folder)?;
    session.store("1", "+FLAGS (\\Deleted)")?;
    session.logout()?;
    let there = case.shown(&scene)?;
    let undone = undo(&scene, &run, &[])?;
    ensure!(undone.status == Some(2) && undone.stderr.contains("UIDPLUS"), "{undone:?}");
    assert_eq!(case.shown(&scene)?, there);
    scene.end()
}

#[test]
fn what_came_into_dovecot_is_taken_back_without_the_store_on_this_machine() -> Result<()> {
    const NAME: &str = "what_came_into_dovecot_is_taken_back_without_the_store_on_this_machine";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let Some(dovecot) = Dovecot::started_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let folder = case.folder.replacen("INBOX.", "", 1);
    let mut session = dovecot.login("alice")?;
    session.create(&folder)?;
    session.append_all(&folder, &messages(&PRESENT))?;
    let elsewhere = || -> Result<Command> {
        let mut command = redeliver_command()?;
        command.args(["--json", "--to", "/nonexistent/imapd.conf", "--incident"]);
        command.arg(&scene.incident);
        Ok(command)
    };
    let mut command = elsewhere()?;
    command.args(as_admin(dovecot.path(), dovecot.port())?);
    let run = ToolRun::of(&command.output()?).parsed()?;
    ensure!(run.status == Some(0), "{run:?}");
    let name = run.summary()["run"].as_str().context("the run has no name")?;
    let mut command = subcommand(&elsewhere()?, &["undo", name]);
    command.args(server_at(dovecot.path(), dovecot.port())?);
    let undone = ToolRun::of(&command.output()?).parsed()?;
    ensure!(undone.status == Some(0), "{undone:?}");
    assert_eq!(undone.findings("undone").len(), MISSING.len(), "{undone:?}");
    session.ok(&format!("EXAMINE {folder}"))?;
    assert_eq!(session.search("ALL")?, PRESENT);
    assert_eq!(case.states(&scene)?, ["undone"; MISSING.len()]);
    scene.end()
}
