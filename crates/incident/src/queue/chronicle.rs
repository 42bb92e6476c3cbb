//! What is told of the queue, in the incident's database.

use mailstore_format::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use super::rows::named;
use super::{Chronicle, Event, EventKind, JobId, Link, ProgressSample, QueueNote, RebuildRequest};
use crate::error::Error;
use crate::incident::Incident;
use crate::sql_values::{moment, now, signed, timestamp, unsigned};
use crate::stores::StoreId;

/// The columns that [`event`] reads.
const EVENT: &str = "queue_events.id, at, job, user, kind, detail
     FROM queue_events LEFT JOIN jobs ON jobs.id = job";

impl Chronicle for Incident {
    fn tell(&self, job: Option<JobId>, kind: EventKind, detail: &str) -> Result<(), Error> {
        self.database.write(|transaction| tell(transaction, job, kind, detail))
    }

    fn events(&self, after: i64, at_most: u32) -> Result<Vec<Event>, Error> {
        self.database.read(|connection| events_after(connection, after, at_most))
    }

    fn events_of(&self, job: JobId) -> Result<Vec<Event>, Error> {
        self.database.read(|connection| {
            let query = format!("SELECT {EVENT} WHERE job = ?1 ORDER BY queue_events.id");
            connection.prepare_cached(&query)?.query_map([job.0], event)?.collect()
        })
    }

    fn sample(
        &self,
        store: StoreId,
        sample: &ProgressSample,
        since: Timestamp,
    ) -> Result<bool, Error> {
        self.database.write(|transaction| {
            let insert = "INSERT INTO queue_samples
                 (store, at, users, mailboxes, messages, earliest, latest)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS
                 (SELECT 1 FROM queue_samples WHERE store = ?1 AND at > ?8)";
            let ProgressSample { at, users, mailboxes, messages, estimate } = *sample;
            let inserted = transaction.prepare_cached(insert)?.execute((
                store.0,
                at.0,
                signed(users),
                signed(mailboxes),
                signed(messages),
                estimate.map(|(earliest, _)| earliest.0),
                estimate.map(|(_, latest)| latest.0),
                since.0,
            ))?;
            Ok(inserted > 0)
        })
    }

    fn samples(&self, store: StoreId, at_most: u32) -> Result<Vec<ProgressSample>, Error> {
        self.database.read(|connection| {
            let ends = "SELECT min(at), max(at) FROM queue_samples WHERE store = ?1";
            let ends = connection
                .prepare_cached(ends)?
                .query_row([store.0], |row| Ok(moment(row, 0)?.zip(moment(row, 1)?)))?;
            let Some((first, last)) = ends else { return Ok(Vec::new()) };
            let mut at = connection.prepare_cached(
                "SELECT at, users, mailboxes, messages, earliest, latest FROM queue_samples
                 WHERE store = ?1 AND at <= ?2 ORDER BY at DESC LIMIT 1",
            )?;
            let mut samples = Vec::new();
            for time in spread(first, last, at_most) {
                let found = at.query_row((store.0, time), sample)?;
                if samples.last() != Some(&found) {
                    samples.push(found);
                }
            }
            Ok(samples)
        })
    }

    fn note(&self, text: &str) -> Result<(), Error> {
        self.database.write(|transaction| {
            let insert = "INSERT INTO queue_notes (at, text) VALUES (?1, ?2)";
            transaction.execute(insert, (now().0, text)).map(drop)
        })
    }

    fn notes(&self, at_most: u32) -> Result<Vec<QueueNote>, Error> {
        self.database.read(|connection| {
            let query = "SELECT at, text FROM queue_notes ORDER BY id DESC LIMIT ?1";
            let mut query = connection.prepare_cached(query)?;
            let notes = query.query_map([at_most], |row| {
                Ok(QueueNote { at: timestamp(row, 0)?, text: row.get(1)? })
            })?;
            notes.collect()
        })
    }

    fn link(&self, store: StoreId, user: &str, new: &str) -> Result<String, Error> {
        self.database.write(|transaction| {
            let insert = "INSERT INTO queue_links (token, store, user, made)
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT (store, user) DO NOTHING";
            transaction.execute(insert, (new, store.0, user, now().0))?;
            let query = "SELECT token FROM queue_links WHERE store = ?1 AND user = ?2";
            transaction.query_row(query, (store.0, user), |row| row.get(0))
        })
    }

