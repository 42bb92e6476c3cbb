//! `rebuildq add`

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use command_line::Console;
use command_line::text::count;
use incident::queue::{Enqueued, NewJob, Roster as _};
use mailstore::store::{Selection, Store};
use rebuildq::access::{Closed, Doorkeeper};
use rebuildq::enroll::{Enrolment, jobs_of};
use reconstruct::{Options, Site, Target};

use super::desk::{AccessArgs, Desk, DeskArgs, named};

/// So many jobs come into the queue in one transaction.
const AT_ONCE: usize = 256;
/// So many users are denied at a time: `cyr_deny` waits for their sessions to end.
const DENIED_AT_ONCE: usize = 8;
/// How long the list of mailboxes is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Put users' mailboxes into the queue
///
/// A job is a user: INBOX first, then folders in the order of their last use. How much there is to
/// do is estimated from metadata alone, as `reconstruct triage` does. A user who is in the queue
/// already stays where they are; mailboxes that come to it are added.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).multiple(true)
    .args(["all", "user", "mailbox", "from_list"])))]
pub(super) struct Add {
    #[command(flatten)]
    desk: DeskArgs,

    /// Every mailbox of the store; those that are nobody's make a job of their own
    #[arg(long)]
    all: bool,

    /// Every mailbox of this user; repeatable
    #[arg(long, value_name = "USER")]
    user: Vec<String>,

    /// This mailbox, as user.alice, user/alice or user/alice@example.com; repeatable; * and % are
    /// wildcards
    #[arg(long, value_name = "NAME")]
    mailbox: Vec<String>,

    /// Every mailbox of the users in this file, one a line; what follows # is passed over
    #[arg(long, value_name = "FILE")]
    from_list: Option<PathBuf>,

    /// The higher, the sooner; whoever asks by mail gets 100
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i64,

    /// Keep these users from logging in until their mailboxes are verified; mail is delivered
    #[arg(long)]
    deny: bool,

    #[command(flatten)]
    access: AccessArgs,

    /// Where users can see how far it is; stands in the message with which they are denied
    #[arg(long, value_name = "URL")]
    status_url: Option<String>,

    /// Mailboxes that are looked at together [default: twice the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    jobs: Option<u16>,
}

impl Add {
    pub(super) fn run(&self) -> Result<u8> {
        // Before the process becomes the server's account: the list is the operator's.
        let listed = self.listed()?;
        let desk = self.desk.open()?;
        if self.deny {
            self.access.require_tools()?;
        }
        if let Some(url) = &self.status_url {
            ensure!(
                !url.chars().any(char::is_control),
                "--status-url has a control character in it"
            );
            desk.incident.set_status_url(url)?;
        }
        let console = Console::new("rebuildq", false);
        let store = desk.open_store(PATIENCE)?;
        let (targets, mut unknown) = self.targets(&store, &listed, &console)?;
        let jobs = self.jobs.map_or(Options::default().jobs.saturating_mul(2), usize::from);
        let how = Enrolment { priority: self.priority, deny: self.deny, jobs };
        let jobs = jobs_of(&store, &Site::of(&store), &targets, how);
        let mut enqueued = Vec::new();
        for portion in jobs.chunks(AT_ONCE) {
            enqueued.extend(desk.incident.enqueue(desk.store, portion)?);
        }
        console.print(told(&jobs, &enqueued));
        if self.deny {
            unknown += self.close(&desk, &jobs, &enqueued, &console)?;
        }
        console.finish()?;
        Ok(u8::from(unknown > 0))
    }

    fn listed(&self) -> Result<Vec<String>> {
        let Some(path) = &self.from_list else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// The mailboxes, and how many of those that were named are not known.
    fn targets(
        &self,
        store: &Store,
        listed: &[String],
        console: &Console,
    ) -> Result<(Vec<Target>, usize)> {
        let mut unknown = 0;
        let mut selection = Selection { all: self.all, ..Selection::default() };
        for user in self.user.iter().chain(listed) {
            let alone = Selection { users: vec![user.clone()], ..Selection::default() };
            match store.select(&alone) {
                Ok(_) => selection.users.push(user.clone()),
                Err(error) => {
                    console.say(&error.to_string());
                    unknown += 1;
                }
            }
        }
        selection.mailboxes.clone_from(&self.mailbox);
        let mut targets = Vec::new();
        for entry in store.select(&selection)? {
            match Target::listed(store, entry) {
                Ok(target) => targets.push(target),
                Err(error) => {
                    console.say(&format!("{}: {error}", store.namespace().display(&entry.name)));
                    unknown += 1;
                }
            }
        }
        Ok((targets, unknown))
    }

    /// Denies the users of these jobs. Returns for how many that failed.
    fn close(
        &self,
        desk: &Desk,
        jobs: &[NewJob],
        enqueued: &[Enqueued],
        console: &Console,
    ) -> Result<usize> {
        let doorkeeper = desk.doorkeeper(&self.access)?;
        let to_deny: Vec<_> = jobs.iter().zip(enqueued).filter(|(new, _)| new.deny).collect();
        let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (denied, before) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..DENIED_AT_ONCE.min(to_deny.len()) {
                scope.spawn(|| {
                    while let Some((new, there)) = to_deny.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let counter = match deny(&doorkeeper, there, &new.user, console) {
                            Some(Closed::Denied) => &denied,
                            Some(Closed::DeniedBefore) => &before,
                            Some(Closed::NotAnyMore) => continue,
                            None => &failed,
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let number = |counter: AtomicUsize| u64::try_from(counter.into_inner()).unwrap_or(u64::MAX);
        let (denied, before) = (number(denied), number(before));
        console.print(format!("{} cannot log in until then\n", count(denied, "user", "users")));
        if before > 0 {
            let told = count(before, "user was", "users were");
            console.print(format!("{told} denied before, by an operator; that is left as it is\n"));
        }
        Ok(failed.into_inner())
    }
}

fn deny(
    doorkeeper: &Doorkeeper<'_>,
    there: &Enqueued,
    user: &str,
    console: &Console,
) -> Option<Closed> {
    match doorkeeper.close(there.job) {
        Ok(closed) => Some(closed),
        Err(error) => {
            console.say(&format!("{} is not denied, and waits for that: {error}", named(user)));
            None
        }
    }
}

fn told(jobs: &[NewJob], enqueued: &[Enqueued]) -> String {
    let were_there = enqueued.iter().filter(|enqueued| enqueued.was_there).count();
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let mailboxes = jobs.iter().map(|job| job.mailboxes.len()).sum();
    let new = count(number(enqueued.len() - were_there), "user is", "users are");
    let mut text = format!(
        "{new} in the queue now, {} looked at\n",
        count(number(mailboxes), "mailbox was", "mailboxes were"),
    );
    if were_there > 0 {
        let told = count(number(were_there), "user was", "users were");
        let _ = writeln!(text, "{told} in it already");
    }
    text
}
