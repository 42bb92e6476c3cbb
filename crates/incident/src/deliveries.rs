//! What became of gaps that were to be delivered.

use mailstore_format::{Guid, ModSeq, Timestamp, Uid, UidValidity};
use rusqlite::types::FromSqlError;
use rusqlite::{Row, Transaction};

use crate::appends::SentAbove;
use crate::error::Error;
use crate::gaps::{GAP_COLUMNS, RecordedGap, recorded};
use crate::incident::Incident;
use crate::mailboxes::{MailboxId, MailboxRow, Naming, remember, store_of};
use crate::pages::Pages;
use crate::runs::RunId;
use crate::sql_values::{guid, moment, now, timestamp, uid, unsigned, wrong};
use crate::stores::StoreId;

/// A gap's number in this incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GapId(pub(crate) i64);

/// How far the delivery of a gap came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// It is to be delivered; whether it was, a run that was killed could not say.
    Intended,
    /// It was delivered.
    Delivered,
    /// It was delivered and read back.
    Verified,
    /// The mailbox had it in another way, or its owner had deleted it since.
    Found,
    /// It was not delivered.
    Held,
    /// It was delivered, and that was undone.
    Undone,
}

/// What a run says of the delivery of a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The gap.
    pub gap: GapId,
    /// How far it came.
    pub state: DeliveryState,
    /// The UID that it has in its mailbox, where it is there.
    pub uid: Option<Uid>,
    /// Why it is held; else empty.
    pub note: String,
}

/// A mailbox of which there are gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxWithGaps {
    /// The mailbox.
    pub mailbox: MailboxId,
    pub(crate) row: MailboxRow,
}

/// A gap, and what became of it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapToDeliver {
    /// Its number.
    pub id: GapId,
    /// The gap.
    pub recorded: RecordedGap,
    /// What was last said of its delivery.
    pub delivery: Option<Delivery>,
    /// When.
    pub said_at: Timestamp,
    /// The folder that it was sent to instead of its mailbox, as the server calls it.
    pub folder: Option<String>,
    /// Whether it was sent to a server that has not confirmed it.
    pub is_in_doubt: bool,
}

impl GapToDeliver {
    /// Whether nothing is left to be done about it: it was delivered, and no comparison has missed it
    /// in its mailbox since. What went into another folder is missed there for ever.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let is_settled = self.delivery.as_ref().is_some_and(|said| said.state.is_settled());
        is_settled && (self.folder.is_some() || self.said_at >= self.recorded.last_seen)
    }
}

/// The highest numbers that clients of a mailbox may have seen, as far as the incident knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeenNumbers {
    /// UID.
    pub uid: Uid,
    /// Modseq.
    pub modseq: ModSeq,
}

/// What came back of a mailbox into one folder, over all runs, and what has not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The folder that it came into instead, as the server calls it.
    pub folder: Option<String>,
    /// Messages that were delivered.
    pub messages: u64,
    /// How many of them are of the class that was asked about.
    pub of_class: u64,
    /// When the first and the last of them were received; none where nothing tells.
    pub received: Option<(Timestamp, Timestamp)>,
    /// Messages that are held.
    pub held: u64,
}

/// A delivery of this incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDelivery {
    /// What is said of it.
    pub delivery: Delivery,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub guid: Guid,
    /// Which of the gaps of these bytes: its UID in the source.
    pub source_uid: Uid,
    /// Which of the gaps without a UID.
    pub copy: u32,
    /// The transport.
    pub via: String,
    /// The run that said so.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// Above what it may be there, where it was sent to a server that has not confirmed it.
    pub unconfirmed: Option<SentAbove>,
    /// The folder that it was sent to instead of its mailbox, as the server calls it.
    pub folder: Option<String>,
}

impl DeliveryState {
    const ALL: [Self; 6] =
        [Self::Intended, Self::Delivered, Self::Verified, Self::Found, Self::Held, Self::Undone];

