//! What operators do, in the incident's database.

use std::collections::HashMap;

use mailstore_format::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction};

use super::chronicle::tell;
use super::rows::{JOB, SUM_LEFT, job, job_mailbox, job_with, place, size, state};
use super::{
    Access, Change, Enqueued, EventKind, Job, JobId, JobMailbox, JobState, NewJob, Place, Roster,
    Settings, Size, StateTotal,
};
use crate::error::Error;
use crate::incident::Incident;
use crate::mailboxes::{MailboxId, Naming, remember};
use crate::pages::Pages;
use crate::sql_values::{moment, now, signed, timestamp, unsigned};
use crate::stores::StoreId;

/// What SQL says of jobs that are not over.
const NOT_OVER: &str = "state NOT IN ('done', 'cancelled')";

impl Roster for Incident {
    fn enqueue(&self, store: StoreId, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        if self.about()?.closed.is_some() {
            return Err(Error::Closed { path: self.directory().to_owned() });
        }
        self.database.write(|transaction| {
            jobs.iter().map(|new| enqueue_one(transaction, store, new)).collect()
        })
    }

    fn job_of(&self, store: StoreId, user: &str) -> Result<Option<Job>, Error> {
        self.database.read(|connection| {
            let query = format!(
                "SELECT {JOB} FROM jobs WHERE store = ?1 AND user = ?2 ORDER BY id DESC LIMIT 1"
            );
            let mut query = connection.prepare_cached(&query)?;
            query.query_row((store.0, user), job).optional()
        })
    }

    fn job(&self, id: JobId) -> Result<Option<Job>, Error> {
        self.database.read(|connection| job_with(connection, id))
    }

    fn jobs(&self, store: StoreId) -> Result<Vec<Job>, Error> {
        self.database.read(|connection| {
            let query = format!(
                "SELECT {JOB} FROM jobs WHERE store = ?1
                 ORDER BY state IN ('done', 'cancelled'), state <> 'running',
                 CASE WHEN {NOT_OVER} THEN -priority ELSE -ended END, turn"
            );
            let mut query = connection.prepare(&query)?;
            query.query_map([store.0], job)?.collect()
        })
    }

