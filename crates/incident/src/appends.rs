//! What was sent to a server and may have come, until the server has said so.

use std::collections::HashMap;

use mailstore_format::{Timestamp, Uid, UidValidity};
use rusqlite::Transaction;

use crate::deliveries::{Delivery, DeliveryState, GapId, MailboxWithGaps, put};
use crate::error::Error;
use crate::incident::Incident;
use crate::runs::RunId;
use crate::sql_values::{json_of, now, timestamp, uid};

/// How a mailbox stood before a message was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentAbove {
    /// The generation of its UIDs.
    pub uidvalidity: UidValidity,
    /// The message has this UID or a higher one, if it came.
    pub uidnext: Uid,
}

/// A message that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Its gap.
    pub gap: GapId,
    /// The flags and keywords with which it is sent.
    pub flags: &'a [String],
}

/// A message that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredAt {
    /// The mailbox of its gap, as operators write it.
    pub mailbox: String,
    /// The generation of its UID, where it came over IMAP.
    pub uidvalidity: Option<UidValidity>,
    /// Its UID.
    pub uid: Uid,
}

/// What was sent and is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Where it is, if it came.
    pub above: SentAbove,
    /// The folder it was sent to, as the server calls it; none for the mailbox of the gap.
    pub folder: Option<String>,
    /// When it was about to be sent.
    pub sent: Timestamp,
}

impl Incident {
    /// Notes that these messages are about to be sent, into the mailbox of their gaps or into `folder`,
    /// which is what the server calls another one. When this returns, not even the loss of power takes
    /// the note away.
    pub fn intend_appends(
        &self,
        run: RunId,
        via: &str,
        messages: &[Outgoing<'_>],
        above: SentAbove,
        folder: Option<&str>,
    ) -> Result<(), Error> {
        let at = now();
        self.database.write_durably(|transaction| {
            let mut upsert = transaction.prepare_cached(
                "INSERT INTO appends (gap, uidvalidity, uidnext, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (gap) DO UPDATE SET uidvalidity = excluded.uidvalidity,
                 uidnext = excluded.uidnext, at = excluded.at",
            )?;
            let mut place = transaction.prepare_cached(
                "UPDATE deliveries SET folder = ?2, uidvalidity = ?3, flags = ?4 WHERE gap = ?1",
            )?;
            for &Outgoing { gap, flags } in messages {
                let (state, note) = (DeliveryState::Intended, String::new());
                put(transaction, run, via, &Delivery { gap, state, uid: None, note }, at)?;
                place.execute((gap.0, folder, above.uidvalidity.0, json_of(flags)))?;
                upsert.execute((gap.0, above.uidvalidity.0, above.uidnext.0, at.0))?;
            }
            Ok(())
        })
    }

    /// Notes what became of messages that were sent, or were to be: from now on nothing is in doubt
    /// about them. What is there is in the mailbox of its gap, or in `folder`.
    pub fn confirm_appends(
        &self,
        run: RunId,
        via: &str,
        deliveries: &[Delivery],
        folder: Option<&str>,
    ) -> Result<(), Error> {
        let at = now();
        self.database.write(|transaction| {
            let mut place = transaction.prepare_cached(
                "UPDATE deliveries SET folder = ?2
                 WHERE gap = ?1 AND state IN ('delivered', 'verified', 'found')",
            )?;
            deliveries.iter().try_for_each(|delivery| {
                forget(transaction, delivery.gap)?;
                put(transaction, run, via, delivery, at)?;
                place.execute((delivery.gap.0, folder)).map(drop)
            })
        })
    }

    /// Notes that what was sent of these gaps did not come.
    pub fn appends_failed(&self, gaps: &[GapId]) -> Result<(), Error> {
        self.database.write(|transaction| {
            let mut nowhere = transaction.prepare_cached(
                "UPDATE deliveries SET folder = NULL, uidvalidity = NULL, flags = NULL
                 WHERE gap = ?1",
            )?;
            gaps.iter().try_for_each(|&gap| {
                nowhere.execute([gap.0])?;
                forget(transaction, gap)
            })
        })
    }

    /// What was delivered of mailboxes of the same store into what servers call `folder`, whoever's it
    /// is, or into the mailbox `named`.
    pub fn delivered_at(
        &self,
        mailbox: &MailboxWithGaps,
        folder: &str,
        named: Option<&str>,
    ) -> Result<Vec<DeliveredAt>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "WITH there AS (
                     SELECT gap FROM deliveries WHERE folder = ?2
                     UNION ALL SELECT gap FROM mailboxes JOIN gaps ON gaps.mailbox = mailboxes.id
                     JOIN deliveries ON gap = gaps.id WHERE name = ?3 AND folder IS NULL)
                 SELECT name, uidvalidity, deliveries.uid FROM there JOIN deliveries USING (gap)
                 JOIN gaps ON gaps.id = gap JOIN mailboxes ON mailboxes.id = mailbox
                 WHERE deliveries.uid IS NOT NULL
                 AND store = (SELECT store FROM mailboxes WHERE id = ?1)",
            )?;
            let rows = query.query_map((mailbox.row.0, folder, named), |row| {
                let uidvalidity = row.get::<_, Option<u32>>(1)?.map(UidValidity);
                Ok(DeliveredAt { mailbox: row.get(0)?, uidvalidity, uid: uid(row, 2)? })
            })?;
            rows.collect()
        })
    }

    /// What may have come of the gaps of a mailbox: nobody has said so.
    pub fn unconfirmed_appends(
        &self,
        mailbox: &MailboxWithGaps,
    ) -> Result<HashMap<GapId, Unconfirmed>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT appends.gap, appends.uidvalidity, uidnext, appends.at, folder FROM appends
                 JOIN gaps ON gaps.id = appends.gap
                 LEFT JOIN deliveries ON deliveries.gap = appends.gap WHERE mailbox = ?1",
            )?;
            let rows = query.query_map([mailbox.row.0], |row| {
                let uidvalidity = UidValidity(row.get(1)?);
                let above = SentAbove { uidvalidity, uidnext: uid(row, 2)? };
                let (sent, folder) = (timestamp(row, 3)?, row.get(4)?);
                Ok((GapId(row.get(0)?), Unconfirmed { above, folder, sent }))
            })?;
            rows.collect()
        })
    }
}

fn forget(transaction: &Transaction<'_>, gap: GapId) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM appends WHERE gap = ?1")?;
    delete.execute([gap.0]).map(drop)
}
