//! An incident remembers what `reconstruct` finds, keeps and misses, from run to run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use mailstore_tests::{
    Cyrus, Layout, Reconstruct, Server, ServerOptions, ToolRun, incident_command,
};
use serde_json::Value;

fn served(cyrus: &Cyrus) -> Result<Server> {
    let server = Server::start(cyrus, ServerOptions::new(Layout::ById).in_memory())?;
    server.admin()?.create("user.alice")?;
    let mut alice = server.login("alice")?;
    for number in 0..4 {
        let text = format!("Subject: {number}\r\n\r\nmessage {number}\r\n");
        alice.append("INBOX", &["\\Flagged", "later"], None, text.as_bytes())?;
    }
    alice.logout()?;
    Ok(server)
}

fn incident(server: &Server, arguments: &[&str], directory: &Path) -> Result<String> {
    let mut command = incident_command()?;
    let (first, rest) = arguments.split_first().context("a subcommand")?;
    command.env("CYRUS_USER", &server.cyrus().account().name);
    let output = command.arg(first).arg(directory).args(rest).output()?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The lines of this type in the incident's export.
fn exported(server: &Server, directory: &Path, kind: &str) -> Result<Vec<Value>> {
    let text = incident(server, &["export", "--json"], directory)?;
    let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    Ok(lines.into_iter().filter(|line| line["type"] == kind).collect())
}

fn repair(server: &Server, directory: &Path) -> Result<ToolRun> {
    let run = Reconstruct::new(server).args(["--user", "alice", "--json"]);
    run.arg("--incident").arg(directory).run()
}

#[test]
fn a_missed_message_is_wanted_with_its_flags_until_it_is_there_again() -> Result<()> {
    let name = "a_missed_message_is_wanted_with_its_flags_until_it_is_there_again";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let server = served(&cyrus)?;
    let directory = server.path().join("outage");
    let config = server.imapd_conf();
    let config = config.to_str().context("a path that is text")?;
    incident(&server, &["new", "-C", config], &directory)?;

    let message = server.mailbox_dir("user.alice")?.join("2.");
    let away = server.path().join("away");
    fs::rename(&message, &away)?;
    let run = repair(&server, &directory)?;
    assert_eq!(run.status, Some(1), "{run:?}");
    let wanted = exported(&server, &directory, "wanted")?;
    assert_eq!(wanted.len(), 1, "{wanted:?}");
    assert_eq!((&wanted[0]["uid"], &wanted[0]["why"]), (&2.into(), &"missing".into()));
    assert_eq!(wanted[0]["keywords"], serde_json::json!(["later"]));
    assert!(wanted[0]["found_at"].is_null(), "{wanted:?}");

    fs::rename(&away, &message)?;
    let run = repair(&server, &directory)?;
    assert_eq!(run.status, Some(0), "{run:?}");
    let wanted = exported(&server, &directory, "wanted")?;
    assert!(!wanted[0]["found_at"].is_null(), "{wanted:?}");
    assert_eq!(exported(&server, &directory, "run")?.len(), 2);
    Ok(())
}

#[test]
fn an_incident_knows_what_a_run_keeps_and_that_it_was_undone() -> Result<()> {
    let name = "an_incident_knows_what_a_run_keeps_and_that_it_was_undone";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let server = served(&cyrus)?;
    let directory = server.path().join("outage");
    let config = server.imapd_conf();
    let config = config.to_str().context("a path that is text")?;
    incident(&server, &["new", "-C", config], &directory)?;
    let index = server.mailbox_dir("user.alice")?.join("cyrus.index");
    let mut bytes = fs::read(&index)?;
    bytes[..160].fill(0);
    fs::write(&index, &bytes)?;

    let run = repair(&server, &directory)?;
    assert_eq!(run.status, Some(0), "{run:?}");
    let kept = exported(&server, &directory, "quarantine")?;
    let origins: Vec<_> = kept.iter().filter_map(|file| file["origin"].as_str()).collect();
    assert!(origins.contains(&index.to_str().context("text")?), "{kept:?}");
    assert!(!exported(&server, &directory, "finding")?.is_empty());

    let rebuilt = server.path().join("rebuilt");
    incident(&server, &["new", "-C", config], &rebuilt)?;
    incident(&server, &["rebuild"], &rebuilt)?;
    let runs = exported(&server, &rebuilt, "run")?;
    assert_eq!((runs.len(), &runs[0]["tool"]), (1, &"reconstruct".into()), "{runs:?}");
    assert_eq!(runs[0]["arguments"], exported(&server, &directory, "run")?[0]["arguments"]);

    let name = run.summary()["run"].as_str().context("the run has no name")?;
    let undo = Reconstruct::bare()
        .env("CYRUS_USER", &cyrus.account().name)
        .args(["undo", name, "-C", config, "--incident"])
        .arg(&directory)
        .run()?;
    assert_eq!(undo.status, Some(0), "{undo:?}");
    assert_eq!(fs::read(&index)?, bytes);
    let kept = exported(&server, &directory, "quarantine")?;
    assert!(kept.iter().all(|file| !file["restored"].is_null()), "{kept:?}");
    Ok(())
}

#[test]
fn a_run_on_a_store_that_the_incident_is_not_about_is_refused() -> Result<()> {
    let name = "a_run_on_a_store_that_the_incident_is_not_about_is_refused";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (server, other) = (served(&cyrus)?, served(&cyrus)?);
    let directory = other.path().join("outage");
    let config = other.imapd_conf();
    incident(&other, &["new", "-C", config.to_str().context("text")?], &directory)?;
    let run = repair(&server, &directory)?;
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(run.stderr.contains("incident"), "{run:?}");
    Ok(())
}