    /// Its name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Delivered => "delivered",
            Self::Verified => "verified",
            Self::Found => "found",
            Self::Held => "held",
            Self::Undone => "undone",
        }
    }

    /// Whether nothing is left to be done about the gap.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Delivered | Self::Verified | Self::Found)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl Incident {
    /// The mailboxes of a store of which there are gaps that are to be restored and have not been, by
    /// name; those of the classes `beyond` count as such, whatever was said of them.
    pub fn mailboxes_with_gaps(
        &self,
        store: StoreId,
        beyond: &[&str],
    ) -> Result<Vec<MailboxWithGaps>, Error> {
        let beyond = serde_json::to_string(beyond).unwrap_or_default();
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, uniqueid, name FROM mailboxes
                 WHERE store = ?1 AND id IN (
                     SELECT mailbox FROM gaps LEFT JOIN deliveries ON gap = gaps.id
                     WHERE (restore OR class IN (SELECT value FROM json_each(?2)))
                     AND closed_at IS NULL
                     AND (coalesce(state, '') NOT IN ('delivered', 'verified', 'found')
                          OR at < last_seen AND folder IS NULL))
                 ORDER BY name, id",
            )?;
            let rows = query.query_map((store.0, &beyond), |row| {
                let mailbox = MailboxId { uniqueid: row.get(1)?, name: row.get(2)? };
                Ok(MailboxWithGaps { mailbox, row: MailboxRow(row.get(0)?) })
            })?;
            rows.collect()
        })
    }

    /// The gaps of a mailbox, in the order in which they came into the database.
    pub fn gaps_of(&self, mailbox: &MailboxWithGaps) -> Result<Vec<GapToDeliver>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {GAP_COLUMNS}, state, deliveries.uid, note, deliveries.at, folder, appends.gap
                 FROM gaps JOIN mailboxes ON mailboxes.id = mailbox
                 LEFT JOIN deliveries ON deliveries.gap = gaps.id
                 LEFT JOIN appends ON appends.gap = gaps.id
                 WHERE mailbox = ?1 ORDER BY gaps.id",
            ))?;
            let rows = query.query_map([mailbox.row.0], gap_to_deliver)?;
            rows.collect()
        })
    }

    /// Remembers the highest numbers that clients of the sources of a mailbox may have seen. Lower ones
    /// than are known change nothing.
    pub fn record_seen_numbers(
        &self,
        run: RunId,
        mailbox: &MailboxId,
        seen: SeenNumbers,
    ) -> Result<(), Error> {
        let recorded = self.database.write(|transaction| {
            let Some(store) = store_of(transaction, run)? else { return Ok(None) };
            let mailbox = remember(transaction, store, mailbox, Naming::Current)?;
            // SQLite's numbers are signed: what does not fit no server ever gave out.
            let modseq = i64::try_from(seen.modseq.0).unwrap_or(0);
            let mut upsert = transaction.prepare_cached(
                "INSERT INTO seen_numbers (mailbox, uid, modseq) VALUES (?1, ?2, ?3)
                 ON CONFLICT (mailbox) DO UPDATE SET uid = max(uid, excluded.uid),
                 modseq = max(modseq, excluded.modseq)",
            )?;
            upsert.execute((mailbox.0, seen.uid.0, modseq)).map(Some)
        })?;
        recorded.map(drop).ok_or_else(|| self.no_such_run(run))
    }

    /// The highest numbers that clients of a mailbox may have seen: those of its sources, its gaps and
    /// of what is wanted of it. One that no server ever gave out hides no other.
    pub fn seen_numbers(&self, mailbox: &MailboxWithGaps) -> Result<SeenNumbers, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT coalesce(max(uid) FILTER (WHERE uid <= ?2), 0),
                     coalesce(max(modseq) FILTER (WHERE modseq <= ?3), 0) FROM (
                     SELECT uid, 0 AS modseq FROM gaps WHERE mailbox = ?1
                     UNION ALL SELECT uid, modseq FROM seen_numbers WHERE mailbox = ?1
                     UNION ALL SELECT uid, max(modseq, 0) FROM wanted WHERE mailbox = ?1)",
            )?;
            let limits = (Uid::HIGHEST_PLAUSIBLE.0, ModSeq::HIGHEST_PLAUSIBLE.0.cast_signed());
            query.query_row((mailbox.row.0, limits.0, limits.1), |row| {
                let modseq = ModSeq(row.get::<_, i64>(1)?.cast_unsigned());
                Ok(SeenNumbers { uid: uid(row, 0)?, modseq })
            })
        })
    }

    /// Records what a run says of deliveries, all of it or nothing. What was settled stays settled,
    /// until a comparison misses it again: after it only its being read back or undone is taken over. The
    /// UID under which it came stays known until it is undone. A wanted message that is there is found.
    pub fn record_deliveries(
        &self,
        run: RunId,
        via: &str,
        deliveries: &[Delivery],
    ) -> Result<(), Error> {
        let at = now();
        self.database.write(|transaction| {
            deliveries.iter().try_for_each(|delivery| put(transaction, run, via, delivery, at))
        })
    }

    /// Notes that what was delivered into a mailbox of a run's store under these UIDs was undone,
    /// whichever run the delivery was noted by.
    pub fn deliveries_undone(
        &self,
        run: RunId,
        mailbox: &MailboxId,
        uids: &[Uid],
    ) -> Result<(), Error> {
        let at = now();
        self.database.write(|transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE deliveries SET state = 'undone', uid = NULL, at = ?4
                 WHERE folder IS NULL AND uid = ?3 AND state IN ('delivered', 'verified')
                 AND gap IN (SELECT gaps.id FROM gaps
                             JOIN mailboxes ON mailboxes.id = gaps.mailbox
                             WHERE uniqueid = ?2 AND store = (SELECT store FROM runs WHERE id = ?1))",
            )?;
            uids.iter().try_for_each(|uid| {
                update.execute((run.0, &mailbox.uniqueid, uid.0, at.0)).map(drop)
            })
        })
    }

    /// What came back of each mailbox of a store, by its name and the folder that it came into; and how
    /// much of it is of this class. A mailbox that was missing whole counts until anything is said of its
    /// messages.
    pub fn recovered(&self, store: StoreId, class: &str) -> Result<Vec<Recovered>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "WITH told AS (
                     SELECT mailbox, messages, class, nullif(internaldate, 0) AS received, folder,
                            state IN ('delivered', 'verified') AS is_back, state = 'held' AS is_held
                     FROM deliveries JOIN gaps ON gaps.id = gap
                     WHERE guid <> zeroblob(20) OR state = 'held' AND NOT EXISTS (
                         SELECT 1 FROM gaps AS within JOIN deliveries ON gap = within.id
                         WHERE within.mailbox = gaps.mailbox AND within.class = gaps.class
                         AND within.guid <> zeroblob(20)))
                 SELECT uniqueid, name, coalesce(sum(messages) FILTER (WHERE is_back), 0),
                     coalesce(sum(messages) FILTER (WHERE is_back AND class = ?2), 0),
                     min(received) FILTER (WHERE is_back), max(received) FILTER (WHERE is_back),
                     coalesce(sum(messages) FILTER (WHERE is_held), 0), folder
                 FROM told JOIN mailboxes ON mailboxes.id = mailbox
                 WHERE store = ?1 GROUP BY mailboxes.id, folder ORDER BY name, mailboxes.id, folder",
            )?;
            let rows = query.query_map((store.0, class), |row| {
                Ok(Recovered {
                    mailbox: MailboxId { uniqueid: row.get(0)?, name: row.get(1)? },
                    folder: row.get(7)?,
                    messages: unsigned(row, 2)?,
                    of_class: unsigned(row, 3)?,
                    received: moment(row, 4)?.zip(moment(row, 5)?),
                    held: unsigned(row, 6)?,
                })
            })?;
            rows.collect()
        })
    }

    /// All deliveries, by gap.
    #[must_use]
    pub fn deliveries(&self) -> Pages<'_, i64, RecordedDelivery> {
        Pages::new(&self.database, |connection, after, limit| {
            let mut query = connection.prepare_cached(
                "SELECT deliveries.gap, state, deliveries.uid, note, uniqueid, name, guid, gaps.uid,
                 copy, via, deliveries.run, deliveries.at, appends.uidvalidity, uidnext, folder
                 FROM deliveries JOIN gaps ON gaps.id = deliveries.gap
                 JOIN mailboxes ON mailboxes.id = mailbox
                 LEFT JOIN appends ON appends.gap = gaps.id
                 WHERE deliveries.gap > ?1 ORDER BY deliveries.gap LIMIT ?2",
            )?;
            let rows = query.query_map((after, limit), |row| {
                Ok((
                    row.get(0)?,
                    RecordedDelivery {
                        delivery: delivery(row, GapId(row.get(0)?), 1)?,
                        mailbox: MailboxId { uniqueid: row.get(4)?, name: row.get(5)? },
                        guid: guid(row, 6)?,
                        source_uid: uid(row, 7)?,
                        copy: row.get(8)?,
                        via: row.get(9)?,
                        run: RunId(row.get(10)?),
                        at: timestamp(row, 11)?,
                        unconfirmed: unconfirmed(row, 12)?,
                        folder: row.get(14)?,
                    },
                ))
            })?;
            rows.collect()
        })
    }
}

