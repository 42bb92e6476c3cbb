//! What was put away, and where it lies now.

use std::path::PathBuf;

use mailstore_format::{Guid, Timestamp};
use rusqlite::Transaction;

use crate::incident::Incident;
use crate::mailboxes::{MailboxId, MailboxRow};
use crate::pages::Pages;
use crate::runs::RunId;
use crate::sql_values::{moment, path, stored_path};

/// A file that was put away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it was.
    pub origin: PathBuf,
    /// Where it is now, below `.mailstore-recovery`.
    pub now: PathBuf,
    /// Why.
    pub reason: String,
    /// The SHA-1 of its bytes, where it is a message that was read.
    pub guid: Option<Guid>,
    /// When its content had last changed, where that was noted.
    pub mtime: Option<Timestamp>,
}

/// A file that a run put away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFile {
    /// The run.
    pub run: RunId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The file.
    pub file: Quarantined,
    /// When it was put back, if it was.
    pub restored: Option<Timestamp>,
}

impl Incident {
    /// All that was put away by all runs, in the order in which it came into the database.
    #[must_use]
    pub fn quarantined(&self) -> Pages<'_, i64, RecordedFile> {
        Pages::new(&self.database, |connection, after, limit| {
            let mut query = connection.prepare_cached(
                "SELECT quarantine.id, run, uniqueid, name, origin, now, reason, guid, mtime,
                 restored
                 FROM quarantine JOIN mailboxes ON mailboxes.id = mailbox
                 WHERE quarantine.id > ?1 ORDER BY quarantine.id LIMIT ?2",
            )?;
            let rows = query.query_map((after, limit), |row| {
                let file = Quarantined {
                    origin: path(row, 4)?,
                    now: path(row, 5)?,
                    reason: row.get(6)?,
                    guid: row.get::<_, Option<[u8; 20]>>(7)?.map(Guid),
                    mtime: moment(row, 8)?,
                };
                let mailbox = MailboxId { uniqueid: row.get(2)?, name: row.get(3)? };
                let (run, restored) = (RunId(row.get(1)?), moment(row, 9)?);
                Ok((row.get(0)?, RecordedFile { run, mailbox, file, restored }))
            })?;
            rows.collect()
        })
    }
}

/// Notes a file. One that lies there already keeps its row.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    run: RunId,
    mailbox: MailboxRow,
    file: &Quarantined,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO quarantine (run, mailbox, origin, now, reason, guid, mtime)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (run, now) DO UPDATE SET guid = coalesce(excluded.guid, guid),
         mtime = coalesce(excluded.mtime, mtime)",
    )?;
    let (origin, now) = (stored_path(&file.origin), stored_path(&file.now));
    let guid = file.guid.map(|guid| guid.0);
    let mtime = file.mtime.map(|time| time.0);
    insert.execute((run.0, mailbox.0, origin, now, &file.reason, guid, mtime)).map(drop)
}
