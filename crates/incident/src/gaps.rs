//! Gaps: what a source of the outage has and a live store lacks.

use std::path::PathBuf;

use mailstore_format::{Guid, SystemFlags, ThreadId, Timestamp, Uid};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, Transaction};

use crate::error::Error;
use crate::incident::Incident;
use crate::mailboxes::{MailboxId, MailboxRow, Naming, Outcome, put_outcome, remember, store_of};
use crate::pages::Pages;
use crate::runs::RunId;
use crate::sql_values::{
    annotations, guid, json_of, json_of_annotations, moment, now, path, signed, stored_path,
    system_flags, texts, thread_id, timestamp, uid, unsigned,
};
use crate::stores::StoreId;
use crate::wanted::{WantedAnnotation, WantedId};

/// A message that a live store lacks, or a mailbox that it lacks whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The SHA-1 of its bytes; null for a mailbox.
    pub guid: Guid,
    /// Its UID in the source; 0 where it has none, and for a mailbox.
    pub uid: Uid,
    /// Tells copies without a UID apart, from 0.
    pub copy: u32,
    /// The stable name of its class (`docs/policy.md`).
    pub class: String,
    /// Whether the policy is to restore it, and an intact copy is known.
    pub restore: bool,
    /// What decided, for people.
    pub evidence: String,
    /// How many messages it is: 1, unless it is a mailbox.
    pub messages: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// The flags clients saw.
    pub system_flags: SystemFlags,
    /// The names of its keywords.
    pub keywords: Vec<String>,
    /// When it was received; 0 where nothing tells.
    pub internaldate: Timestamp,
    /// When it came into the mailbox; 0 where nothing tells.
    pub savedate: Timestamp,
    /// Its conversation; 0 where nothing tells.
    pub thread_id: ThreadId,
    /// Where the best copy lies in the sources; of a mailbox, its directory.
    pub origin: Option<PathBuf>,
    /// Where a verified copy was put.
    pub staged: Option<PathBuf>,
    /// The wanted message it is.
    pub wanted: Option<WantedId>,
    /// Its annotations in the source.
    pub annotations: Vec<WantedAnnotation>,
    /// The users, other than the owner, who had seen it in the source.
    pub seen_by: Vec<String>,
}

/// What a gap of a mailbox is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GapKey {
    /// [`Gap::guid`].
    pub guid: Guid,
    /// [`Gap::uid`].
    pub uid: Uid,
    /// [`Gap::copy`].
    pub copy: u32,
}

impl Gap {
    /// What it is known by in its mailbox.
    #[must_use]
    pub const fn key(&self) -> GapKey {
        GapKey { guid: self.guid, uid: self.uid, copy: self.copy }
    }
}

/// All gaps that a run saw in one mailbox.
#[derive(Debug, Clone, Copy)]
pub struct MailboxGaps<'a> {
    /// The mailbox: as the live store has it; where that has none, as the source does.
    pub mailbox: &'a MailboxId,
    /// How the comparison went.
    pub outcome: &'a Outcome,
    /// The gaps.
    pub gaps: &'a [Gap],
    /// When the store was looked at: what came into the mailbox since may be one of them.
    pub looked_at: Timestamp,
}

/// A gap of this incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedGap {
    /// The store that lacks it.
    pub store: StoreId,
    /// The mailbox it belongs to.
    pub mailbox: MailboxId,
    /// What is known of it.
    pub gap: Gap,
    /// The run that last saw it.
    pub run: RunId,
    /// When the store was looked at first and lacked it.
    pub first_seen: Timestamp,
    /// When the store was last looked at and lacked it.
    pub last_seen: Timestamp,
    /// When a run found that the store lacks it no more, and which; none as long as it does.
    pub closed: Option<(Timestamp, RunId)>,
}

