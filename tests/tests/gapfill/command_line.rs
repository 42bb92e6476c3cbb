//! `gapfill` as an operator types it.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use mailstore_tests::{Account, Fixture, ToolRun, gapfill_command};

fn run(command: &mut Command) -> Result<ToolRun> {
    Ok(ToolRun::of(&command.output().context("can't run gapfill")?))
}

#[test]
fn the_help_has_examples_and_exit_statuses() -> Result<()> {
    let help = run(gapfill_command()?.arg("--help"))?;
    assert_eq!(help.status, Some(0));
    let parts = ["--from", "--to", "--stage", "--incident", "--ambiguous", "Examples:"];
    for part in parts.into_iter().chain(["Exit status:", "  0  ", "  1  ", "  2  ", "  3  "]) {
        assert!(help.stdout.contains(part), "{part}:\n{}", help.stdout);
    }
    Ok(())
}

#[test]
fn what_cannot_run_says_why_and_ends_with_status_2() -> Result<()> {
    let fixture = Fixture::unpack(Fixture::BY_ID)?;
    fixture.give_to(&Account::for_servers()?)?;
    let (conf, path) = (fixture.imapd_conf(), fixture.path());
    let (conf, path) = (conf.to_str().context("text")?, path.to_str().context("text")?);
    let stores = fixture.path().join("stores.toml");
    fs::write(&stores, "[store.store7]\nconfig = \"/nonexistent/imapd.conf\"\n")?;
    let stores = stores.to_str().context("text")?;
    let snapshot = fixture.path().join("snapshot");
    fs::write(&snapshot, run(gapfill_command()?.args(["snapshot", "-C", conf]))?.stdout)?;
    let snapshot = snapshot.to_str().context("text")?;
    let deliver = ["--incident=/nonexistent", "--stage=/nonexistent", "--deliver"];
    for (arguments, says) in [
        (&["--from", "/nonexistent", "--to", conf][..], "/nonexistent"),
        (&["--from", path, "--to", "/nonexistent/imapd.conf"], "--to"),
        (&["--from", path, "--to", "store8", "--stores", stores], "it has: store7"),
        (&["--from", path, "--to", "store7", "--stores", stores], "/nonexistent/imapd.conf"),
        (&["--from", path], "--to"),
        (&["--from", path, "--to", conf, "--incident", "/nonexistent"], "incident"),
        (&["--from", path, "--to", conf, "--deliver"], "--incident"),
        (&["--from", path, "--to", snapshot, deliver[0], deliver[1], deliver[2]], "--via imap"),
    ] {
        let run = run(gapfill_command()?.args(arguments))?;
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{arguments:?}: {run:#?}");
        assert!(run.stderr.contains(says), "{arguments:?}: {run:#?}");
    }
    Ok(())
}

#[test]
fn a_store_lacks_nothing_of_itself_and_a_disk_that_is_not_mounted_is_no_gap() -> Result<()> {
    let fixture = Fixture::unpack(Fixture::BY_NAME)?;
    fixture.give_to(&Account::for_servers()?)?;
    let compare = || {
        let mut command = gapfill_command()?;
        command.arg("--from").arg(fixture.path()).arg("--to").arg(fixture.imapd_conf());
        run(command.args(["--json", "--by-user"]))?.parsed()
    };
    let same = compare()?;
    assert_eq!(same.status, Some(0), "{same:#?}");
    let classes = &same.summary()["classes"];
    assert!(classes["present"]["messages"].as_u64() > Some(10), "{classes}");
    assert_eq!(same.summary()["bytes_read"], 0, "nothing that both have is read: {same:#?}");

    let rescued = Fixture::unpack(Fixture::BY_NAME)?;
    for directory in fixture.mailbox_dirs()? {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with('.') {
                fs::remove_file(entry.path())?;
            }
        }
    }
    let mut command = gapfill_command()?;
    command.arg("--from").arg(rescued.path()).arg("--to").arg(fixture.imapd_conf());
    let unmounted = run(&mut command)?;
    assert_eq!(unmounted.status, Some(2), "{unmounted:#?}");
    assert!(unmounted.stderr.contains("is the partition mounted?"), "{unmounted:#?}");
    Ok(())
}
