//! `redeliver` as an operator types it.

use std::fs::File;
use std::process::Command;

use anyhow::{Context as _, Result};
use mailstore_tests::{Account, Cyrus, Fixture, ToolRun, Tree, redeliver_command};

use crate::folders::{Folders, MISSING, states_of};
use crate::scene::{redeliver, subcommand};

fn run(command: &mut Command) -> Result<ToolRun> {
    Ok(ToolRun::of(&command.output().context("can't run redeliver")?))
}

#[test]
fn the_help_has_examples_and_exit_statuses() -> Result<()> {
    for arguments in [&["--help"][..], &["undo", "--help"], &["raise-uidnext", "--help"]] {
        let help = run(redeliver_command()?.args(arguments))?;
        assert_eq!(help.status, Some(0));
        let parts = ["--incident", "--to", "--user", "--dry-run", "Examples:", "Exit status:"];
        for part in parts.into_iter().chain(["  0  ", "  1  ", "  2  "]) {
            assert!(help.stdout.contains(part), "{part}:\n{}", help.stdout);
        }
    }
    Ok(())
}

#[test]
fn what_cannot_run_says_why_in_a_line_and_ends_with_status_2() -> Result<()> {
    let fixture = Fixture::unpack(Fixture::BY_ID)?;
    fixture.give_to(&Account::for_servers()?)?;
    let conf = fixture.imapd_conf();
    let conf = conf.to_str().context("text")?;
    let before = Tree::read(&fixture.path())?;
    for (arguments, says) in [
        (&["--to", conf][..], "--incident"),
        (&["--to", conf, "--incident", "/nonexistent"], "/nonexistent"),
        (&["--to", "/nonexistent/imapd.conf", "--incident", "/x"], "--to"),
        (
            &["--to", conf, "--incident", "/x", "--user", "nobody-of-that-name"],
            "nobody-of-that-name",
        ),
        (&["--to", conf, "--incident", "/x", "--connections", "5"], "--via imap"),
        (&["--to", conf, "--incident", "/x", "--via", "imap"], "--imap"),
        (&["undo", "../run", "--to", conf, "--incident", "/x"], "no run's name"),
    ] {
        let run = run(redeliver_command()?.args(arguments))?;
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{arguments:?}: {run:#?}");
        assert!(run.stderr.contains(says), "{arguments:?}: {run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{arguments:?}: {run:#?}");
    }
    assert_eq!(before.differences(&Tree::read(&fixture.path())?), [""; 0]);
    fixture.configure("partition-odd: /proc")?;
    let arguments = ["--to", conf, "--incident", "/x", "--max-latency", "1s"];
    let run = run(redeliver_command()?.args(arguments))?;
    assert_eq!(run.status, Some(2), "{run:#?}");
    assert!(run.stderr.contains("--max-latency") && run.stderr.contains("/proc"), "{run:#?}");
    Ok(())
}

#[test]
fn people_are_told_what_came_what_did_not_and_what_to_do_next() -> Result<()> {
    const NAME: &str = "people_are_told_what_came_what_did_not_and_what_to_do_next";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 2)?;
    let case = scene.take()?;
    let told = |arguments: &[&str]| {
        run(redeliver(&scene.server, &scene.incident)?.args(["--user", "alice"]).args(arguments))
    };
    let dry = told(&["-n", "-v"])?;
    assert_eq!(dry.status, Some(1), "{dry:?}");
    assert!(dry.stdout.contains("would get uid"), "{}", dry.stdout);
    let run = told(&[])?;
    assert_eq!(run.status, Some(0), "{run:?}");
    for part in [
        &format!("{}: 5 delivered; received from 2006-11-", case.mailbox)[..],
        "2 mailboxes; 10 delivered",
        "redeliver undo ",
        "ctl_conversationsdb",
    ] {
        assert!(run.stdout.contains(part), "{part}:\n{}", run.stdout);
    }
    let again = told(&[])?;
    assert_eq!(again.status, Some(0), "{again:?}");
    assert!(again.stdout.starts_with("0 mailboxes; nothing to deliver"), "{}", again.stdout);
    Ok(())
}

