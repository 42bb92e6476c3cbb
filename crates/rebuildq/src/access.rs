//! Keeping users from logging in until their mailboxes are rebuilt, and letting them in again.
//!
//! Cyrus's own `cyr_deny` writes the deny database. The entry itself tells whose it is: ours end with
//! a mark, so nothing has to be kept in step with it, and what an operator had
//! put there is never touched. All that is done about one job is done in turns (`turn.rs`), by
//! whichever process; even a `cyr_deny` that outlives the process that started it is waited for.
//! Whoever was killed in between leaves a difference between queue and database, which
//! [`Doorkeeper::differences`] finds and [`Doorkeeper::mend`] ends.

mod turn;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use incident::Incident;
use incident::queue::{Access, EventKind, Job, JobId, Queue};
use mailstore::config::ImapdConf;
use mailstore::denials::{Denials, DenialsError};
use mailstore_format::Guid;

use turn::{Turn, Turns};

/// All services but those by which mail is delivered, whatever their names in `cyrus.conf` go on with.
pub const ALL_BUT_DELIVERY: &str = "!lmtp*,*";

/// How long the deny database is waited for.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of what a tool says is told when it fails.
const TOLD: usize = 500;

/// Why a user could not be denied or let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Nothing tells who is denied.
    #[error(transparent)]
    Denials(#[from] DenialsError),
    /// The queue cannot be read or written.
    #[error(transparent)]
    Queue(#[from] incident::Error),
    /// The turn could not be had.
    #[error("cannot lock {}: {source}", path.display())]
    Turn {
        /// The file with the locks.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server's tool did not do it.
    #[error("{} {arguments}: {why}", tool.display())]
    Tool {
        /// The tool.
        tool: PathBuf,
        /// What it was to do.
        arguments: String,
        /// What it said.
        why: String,
    },
}

/// What became of a job's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// They cannot log in now.
    Denied,
    /// They could not before, by an operator's will.
    DeniedBefore,
    /// It is not to be done any more.
    NotAnyMore,
}

/// What queue and deny database do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A user is denied by this queue, and no job waits for that to end.
    LeftDenied {
        /// Who.
        user: String,
    },
    /// A job's user is to be denied and is not yet.
    NotYetDenied {
        /// Whose.
        user: String,
        /// The job.
        job: JobId,
    },
    /// A job's user was denied by this queue, and somebody else let them in or denied them anew.
    ChangedByHand {
        /// Whose.
        user: String,
        /// The job.
        job: JobId,
        /// Whether they are denied now.
        is_denied: bool,
    },
}

/// Who denies users and lets them in.
#[derive(Debug)]
pub struct Doorkeeper<'a> {
    queue: &'a dyn Queue,
    conf: &'a ImapdConf,
    store: incident::StoreId,
    tool: PathBuf,
    services: String,
    /// What the messages of this queue's entries end with.
    mark: String,
    turns: Turns,
}

impl<'a> Doorkeeper<'a> {
    /// The doorkeeper of an incident's queue on the store with this configuration, with the server's
    /// tools in `bin`. `services` are the patterns of the services that are denied, such as
    /// [`ALL_BUT_DELIVERY`].
    pub fn new(
        incident: &'a Incident,
        store: incident::StoreId,
        conf: &'a ImapdConf,
        bin: &Path,
        services: &str,
    ) -> Result<Self, AccessError> {
        let directory = incident.directory().to_string_lossy();
        let digest = Guid::of(directory.as_bytes()).to_string();
        let mark = format!("[rebuildq {}]", digest.get(..8).unwrap_or_default());
        let turns = Turns::open(&incident.files()?.join("access.lock"))?;
        let (tool, services) = (bin.join("cyr_deny"), services.to_owned());
        Ok(Self { queue: incident, conf, store, tool, services, mark, turns })
    }

    /// Denies the user of a job that is to be.
    pub fn close(&self, job: JobId) -> Result<Closed, AccessError> {
        let turn = self.turns.of(job)?;
        let Some(job) = self.queue.job(job)?.filter(is_to_be_closed) else {
            return Ok(Closed::NotAnyMore);
        };
        if self.entry_of(&job.user)? == Entry::Theirs {
            self.queue.set_access(job.id, Access::Theirs)?;
            return Ok(Closed::DeniedBefore);
        }
        let text = match self.queue.settings()?.status_url {
            Some(url) => format!("Your mailboxes are being rebuilt. How far it is: {url}"),
            None => "Your mailboxes are being rebuilt.".to_owned(),
        };
        let message = format!("{text} {}", self.mark);
        // Also where the entry is there: the tool may have been killed before it ended the sessions.
        self.run(&turn, &["-s", &self.services, "-m", &message, "--", &job.user])?;
        self.queue.set_access(job.id, Access::Closed)?;
        Ok(Closed::Denied)
    }

