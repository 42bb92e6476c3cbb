//! What was sent to a server and may have come, until the server has said so.

use std::collections::HashMap;

use mailstore_format::{Timestamp, Uid, UidValidity};
use rusqlite::Transaction;

use crate::deliveries::{Delivery, DeliveryState, GapId, MailboxWithGaps, put};
use crate::error::Error;
use crate::incident::Incident;
use crate::runs::RunId;
use crate::sql_values::{now, timestamp, uid};

/// How a mailbox stood before a message was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentAbove {
    /// The generation of its UIDs.
    pub uidvalidity: UidValidity,
    /// The message has this UID or a higher one, if it came.
    pub uidnext: Uid,
}

/// What was sent and is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Where it is, if it came.
    pub above: SentAbove,
    /// When it was about to be sent.
    pub sent: Timestamp,
}

impl Incident {
    /// Notes that the messages of these gaps are about to be sent. When this returns, not even the
    /// loss of power takes the note away.
    pub fn intend_appends(
        &self,
        run: RunId,
        via: &str,
        gaps: &[GapId],
        above: SentAbove,
    ) -> Result<(), Error> {
        let at = now();
        self.database.write_durably(|transaction| {
            let mut upsert = transaction.prepare_cached(
                "INSERT INTO appends (gap, uidvalidity, uidnext, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (gap) DO UPDATE SET uidvalidity = excluded.uidvalidity,
                 uidnext = excluded.uidnext, at = excluded.at",
            )?;
            for &gap in gaps {
                let (state, note) = (DeliveryState::Intended, String::new());
                put(transaction, run, via, &Delivery { gap, state, uid: None, note }, at)?;
                upsert.execute((gap.0, above.uidvalidity.0, above.uidnext.0, at.0))?;
            }
            Ok(())
        })
    }

    /// Notes what became of messages that were sent, or were to be: from now on nothing is in doubt
    /// about them.
    pub fn confirm_appends(
        &self,
        run: RunId,
        via: &str,
        deliveries: &[Delivery],
    ) -> Result<(), Error> {
        let at = now();
        self.database.write(|transaction| {
            deliveries.iter().try_for_each(|delivery| {
                put(transaction, run, via, delivery, at)?;
                forget(transaction, delivery.gap)
            })
        })
    }

    /// Notes that what was sent of these gaps did not come.
    pub fn appends_failed(&self, gaps: &[GapId]) -> Result<(), Error> {
        self.database.write(|transaction| gaps.iter().try_for_each(|&gap| forget(transaction, gap)))
    }

    /// What may have come into a mailbox: nobody has said so.
    pub fn unconfirmed_appends(
        &self,
        mailbox: &MailboxWithGaps,
    ) -> Result<HashMap<GapId, Unconfirmed>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT gap, uidvalidity, uidnext, at FROM appends JOIN gaps ON gaps.id = gap
                 WHERE mailbox = ?1",
            )?;
            let rows = query.query_map([mailbox.row.0], |row| {
                let uidvalidity = UidValidity(row.get(1)?);
                let above = SentAbove { uidvalidity, uidnext: uid(row, 2)? };
                Ok((GapId(row.get(0)?), Unconfirmed { above, sent: timestamp(row, 3)? }))
            })?;
            rows.collect()
        })
    }
}

fn forget(transaction: &Transaction<'_>, gap: GapId) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM appends WHERE gap = ?1")?;
    delete.execute([gap.0]).map(drop)
}
