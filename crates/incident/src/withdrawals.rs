//! What a run sent to a server and is taken back.

use mailstore_format::{Guid, Uid, UidValidity};
use rusqlite::Row;

use crate::deliveries::{GapId, MailboxWithGaps};
use crate::error::Error;
use crate::incident::Incident;
use crate::mailboxes::{MailboxId, MailboxRow};
use crate::runs::RunId;
use crate::sql_values::{guid, now, texts, uid};

/// A message that a run sent to a server, and that was not taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its gap.
    pub gap: GapId,
    /// The mailbox of the gap.
    pub mailbox: MailboxWithGaps,
    /// The SHA-1 of its bytes.
    pub guid: Guid,
    /// Under which UID it came.
    pub uid: Uid,
    /// Of which UIDVALIDITY; none where an earlier release sent it.
    pub uidvalidity: Option<UidValidity>,
    /// The folder it was sent to instead of its mailbox, as the server calls it.
    pub folder: Option<String>,
    /// The flags and keywords with which it was sent; none where an earlier release sent it.
    pub flags: Option<Vec<String>>,
    /// How far a run came that was about to take it back.
    pub withdrawal: Option<Withdrawal>,
}

/// How far the taking back of a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// It is about to be marked as deleted.
    Begun,
    /// It was marked, and may have been expunged.
    Marked,
}

impl Incident {
    /// Whether anything was ever said by a run of what it delivered by this way.
    pub fn has_delivered(&self, run: RunId, via: &str) -> Result<bool, Error> {
        self.database.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT 1 FROM deliveries WHERE run = ?1 AND via = ?2 LIMIT 1")?;
            query.exists((run.0, via))
        })
    }

    /// What a run delivered by this way and is there, as far as the incident knows, by mailbox and
    /// folder.
    pub fn sent_by(&self, run: RunId, via: &str) -> Result<Vec<Sent>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT gaps.id, mailboxes.id, uniqueid, name, guid, deliveries.uid, uidvalidity,
                 folder, flags, marked
                 FROM deliveries JOIN gaps ON gaps.id = deliveries.gap
                 JOIN mailboxes ON mailboxes.id = mailbox
                 LEFT JOIN withdrawals ON withdrawals.gap = gaps.id
                 WHERE deliveries.run = ?1 AND via = ?2 AND state IN ('delivered', 'verified')
                 AND deliveries.uid IS NOT NULL ORDER BY name, mailboxes.id, folder, deliveries.uid",
            )?;
            let rows = query.query_map((run.0, via), sent)?;
            rows.collect()
        })
    }

    /// Notes how far the taking back of these messages came, which nobody had touched. When this
    /// returns, not even the loss of power takes the note away.
    pub fn withdrawal_came_to(&self, gaps: &[GapId], stage: Withdrawal) -> Result<(), Error> {
        let at = now();
        self.database.write_durably(|transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO withdrawals (gap, marked, at) VALUES (?1, ?2, ?3)",
            )?;
            let marked = stage == Withdrawal::Marked;
            gaps.iter().try_for_each(|gap| insert.execute((gap.0, marked, at.0)).map(drop))
        })
    }

    /// Notes that these messages were taken back.
    pub fn withdrawn(&self, gaps: &[GapId]) -> Result<(), Error> {
        let at = now();
        self.database.write(|transaction| {
            let mut undone = transaction.prepare_cached(
                "UPDATE deliveries SET state = 'undone', uid = NULL, folder = NULL,
                 uidvalidity = NULL, flags = NULL, at = ?2 WHERE gap = ?1",
            )?;
            gaps.iter().try_for_each(|gap| undone.execute((gap.0, at.0)).map(drop))?;
            let mut forget =
                transaction.prepare_cached("DELETE FROM withdrawals WHERE gap = ?1")?;
            gaps.iter().try_for_each(|gap| forget.execute([gap.0]).map(drop))
        })
    }

    /// Notes that these messages are not taken back after all.
    pub fn withdrawal_given_up(&self, gaps: &[GapId]) -> Result<(), Error> {
        self.database.write(|transaction| {
            let mut forget =
                transaction.prepare_cached("DELETE FROM withdrawals WHERE gap = ?1")?;
            gaps.iter().try_for_each(|gap| forget.execute([gap.0]).map(drop))
        })
    }
}

fn sent(row: &Row<'_>) -> rusqlite::Result<Sent> {
    let has_flags = row.get_ref(8)? != rusqlite::types::ValueRef::Null;
    Ok(Sent {
        gap: GapId(row.get(0)?),
        mailbox: MailboxWithGaps {
            mailbox: MailboxId { uniqueid: row.get(2)?, name: row.get(3)? },
            row: MailboxRow(row.get(1)?),
        },
        guid: guid(row, 4)?,
        uid: uid(row, 5)?,
        uidvalidity: row.get::<_, Option<u32>>(6)?.map(UidValidity),
        folder: row.get(7)?,
        flags: has_flags.then(|| texts(row, 8)).transpose()?,
        withdrawal: row
            .get::<_, Option<bool>>(9)?
            .map(|marked| if marked { Withdrawal::Marked } else { Withdrawal::Begun }),
    })
}
