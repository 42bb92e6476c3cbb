//! Messages that are wanted: a record is left of them, or was, and their content is lost.

use mailstore_format::{Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid};
use rusqlite::{Connection, Row, Transaction};

use crate::error::Error;
use crate::incident::Incident;
use crate::mailboxes::{MailboxId, MailboxRow};
use crate::pages::Pages;
use crate::runs::RunId;
use crate::sql_values::{
    guid, internal_flags, json_of, moment, now, signed, system_flags, texts, thread_id, timestamp,
    uid, unsigned,
};
use crate::stores::StoreId;

/// A wanted message of this incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WantedId(pub(crate) i64);

/// Why a message is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its file is gone; its record stays.
    Missing,
    /// Its file is there, and is not the message any more.
    Damaged,
    /// Its record was expunged because its file is gone.
    Pruned,
}

/// All that its record said of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedMessage {
    /// Its UID.
    pub uid: Uid,
    /// The SHA-1 of its bytes; null where none is known.
    pub guid: Guid,
    /// Bytes.
    pub size: u64,
    /// The flags clients saw.
    pub system_flags: SystemFlags,
    /// What the server noted of the record.
    pub internal_flags: InternalFlags,
    /// The names of its keywords.
    pub keywords: Vec<String>,
    /// When it was received.
    pub internaldate: Timestamp,
    /// When it came into the mailbox; 0 where no record tells.
    pub savedate: Timestamp,
    /// The day of its Date header.
    pub sentdate: Timestamp,
    /// The modseq of its last change.
    pub modseq: ModSeq,
    /// The modseq of its coming.
    pub createdmodseq: ModSeq,
    /// Its conversation.
    pub thread_id: ThreadId,
    /// Its annotations.
    pub annotations: Vec<WantedAnnotation>,
    /// Why it is wanted.
    pub why: Why,
}

/// An annotation of a wanted message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedAnnotation {
    /// What it is called, as in `/comment`.
    pub entry: String,
    /// Whose it is; empty where everybody sees it.
    pub userid: String,
    /// What it says.
    pub value: Vec<u8>,
}

/// A wanted message and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its id in this incident.
    pub id: WantedId,
    /// Its store.
    pub store: StoreId,
    /// Its mailbox.
    pub mailbox: MailboxId,
    /// What is known of it.
    pub message: WantedMessage,
    /// The run that last missed it.
    pub run: RunId,
    /// When it was first missed.
    pub first_seen: Timestamp,
    /// When it was last missed.
    pub last_seen: Timestamp,
    /// When it was found again, and has not been missed since.
    pub found_at: Option<Timestamp>,
}

impl Why {
    const ALL: [Self; 3] = [Self::Missing, Self::Damaged, Self::Pruned];

    /// Its name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Pruned => "pruned",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == name)
    }
}

impl Incident {
    /// Every wanted message, those found since too, ordered by GUID: a sorted list of GUIDs can be
    /// gone through beside it.
    #[must_use]
    pub fn wanted(&self) -> Pages<'_, ([u8; 20], i64), Wanted> {
        self.wanted_where("")
    }

    /// The wanted messages that were not found yet, ordered by GUID.
    #[must_use]
    pub fn still_wanted(&self) -> Pages<'_, ([u8; 20], i64), Wanted> {
        self.wanted_where("AND found_at IS NULL")
    }

    fn wanted_where(&self, condition: &str) -> Pages<'_, ([u8; 20], i64), Wanted> {
        // Two questions: by one, SQLite would go through all messages of the last GUID at each page,
        // and where none is known they all have the same.
        let same = format!(
            "{SELECT} WHERE wanted.guid = ?1 AND wanted.id > ?2 {condition}
             ORDER BY wanted.id LIMIT ?3"
        );
        let later = format!(
            "{SELECT} WHERE wanted.guid > ?1 {condition} ORDER BY wanted.guid, wanted.id LIMIT ?2"
        );
        Pages::new(&self.database, move |connection, &(guid, id): &([u8; 20], i64), limit| {
            let keyed = |row: &Row<'_>| {
                let wanted = wanted(connection, row)?;
                Ok(((wanted.message.guid.0, wanted.id.0), wanted))
            };
            let mut query = connection.prepare_cached(&same)?;
            let mut page: Vec<_> =
                query.query_map((guid, id, limit), keyed)?.collect::<rusqlite::Result<_>>()?;
            let read = u32::try_from(page.len()).unwrap_or(limit);
            let mut query = connection.prepare_cached(&later)?;
            for row in query.query_map((guid, limit.saturating_sub(read)), keyed)? {
                page.push(row?);
            }
            Ok(page)
        })
    }

    /// The wanted messages with this GUID that were not found yet: several where it was in several
    /// mailboxes.
    pub fn wanted_with_guid(&self, guid: &Guid) -> Result<Vec<Wanted>, Error> {
        self.database.read(|connection| {
            let query =
                format!("{SELECT} WHERE wanted.guid = ?1 AND found_at IS NULL ORDER BY wanted.id");
            let mut query = connection.prepare_cached(&query)?;
            let rows = query.query_map([guid.0], |row| wanted(connection, row))?;
            rows.collect()
        })
    }

    /// Notes that these messages were found. Those that were found already keep their time.
    pub fn mark_found(&self, messages: &[WantedId]) -> Result<(), Error> {
        let at = now().0;
        self.database.write(|transaction| {
            let update = "UPDATE wanted SET found_at = coalesce(found_at, ?2) WHERE id = ?1";
            let mut update = transaction.prepare_cached(update)?;
            messages.iter().try_for_each(|id| update.execute((id.0, at)).map(drop))
        })
    }
}

