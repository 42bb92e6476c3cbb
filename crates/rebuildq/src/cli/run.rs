//! `rebuildq run`

use std::time::Duration;

use anyhow::{Result, ensure};
use command_line::text::{count, printable};
use command_line::{Console, arguments, duration_of, new_run_name, stop_on_signals};
use incident::RunStart;
use incident::queue::{JobState, Roster as _};
use rebuildq::runner::{Runner, RunnerSettings, Witness};
use reconstruct::{Check, Options, ServerTools, Summary};

use super::desk::{AccessArgs, Desk, DeskArgs, named};

/// Work on the jobs, until interrupted
///
/// Any number of runners can work at a time, on this machine. A job of one that was killed is taken
/// over after a while, and gone on with behind the mailboxes that are done. SIGINT and SIGTERM let
/// each worker end the mailbox it is at; a second signal ends the runner at once.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    desk: DeskArgs,

    #[command(flatten)]
    access: AccessArgs,

    /// Jobs that are worked on at a time
    #[arg(short, long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,

    /// Threads that read messages, of each job [default: the number of cores divided by --jobs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    readers: Option<u16>,

    /// End when nothing waits and nothing is worked on any more
    #[arg(long)]
    until_empty: bool,

    /// Read every message, instead of believing records that agree with their files
    #[arg(long)]
    full: bool,

    /// How often a job may fail before it is set aside
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=100))]
    attempts: u32,

    /// How long another runner may be silent before its jobs are taken over
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration_of)]
    lease: Duration,

    /// Seconds to wait for the locks of a mailbox
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    lock_timeout: u64,

    /// Tell this channel of the sync log of every repaired mailbox; repeatable; '' is the channel
    /// without a name
    #[arg(long, value_name = "CHANNEL")]
    sync_log: Vec<String>,
}

/// Tells what becomes of each job.
struct Teller<'a> {
    console: &'a Console,
}

impl Run {
    pub(super) fn run(&self) -> Result<u8> {
        ensure!(
            self.lease >= Duration::from_millis(100),
            "--lease: a runner cannot report more often than it works"
        );
        // Before there is another thread.
        let stop = stop_on_signals()?;
        let desk = self.desk.open()?;
        if !desk.incident.closed_jobs(desk.store)?.is_empty() {
            self.access.require_tools()?;
        }
        let console = Console::new("rebuildq", false);
        let name = new_run_name();
        let dumps = desk.incident.files()?.join(&name);
        let settings = self.settings();
        let runner = Runner {
            incident: &desk.incident,
            store: desk.store,
            binding: &desk.binding,
            conf: &desk.conf,
            doorkeeper: &desk.doorkeeper(&self.access)?,
            tools: ServerTools::new(&desk.conf, self.access.known_bin(), dumps),
            settings: &settings,
            witness: &Teller { console: &console },
            stop: &stop,
        };
        let version = env!("CARGO_PKG_VERSION");
        let summary = runner.run(RunStart::now(name, "rebuildq", version, arguments()))?;
        console.print(told(&summary));
        console.finish()?;
        if stop.is_asked() {
            return Ok(2);
        }
        let is_left = !runner.doorkeeper.differences()?.is_empty();
        Ok(u8::from(is_left || has_set_aside(&desk)?))
    }

    fn settings(&self) -> RunnerSettings {
        let defaults = Options::default();
        let workers = usize::from(self.jobs);
        let readers = self.readers.map_or((defaults.jobs / workers).max(1), usize::from);
        RunnerSettings {
            workers,
            options: Options {
                jobs: readers,
                check: if self.full { Check::Full } else { Check::Stat },
                lock_timeout: Duration::from_secs(self.lock_timeout),
                ..defaults
            },
            attempts: self.attempts,
            lease: self.lease,
            sample_every: (self.lease / 3).min(Duration::from_secs(10)),
            until_empty: self.until_empty,
            sync_log: self.sync_log.clone(),
        }
    }
}

impl Witness for Teller<'_> {
    fn ended(&self, user: &str, state: JobState, why: Option<&str>) {
        let (user, state) = (printable(named(user)), state.as_str());
        match why {
            None => self.console.print(format!("{user}: {state}\n")),
            Some(why) => self.console.print(format!("{user}: {state}: {}\n", printable(why))),
        }
    }

    fn warned(&self, text: &str) {
        self.console.say(text);
    }
}

fn told(summary: &Summary) -> String {
    format!(
        "{}, {} repaired, {} read\n",
        count(summary.mailboxes, "mailbox was looked at", "mailboxes were looked at"),
        summary.repaired,
        count(summary.messages_read, "message was", "messages were"),
    )
}

fn has_set_aside(desk: &Desk) -> Result<bool> {
    let totals = desk.incident.totals(desk.store)?;
    Ok(totals.iter().any(|total| total.state == JobState::SetAside))
}
