//! The processes of a server, which all end when it does, or the test.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long a server may take to greet, or to end when asked.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The processes of one server: a process group of their own, led by the master process.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) master: Child,
    group: Pid,
    /// Ends the group if the test process dies without doing so: it waits for the end of a pipe
    /// that only we hold open.
    watchdog: Child,
}

impl Processes {
    /// Runs the command, which is the master process.
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        let mut master = command.spawn().context("can't run the master process")?;
        let group = i32::try_from(master.id()).ok().and_then(Pid::from_raw);
        let group = group.context("the master process has no usable pid")?;
        match spawn_watchdog(group) {
            Ok(watchdog) => Ok(Self { master, group, watchdog }),
            Err(error) => {
                master.kill()?;
                master.wait()?;
                Err(error)
            }
        }
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        if self.master.try_wait()?.is_none() {
            kill_process(self.group, Signal::TERM)?;
        }
        ensure!(self.wait_for_end()?, "the server did not end within {PATIENCE:?} of SIGTERM");
        Ok(())
    }

    pub(crate) fn kill(mut self) -> Result<()> {
        self.kill_group();
        ensure!(self.wait_for_end()?, "the server did not end within {PATIENCE:?} of SIGKILL");
        Ok(())
    }

    fn kill_group(&self) {
        // The group is gone already: all the better.
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    /// Whether a process of the group still runs. Those that have ended and that nobody has waited
    /// for do not count: in a container without an init they stay.
    fn group_is_alive(&self) -> bool {
        let group = self.group.as_raw_nonzero().to_string();
        let Ok(processes) = fs::read_dir("/proc") else { return false };
        processes.flatten().any(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            // pid (name) state parent group …; the name may hold anything.
            let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
            fields.next().is_some_and(|state| state != "Z") && fields.nth(1) == Some(&group)
        })
    }

    /// Whether the whole group has ended in time. The master process does not wait for all of its
    /// children, so its own end is not enough.
    fn wait_for_end(&mut self) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.master.try_wait()?.is_some() && !self.group_is_alive() {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(false)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // The watchdog first: once the group is gone, its number may be given to others.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        if !matches!(self.master.try_wait(), Ok(Some(_))) || self.group_is_alive() {
            self.kill_group();
            let _ = self.wait_for_end();
        }
    }
}

fn spawn_watchdog(group: Pid) -> Result<Child> {
    Command::new("sh")
        .args(["-c", "read -r line; kill -s KILL -- \"-$1\"", "watchdog"])
        .arg(group.as_raw_nonzero().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("can't run sh")
}
