//! `rebuildq list`

use anyhow::Result;
use command_line::Console;
use command_line::text::{count, printable, time};
use incident::queue::{Access, Job, JobState, Roster as _};
use serde::Serialize;
use std::fmt::Write as _;

use super::desk::{DeskArgs, named};

/// So many jobs are listed, unless all are asked for.
const LISTED: usize = 40;

/// List the jobs: those that are worked on, then those that wait, the next first
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    desk: DeskArgs,

    /// Only jobs of this state: waiting, running, held, set-aside, done, cancelled; repeatable
    #[arg(long, value_name = "STATE")]
    state: Vec<String>,

    /// All of them
    #[arg(short, long)]
    all: bool,

    /// One JSON object a line (docs/rebuildq.md)
    #[arg(long)]
    json: bool,
}

/// A job in JSON.
#[derive(Serialize)]
pub(super) struct JobLine<'a> {
    r#type: &'static str,
    job: i64,
    user: &'a str,
    state: &'static str,
    access: &'static str,
    priority: i64,
    attempts: u32,
    why: Option<&'a str>,
    mailboxes: u64,
    mailboxes_done: u64,
    messages: u64,
    messages_done: u64,
    to_read: u64,
    bytes_to_read: u64,
    added: i64,
    claimed: Option<i64>,
    ended: Option<i64>,
}

impl<'a> From<&'a Job> for JobLine<'a> {
    fn from(job: &'a Job) -> Self {
        Self {
            r#type: "job",
            job: job.id.number(),
            user: &job.user,
            state: job.state.as_str(),
            access: job.access.as_str(),
            priority: job.priority,
            attempts: job.attempts,
            why: job.why.as_deref(),
            mailboxes: job.size.mailboxes,
            mailboxes_done: job.done.mailboxes,
            messages: job.size.messages,
            messages_done: job.done.messages,
            to_read: job.size.to_read,
            bytes_to_read: job.size.bytes_to_read,
            added: job.added.0,
            claimed: job.claimed.map(|at| at.0),
            ended: job.ended.map(|at| at.0),
        }
    }
}

impl List {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.desk.open()?;
        let console = Console::new("rebuildq", false);
        let is_wanted = |job: &&Job| {
            self.state.is_empty() || self.state.iter().any(|s| s == job.state.as_str())
        };
        let jobs = desk.incident.jobs(desk.store)?;
        let jobs: Vec<&Job> = jobs.iter().filter(is_wanted).collect();
        if self.json {
            for job in &jobs {
                console.print_json(&JobLine::from(*job));
            }
        } else {
            let paused = desk.incident.settings()?.paused.is_some();
            console.print(self.text(&jobs, paused));
        }
        console.finish()?;
        Ok(0)
    }

    fn text(&self, jobs: &[&Job], paused: bool) -> String {
        let mut text = summed_up(jobs);
        if paused {
            text.push_str("paused: no job is begun until `rebuildq resume`\n");
        }
        let shown = if self.all { jobs.len() } else { LISTED };
        for job in jobs.iter().take(shown) {
            text.push_str(&line(job));
        }
        if let Some(more) = jobs.len().checked_sub(shown).filter(|&more| more > 0) {
            let _ = writeln!(text, "… {more} more (--all lists them)");
        }
        text
    }
}

fn summed_up(jobs: &[&Job]) -> String {
    let of = |state| jobs.iter().filter(|job| job.state == state).count();
    let states = [
        (JobState::Running, "running"),
        (JobState::Waiting, "waiting"),
        (JobState::Held, "held"),
        (JobState::SetAside, "set aside"),
        (JobState::Done, "done"),
        (JobState::Cancelled, "cancelled"),
    ];
    let counts =
        states.map(|(state, word)| (of(state) > 0).then(|| format!("{} {word}", of(state))));
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    let all = count(u64::try_from(jobs.len()).unwrap_or(u64::MAX), "job", "jobs");
    if counts.is_empty() { format!("{all}\n") } else { format!("{all}: {}\n", counts.join(", ")) }
}

fn line(job: &Job) -> String {
    let since = match job.state {
        JobState::Running => job.claimed,
        JobState::Done | JobState::Cancelled | JobState::SetAside => job.ended,
        JobState::Waiting | JobState::Held => Some(job.added),
    };
    let mut line = format!(
        "{:9} {:24} {}/{} mailboxes, {} messages, priority {}, since {}",
        job.state.as_str(),
        printable(named(&job.user)),
        job.done.mailboxes,
        job.size.mailboxes,
        job.size.messages,
        job.priority,
        since.map_or_else(String::new, time),
    );
    line.push_str(match job.access {
        Access::Open => "",
        Access::Closing => ", to be denied",
        Access::Closed => ", denied",
        Access::Theirs => ", denied by an operator",
    });
    if let Some(why) = &job.why {
        let _ = write!(line, ": {}", printable(why));
    }
    line + "\n"
}
