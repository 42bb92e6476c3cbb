//! A delivery that is killed at a step that it makes on the disk, or whose disk fails there: the next
//! run finishes it, and nothing is there twice, whatever happened in the mailbox meanwhile.
#![allow(clippy::print_stderr, reason = "a test tells what it tried")]

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Store, long_form};

use crate::folders::{Case, Folders};
use crate::scene::{Way, redeliver};

/// So many folders are there for kills and failures where time is short.
const FEW: usize = 48;

/// Delivers through the library up to `end`; the steps that it came to, and whether it was ended.
fn deliver_to(case: &Case, scene: &Folders, end: &str) -> Result<(Vec<String>, Option<i32>)> {
    let store: &Store = &scene.server;
    let output = Command::new(env!("CARGO_BIN_EXE_redeliver_to_step"))
        .arg(store.imapd_conf())
        .arg(&scene.incident)
        .args([&case.mailbox, &format!("{}-{}", case.mailbox, end.replace(':', "-")), end])
        .env("CYRUS_USER", &store.cyrus().account().name)
        .env("TZ", &store.options().timezone)
        .output()
        .context("can't run redeliver_to_step")?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code().is_none_or(|code| code == 0), "{stdout}\n{stderr}");
    let steps = stdout.lines().filter(|line| !line.starts_with('{')).map(String::from);
    Ok((steps.collect(), output.status.code()))
}

#[test]
fn a_delivery_survives_a_kill_at_any_step() -> Result<()> {
    const NAME: &str = "a_delivery_survives_a_kill_at_any_step";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let folders = if long_form() { 400 } else { FEW };
    let mut scene = Folders::new(&cyrus, folders)?;
    // The first run of all makes a directory more.
    deliver_to(&scene.take()?, &scene, "count")?;
    let undisturbed = scene.take()?;
    let (steps, status) = deliver_to(&undisturbed, &scene, "count")?;
    ensure!(status == Some(0) && steps.len() > 20, "{steps:#?}");
    undisturbed.must_be_finished(&scene, Way::Spool, false)?;

    let index = steps.iter().rposition(|step| step.ends_with("/cyrus.index"));
    let commit = index.context("no index came into place")?;
    let every = steps.len().div_ceil(FEW / 3);
    let of_kill = |step: &usize| {
        let names = ["link", "rename"].iter().any(|verb| steps[*step].starts_with(verb));
        // Around the commit each step, of the rest as many as there are folders for.
        names || step.abs_diff(commit) < 3 || step.is_multiple_of(every)
    };
    let chosen: Vec<_> = (0..steps.len()).filter(|step| long_form() || of_kill(step)).collect();
    let (mut before, mut after, mut torn) = (0, 0, 0);
    for step in chosen {
        if scene.fresh.is_empty() {
            break;
        }
        let tear = step > 0 && steps[step - 1].starts_with("write");
        let end = format!("{}:{step}", if tear { "tear" } else { "kill" });
        let case = scene.take()?;
        let (_, status) = deliver_to(&case, &scene, &end)?;
        ensure!(status.is_none(), "{end}: it was not killed");
        let what = format!("{end}, before: {}", steps[step]);
        case.must_be_finished(&scene, Way::Spool, step % 3 == 1).context(what)?;
        torn += u32::from(tear);
        *(if step <= commit { &mut before } else { &mut after }) += 1;
    }
    eprintln!("{before} kills before the commit, {after} after it, {torn} in the midst of a write");
    ensure!(before > 5 && after > 2 && torn > 0, "kills on one side of the commit only");
    scene.end()
}

#[test]
fn a_disk_that_fails_at_any_step_of_a_delivery_is_told_and_nothing_is_lost_or_there_twice()
-> Result<()> {
    const NAME: &str =
        "a_disk_that_fails_at_any_step_of_a_delivery_is_told_and_nothing_is_lost_or_there_twice";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, FEW / 2)?;
    let (steps, _) = deliver_to(&scene.take()?, &scene, "count")?;
    let every = steps.len().div_ceil(scene.fresh.len());
    for step in (0..steps.len()).step_by(every) {
        let case = scene.take()?;
        let errno = ["EIO", "ENOSPC"][step % 2];
        deliver_to(&case, &scene, &format!("fail:{step}:{errno}"))?;
        let what = format!("{errno} at step {step}: {}", steps[step]);
        case.must_be_finished(&scene, Way::Spool, false).context(what)?;
    }
    scene.end()
}

#[test]
fn a_run_that_is_killed_at_any_time_is_finished_by_the_next() -> Result<()> {
    const NAME: &str = "a_run_that_is_killed_at_any_time_is_finished_by_the_next";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 20)?;
    let timed = scene.take()?;
    // The first call builds the program.
    redeliver(&scene.server, &scene.incident)?;
    let begun = Instant::now();
    ensure!(timed.redeliver(&scene)?.status == Some(0), "the run that is timed");
    let mut took = begun.elapsed();
    let mut killed = 0;
    let share = u32::try_from(scene.fresh.len())?;
    for part in 0..share {
        let case = scene.take()?;
        let mut command = redeliver(&scene.server, &scene.incident)?;
        command.args(["--mailbox", &case.mailbox]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        std::thread::sleep(took * part / share);
        child.kill()?;
        let was_killed = child.wait()?.code().is_none();
        killed += usize::from(was_killed);
        if !was_killed {
            // The machine was busier when the first run was timed.
            took = took * 3 / 4;
        }
        case.must_be_finished(&scene, Way::Spool, part % 3 == 1)
            .context(format!("killed after {part}/{share}"))?;
    }
    eprintln!("{killed} runs were killed");
    ensure!(killed > 5, "most runs were done before they were killed");
    scene.end()
}