impl Incident {
    /// Records the gaps that a run saw in a mailbox, all of them or none. A gap that is known
    /// already is not there twice: what is said of it now takes the place of what was said before,
    /// but a copy that was staged stays known. One that was closed is open again.
    pub fn record_gaps(&self, run: RunId, seen: &MailboxGaps<'_>) -> Result<(), Error> {
        let recorded = self.database.write(|transaction| {
            let Some(store) = store_of(transaction, run)? else { return Ok(None) };
            let mailbox = remember(transaction, store, seen.mailbox, Naming::Current)?;
            put_outcome(transaction, run, mailbox, seen.outcome)?;
            let at = seen.looked_at;
            seen.gaps.iter().try_for_each(|gap| put(transaction, run, mailbox, gap, at))?;
            Ok(Some(()))
        })?;
        recorded.ok_or_else(|| self.no_such_run(run))
    }

    /// The gaps of a mailbox that are not closed.
    pub fn open_gaps(&self, store: StoreId, mailbox: &MailboxId) -> Result<Vec<GapKey>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT guid, gaps.uid, copy FROM gaps JOIN mailboxes ON mailboxes.id = mailbox
                 WHERE store = ?1 AND uniqueid = ?2 AND closed_at IS NULL",
            )?;
            let rows = query.query_map((store.0, &mailbox.uniqueid), |row| {
                Ok(GapKey { guid: guid(row, 0)?, uid: uid(row, 1)?, copy: row.get(2)? })
            })?;
            rows.collect()
        })
    }

    /// Whether a gap of a mailbox is known and not closed.
    pub fn is_open(
        &self,
        store: StoreId,
        mailbox: &MailboxId,
        key: &GapKey,
    ) -> Result<bool, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT 1 FROM gaps JOIN mailboxes ON mailboxes.id = mailbox WHERE guid = ?1
                 AND gaps.uid = ?2 AND copy = ?3 AND closed_at IS NULL AND store = ?4
                 AND uniqueid = ?5",
            )?;
            query.exists((key.guid.0, key.uid.0, key.copy, store.0, &mailbox.uniqueid))
        })
    }

    /// A gap of this message, of whatever mailbox, that is to be restored and is not closed; of
    /// several the first that was seen.
    pub fn open_gap_of(&self, guid: &Guid) -> Result<Option<RecordedGap>, Error> {
        self.database.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {GAP_COLUMNS} FROM gaps JOIN mailboxes ON mailboxes.id = mailbox
                 WHERE guid = ?1 AND restore AND closed_at IS NULL ORDER BY gaps.id LIMIT 1"
            ))?;
            query.query_row([guid.0], recorded).optional()
        })
    }

    /// Notes that `run` found that the store lacks these gaps of a mailbox no more. What is not
    /// known, or closed already, stays as it is.
    pub fn close_gaps(
        &self,
        run: RunId,
        mailbox: &MailboxId,
        gaps: &[GapKey],
    ) -> Result<(), Error> {
        let at = now();
        let closed = self.database.write(|transaction| {
            let Some(store) = store_of(transaction, run)? else { return Ok(None) };
            let mut update = transaction.prepare_cached(
                "UPDATE gaps SET closed_at = ?1, closed_by = ?2
                 WHERE guid = ?3 AND uid = ?4 AND copy = ?5 AND closed_at IS NULL AND mailbox =
                 (SELECT id FROM mailboxes WHERE store = ?6 AND uniqueid = ?7)",
            )?;
            for GapKey { guid, uid, copy } in gaps {
                let uniqueid = &mailbox.uniqueid;
                update.execute((at.0, run.0, guid.0, uid.0, copy, store.0, uniqueid))?;
            }
            Ok(Some(()))
        })?;
        closed.ok_or_else(|| self.no_such_run(run))
    }

    /// All gaps, in the order in which they came into the database.
    #[must_use]
    pub fn gaps(&self) -> Pages<'_, i64, RecordedGap> {
        Pages::new(&self.database, |connection, after, limit| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {GAP_COLUMNS} FROM gaps JOIN mailboxes ON mailboxes.id = mailbox
                     WHERE gaps.id > ?1 ORDER BY gaps.id LIMIT ?2"
            ))?;
            let rows = query.query_map((after, limit), |row| Ok((row.get(0)?, recorded(row)?)))?;
            rows.collect()
        })
    }
}