/// Whether a gap was sent to a server that has not confirmed it.
const IN_DOUBT: &str = "EXISTS (SELECT 1 FROM appends WHERE appends.gap = excluded.gap)";

/// Where it was sent, and how, stays known as long as it is there or may be.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    run: RunId,
    via: &str,
    delivery: &Delivery,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare_cached(&format!(
        "INSERT INTO deliveries (gap, run, via, state, uid, note, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (gap) DO UPDATE SET run = excluded.run, via = excluded.via,
         state = excluded.state, note = excluded.note, at = excluded.at,
         uid = CASE excluded.state WHEN 'undone' THEN NULL ELSE coalesce(excluded.uid, uid) END,
         folder = iif(excluded.state IN ('delivered', 'verified') OR {IN_DOUBT}, folder, NULL),
         uidvalidity = iif(excluded.state IN ('delivered', 'verified') OR {IN_DOUBT},
                           uidvalidity, NULL),
         flags = iif(excluded.state IN ('delivered', 'verified') OR {IN_DOUBT}, flags, NULL)
         WHERE state NOT IN ('delivered', 'verified', 'found')
         OR excluded.state IN ('verified', 'undone')
         OR folder IS NULL AND at < (SELECT last_seen FROM gaps WHERE gaps.id = gap)",
    ))?;
    let Delivery { gap, state, uid, note } = delivery;
    let uid = uid.map(|uid| uid.0);
    upsert.execute((gap.0, run.0, via, state.as_str(), uid, note, at.0))?;
    if state.is_settled() {
        let mut found = transaction.prepare_cached(
            "UPDATE wanted SET found_at = coalesce(found_at, ?2)
             WHERE id = (SELECT wanted FROM gaps WHERE id = ?1)",
        )?;
        found.execute((gap.0, at.0))?;
    }
    Ok(())
}