/// Notes that a message is wanted. Of several notes the latest says what is known of it, whatever
/// the order they are made in; one that is later than its finding makes it wanted again.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    run: RunId,
    mailbox: MailboxRow,
    message: &WantedMessage,
    seen: Timestamp,
) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO wanted (mailbox, uid, guid, size, system_flags, internal_flags, keywords,
         internaldate, savedate, sentdate, modseq, createdmodseq, thread_id, why, run, first_seen,
         last_seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16)
         ON CONFLICT (mailbox, uid, guid) DO UPDATE SET size = excluded.size,
         system_flags = excluded.system_flags, internal_flags = excluded.internal_flags,
         keywords = excluded.keywords, internaldate = excluded.internaldate,
         savedate = excluded.savedate, sentdate = excluded.sentdate, modseq = excluded.modseq,
         createdmodseq = excluded.createdmodseq, thread_id = excluded.thread_id,
         why = excluded.why, run = excluded.run, last_seen = excluded.last_seen,
         first_seen = min(first_seen, excluded.first_seen),
         found_at = CASE WHEN found_at >= excluded.last_seen THEN found_at END
         WHERE last_seen <= excluded.last_seen
         RETURNING id",
    )?;
    let mut rows = upsert.query(rusqlite::params![
        mailbox.0,
        message.uid.0,
        message.guid.0,
        signed(message.size),
        message.system_flags.0,
        message.internal_flags.0,
        json_of(&message.keywords),
        message.internaldate.0,
        message.savedate.0,
        message.sentdate.0,
        signed(message.modseq.0),
        signed(message.createdmodseq.0),
        message.thread_id.to_string(),
        message.why.as_str(),
        run.0,
        seen.0,
    ])?;
    if let Some(row) = rows.next()? {
        return put_annotations(transaction, WantedId(row.get(0)?), message);
    }
    // What is known is from later.
    let mut update = transaction.prepare_cached(
        "UPDATE wanted SET first_seen = min(first_seen, ?4)
         WHERE mailbox = ?1 AND uid = ?2 AND guid = ?3",
    )?;
    update.execute((mailbox.0, message.uid.0, message.guid.0, seen.0)).map(drop)
}

fn put_annotations(
    transaction: &Transaction<'_>,
    id: WantedId,
    message: &WantedMessage,
) -> rusqlite::Result<()> {
    let delete = "DELETE FROM wanted_annotations WHERE wanted = ?1";
    transaction.prepare_cached(delete)?.execute([id.0])?;
    let insert = "INSERT OR REPLACE INTO wanted_annotations (wanted, entry, userid, value)
                  VALUES (?1, ?2, ?3, ?4)";
    let mut insert = transaction.prepare_cached(insert)?;
    for WantedAnnotation { entry, userid, value } in &message.annotations {
        insert.execute((id.0, entry, userid, value))?;
    }
    Ok(())
}

/// Notes that a message is there.
pub(crate) fn found(
    transaction: &Transaction<'_>,
    mailbox: MailboxRow,
    uid: Uid,
    guid: Guid,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let mut update = transaction.prepare_cached(
        "UPDATE wanted SET found_at = ?4
         WHERE mailbox = ?1 AND uid = ?2 AND guid = ?3 AND found_at IS NULL
         AND last_seen <= ?4",
    )?;
    update.execute((mailbox.0, uid.0, guid.0, at.0)).map(drop)
}

const SELECT: &str = "SELECT wanted.id, store, uniqueid, name, uid, guid, size, system_flags, \
                      internal_flags, keywords, internaldate, savedate, sentdate, modseq, \
                      createdmodseq, thread_id, why, run, first_seen, last_seen, found_at \
                      FROM wanted JOIN mailboxes ON mailboxes.id = mailbox";

fn wanted(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Wanted> {
    let id = WantedId(row.get(0)?);
    let why = Why::named(&row.get::<_, String>(16)?).unwrap_or(Why::Missing);
    let message = WantedMessage {
        uid: uid(row, 4)?,
        guid: guid(row, 5)?,
        size: unsigned(row, 6)?,
        system_flags: system_flags(row, 7)?,
        internal_flags: internal_flags(row, 8)?,
        keywords: texts(row, 9)?,
        internaldate: timestamp(row, 10)?,
        savedate: timestamp(row, 11)?,
        sentdate: timestamp(row, 12)?,
        modseq: ModSeq(unsigned(row, 13)?),
        createdmodseq: ModSeq(unsigned(row, 14)?),
        thread_id: thread_id(row, 15)?,
        annotations: annotations(connection, id)?,
        why,
    };
    Ok(Wanted {
        id,
        store: StoreId(row.get(1)?),
        mailbox: MailboxId { uniqueid: row.get(2)?, name: row.get(3)? },
        message,
        run: RunId(row.get(17)?),
        first_seen: timestamp(row, 18)?,
        last_seen: timestamp(row, 19)?,
        found_at: moment(row, 20)?,
    })
}

fn annotations(connection: &Connection, id: WantedId) -> rusqlite::Result<Vec<WantedAnnotation>> {
    let mut query = connection.prepare_cached(
        "SELECT entry, userid, value FROM wanted_annotations WHERE wanted = ?1
         ORDER BY entry, userid",
    )?;
    let rows = query.query_map([id.0], |row| {
        Ok(WantedAnnotation { entry: row.get(0)?, userid: row.get(1)?, value: row.get(2)? })
    })?;
    rows.collect()
}