    fn mailboxes_of(&self, id: JobId) -> Result<Vec<JobMailbox>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT position, uniqueid, name, messages, to_read, bytes_to_read, state, outcome,
                 seconds, ended
                 FROM job_mailboxes JOIN mailboxes ON mailboxes.id = mailbox
                 WHERE job = ?1 ORDER BY position",
            )?;
            query.query_map([id.0], job_mailbox)?.collect()
        })
    }

    fn change(&self, id: JobId, change: Change) -> Result<bool, Error> {
        self.database.write(|transaction| {
            let Some(job) = job_with(transaction, id)? else { return Ok(false) };
            apply(transaction, &job, change)
        })
    }

    fn set_access(&self, id: JobId, access: Access) -> Result<(), Error> {
        self.database.write(|transaction| {
            let Some(before) = job_with(transaction, id)?.map(|job| job.access) else {
                return Ok(());
            };
            let update = "UPDATE jobs SET access = ?2 WHERE id = ?1";
            transaction.prepare_cached(update)?.execute((id.0, access.as_str()))?;
            let kind = match (before, access) {
                (Access::Closed, Access::Open) => EventKind::Opened,
                (_, Access::Closed) => EventKind::Denied,
                (_, Access::Theirs) => EventKind::DeniedBefore,
                _ => return Ok(()),
            };
            tell(transaction, Some(id), kind, "")
        })
    }

    fn closed_jobs(&self, store: StoreId) -> Result<Vec<Job>, Error> {
        self.database.read(|connection| {
            let query = format!(
                "SELECT {JOB} FROM jobs WHERE store = ?1 AND access IN ('closing', 'closed')
                 ORDER BY id"
            );
            let mut query = connection.prepare_cached(&query)?;
            query.query_map([store.0], job)?.collect()
        })
    }

    fn place_of(&self, id: JobId) -> Result<Option<Place>, Error> {
        self.database.read(|connection| {
            let mine = "SELECT store, priority, turn FROM jobs WHERE id = ?1 AND state = 'waiting'";
            let mine = connection
                .prepare_cached(mine)?
                .query_row([id.0], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                })
                .optional()?;
            let Some(mine) = mine else { return Ok(None) };
            let before = format!(
                "SELECT count(*), {SUM_LEFT} FROM jobs WHERE store = ?1 AND state = 'waiting'
                 AND (priority > ?2 OR (priority = ?2 AND turn < ?3))"
            );
            let mut before = connection.prepare_cached(&before)?;
            before.query_row(mine, place).map(Some)
        })
    }

    fn places(&self, store: StoreId) -> Result<HashMap<JobId, Place>, Error> {
        self.database.read(|connection| {
            let mut next = Place::default();
            let mut query = connection.prepare_cached(
                "SELECT 1, mailboxes - done_mailboxes, messages - done_messages,
                 to_read - done_to_read, bytes_to_read - done_bytes_to_read, id
                 FROM jobs WHERE store = ?1 AND state = 'waiting' ORDER BY priority DESC, turn",
            )?;
            let mut rows = query.query([store.0])?;
            let mut places = HashMap::new();
            while let Some(row) = rows.next()? {
                places.insert(JobId(row.get(5)?), next);
                let Place { before, left_before } = place(row)?;
                next.before += before;
                next.left_before = next.left_before.and(left_before);
            }
            Ok(places)
        })
    }

    fn totals(&self, store: StoreId) -> Result<Vec<StateTotal>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT state, jobs, mailboxes, messages, to_read, bytes_to_read, done_mailboxes,
                 done_messages, done_to_read, done_bytes_to_read
                 FROM job_totals WHERE store = ?1 AND jobs > 0",
            )?;
            let totals = query.query_map([store.0], |row| {
                Ok(StateTotal {
                    state: state(row, 0)?,
                    jobs: unsigned(row, 1)?,
                    size: size(row, 2)?,
                    done: size(row, 6)?,
                })
            })?;
            totals.collect()
        })
    }

    fn span(&self, store: StoreId) -> Result<Option<(Timestamp, Option<Timestamp>)>, Error> {
        self.database.read(|connection| {
            let first = "SELECT added FROM jobs WHERE store = ?1 ORDER BY id LIMIT 1";
            let first = connection
                .prepare_cached(first)?
                .query_row([store.0], |row| timestamp(row, 0))
                .optional()?;
            let last = "SELECT max(ended) FROM jobs WHERE store = ?1 AND ended IS NOT NULL";
            let last =
                connection.prepare_cached(last)?.query_row([store.0], |row| moment(row, 0))?;
            Ok(first.map(|first| (first, last)))
        })
    }

    fn settings(&self) -> Result<Settings, Error> {
        self.database.read(|connection| {
            connection.query_row("SELECT paused, status_url FROM queue", [], |row| {
                Ok(Settings { paused: moment(row, 0)?, status_url: row.get(1)? })
            })
        })
    }

    fn set_paused(&self, paused: bool) -> Result<(), Error> {
        self.database.write(|transaction| {
            let update = "UPDATE queue SET paused = ?1 WHERE (paused IS NULL) <> (?1 IS NULL)";
            if transaction.execute(update, [paused.then(|| now().0)])? == 0 {
                return Ok(());
            }
            let kind = if paused { EventKind::Paused } else { EventKind::Resumed };
            tell(transaction, None, kind, "")
        })
    }

    fn set_status_url(&self, url: &str) -> Result<(), Error> {
        self.database.write(|transaction| {
            transaction.execute("UPDATE queue SET status_url = ?1", [url]).map(drop)
        })
    }
}

impl Incident {
    /// Every job, in the order in which they came into the database.
    pub(crate) fn all_jobs(&self) -> Pages<'_, i64, Job> {
        Pages::new(&self.database, |connection, after, limit| {
            let query = format!("SELECT {JOB} FROM jobs WHERE id > ?1 ORDER BY id LIMIT ?2");
            let mut query = connection.prepare_cached(&query)?;
            let rows = query.query_map((after, limit), job)?;
            rows.map(|job| job.map(|job| (job.id.0, job))).collect()
        })
    }
}

fn enqueue_one(
    transaction: &Transaction<'_>,
    store: StoreId,
    new: &NewJob,
) -> rusqlite::Result<Enqueued> {
    let find = format!("SELECT id FROM jobs WHERE store = ?1 AND user = ?2 AND {NOT_OVER}");
    let there = transaction
        .prepare_cached(&find)?
        .query_row((store.0, &new.user), |row| row.get(0).map(JobId))
        .optional()?;
    let access = if new.deny { Access::Closing } else { Access::Open };
    let job = match there {
        Some(job) => {
            let update = "UPDATE jobs SET priority = max(priority, ?2),
                 access = CASE WHEN access = 'open' THEN ?3 ELSE access END WHERE id = ?1";
            let parameters = (job.0, new.priority, access.as_str());
            transaction.prepare_cached(update)?.execute(parameters)?;
            job
        }
        None => transaction
            .prepare_cached(
                "INSERT INTO jobs (store, user, state, access, priority, turn, added)
                 VALUES (?1, ?2, 'waiting', ?3, ?4, 0, ?5) RETURNING id",
            )?
            .query_row((store.0, &new.user, access.as_str(), new.priority, now().0), |row| {
                row.get(0).map(JobId)
            })?,
    };
    if there.is_none() {
        to_the_end(transaction, job)?;
    }
    let added = add_mailboxes(transaction, store, job, &new.mailboxes)?;
    if there.is_none() || added > 0 {
        tell(transaction, Some(job), EventKind::Queued, &format!("{added} mailboxes"))?;
    }
    Ok(Enqueued { job, was_there: there.is_some() })
}