/// Above what a message was sent, of which the UIDVALIDITY is in `column`.
fn unconfirmed(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<SentAbove>> {
    let uidvalidity = row.get::<_, Option<u32>>(column)?.map(UidValidity);
    let uidnext = row.get::<_, Option<u32>>(column + 1)?.map(Uid);
    let both = uidvalidity.zip(uidnext);
    Ok(both.map(|(uidvalidity, uidnext)| SentAbove { uidvalidity, uidnext }))
}

/// What is said of the delivery of `gap`, whose state is in `column`.
fn delivery(row: &Row<'_>, gap: GapId, column: usize) -> rusqlite::Result<Delivery> {
    let name: String = row.get(column)?;
    let state = DeliveryState::named(&name);
    let no_state = || wrong(column, FromSqlError::Other(format!("no state: {name}").into()));
    Ok(Delivery {
        gap,
        state: state.ok_or_else(no_state)?,
        uid: row.get::<_, Option<u32>>(column + 1)?.map(Uid),
        note: row.get(column + 2)?,
    })
}

fn gap_to_deliver(row: &Row<'_>) -> rusqlite::Result<GapToDeliver> {
    let columns = GAP_COLUMNS.split(',').count();
    let id = GapId(row.get(0)?);
    let said: Option<String> = row.get(columns)?;
    let delivery = said.map(|_| delivery(row, id, columns)).transpose()?;
    let said_at = delivery.as_ref().map(|_| timestamp(row, columns + 3)).transpose()?;
    let said_at = said_at.unwrap_or_default();
    let folder = row.get(columns + 4)?;
    let is_in_doubt = row.get::<_, Option<i64>>(columns + 5)?.is_some();
    Ok(GapToDeliver { id, recorded: recorded(row)?, delivery, said_at, folder, is_in_doubt })
}
