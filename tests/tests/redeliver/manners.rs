//! Deliveries that hold back for the live server and its quotas, and end when they are told to.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Layout, ServerOptions, ToolRun};
use rustix::process::{Pid, Signal, kill_process};

use crate::folders::{Case, Folders, MISSING, PRESENT, states_of};
use crate::imap_access::as_admin;
use crate::scene::{Way, redeliver};

/// How long the first message may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

fn started(scene: &Folders, case: &Case, way: Way, arguments: &[&str]) -> Result<Child> {
    let mut command: Command = redeliver(&scene.server, &scene.incident)?;
    if way == Way::Imap {
        command.args(as_admin(scene.server.path(), scene.server.ports().imap)?);
    }
    command.args(["--mailbox", &case.mailbox, "--json"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("can't run redeliver")
}

fn tell_to_stop(child: &Child) -> Result<()> {
    Ok(kill_process(Pid::from_child(child), Signal::TERM)?)
}

#[test]
fn a_delivery_that_is_told_to_stop_ends_what_it_has_begun_and_the_next_one_goes_on() -> Result<()> {
    const NAME: &str =
        "a_delivery_that_is_told_to_stop_ends_what_it_has_begun_and_the_next_one_goes_on";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 2)?;
    for way in [Way::Spool, Way::Imap] {
        let case = scene.take()?;
        let child = started(&scene, &case, way, &["--rate", "1/s", "--at-once", "1"])?;
        let deadline = Instant::now() + PATIENCE;
        while case.shown(&scene)?.len() == PRESENT.len() {
            ensure!(Instant::now() < deadline, "{way:?}: nothing came");
        }
        tell_to_stop(&child)?;
        let run = ToolRun::of(&child.wait_with_output()?).parsed()?;
        assert_eq!(run.status, Some(2), "{way:?}: {run:?}");
        let [mailbox, sum] = &run.json[..] else { panic!("{way:?}: {run:?}") };
        let (come, held) = (&sum["delivered"], &sum["held"]);
        let (come, held) = come.as_u64().zip(held.as_u64()).context("numbers")?;
        assert_eq!((come + held, &sum["stopped"]), (MISSING.len() as u64, &1.into()), "{sum}");
        ensure!(come > 0 && held > 0, "{way:?}: {sum}");
        ensure!(mailbox.to_string().contains("told to stop"), "{way:?}: {mailbox}");
        assert_eq!(case.shown(&scene)?.len() as u64, PRESENT.len() as u64 + come, "{way:?}");
        case.must_be_finished(&scene, way, false)?;
    }
    scene.end()
}

#[test]
fn nothing_comes_while_the_server_is_slower_than_it_may_be() -> Result<()> {
    const NAME: &str = "nothing_comes_while_the_server_is_slower_than_it_may_be";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Folders::new(&cyrus, 2)?;
    for way in [Way::Spool, Way::Imap] {
        let case = scene.take()?;
        // No server is as fast as that.
        let mut child = started(&scene, &case, way, &["--max-latency", "1ns"])?;
        let mut told = BufReader::new(child.stderr.take().context("no stderr")?);
        let mut line = String::new();
        while !line.contains("waiting: the server takes") {
            line.clear();
            ensure!(told.read_line(&mut line)? > 0, "{way:?}: it ended");
        }
        tell_to_stop(&child)?;
        told.read_to_string(&mut line)?;
        let run = ToolRun::of(&child.wait_with_output()?).parsed()?;
        assert_eq!(run.status, Some(2), "{way:?}: {run:?}");
        assert_eq!(case.shown(&scene)?.len(), PRESENT.len(), "{way:?}");
        case.must_be_finished(&scene, way, false)?;
    }
    scene.end()
}

#[test]
fn what_is_over_quota_waits_until_there_is_room_or_comes_all_the_same() -> Result<()> {
    const NAME: &str = "what_is_over_quota_waits_until_there_is_room_or_comes_all_the_same";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    for kind in ["quotalegacy", "twoskip"] {
        let options = ServerOptions::new(Layout::ById).with_line(&format!("quota_db: {kind}"));
        over_quota(Folders::with(&cyrus, 2, options)?)?;
    }
    Ok(())
}

fn over_quota(mut scene: Folders) -> Result<()> {
    let room_for = |messages: usize| -> Result<()> {
        let limit = 2 * PRESENT.len() + messages;
        scene.server.admin()?.ok(&format!("SETQUOTA user.alice (MESSAGE {limit})"))?;
        Ok(())
    };
    room_for(2)?;
    let run = |arguments: &[&str]| -> Result<ToolRun> {
        let mut command = redeliver(&scene.server, &scene.incident)?;
        ToolRun::of(&command.args(arguments).arg("--json").output()?).parsed()
    };
    let sum = |run: &ToolRun, what: &str| -> Result<(Option<i32>, u64, u64)> {
        let sum = run.json.last().context("no summary")?;
        let number = |name: &str| sum[name].as_u64().context("a number");
        Ok((run.status, number(what)?, number("held")?))
    };
    let all = 2 * MISSING.len() as u64;
    let dry = run(&["--over-quota", "hold", "-n"])?;
    assert_eq!(sum(&dry, "intended")?, (Some(1), 2, all - 2), "{dry:?}");
    let held = run(&["--over-quota", "hold"])?;
    assert_eq!(sum(&held, "delivered")?, (Some(1), 2, all - 2), "{held:?}");
    ensure!(held.json[0].to_string().contains("over quota"), "{held:?}");
    let delivered: Vec<_> = states_of(&held).into_iter().filter(|it| *it != "held").collect();
    assert_eq!(delivered, ["verified"; 2]);
    let rest = run(&[])?;
    assert_eq!(sum(&rest, "delivered")?, (Some(0), all - 2, 0), "{rest:?}");
    while !scene.fresh.is_empty() {
        assert_eq!(scene.take()?.shown(&scene)?, scene.expected);
    }
    scene.end()
}
