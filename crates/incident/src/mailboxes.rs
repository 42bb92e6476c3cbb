//! What became of a mailbox in a run, recorded in one transaction.

use mailstore_format::{Guid, Uid};
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use crate::error::Error;
use crate::findings::{self, Finding};
use crate::incident::Incident;
use crate::pages::Pages;
use crate::quarantine::{self, Quarantined};
use crate::runs::RunId;
use crate::sql_values::{moment, now, signed, unsigned};
use crate::stores::StoreId;
use crate::wanted::{self, WantedMessage};
use mailstore_format::Timestamp;

/// A mailbox of a store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId {
    /// Its unique id; of a mailbox without one, its internal name.
    pub uniqueid: String,
    /// Its name, as operators write it; empty where it is not known.
    pub name: String,
}

/// What a tool says of a mailbox: of one that was interrupted, or gone on with, the last word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What became of it, as the tool's JSON output has it.
    pub state: String,
    /// Messages with a record or a file.
    pub messages: u64,
    /// Messages that were read.
    pub messages_read: u64,
    /// Bytes that were read of them.
    pub bytes_read: u64,
    /// Why it could not be worked on, where that is so.
    pub error: Option<String>,
}

/// Everything a run has to remember of one mailbox.
#[derive(Debug, Clone, Copy)]
pub struct MailboxRecord<'a> {
    /// The mailbox.
    pub mailbox: &'a MailboxId,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// What was found. What this run had recorded of the mailbox before is replaced.
    pub findings: &'a [Finding],
    /// Messages that were lost.
    pub wanted: &'a [WantedMessage],
    /// Messages that are there; those among them that were wanted no longer are.
    pub found: &'a [(Uid, Guid)],
    /// What was put away.
    pub quarantined: &'a [Quarantined],
}

/// What became of a mailbox in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxOutcome {
    /// The run.
    pub run: RunId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// What became of it.
    pub outcome: Outcome,
    /// When that was undone, if it was.
    pub undone: Option<Timestamp>,
}

impl<'a> MailboxRecord<'a> {
    /// A record that says nothing else yet.
    #[must_use]
    pub fn new(mailbox: &'a MailboxId, outcome: &'a Outcome) -> Self {
        Self { mailbox, outcome, findings: &[], wanted: &[], found: &[], quarantined: &[] }
    }
}

impl Incident {
    /// Records what became of a mailbox in `run`, all of it or nothing.
    pub fn record(&self, run: RunId, record: &MailboxRecord<'_>) -> Result<(), Error> {
        let at = now();
        let recorded = self.database.write(|transaction| {
            let Some(store) = store_of(transaction, run)? else { return Ok(None) };
            let mailbox = remember(transaction, store, record.mailbox, Naming::Current)?;
            put_outcome(transaction, run, mailbox, record.outcome)?;
            findings::replace(transaction, run, Some(mailbox), record.findings)?;
            for message in record.wanted {
                wanted::put(transaction, run, mailbox, message, at)?;
            }
            for &(uid, guid) in record.found {
                wanted::found(transaction, mailbox, uid, guid, at)?;
            }
            for file in record.quarantined {
                quarantine::put(transaction, run, mailbox, file)?;
            }
            Ok(Some(()))
        })?;
        recorded.ok_or_else(|| self.no_such_run(run))
    }

    /// Notes that what `run` did to a mailbox was undone.
    pub fn mailbox_undone(&self, run: RunId, mailbox: &MailboxId) -> Result<(), Error> {
        let at = now();
        let undone = self.database.write(|transaction| {
            let Some(store) = store_of(transaction, run)? else { return Ok(None) };
            let mailbox = remember(transaction, store, mailbox, Naming::Current)?;
            set_undone(transaction, run, mailbox, at).map(Some)
        })?;
        undone.ok_or_else(|| self.no_such_run(run))
    }

