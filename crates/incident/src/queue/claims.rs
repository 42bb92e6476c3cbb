//! What runners do, in the incident's database.
//!
//! Whoever changes a job names the claim's token, which every change of hands makes a new one: a
//! runner that was given up for dead, and was only slow, changes nothing.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use super::chronicle::tell;
use super::jobs::to_the_end;
use super::rows::{job_with, size};
use super::{
    Claim, EventKind, Job, JobId, JobState, MailboxEnd, Measured, Runner, RunnerId, Running, Size,
    Work,
};
use crate::error::Error;
use crate::incident::Incident;
use crate::sql_values::{moment, now, signed, timestamp, unsigned};
use crate::stores::StoreId;

/// So many runners are told of.
const RUNNERS: u32 = 64;

impl Work for Incident {
    fn begin_runner(&self, name: &str, workers: u32) -> Result<RunnerId, Error> {
        self.database.write(|transaction| {
            let insert = "INSERT INTO runners (name, workers, started, reported)
                 VALUES (?1, ?2, ?3, ?3) RETURNING id";
            let id = transaction
                .query_row(insert, (name, workers, now().0), |row| row.get(0).map(RunnerId))?;
            tell(transaction, None, EventKind::RunnerBegan, name)?;
            Ok(id)
        })
    }

    fn report(&self, runner: RunnerId) -> Result<(), Error> {
        self.database.write(|transaction| {
            let update = "UPDATE runners SET beat = beat + 1, reported = ?2 WHERE id = ?1";
            transaction.prepare_cached(update)?.execute((runner.0, now().0)).map(drop)
        })
    }

    fn end_runner(&self, runner: RunnerId) -> Result<(), Error> {
        self.database.write(|transaction| {
            let update =
                "UPDATE runners SET ended = ?2, reported = ?2 WHERE id = ?1 RETURNING name";
            let name: String =
                transaction.query_row(update, (runner.0, now().0), |row| row.get(0))?;
            tell(transaction, None, EventKind::RunnerEnded, &name)
        })
    }

