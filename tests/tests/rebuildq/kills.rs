//! Runners that are killed, frozen, or whose clocks differ.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::generate::Random;
use mailstore_tests::{Cyrus, long_form};
use rustix::process::{Pid, Signal, kill_process};

use super::scene::{Scene, until};

/// Runs work with a short lease, so that tests need not wait.
const RUN: [&str; 5] = ["run", "--until-empty", "--lease", "500ms", "--jobs"];

/// System calls at which a runner is killed, by what they do: the queue is written, messages and
/// indexes are, names change, what was written is made durable, a tool of the server is started.
const AIMED: [(&str, &str); 5] = [
    ("the queue", "pwrite64"),
    ("a file", "write"),
    ("a name", "rename,renameat,renameat2,link,linkat"),
    ("durability", "fsync,fdatasync"),
    ("a tool", "clone3,vfork,clone"),
];

impl Scene {
    /// The command under strace, which sends `signal` at the n-th of these system calls of a thread.
    fn injected(&self, arguments: &[&str], calls: &str, signal: &str, n: usize) -> Result<Command> {
        let plain = self.command(arguments)?;
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
        command.arg(format!("inject={calls}:signal={signal}:when={n}"));
        command.arg(plain.get_program()).args(plain.get_args());
        let set = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(set).env_remove("MAILSTORE_INCIDENT");
        Ok(command)
    }

    /// That all is over, everybody is let in and everything is sound.
    fn must_have_come_back(&self) -> Result<()> {
        for (user, state) in self.states()? {
            ensure!(state == "done", "{user} is {state}");
        }
        ensure!(self.denied()?.is_empty(), "{:?}", self.denied()?);
        self.users.iter().try_for_each(|user| self.must_be_whole(user))?;
        self.must_be_sound()
    }
}

#[test]
fn a_runner_that_is_killed_at_any_moment_leaves_nothing_half_done_and_nobody_denied() -> Result<()>
{
    let name = "a_runner_that_is_killed_at_any_moment_leaves_nothing_half_done_and_nobody_denied";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 8)?;
    let moments: Vec<usize> = if long_form() { (1..=40).collect() } else { vec![1, 3, 6, 12] };
    let mut killed = BTreeMap::<&str, usize>::new();
    for (what, calls) in AIMED {
        for &n in &moments {
            if scene.states()?.values().all(|state| state == "done") {
                scene.damage_all()?;
                scene.ok(&["add", "--all", "--deny"])?;
            }
            let run: Vec<&str> = RUN.into_iter().chain(["2"]).collect();
            let mut command = scene.injected(&run, calls, "SIGKILL", n)?;
            let ended = command.output().context("can't run strace")?;
            if ended.status.signal() == Some(9) || ended.status.code() == Some(137) {
                *killed.entry(what).or_default() += 1;
            } else {
                ensure!(ended.status.success(), "{what} {n}: {ended:?}");
            }
            scene.must_serve_those_who_are_done()?;
        }
    }
    println!("killed at: {killed:?}");
    for (what, _) in AIMED {
        ensure!(killed.get(what).is_some_and(|&times| times > 0), "never killed at {what}");
    }
    scene.ok(&[RUN.as_slice(), &["2"]].concat())?;
    scene.must_have_come_back()
}

impl Scene {
    /// Whoever is done can log in and has their mail.
    fn must_serve_those_who_are_done(&self) -> Result<()> {
        let denied = self.denied()?;
        for (user, state) in self.states()?.iter().filter(|(_, state)| *state == "done") {
            ensure!(!denied.contains_key(user), "{user} is {state} and denied");
            self.must_be_whole(user)?;
        }
        Ok(())
    }

    fn start_runner(&self, workers: &str) -> Result<Child> {
        self.start(&[RUN.as_slice(), &[workers]].concat())
    }
}