fn put(
    transaction: &Transaction<'_>,
    run: RunId,
    mailbox: MailboxRow,
    gap: &Gap,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO gaps (mailbox, guid, uid, copy, class, restore, evidence, messages, bytes,
         system_flags, keywords, internaldate, savedate, thread_id, origin, staged, wanted, run,
         annotations, seen_by, first_seen, last_seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
         ?19, ?20, ?21, ?21)
         ON CONFLICT (mailbox, guid, uid, copy) DO UPDATE SET class = excluded.class,
         restore = excluded.restore, evidence = excluded.evidence, messages = excluded.messages,
         bytes = excluded.bytes, system_flags = excluded.system_flags,
         keywords = excluded.keywords, internaldate = excluded.internaldate,
         savedate = excluded.savedate, thread_id = excluded.thread_id,
         origin = coalesce(excluded.origin, origin), staged = coalesce(excluded.staged, staged),
         wanted = coalesce(excluded.wanted, wanted), run = excluded.run,
         annotations = excluded.annotations, seen_by = excluded.seen_by,
         last_seen = excluded.last_seen, closed_at = NULL, closed_by = NULL",
    )?;
    let stored = |path: &Option<PathBuf>| path.as_deref().map_or(Value::Null, stored_path);
    let changed = upsert.execute(rusqlite::params![
        mailbox.0,
        gap.guid.0,
        gap.uid.0,
        gap.copy,
        gap.class,
        gap.restore,
        gap.evidence,
        signed(gap.messages),
        signed(gap.bytes),
        gap.system_flags.0,
        json_of(&gap.keywords),
        gap.internaldate.0,
        gap.savedate.0,
        gap.thread_id.to_string(),
        stored(&gap.origin),
        stored(&gap.staged),
        gap.wanted.map(|wanted| wanted.0),
        run.0,
        json_of_annotations(&gap.annotations),
        json_of(&gap.seen_by),
        at.0,
    ]);
    changed.map(drop)
}

/// What [`recorded`] reads of a gap and its mailbox, in this order, after the gap's number.
pub(crate) const GAP_COLUMNS: &str = "gaps.id, store, uniqueid, name, guid, gaps.uid, copy, class, \
    restore, evidence, messages, bytes, system_flags, keywords, internaldate, savedate, thread_id, \
    origin, staged, wanted, gaps.run, first_seen, last_seen, closed_at, closed_by, annotations, \
    seen_by";

pub(crate) fn recorded(row: &Row<'_>) -> rusqlite::Result<RecordedGap> {
    let optional = |column| match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => path(row, column).map(Some),
    };
    Ok(RecordedGap {
        store: StoreId(row.get(1)?),
        mailbox: MailboxId { uniqueid: row.get(2)?, name: row.get(3)? },
        gap: Gap {
            guid: guid(row, 4)?,
            uid: uid(row, 5)?,
            copy: row.get(6)?,
            class: row.get(7)?,
            restore: row.get(8)?,
            evidence: row.get(9)?,
            messages: unsigned(row, 10)?,
            bytes: unsigned(row, 11)?,
            system_flags: system_flags(row, 12)?,
            keywords: texts(row, 13)?,
            internaldate: timestamp(row, 14)?,
            savedate: timestamp(row, 15)?,
            thread_id: thread_id(row, 16)?,
            origin: optional(17)?,
            staged: optional(18)?,
            wanted: row.get::<_, Option<i64>>(19)?.map(WantedId),
            annotations: annotations(row, 25)?,
            seen_by: texts(row, 26)?,
        },
        run: RunId(row.get(20)?),
        first_seen: timestamp(row, 21)?,
        last_seen: timestamp(row, 22)?,
        closed: moment(row, 23)?.zip(row.get::<_, Option<i64>>(24)?.map(RunId)),
    })
}