    fn runners(&self) -> Result<Vec<Runner>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, name, workers, started, reported, ended FROM runners
                 ORDER BY ended IS NOT NULL, reported DESC LIMIT ?1",
            )?;
            let runners = query.query_map([RUNNERS], |row| {
                Ok(Runner {
                    id: RunnerId(row.get(0)?),
                    name: row.get(1)?,
                    workers: row.get(2)?,
                    started: timestamp(row, 3)?,
                    reported: timestamp(row, 4)?,
                    ended: moment(row, 5)?,
                })
            })?;
            runners.collect()
        })
    }

    fn claim(&self, store: StoreId, runner: RunnerId) -> Result<Option<(Claim, Job)>, Error> {
        // Who finds nothing keeps nobody from writing.
        if self.database.read(|connection| next_of(connection, store))?.is_none() {
            return Ok(None);
        }
        self.database.write(|transaction| match next_of(transaction, store)? {
            Some(next) => hand_to(transaction, next, runner, EventKind::Claimed),
            None => Ok(None),
        })
    }

    fn running(&self, store: StoreId) -> Result<Vec<Running>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT jobs.id, token, runners.id, beat, runners.ended IS NOT NULL
                 FROM jobs JOIN runners ON runners.id = runner
                 WHERE store = ?1 AND state = 'running'",
            )?;
            query.query_map([store.0], running)?.collect()
        })
    }

    fn take_over(&self, seen: &Running, runner: RunnerId) -> Result<Option<(Claim, Job)>, Error> {
        self.database.write(|transaction| {
            let is_gone = "SELECT 1 FROM jobs JOIN runners ON runners.id = runner
                 WHERE jobs.id = ?1 AND token = ?2 AND state = 'running'
                 AND (beat = ?3 OR runners.ended IS NOT NULL)
                 AND (SELECT paused FROM queue) IS NULL";
            let seen_still = (seen.claim.job.0, seen.claim.token, seen.beat);
            if !transaction.prepare_cached(is_gone)?.exists(seen_still)? {
                return Ok(None);
            }
            hand_to(transaction, seen.claim.job, runner, EventKind::TakenOver)
        })
    }

    fn holds(&self, claim: Claim) -> Result<bool, Error> {
        self.database.read(|connection| {
            let held = "SELECT 1 FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'";
            connection.prepare_cached(held)?.exists((claim.job.0, claim.token))
        })
    }

    fn mailbox_ended(&self, claim: Claim, position: u32, end: &MailboxEnd) -> Result<bool, Error> {
        self.database.write(|transaction| {
            if !counts(transaction, claim)? {
                return Ok(false);
            }
            let ending = "UPDATE queue SET last_end = last_end + 1 RETURNING last_end";
            let ending: i64 =
                transaction.prepare_cached(ending)?.query_row([], |row| row.get(0))?;
            let state = if end.outcome.is_some() { "done" } else { "gone" };
            let update = "UPDATE job_mailboxes
                 SET state = ?3, outcome = ?4, seconds = ?5, ended = ?6, ending = ?7,
                 at_once = (SELECT count(*) FROM jobs WHERE state = 'running')
                 WHERE job = ?1 AND position = ?2 AND state = 'waiting'
                 RETURNING 1, messages, to_read, bytes_to_read";
            let size = transaction
                .prepare_cached(update)?
                .query_row(
                    (claim.job.0, position, state, &end.outcome, end.seconds, end.at.0, ending),
                    |row| size(row, 0),
                )
                .optional()?;
            if let Some(size) = size {
                add_done(transaction, claim.job, size)?;
            }
            Ok(true)
        })
    }

    fn fail(&self, claim: Claim, why: &str, limit: u32) -> Result<Option<JobState>, Error> {
        self.database.write(|transaction| {
            let update = "UPDATE jobs SET attempts = attempts + 1, why = ?3, runner = NULL,
                 state = CASE WHEN attempts + 1 >= ?4 THEN 'set-aside' ELSE 'waiting' END,
                 ended = CASE WHEN attempts + 1 >= ?4 THEN ?5 END
                 WHERE id = ?1 AND token = ?2 AND state = 'running' RETURNING state = 'set-aside'";
            let is_aside: Option<bool> = transaction
                .prepare_cached(update)?
                .query_row((claim.job.0, claim.token, why, limit, now().0), |row| row.get(0))
                .optional()?;
            let Some(is_aside) = is_aside else { return Ok(None) };
            to_the_end(transaction, claim.job)?;
            let (state, kind) = if is_aside {
                (JobState::SetAside, EventKind::SetAside)
            } else {
                (JobState::Waiting, EventKind::Failed)
            };
            tell(transaction, Some(claim.job), kind, why)?;
            Ok(Some(state))
        })
    }

    fn lay_back(&self, claim: Claim) -> Result<bool, Error> {
        self.database.write(|transaction| {
            let update = "UPDATE jobs SET state = 'waiting', runner = NULL
                 WHERE id = ?1 AND token = ?2 AND state = 'running'";
            let parameters = (claim.job.0, claim.token);
            if transaction.prepare_cached(update)?.execute(parameters)? == 0 {
                return Ok(false);
            }
            tell(transaction, Some(claim.job), EventKind::LaidBack, "").map(|()| true)
        })
    }

    fn complete(&self, claim: Claim) -> Result<Option<JobState>, Error> {
        self.database.write(|transaction| {
            if !counts(transaction, claim)? {
                return Ok(None);
            }
            let more = "SELECT 1 FROM job_mailboxes WHERE job = ?1 AND state = 'waiting' LIMIT 1";
            let (state, kind, ended) = if transaction.prepare_cached(more)?.exists([claim.job.0])? {
                (JobState::Waiting, EventKind::LaidBack, None)
            } else {
                (JobState::Done, EventKind::Done, Some(now().0))
            };
            let update = "UPDATE jobs SET state = ?2, runner = NULL, why = NULL, ended = ?3
                 WHERE id = ?1";
            transaction.prepare_cached(update)?.execute((claim.job.0, state.as_str(), ended))?;
            tell(transaction, Some(claim.job), kind, "")?;
            Ok(Some(state))
        })
    }

    fn measured(&self, store: StoreId, after: u64, at_most: u32) -> Result<Vec<Measured>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT 1, job_mailboxes.messages, job_mailboxes.to_read,
                 job_mailboxes.bytes_to_read, seconds, ending, at_once
                 FROM job_mailboxes CROSS JOIN jobs ON jobs.id = job
                 WHERE ending > ?2 AND job_mailboxes.state = 'done' AND store = ?1
                 ORDER BY ending DESC LIMIT ?3",
            )?;
            let rows = query.query_map((store.0, signed(after), at_most), |row| {
                Ok(Measured {
                    number: unsigned(row, 5)?,
                    size: size(row, 0)?,
                    seconds: row.get(4)?,
                    at_once: row.get(6)?,
                })
            })?;
            let mut measured = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            measured.reverse();
            Ok(measured)
        })
    }

    fn largest_left(&self, store: StoreId, at_most: u32) -> Result<Vec<(JobId, Size)>, Error> {
        let order = "bytes_to_read - done_bytes_to_read DESC";
        self.left_of_some(store, order, at_most)
    }

    fn last_left(&self, store: StoreId, at_most: u32) -> Result<Vec<(JobId, Size)>, Error> {
        let mut last = self.left_of_some(store, "priority, turn DESC", at_most)?;
        last.reverse();
        Ok(last)
    }
}

