//! What is found goes into the incident, once, however often a run is killed; and what a prune took
//! out of sight is found again.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result};
use mailstore_tests::outage::{World, exported, gapfill, new_incident, told};
use mailstore_tests::{Cyrus, Layout, Reconstruct, Server, ServerOptions, Store, gapfill_command};
use serde_json::Value;

const SEED: u64 = 42;

/// The gaps of an incident, but for when they were seen, sorted.
fn remembered_gaps(live: &Store, directory: &Path) -> Result<Vec<Value>> {
    let mut gaps = exported(live, directory, "gap")?;
    for gap in &mut gaps {
        for when in ["run", "first_seen", "last_seen"] {
            gap[when] = Value::Null;
        }
    }
    gaps.sort_by_key(Value::to_string);
    Ok(gaps)
}

fn remembered(live: &Store, rescued: &Store, incident: &Path) -> Result<()> {
    let incident = incident.to_str().context("a path that is text")?;
    let run = gapfill(live, &[rescued.path().to_owned()], &["--incident", incident])?;
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    Ok(())
}

#[test]
fn a_run_that_was_killed_ends_with_the_same_gaps_when_it_is_run_again() -> Result<()> {
    const NAME: &str = "a_run_that_was_killed_ends_with_the_same_gaps_when_it_is_run_again";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut world = World::fork(&cyrus, Layout::ById, SEED)?;
    world.traffic(30)?;
    world.folders()?;
    let (rescued, _, live) = world.rescue()?;
    let undisturbed = live.path().join("undisturbed");
    new_incident(&live, &undisturbed)?;
    // The first call builds the program.
    gapfill_command()?;
    let begun = Instant::now();
    remembered(&live, &rescued, &undisturbed)?;
    let took = begun.elapsed();
    let expected = remembered_gaps(&live, &undisturbed)?;
    assert!(expected.len() > 5, "{expected:#?}");

    let killed = live.path().join("killed");
    new_incident(&live, &killed)?;
    let mut interrupted = 0;
    // Spread over the time that a whole run takes here, from its first instant on.
    for twelfths in 0..12 {
        let mut command = gapfill_command()?;
        command.arg("--from").arg(rescued.path()).arg("--to").arg(live.imapd_conf());
        command.arg("--incident").arg(&killed).env("CYRUS_USER", &cyrus.account().name);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(took * twelfths / 12);
        child.kill()?;
        interrupted += usize::from(child.wait()?.code().is_none());
    }
    assert!(interrupted > 0, "every run was done before it was killed");
    for _ in 0..2 {
        remembered(&live, &rescued, &killed)?;
        assert_eq!(remembered_gaps(&live, &killed)?, expected);
    }
    Ok(())
}

#[test]
fn a_message_that_was_pruned_is_found_on_a_later_volume_with_its_flags() -> Result<()> {
    const NAME: &str = "a_message_that_was_pruned_is_found_on_a_later_volume_with_its_flags";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let live = Server::start(&cyrus, ServerOptions::new(Layout::ById).in_memory())?;
    live.admin()?.create("user.alice")?;
    let mut alice = live.login("alice")?;
    for number in 0..4 {
        let text = format!("Subject: {number}\r\n\r\nmessage {number}\r\n");
        alice.append("INBOX", &["\\Flagged", "later"], None, text.as_bytes())?;
    }
    alice.logout()?;
    let store = live.into_store()?;
    let rescued = store.copy()?;
    let live = Server::serve(store)?;
    let incident = live.path().join("outage");
    new_incident(&live, &incident)?;
    fs::remove_file(live.mailbox_dir("user.alice")?.join("3."))?;
    let prune = Reconstruct::new(&live).args(["--user", "alice", "--prune", "--json"]);
    let prune = prune.arg("--incident").arg(&incident).run()?;
    assert_eq!(prune.findings("pruned").len(), 1, "{prune:?}");

    let (path, stage) = (incident.to_str().context("text")?, live.path().join("stage"));
    let stage_path = stage.to_str().context("text")?;
    let arguments = ["--incident", path, "--stage", stage_path];
    let run = gapfill(&live, &[rescued.path().to_owned()], &arguments)?;
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let classes: Vec<_> = told(&run).into_iter().map(|gap| (gap.0, gap.2)).collect();
    assert_eq!(classes, [("user.alice".to_owned(), "wanted".to_owned())]);
    let gaps = remembered_gaps(&live, &incident)?;
    let gap = gaps.first().context("a gap")?;
    assert_eq!((&gap["restore"], &gap["keywords"]), (&true.into(), &serde_json::json!(["later"])));
    let staged = gap["staged"].as_str().context("a staged copy")?;
    assert_eq!(fs::read(staged)?, b"Subject: 2\r\n\r\nmessage 2\r\n");
    Ok(())
}
