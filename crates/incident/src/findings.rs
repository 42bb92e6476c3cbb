//! What was found, by run and mailbox.

use mailstore_format::Uid;
use rusqlite::Transaction;

use crate::error::Error;
use crate::incident::Incident;
use crate::mailboxes::{MailboxId, MailboxRow, store_of};
use crate::pages::Pages;
use crate::runs::RunId;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The message it is about, if it is about one.
    pub uid: Option<Uid>,
    /// The stable name of its kind (`docs/findings.md`).
    pub code: String,
    /// What became of it: `note`, `repair` or `left`.
    pub remedy: String,
    /// The evidence, for people.
    pub detail: String,
}

/// A finding of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFinding {
    /// The run.
    pub run: RunId,
    /// The mailbox; none where it is about the store.
    pub mailbox: Option<MailboxId>,
    /// What was found.
    pub finding: Finding,
}

impl Incident {
    /// Records what `run` found that is about the store and not about a mailbox; what it had
    /// recorded of that before is replaced.
    pub fn record_store_findings(&self, run: RunId, found: &[Finding]) -> Result<(), Error> {
        let recorded = self.database.write(|transaction| {
            if store_of(transaction, run)?.is_none() {
                return Ok(None);
            }
            replace(transaction, run, None, found).map(Some)
        })?;
        recorded.ok_or_else(|| self.no_such_run(run))
    }

    /// All findings of all runs, in the order in which they came into the database.
    #[must_use]
    pub fn findings(&self) -> Pages<'_, i64, RecordedFinding> {
        Pages::new(&self.database, |connection, after, limit| {
            let mut query = connection.prepare_cached(
                "SELECT findings.id, run, uniqueid, name, uid, code, remedy, detail
                 FROM findings LEFT JOIN mailboxes ON mailboxes.id = mailbox
                 WHERE findings.id > ?1 ORDER BY findings.id LIMIT ?2",
            )?;
            let rows = query.query_map((after, limit), |row| {
                let uniqueid: Option<String> = row.get(2)?;
                let mailbox = match uniqueid {
                    Some(uniqueid) => Some(MailboxId { uniqueid, name: row.get(3)? }),
                    None => None,
                };
                let uid = row.get::<_, Option<u32>>(4)?.map(Uid);
                let finding =
                    Finding { uid, code: row.get(5)?, remedy: row.get(6)?, detail: row.get(7)? };
                Ok((row.get(0)?, RecordedFinding { run: RunId(row.get(1)?), mailbox, finding }))
            })?;
            rows.collect()
        })
    }
}

/// Puts the findings of a mailbox, or of the store, in the place of those that were there.
pub(crate) fn replace(
    transaction: &Transaction<'_>,
    run: RunId,
    mailbox: Option<MailboxRow>,
    found: &[Finding],
) -> rusqlite::Result<()> {
    let mailbox = mailbox.map(|row| row.0);
    let delete = "DELETE FROM findings WHERE run = ?1 AND mailbox IS ?2";
    transaction.prepare_cached(delete)?.execute((run.0, mailbox))?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO findings (run, mailbox, uid, code, remedy, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for Finding { uid, code, remedy, detail } in found {
        insert.execute((run.0, mailbox, uid.map(|uid| uid.0), code, remedy, detail))?;
    }
    Ok(())
}
