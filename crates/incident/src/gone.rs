//! Mailboxes that a store does not have, and that are made again.

use rusqlite::{OptionalExtension as _, Row};

use crate::deliveries::MailboxWithGaps;
use crate::error::Error;
use crate::incident::Incident;
use crate::mailboxes::{MailboxId, Naming, remember, store_of};
use crate::runs::RunId;

/// What a source knows of a mailbox that its store does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoneMailbox {
    /// Its ACL as Cyrus has it: identifier, tab, rights, tab, and so on. None where no source tells it.
    pub acl: Option<String>,
    /// What it is for: its attributes of RFC 6154, such as `\Sent`, blanks in between. None where no
    /// source tells it.
    pub special_use: Option<String>,
}

impl Incident {
    /// Remembers what a source knows of a mailbox that the run's store does not have. What was known
    /// and is not told now stays known.
    pub fn record_gone_mailbox(
        &self,
        run: RunId,
        mailbox: &MailboxId,
        gone: &GoneMailbox,
    ) -> Result<(), Error> {
        let recorded = self.database.write(|transaction| {
            let Some(store) = store_of(transaction, run)? else { return Ok(None) };
            let mailbox = remember(transaction, store, mailbox, Naming::Current)?;
            let mut upsert = transaction.prepare_cached(
                "INSERT INTO gone_mailboxes (mailbox, acl, special_use) VALUES (?1, ?2, ?3)
                 ON CONFLICT (mailbox) DO UPDATE SET acl = coalesce(excluded.acl, acl),
                 special_use = coalesce(excluded.special_use, special_use)",
            )?;
            upsert.execute((mailbox.0, &gone.acl, &gone.special_use)).map(Some)
        })?;
        recorded.map(drop).ok_or_else(|| self.no_such_run(run))
    }

    /// What sources know of a mailbox that the store did not have.
    pub fn gone_mailbox(&self, mailbox: &MailboxWithGaps) -> Result<Option<GoneMailbox>, Error> {
        self.database.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT acl, special_use FROM gone_mailboxes WHERE mailbox = ?1")?;
            let gone =
                |row: &Row<'_>| Ok(GoneMailbox { acl: row.get(0)?, special_use: row.get(1)? });
            query.query_row([mailbox.row.0], gone).optional()
        })
    }

    /// Notes, for good, that a mailbox that was gone was made again, under the unique id `uniqueid`
    /// where its server tells one. By its former id it stays known, so that what came into it is not
    /// brought once more. `false`: the incident has another mailbox of that id.
    pub fn mailbox_made_again(
        &self,
        mailbox: &MailboxWithGaps,
        uniqueid: Option<&str>,
    ) -> Result<bool, Error> {
        let row = mailbox.row.0;
        self.database.write_durably(|transaction| {
            let Some(uniqueid) = uniqueid else { return Ok(true) };
            let changed = transaction.execute(
                "UPDATE OR IGNORE mailboxes SET uniqueid = ?2 WHERE id = ?1 AND uniqueid <> ?2",
                (row, uniqueid),
            )?;
            if changed == 0 {
                let same = "SELECT 1 FROM mailboxes WHERE id = ?1 AND uniqueid = ?2";
                return transaction.prepare_cached(same)?.exists((row, uniqueid));
            }
            transaction.execute(
                "INSERT OR REPLACE INTO former_ids (store, uniqueid, mailbox)
                 SELECT store, ?2, id FROM mailboxes WHERE id = ?1",
                (row, &mailbox.mailbox.uniqueid),
            )?;
            Ok(true)
        })
    }
}