/// Behind all others of its priority.
pub(super) fn to_the_end(transaction: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    transaction.prepare_cached("UPDATE queue SET last_turn = last_turn + 1")?.execute([])?;
    let update = "UPDATE jobs SET turn = (SELECT last_turn FROM queue) WHERE id = ?1";
    transaction.prepare_cached(update)?.execute([job.0]).map(drop)
}

/// Those that the job does not have yet, behind those that it has. Returns how many.
fn add_mailboxes(
    transaction: &Transaction<'_>,
    store: StoreId,
    job: JobId,
    mailboxes: &[(MailboxId, Size)],
) -> rusqlite::Result<usize> {
    let mut known = transaction
        .prepare_cached("SELECT 1 FROM job_mailboxes WHERE job = ?1 AND mailbox = ?2")?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO job_mailboxes
         (job, position, mailbox, messages, to_read, bytes_to_read, state)
         VALUES (?1, (SELECT count(*) FROM job_mailboxes WHERE job = ?1), ?2, ?3, ?4, ?5, 'waiting')",
    )?;
    let mut sum = Size::default();
    let mut added = 0;
    for (mailbox, size) in mailboxes {
        let row = remember(transaction, store, mailbox, Naming::Current)?;
        if known.exists((job.0, row.0))? {
            continue;
        }
        let (messages, to_read) = (signed(size.messages), signed(size.to_read));
        insert.execute((job.0, row.0, messages, to_read, signed(size.bytes_to_read)))?;
        sum = sum.and(Size { mailboxes: 1, ..*size });
        added += 1;
    }
    let update = "UPDATE jobs SET mailboxes = mailboxes + ?2, messages = messages + ?3,
         to_read = to_read + ?4, bytes_to_read = bytes_to_read + ?5 WHERE id = ?1";
    transaction.prepare_cached(update)?.execute((
        job.0,
        signed(sum.mailboxes),
        signed(sum.messages),
        signed(sum.to_read),
        signed(sum.bytes_to_read),
    ))?;
    Ok(added)
}

fn apply(transaction: &Transaction<'_>, job: &Job, change: Change) -> rusqlite::Result<bool> {
    use JobState::{Cancelled, Held, Running, SetAside, Waiting};
    let (state, kind) = match (change, job.state) {
        (Change::Bump, Waiting | Held | SetAside) => {
            let top = format!(
                "UPDATE jobs SET priority = (SELECT max(priority) + 1 FROM jobs AS other
                 WHERE other.store = jobs.store AND {NOT_OVER}) WHERE id = ?1"
            );
            transaction.prepare_cached(&top)?.execute([job.id.0])?;
            return tell(transaction, Some(job.id), EventKind::Bumped, "").map(|()| true);
        }
        (Change::RaiseTo(priority), Waiting | Held | SetAside) if priority > job.priority => {
            let raise = "UPDATE jobs SET priority = ?2 WHERE id = ?1";
            transaction.prepare_cached(raise)?.execute((job.id.0, priority))?;
            to_the_end(transaction, job.id)?;
            let detail = format!("to {priority}");
            return tell(transaction, Some(job.id), EventKind::Raised, &detail).map(|()| true);
        }
        (Change::Hold, Waiting | Running) => (Held, EventKind::Held),
        (Change::Release, Held) => (Waiting, EventKind::Released),
        (Change::Retry, SetAside) => (Waiting, EventKind::Retried),
        (Change::Cancel, state) if !state.is_over() => (Cancelled, EventKind::Cancelled),
        _ => return Ok(false),
    };
    // The token too: whoever works on it has nothing to say any more.
    let update = "UPDATE jobs SET state = ?2, token = token + 1, attempts = 0, why = NULL,
         runner = NULL, ended = CASE WHEN ?2 = 'cancelled' THEN ?3 END WHERE id = ?1";
    transaction.prepare_cached(update)?.execute((job.id.0, state.as_str(), now().0))?;
    tell(transaction, Some(job.id), kind, "").map(|()| true)
}
