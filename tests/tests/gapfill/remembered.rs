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

use crate::kinds;

const SEED: u64 = 42;

/// The gaps of an incident, but for when they were seen, sorted.
pub(crate) fn remembered_gaps(live: &Store, directory: &Path) -> Result<Vec<Value>> {
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

#[test]
fn a_gap_is_closed_when_a_later_run_finds_its_message() -> Result<()> {
    const NAME: &str = "a_gap_is_closed_when_a_later_run_finds_its_message";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (rescued, live) = kinds::stores(&cyrus)?;
    let incident = live.path().join("outage");
    new_incident(&live, &incident)?;
    remembered(&live, &rescued, &incident)?;
    let closed = |live: &Store| -> Result<Vec<bool>> {
        let gaps = remembered_gaps(live, &incident)?;
        Ok(gaps.iter().map(|gap| gap["closed"].is_i64() && gap["closed_by"].is_i64()).collect())
    };
    assert_eq!(closed(&live)?, [false, false]);
    // Somebody delivers one of both, under a UID of its own.
    live.login("alice")?.append("INBOX", &[], None, kinds::text(4).as_bytes())?;
    let path = incident.to_str().context("text")?;
    let run = gapfill(&live, &[rescued.path().to_owned()], &["--incident", path])?;
    assert_eq!((run.status, &run.summary()["closed"]), (Some(1), &1.into()), "{}", run.stderr);
    let mut states = closed(&live)?;
    states.sort_unstable();
    assert_eq!(states, [false, true]);
    live.login("alice")?.append("INBOX", &[], None, kinds::text(3).as_bytes())?;
    let run = gapfill(&live, &[rescued.path().to_owned()], &["--incident", path])?;
    assert_eq!((run.status, &run.summary()["closed"]), (Some(0), &1.into()), "{}", run.stderr);
    assert_eq!(closed(&live)?, [true, true]);
    Ok(())
}

#[test]
fn a_mailbox_that_was_missing_whole_is_closed_once_it_was_made_and_filled() -> Result<()> {
    const NAME: &str = "a_mailbox_that_was_missing_whole_is_closed_once_it_was_made_and_filled";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let (rescued, live) = kinds::stores(&cyrus)?;
    let rescued = Server::serve(rescued)?;
    let mut alice = rescued.login("alice")?;
    alice.create("INBOX.New")?;
    alice.append("INBOX.New", &[], None, kinds::text(5).as_bytes())?;
    alice.logout()?;
    let rescued = rescued.into_store()?;
    let incident = live.path().join("outage");
    new_incident(&live, &incident)?;
    remembered(&live, &rescued, &incident)?;
    let gone = |live: &Store| -> Result<Vec<(u64, bool)>> {
        let gaps = remembered_gaps(live, &incident)?;
        let gone = gaps.iter().filter(|gap| gap["class"] == "mailbox-gone");
        let told = |gap: &Value| (gap["messages"].as_u64().unwrap_or(0), gap["closed"].is_i64());
        Ok(gone.map(told).collect())
    };
    // The mailbox itself, and its message.
    assert_eq!(gone(&live)?, [(1, false), (1, false)]);
    let mut alice = live.login("alice")?;
    alice.create("INBOX.New")?;
    alice.append("INBOX.New", &[], None, kinds::text(5).as_bytes())?;
    alice.logout()?;
    remembered(&live, &rescued, &incident)?;
    assert_eq!(gone(&live)?, [(1, true), (1, true)]);
    Ok(())
}

#[test]
fn what_others_have_seen_and_annotations_go_with_a_gap() -> Result<()> {
    const NAME: &str = "what_others_have_seen_and_annotations_go_with_a_gap";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    for layout in [Layout::ById, Layout::ByName] {
        let server = Server::start(&cyrus, ServerOptions::new(layout).in_memory())?;
        let mut admin = server.admin()?;
        for mailbox in ["user.alice", "user.bob", "office"] {
            admin.create(mailbox)?;
        }
        for user in ["alice", "bob"] {
            admin.setacl("office", user, "lrswipkxten")?;
        }
        let store = server.into_store()?;
        let live = Server::serve(store.copy()?)?;
        let rescued = Server::serve(store)?;
        let mut alice = rescued.login("alice")?;
        for number in [1, 2] {
            alice.append("office", &[], None, kinds::text(number).as_bytes())?;
        }
        alice.select("office")?;
        alice.ok("UID STORE 2 ANNOTATION (/comment (value.shared \"ask bob\"))")?;
        let mut bob = rescued.login("bob")?;
        bob.select("office")?;
        bob.store("2", "+FLAGS (\\Seen)")?;
        bob.unselect()?;
        bob.logout()?;
        alice.logout()?;
        let rescued = rescued.into_store()?;
        let incident = live.path().join("outage");
        new_incident(&live, &incident)?;
        remembered(&live, &rescued, &incident)?;
        let mut gaps = remembered_gaps(&live, &incident)?;
        gaps.sort_by_key(|gap| gap["uid"].as_u64());
        let seen: Vec<_> = gaps.iter().map(|gap| gap["seen_by"].clone()).collect();
        assert_eq!(seen, [serde_json::json!([]), serde_json::json!(["bob"])], "{layout:?}");
        let note = serde_json::json!([{"entry": "/comment", "userid": "", "value": b"ask bob"}]);
        let annotations: Vec<_> = gaps.iter().map(|gap| gap["annotations"].clone()).collect();
        assert_eq!(annotations, [serde_json::json!([]), note], "{layout:?}");
    }
    Ok(())
}