impl Incident {
    /// What is left to do in the first of the jobs that wait, in an order of SQL.
    fn left_of_some(
        &self,
        store: StoreId,
        order: &str,
        at_most: u32,
    ) -> Result<Vec<(JobId, Size)>, Error> {
        self.database.read(|connection| {
            let query = format!(
                "SELECT mailboxes - done_mailboxes, messages - done_messages,
                 to_read - done_to_read, bytes_to_read - done_bytes_to_read, id
                 FROM jobs WHERE store = ?1 AND state = 'waiting' ORDER BY {order} LIMIT ?2"
            );
            let mut query = connection.prepare_cached(&query)?;
            let rows = query
                .query_map((store.0, at_most), |row| Ok((JobId(row.get(4)?), size(row, 0)?)))?;
            rows.collect()
        })
    }
}

fn next_of(connection: &Connection, store: StoreId) -> rusqlite::Result<Option<JobId>> {
    let next = "SELECT id FROM jobs WHERE store = ?1 AND state = 'waiting' AND access <> 'closing'
         AND (SELECT paused FROM queue) IS NULL ORDER BY priority DESC, turn LIMIT 1";
    let mut next = connection.prepare_cached(next)?;
    next.query_row([store.0], |row| row.get(0).map(JobId)).optional()
}

fn counts(transaction: &Transaction<'_>, claim: Claim) -> rusqlite::Result<bool> {
    let held = "SELECT 1 FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'";
    transaction.prepare_cached(held)?.exists((claim.job.0, claim.token))
}

/// Gives the job to a runner, with a new token.
fn hand_to(
    transaction: &Transaction<'_>,
    id: JobId,
    runner: RunnerId,
    kind: EventKind,
) -> rusqlite::Result<Option<(Claim, Job)>> {
    let update = "UPDATE jobs SET state = 'running', token = token + 1, runner = ?2, claimed = ?3
         WHERE id = ?1 RETURNING token";
    let token = transaction
        .prepare_cached(update)?
        .query_row((id.0, runner.0, now().0), |row| row.get(0))?;
    let by = "SELECT name FROM runners WHERE id = ?1";
    let by: String = transaction.prepare_cached(by)?.query_row([runner.0], |row| row.get(0))?;
    tell(transaction, Some(id), kind, &by)?;
    Ok(job_with(transaction, id)?.map(|job| (Claim { job: id, token }, job)))
}

fn add_done(transaction: &Transaction<'_>, job: JobId, size: Size) -> rusqlite::Result<()> {
    let update = "UPDATE jobs SET done_mailboxes = done_mailboxes + 1,
         done_messages = done_messages + ?2, done_to_read = done_to_read + ?3,
         done_bytes_to_read = done_bytes_to_read + ?4 WHERE id = ?1";
    let (messages, to_read) = (signed(size.messages), signed(size.to_read));
    let parameters = (job.0, messages, to_read, signed(size.bytes_to_read));
    transaction.prepare_cached(update)?.execute(parameters).map(drop)
}

fn running(row: &Row<'_>) -> rusqlite::Result<Running> {
    Ok(Running {
        claim: Claim { job: JobId(row.get(0)?), token: row.get(1)? },
        runner: RunnerId(row.get(2)?),
        beat: row.get(3)?,
        is_left: row.get(4)?,
    })
}