    fn unlink(&self, store: StoreId, user: &str) -> Result<bool, Error> {
        self.database.write(|transaction| {
            let delete = "DELETE FROM queue_links WHERE store = ?1 AND user = ?2";
            Ok(transaction.execute(delete, (store.0, user))? > 0)
        })
    }

    fn linked(&self, token: &str) -> Result<Option<Link>, Error> {
        self.database.read(|connection| {
            let query = "SELECT token, store, user FROM queue_links WHERE token = ?1";
            connection.prepare_cached(query)?.query_row([token], link).optional()
        })
    }

    fn links(&self, store: StoreId) -> Result<Vec<Link>, Error> {
        self.database.read(|connection| {
            let query = "SELECT token, store, user FROM queue_links WHERE store = ?1";
            connection.prepare_cached(query)?.query_map([store.0], link)?.collect()
        })
    }

    fn keep_request(&self, request: &RebuildRequest) -> Result<(), Error> {
        self.database.write(|transaction| {
            let insert = "INSERT INTO queue_requests (at, sender, user, why, subject, text)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let RebuildRequest { at, sender, user, why, subject, text } = request;
            transaction.execute(insert, (at.0, sender, user, why, subject, text)).map(drop)
        })
    }

    fn requests_since(&self, sender: &str, since: Timestamp) -> Result<u64, Error> {
        self.database.read(|connection| {
            let query = "SELECT count(*) FROM queue_requests WHERE sender = ?1 AND at > ?2";
            let mut query = connection.prepare_cached(query)?;
            query.query_row((sender, since.0), |row| unsigned(row, 0))
        })
    }

    fn requests(&self, at_most: u32) -> Result<Vec<RebuildRequest>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT at, sender, user, why, subject, text FROM queue_requests
                 ORDER BY id DESC LIMIT ?1",
            )?;
            let requests = query.query_map([at_most], |row| {
                Ok(RebuildRequest {
                    at: timestamp(row, 0)?,
                    sender: row.get(1)?,
                    user: row.get(2)?,
                    why: row.get(3)?,
                    subject: row.get(4)?,
                    text: row.get(5)?,
                })
            })?;
            requests.collect()
        })
    }
}

/// Events after the one of this number, at most so many.
pub(crate) fn events_after(
    connection: &Connection,
    after: i64,
    at_most: u32,
) -> rusqlite::Result<Vec<Event>> {
    let query =
        format!("SELECT {EVENT} WHERE queue_events.id > ?1 ORDER BY queue_events.id LIMIT ?2");
    connection.prepare_cached(&query)?.query_map((after, at_most), event)?.collect()
}

/// Tells an event in the transaction of what happened.
pub(super) fn tell(
    transaction: &Transaction<'_>,
    job: Option<JobId>,
    kind: EventKind,
    detail: &str,
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO queue_events (at, job, kind, detail) VALUES (?1, ?2, ?3, ?4)";
    let parameters = (now().0, job.map(|job| job.0), kind.as_str(), detail);
    transaction.prepare_cached(insert)?.execute(parameters).map(drop)
}

/// So many times from the first to the last, evenly spread, both among them.
fn spread(first: Timestamp, last: Timestamp, times: u32) -> impl Iterator<Item = i64> {
    let steps = i64::from(times.max(2) - 1);
    let span = last.0.saturating_sub(first.0);
    (0..=steps)
        .map(move |step| first.0.saturating_add(span / steps * step + span % steps * step / steps))
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let job = match row.get::<_, Option<i64>>(2)? {
        Some(job) => Some((JobId(job), row.get(3)?)),
        None => None,
    };
    Ok(Event {
        id: row.get(0)?,
        at: timestamp(row, 1)?,
        job,
        kind: named(row, 4, EventKind::named)?,
        detail: row.get(5)?,
    })
}

fn sample(row: &Row<'_>) -> rusqlite::Result<ProgressSample> {
    Ok(ProgressSample {
        at: timestamp(row, 0)?,
        users: unsigned(row, 1)?,
        mailboxes: unsigned(row, 2)?,
        messages: unsigned(row, 3)?,
        estimate: moment(row, 4)?.zip(moment(row, 5)?),
    })
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link { token: row.get(0)?, store: StoreId(row.get(1)?), user: row.get(2)? })
}