#[test]
fn an_output_that_cannot_be_written_ends_with_status_2_after_all_is_delivered() -> Result<()> {
    const NAME: &str = "an_output_that_cannot_be_written_ends_with_status_2_after_all_is_delivered";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let full = File::options().write(true).open("/dev/full")?;
    let mut command = redeliver(&scene.server, &scene.incident)?;
    let status = command.args(["--mailbox", &case.mailbox]).stdout(full).status()?;
    assert_eq!(status.code(), Some(2));
    assert_eq!(case.shown(&scene)?, scene.expected);
    Ok(())
}

#[test]
fn users_get_a_letter_about_what_came_back() -> Result<()> {
    const NAME: &str = "users_get_a_letter_about_what_came_back";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 2)?;
    let (case, _held) = (scene.take()?, scene.take()?);
    let report = |arguments: &[&str]| {
        let command = redeliver(&scene.server, &scene.incident)?;
        run(subcommand(&command, &["report"]).args(arguments))
    };
    assert_eq!(report(&[])?.stdout, "", "nothing came back");
    case.redeliver(&scene)?;
    let line = format!("  {}         5  2006-11-05 to 2006-11-08\n", case.folder);
    for shown in [report(&[])?, report(&["--user", "alice"])?] {
        assert_eq!(shown.status, Some(0), "{shown:?}");
        assert!(shown.stdout.starts_with("To: alice\n"), "{}", shown.stdout);
        assert!(shown.stdout.contains(&line), "{}", shown.stdout);
    }
    assert_eq!(report(&["--user", "bob"])?.stdout, "");
    let lines = report(&["--json"])?.parsed()?.json;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let members = lines[0].as_object().context("an object")?;
    let names: Vec<_> = members.keys().map(String::as_str).collect();
    let documented =
        ["ambiguous", "folder", "held", "mailbox", "messages", "newest", "oldest", "type", "user"];
    assert_eq!(names, documented, "docs/json.md has these");
    assert_eq!((&members["messages"], &members["held"]), (&5.into(), &0.into()));
    let letters = scene.server.path().join("letters");
    std::fs::create_dir(&letters)?;
    scene.server.cyrus().account().own(&letters)?;
    let letters = letters.to_str().context("text")?;
    assert_eq!(report(&["--letters", letters])?.status, Some(0));
    assert!(std::fs::read_to_string(format!("{letters}/alice.txt"))?.contains(&line));
    let again = report(&["--letters", letters])?;
    assert_eq!(again.status, Some(2), "none is overwritten: {again:?}");
    Ok(())
}

#[test]
fn what_comes_in_portions_is_told_as_one_delivery_the_oldest_first() -> Result<()> {
    const NAME: &str = "what_comes_in_portions_is_told_as_one_delivery_the_oldest_first";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 1)?;
    let case = scene.take()?;
    let mut command = redeliver(&scene.server, &scene.incident)?;
    command.args(["--mailbox", &case.mailbox, "--json", "--at-once", "2"]);
    let run = run(&mut command)?.parsed()?;
    assert_eq!((run.status, run.json.len()), (Some(0), 2), "a mailbox and the sum: {run:?}");
    assert_eq!(states_of(&run), ["verified"; MISSING.len()]);
    assert_eq!(case.shown(&scene)?, scene.expected);
    let messages = run.json[0]["messages"].as_array().context("messages")?;
    let mut by_date: Vec<_> = messages
        .iter()
        .map(|message| (message["internaldate"].as_i64(), message["uid"].as_u64()))
        .collect();
    by_date.sort_unstable();
    assert!(by_date.is_sorted_by_key(|(_, uid)| *uid), "{by_date:?}");
    scene.end()
}