    /// What became of each mailbox in each run, by run.
    #[must_use]
    pub fn outcomes(&self) -> Pages<'_, (i64, i64), MailboxOutcome> {
        Pages::new(&self.database, |connection, after: &(i64, i64), limit| {
            let mut query = connection.prepare_cached(
                "SELECT run, mailbox, uniqueid, name, state, messages, messages_read, bytes_read,
                 error, undone
                 FROM outcomes JOIN mailboxes ON mailboxes.id = mailbox
                 WHERE (run, mailbox) > (?1, ?2) ORDER BY run, mailbox LIMIT ?3",
            )?;
            let rows = query.query_map((after.0, after.1, limit), |row| {
                let outcome = Outcome {
                    state: row.get(4)?,
                    messages: unsigned(row, 5)?,
                    messages_read: unsigned(row, 6)?,
                    bytes_read: unsigned(row, 7)?,
                    error: row.get(8)?,
                };
                let mailbox = MailboxId { uniqueid: row.get(2)?, name: row.get(3)? };
                let (run, undone) = (RunId(row.get(0)?), moment(row, 9)?);
                Ok(((run.0, row.get(1)?), MailboxOutcome { run, mailbox, outcome, undone }))
            })?;
            rows.collect()
        })
    }

    pub(crate) fn no_such_run(&self, run: RunId) -> Error {
        Error::Unknown { path: self.database.path().to_owned(), what: "run", id: run.0 }
    }
}

/// A mailbox's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MailboxRow(pub(crate) i64);

/// Whether a name is what the mailbox is called now, or what it was called once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    Current,
    Earlier,
}

/// The row of a mailbox, made where there is none.
pub(crate) fn remember(
    transaction: &Transaction<'_>,
    store: StoreId,
    mailbox: &MailboxId,
    naming: Naming,
) -> rusqlite::Result<MailboxRow> {
    let mut former = transaction
        .prepare_cached("SELECT mailbox FROM former_ids WHERE store = ?1 AND uniqueid = ?2")?;
    let made_again = former.query_row((store.0, &mailbox.uniqueid), |row| row.get(0)).optional()?;
    if let Some(row) = made_again {
        return Ok(MailboxRow(row));
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO mailboxes (store, uniqueid, name) VALUES (?1, ?2, ?3)
         ON CONFLICT (store, uniqueid) DO UPDATE SET name =
         CASE WHEN name = '' OR (?4 AND excluded.name <> '') THEN excluded.name ELSE name END
         RETURNING id",
    )?;
    let current = naming == Naming::Current;
    insert.query_row((store.0, &mailbox.uniqueid, &mailbox.name, current), |row| {
        row.get(0).map(MailboxRow)
    })
}

pub(crate) fn put_outcome(
    transaction: &Transaction<'_>,
    run: RunId,
    mailbox: MailboxRow,
    outcome: &Outcome,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO outcomes (run, mailbox, state, messages, messages_read, bytes_read, error)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (run, mailbox) DO UPDATE SET state = excluded.state,
         messages = excluded.messages, messages_read = excluded.messages_read,
         bytes_read = excluded.bytes_read, error = excluded.error",
    )?;
    let (messages, read) = (signed(outcome.messages), signed(outcome.messages_read));
    let bytes = signed(outcome.bytes_read);
    insert
        .execute((run.0, mailbox.0, &outcome.state, messages, read, bytes, &outcome.error))
        .map(drop)
}

pub(crate) fn set_undone(
    transaction: &Transaction<'_>,
    run: RunId,
    mailbox: MailboxRow,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let parameters = (run.0, mailbox.0, at.0);
    transaction.execute(
        "UPDATE outcomes SET undone = coalesce(undone, ?3) WHERE run = ?1 AND mailbox = ?2",
        parameters,
    )?;
    transaction.execute(
        "UPDATE quarantine SET restored = coalesce(restored, ?3) WHERE run = ?1 AND mailbox = ?2",
        parameters,
    )?;
    Ok(())
}

/// The store that a run is on.
pub(crate) fn store_of(connection: &Connection, run: RunId) -> rusqlite::Result<Option<StoreId>> {
    let mut query = connection.prepare_cached("SELECT store FROM runs WHERE id = ?1")?;
    query.query_row([run.0], |row| row.get(0).map(StoreId)).optional()
}
