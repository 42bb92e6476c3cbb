//! A delivery that is killed at a step that it makes on the disk, or whose disk fails there: the next
//! run finishes it, and nothing is there twice, whatever happened in the mailbox meanwhile.
#![allow(clippy::print_stderr, reason = "a test tells what it tried")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::outage::{exported, gapfill, new_incident};
use mailstore_tests::{
    Cyrus, ImapClient, Layout, MailboxSnapshot, NewMessage, Server, ServerOptions, Store, ToolRun,
    judge, long_form,
};

use crate::scene::{Kept, looks, redeliver, text};

/// The numbers of the messages that each folder has, and of those that it lacks, some of them twice.
const PRESENT: [u32; 3] = [1, 2, 3];
const MISSING: [u32; 5] = [4, 5, 6, 6, 7];
/// So many folders are there for kills and failures where time is short.
const FEW: usize = 48;

/// A server with many folders that all lack the same, and an incident that knows it.
struct Scene {
    server: Server,
    incident: PathBuf,
    /// Folders that were not delivered into yet.
    fresh: Vec<String>,
    /// What each must have in the end.
    expected: Vec<Kept>,
}

fn message(number: u32) -> NewMessage {
    let text = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nmessage {number}\r\n");
    let flags = match number % 2 {
        0 => vec!["\\Flagged".to_owned(), format!("keyword{number}")],
        _ => vec!["\\Seen".to_owned()],
    };
    let internaldate = Some(format!("0{number}-Nov-2006 10:11:12 +0000"));
    NewMessage { flags, internaldate, bytes: text.into_bytes() }
}

fn messages(numbers: &[u32]) -> Vec<NewMessage> {
    numbers.iter().map(|&number| message(number)).collect()
}

impl Scene {
    fn new(cyrus: &Cyrus, folders: usize) -> Result<Self> {
        let options = ServerOptions::new(Layout::ById).with_conversations().in_memory();
        let server = Server::start(cyrus, options)?;
        server.admin()?.create("user.alice")?;
        let names: Vec<String> = (0..folders).map(|n| format!("INBOX.case{n:03}")).collect();
        let mut session = server.login("alice")?;
        for name in &names {
            session.create(name)?;
            session.append_all(name, &messages(&PRESENT))?;
        }
        session.logout()?;
        let store = server.into_store()?;
        let server = Server::serve(store.copy()?)?;
        let rescued = Server::serve(store)?;
        let mut session = rescued.login("alice")?;
        for name in &names {
            // Their UIDs are not the next ones: one came and went.
            session.append_all(name, &messages(&[8]))?;
            session.append_all(name, &messages(&MISSING))?;
            session.select(name)?;
            session.store("4", "+FLAGS (\\Deleted)")?;
            session.expunge()?;
        }
        let first = names.first().context("no folder")?;
        let expected = shown(&mut session, first)?;
        session.logout()?;
        let rescued = rescued.into_store()?;
        let incident = server.path().join("outage");
        new_incident(&server, &incident)?;
        let stage = server.path().join("stage");
        let arguments = ["--incident", text(&incident)?, "--stage", text(&stage)?];
        let run = gapfill(&server, &[rescued.path().to_owned()], &arguments)?;
        ensure!(run.status == Some(1), "{}", run.stderr);
        Ok(Self { server, incident, fresh: names, expected })
    }

    fn take(&mut self) -> Result<Case> {
        let folder = self.fresh.pop().context("no folder is left")?;
        let mailbox = folder.replacen("INBOX", "user.alice", 1);
        Ok(Case { folder, mailbox })
    }

    fn session(&self) -> Result<ImapClient> {
        self.server.login("alice")
    }

    /// Nothing has died meanwhile, and Cyrus has nothing to say against any of the folders.
    fn end(self) -> Result<()> {
        ensure!(self.server.deaths().is_empty(), "deaths: {:?}", self.server.deaths());
        let store = self.server.into_store()?;
        let verdict = judge(&store)?;
        ensure!(verdict.is_clean(), "Cyrus's opinion:\n{verdict}");
        Ok(())
    }
}

/// What is in a folder, sorted.
fn shown(session: &mut ImapClient, folder: &str) -> Result<Vec<Kept>> {
    let mailbox = MailboxSnapshot::take(session, folder)?;
    let mut messages: Vec<_> = mailbox.messages.values().map(looks).collect();
    messages.sort();
    Ok(messages)
}

/// A folder to deliver into.
struct Case {
    folder: String,
    mailbox: String,
}