    /// Lets the user of a job in, then does `last` before anybody else can do anything about the job.
    /// A killed process may leave the user let in and `last` undone.
    pub fn open<T>(
        &self,
        job: JobId,
        may: impl FnOnce() -> Result<bool, incident::Error>,
        last: impl FnOnce() -> Result<T, incident::Error>,
    ) -> Result<Option<T>, AccessError> {
        let turn = self.turns.of(job)?;
        if !may()? {
            return Ok(None);
        }
        if let Some(job) = self.queue.job(job)? {
            self.let_in(&turn, &job)?;
        }
        Ok(Some(last()?))
    }

    fn let_in(&self, turn: &Turn, job: &Job) -> Result<(), AccessError> {
        if !matches!(job.access, Access::Closing | Access::Closed) {
            return Ok(());
        }
        let access = match self.entry_of(&job.user)? {
            Entry::Theirs => Access::Theirs,
            Entry::None => Access::Open,
            Entry::Ours => {
                self.run(turn, &["-a", "--", &job.user])?;
                Access::Open
            }
        };
        Ok(self.queue.set_access(job.id, access)?)
    }

    /// What queue and deny database do not agree on now.
    pub fn differences(&self) -> Result<Vec<Difference>, AccessError> {
        // First these: whoever is denied by us had a job before.
        let denials = self.denials()?;
        let closed = self.queue.closed_jobs(self.store)?;
        let mut differences = Vec::new();
        let closed = closed.into_iter().filter(|job| !job.state.is_over()).collect::<Vec<_>>();
        let waiting: HashSet<&str> = closed.iter().map(|job| job.user.as_str()).collect();
        for (user, _) in denials.iter().filter(|(_, message)| self.is_ours(message)) {
            let user = String::from_utf8_lossy(user).into_owned();
            if !waiting.contains(user.as_str()) {
                differences.push(Difference::LeftDenied { user });
            }
        }
        for job in &closed {
            let (user, id) = (job.user.clone(), job.id);
            let entry = self.kind_of(denials.message_to(&user));
            differences.extend(match (job.access, entry) {
                (Access::Closing, _) => Some(Difference::NotYetDenied { user, job: id }),
                (_, Entry::Ours) => None,
                (_, entry) => {
                    let is_denied = entry == Entry::Theirs;
                    Some(Difference::ChangedByHand { user, job: id, is_denied })
                }
            });
        }
        Ok(differences)
    }

    /// Ends a difference, where it is still there: lets in who was left denied, denies who is to be,
    /// and takes what somebody did by hand for their will.
    pub fn mend(&self, difference: &Difference) -> Result<(), AccessError> {
        match difference {
            Difference::LeftDenied { user } => {
                let job = self.queue.job_of(self.store, user)?;
                let turn = self.turns.of_any(job.as_ref().map(|job| job.id))?;
                let job = self.queue.job_of(self.store, user)?;
                if job.as_ref().is_some_and(|job| !job.state.is_over()) {
                    return Ok(());
                }
                if self.entry_of(user)? == Entry::Ours {
                    self.run(&turn, &["-a", "--", user])?;
                    let told = format!("{user}, who was left denied");
                    self.queue.tell(job.as_ref().map(|job| job.id), EventKind::Opened, &told)?;
                }
                match job {
                    Some(job) if job.access != Access::Open => {
                        Ok(self.queue.set_access(job.id, Access::Open)?)
                    }
                    _ => Ok(()),
                }
            }
            Difference::NotYetDenied { job, .. } => self.close(*job).map(drop),
            Difference::ChangedByHand { job, user, .. } => {
                let _turn = self.turns.of(*job)?;
                let access = match self.entry_of(user)? {
                    Entry::Ours => return Ok(()),
                    Entry::Theirs => Access::Theirs,
                    Entry::None => Access::Open,
                };
                Ok(self.queue.set_access(*job, access)?)
            }
        }
    }

    fn denials(&self) -> Result<Denials, AccessError> {
        Ok(Denials::read(self.conf, DATABASE_TIMEOUT)?)
    }

    fn entry_of(&self, user: &str) -> Result<Entry, AccessError> {
        Ok(self.kind_of(self.denials()?.message_to(user)))
    }

    fn kind_of(&self, message: Option<&[u8]>) -> Entry {
        match message {
            None => Entry::None,
            Some(message) if self.is_ours(message) => Entry::Ours,
            Some(_) => Entry::Theirs,
        }
    }

    fn is_ours(&self, message: &[u8]) -> bool {
        message.ends_with(self.mark.as_bytes())
    }

    /// Runs the server's tool, which holds the turn for as long as it lives.
    fn run(&self, turn: &Turn, arguments: &[&str]) -> Result<(), AccessError> {
        let failed = |why: String| AccessError::Tool {
            tool: self.tool.clone(),
            arguments: arguments.join(" "),
            why,
        };
        let held = turn.held_by_another().map_err(|error| failed(error.to_string()))?;
        let output = Command::new(&self.tool)
            .arg("-C")
            .arg(self.conf.path())
            .args(arguments)
            .stdin(Stdio::from(held))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(TOLD).collect();
        Err(failed(format!("{}: {said}", output.status)))
    }
}

/// What the deny database has of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    None,
    Ours,
    Theirs,
}

fn is_to_be_closed(job: &Job) -> bool {
    job.access == Access::Closing && !job.state.is_over()
}
