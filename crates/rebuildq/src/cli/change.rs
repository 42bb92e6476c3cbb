//! `rebuildq bump`, `hold`, `release`, `retry`, `cancel`

use anyhow::Result;
use incident::queue::{Change, Job, JobState, Roster as _};

use super::desk::{AccessArgs, Desk, DeskArgs, named};

/// Whose jobs.
#[derive(Debug, clap::Args)]
struct Users {
    #[command(flatten)]
    desk: DeskArgs,

    /// The user; '' is the job of the mailboxes that are nobody's
    #[arg(value_name = "USER", required = true)]
    users: Vec<String>,
}

/// Put a user before all others
#[derive(Debug, clap::Args)]
pub(super) struct Bump {
    #[command(flatten)]
    users: Users,
}

/// Keep a user's job back until it is released
///
/// Who was denied stays so. A runner that works on it stops before the next mailbox.
#[derive(Debug, clap::Args)]
pub(super) struct Hold {
    #[command(flatten)]
    users: Users,
}

/// Let a job that was held wait for its turn again
#[derive(Debug, clap::Args)]
pub(super) struct Release {
    #[command(flatten)]
    users: Users,
}

/// Try a job again that was set aside
#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    #[command(flatten)]
    desk: DeskArgs,

    /// The user; '' is the job of the mailboxes that are nobody's
    #[arg(value_name = "USER", required_unless_present = "all")]
    users: Vec<String>,

    /// All that were set aside
    #[arg(long, conflicts_with = "users")]
    all: bool,
}

/// Take a user out of the queue, and let them in where the queue had denied them
///
/// A runner that works on the job stops before the next mailbox.
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    users: Users,

    #[command(flatten)]
    access: AccessArgs,
}

impl Bump {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.users.desk.open()?;
        change_each(&desk, &self.users.users, Change::Bump, "is next")
    }
}

impl Hold {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.users.desk.open()?;
        change_each(&desk, &self.users.users, Change::Hold, "is held")
    }
}

impl Release {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.users.desk.open()?;
        change_each(&desk, &self.users.users, Change::Release, "waits again")
    }
}

impl Retry {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.desk.open()?;
        let users = if self.all { set_aside(&desk)? } else { self.users.clone() };
        change_each(&desk, &users, Change::Retry, "waits again")
    }
}

impl Cancel {
    pub(super) fn run(&self) -> Result<u8> {
        let desk = self.users.desk.open()?;
        let doorkeeper = desk.doorkeeper(&self.access)?;
        let mut status = 0;
        for user in &self.users.users {
            let job = desk.job_of(user)?;
            let cancel = || desk.incident.change(job.id, Change::Cancel);
            if job.state.is_over() {
                status |= refused(&job);
            } else if doorkeeper.open(job.id, || Ok(true), cancel)? == Some(true) {
                println!("{} is out of the queue", named(&job.user));
            }
        }
        Ok(status)
    }
}

fn set_aside(desk: &Desk) -> Result<Vec<String>> {
    let jobs = desk.incident.jobs(desk.store)?.into_iter();
    Ok(jobs.filter(|job| job.state == JobState::SetAside).map(|job| job.user).collect())
}

fn change_each(desk: &Desk, users: &[String], change: Change, told: &str) -> Result<u8> {
    let mut status = 0;
    for user in users {
        let job = desk.job_of(user)?;
        if desk.incident.change(job.id, change)? {
            println!("{} {told}", named(&job.user));
        } else {
            status |= refused(&job);
        }
    }
    Ok(status)
}

/// Tells why nothing was done; returns the exit status.
fn refused(job: &Job) -> u8 {
    let why = match job.state {
        JobState::Waiting => "waits",
        JobState::Running => "is worked on already",
        JobState::Held => "is held",
        JobState::SetAside => "was set aside",
        JobState::Done => "is done",
        JobState::Cancelled => "was taken out of the queue",
    };
    eprintln!("rebuildq: {} {why}: nothing was changed", named(&job.user));
    1
}