impl Case {
    /// Delivers through the library up to `end`; the steps that it came to, and whether it was ended.
    fn deliver_to(&self, scene: &Scene, end: &str) -> Result<(Vec<String>, Option<i32>)> {
        let store: &Store = &scene.server;
        let output = Command::new(env!("CARGO_BIN_EXE_redeliver_to_step"))
            .arg(store.imapd_conf())
            .arg(&scene.incident)
            .args([&self.mailbox, &format!("{}-{}", self.mailbox, end.replace(':', "-")), end])
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

    /// Runs the command on it.
    fn redeliver(&self, scene: &Scene) -> Result<ToolRun> {
        let mut command = redeliver(&scene.server, &scene.incident)?;
        let output = command.args(["--mailbox", &self.mailbox, "--json"]).output()?;
        ToolRun::of(&output).parsed()
    }

    /// While nothing is finished each message is served as it will be, or not at all yet. Then the
    /// next runs bring what is missing, once; `living`: mail comes in between.
    fn must_be_finished(&self, scene: &Scene, living: bool) -> Result<()> {
        let mut session = scene.session()?;
        let mut expected = scene.expected.clone();
        let interrupted = shown(&mut session, &self.folder)?;
        let foreign: Vec<_> = interrupted.iter().filter(|it| !expected.contains(it)).collect();
        ensure!(foreign.is_empty(), "served neither as before nor as after: {foreign:?}");
        if living {
            let came = messages(&[9, 9]);
            session.append_all(&self.folder, &came)?;
            let all = shown(&mut session, &self.folder)?;
            expected.extend(all.into_iter().filter(|it| !interrupted.contains(it)));
            expected.sort();
        }
        for time in ["first", "second"] {
            let run = self.redeliver(scene)?;
            ensure!(run.status == Some(0), "the {time} run after it: {run:?}");
            let now = shown(&mut session, &self.folder)?;
            ensure!(
                now == expected,
                "the {time} run after it: {now:#?} is not {expected:#?}\n{run:?}"
            );
        }
        session.logout()?;
        let states = exported(&scene.server, &scene.incident, "delivery")?;
        let states = states.iter().filter(|line| line["mailbox"] == self.mailbox.as_str());
        let states: Vec<_> = states.map(|line| line["state"].clone()).collect();
        let there = states.iter().filter(|state| *state == "verified" || *state == "delivered");
        ensure!(there.count() == MISSING.len(), "the incident says {states:?}");
        Ok(())
    }
}

#[test]
fn a_delivery_survives_a_kill_at_any_step() -> Result<()> {
    const NAME: &str = "a_delivery_survives_a_kill_at_any_step";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let folders = if long_form() { 400 } else { FEW };
    let mut scene = Scene::new(&cyrus, folders)?;
    let undisturbed = scene.take()?;
    let (steps, status) = undisturbed.deliver_to(&scene, "count")?;
    ensure!(status == Some(0) && steps.len() > 20, "{steps:#?}");
    undisturbed.must_be_finished(&scene, false)?;

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
        let (_, status) = case.deliver_to(&scene, &end)?;
        // The first run of all made a directory more.
        let has_ended = status == Some(0) && step + 4 > steps.len();
        ensure!(status.is_none() || has_ended, "{end}: it was not killed");
        let what = format!("{end}, before: {}", steps[step]);
        case.must_be_finished(&scene, step % 3 == 1).context(what)?;
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
    let mut scene = Scene::new(&cyrus, FEW / 2)?;
    let (steps, _) = scene.take()?.deliver_to(&scene, "count")?;
    let every = steps.len().div_ceil(scene.fresh.len());
    for step in (0..steps.len()).step_by(every) {
        let case = scene.take()?;
        let errno = ["EIO", "ENOSPC"][step % 2];
        case.deliver_to(&scene, &format!("fail:{step}:{errno}"))?;
        let what = format!("{errno} at step {step}: {}", steps[step]);
        case.must_be_finished(&scene, false).context(what)?;
    }
    scene.end()
}

#[test]
fn a_run_that_is_killed_at_any_time_is_finished_by_the_next() -> Result<()> {
    const NAME: &str = "a_run_that_is_killed_at_any_time_is_finished_by_the_next";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let mut scene = Scene::new(&cyrus, 20)?;
    let timed = scene.take()?;
    // The first call builds the program.
    redeliver(&scene.server, &scene.incident)?;
    let begun = Instant::now();
    ensure!(timed.redeliver(&scene)?.status == Some(0), "the run that is timed");
    let took = begun.elapsed();
    let mut killed = 0;
    let share = u32::try_from(scene.fresh.len())?;
    for part in 0..share {
        let case = scene.take()?;
        let mut command = redeliver(&scene.server, &scene.incident)?;
        command.args(["--mailbox", &case.mailbox]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        std::thread::sleep(took * part / share);
        child.kill()?;
        killed += usize::from(child.wait()?.code().is_none());
        case.must_be_finished(&scene, part % 3 == 1)
            .context(format!("killed after {part}/{share}"))?;
    }
    eprintln!("{killed} runs were killed");
    ensure!(killed > 5, "most runs were done before they were killed");
    scene.end()
}