#[test]
fn runners_that_are_killed_at_random_are_replaced_by_others() -> Result<()> {
    let name = "runners_that_are_killed_at_random_are_replaced_by_others";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 12)?;
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let (rounds, mut kills) = (if long_form() { 20 } else { 2 }, 0);
    for _ in 0..rounds {
        scene.damage_all()?;
        scene.ok(&["add", "--all", "--deny"])?;
        let mut runners = [scene.start_runner("1")?, scene.start_runner("2")?];
        while scene.states()?.values().any(|state| state != "done") {
            std::thread::sleep(Duration::from_millis(u64::try_from(random.below(300))?));
            let runner = &mut runners[random.below(2)];
            if runner.try_wait()?.is_none() {
                runner.kill()?;
                kills += 1;
            }
            runner.wait()?;
            *runner = scene.start_runner("2")?;
        }
        for runner in &mut runners {
            ensure!(runner.wait()?.success());
        }
        scene.must_have_come_back()?;
    }
    println!("{kills} kills in {rounds} rounds");
    ensure!(kills > 0);
    Ok(())
}

#[test]
fn a_runner_that_was_only_slow_writes_nothing_any_more() -> Result<()> {
    let name = "a_runner_that_was_only_slow_writes_nothing_any_more";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let scene = Scene::of(&cyrus, 1)?;
    scene.damage_all()?;
    scene.ok(&["add", "--all", "--deny"])?;
    // The third directory that a thread makes is one for new files beside the mailbox: no lock is
    // held yet.
    let run = [RUN.as_slice(), &["1"]].concat();
    let mut command = scene.injected(&run, "mkdir,mkdirat", "SIGSTOP", 3)?;
    let mut slow = Slow { strace: command.spawn().context("can't run strace")?, runner: None };
    until("the job is claimed", || Ok(!scene.whom("claimed")?.is_empty()))?;
    let events = scene.events()?;
    let claimed = events.iter().find(|event| event.kind == "claimed").context("a claim")?;
    let frozen = claimed.detail.rsplit('-').next().context("a process id")?.parse()?;
    slow.runner = Pid::from_raw(frozen);
    until("it is frozen", || is_frozen(frozen))?;

    scene.ok(&run)?;
    ensure!(scene.whom("taken-over")?.len() == 1, "{:?}", scene.events()?);
    scene.must_have_come_back()?;
    // So that the slow one finds something to write; else it would not even without its token.
    scene.damage_all()?;
    let before = scene.files()?;
    kill_process(slow.runner.context("a process id")?, Signal::CONT)?;
    ensure!(slow.strace.wait()?.success());
    ensure!(scene.files()? == before, "the slow one wrote: {:?} for {before:?}", scene.files()?);
    scene.ok(&["add", "--all"])?;
    scene.ok(&run)?;
    scene.must_have_come_back()
}

/// A runner that may be frozen when a test fails, and what holds it.
struct Slow {
    strace: Child,
    runner: Option<Pid>,
}

impl Drop for Slow {
    fn drop(&mut self) {
        if matches!(self.strace.try_wait(), Ok(None)) {
            if let Some(runner) = self.runner {
                let _: Result<(), _> = kill_process(runner, Signal::KILL);
            }
            let _: Result<(), _> = self.strace.kill();
            let _: Result<_, _> = self.strace.wait();
        }
    }
}

fn is_frozen(pid: i32) -> Result<bool> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    for task in tasks {
        let stat = fs::read_to_string(task?.path().join("stat"))?;
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        if !matches!(state, Some('T' | 't')) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Scene {
    /// The files of the mailboxes, with inode and time of each.
    fn files(&self) -> Result<BTreeMap<String, (u64, i64, i64)>> {
        let mut files = BTreeMap::new();
        for user in &self.users {
            for mailbox in [format!("user.{user}"), format!("user.{user}.Sent")] {
                for entry in fs::read_dir(self.server.mailbox_dir(&mailbox)?)? {
                    let entry = entry?;
                    let (path, metadata) = (entry.path(), entry.metadata()?);
                    let seen = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
                    files.insert(path.display().to_string(), seen);
                }
            }
        }
        Ok(files)
    }
}
