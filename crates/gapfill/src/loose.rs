//! Loose messages: read once, then looked for in every mailbox.
//!
//! What their bytes told lies in a temporary database of its own, a file without a name: memory does
//! not grow with it. It goes with the run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mailstore_format::{Guid, Timestamp};
use rayon::prelude::*;
use rusqlite::{Connection, Row};

use crate::error::Error;
use crate::place::Skipped;
use crate::source::{DELIVERY_FIELDS, LooseAt, LooseFile, Recipient, Source, read_loose};

/// So many files are read before what they told is written down.
const BATCH: usize = 4096;
/// So many rows are read at once.
const PAGE: i64 = 512;
/// Bits of a [`Filter`]: 8 MiB.
const FILTER_BITS: usize = 1 << 26;

/// A page of the database is in memory only where it fits into 16 MiB. Nothing of it has to outlive
/// the process.
const TABLES: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -16384;
    CREATE TABLE files (
        number INTEGER PRIMARY KEY,
        guid BLOB NOT NULL,
        with_crlf BLOB,
        stored BLOB NOT NULL,
        size INTEGER NOT NULL,
        mtime INTEGER NOT NULL,
        is_mail INTEGER NOT NULL,
        recipients BLOB NOT NULL,
        known INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE guids (guid BLOB NOT NULL, number INTEGER NOT NULL) STRICT;
    CREATE TABLE holders (guid BLOB NOT NULL, owner BLOB NOT NULL, PRIMARY KEY (guid, owner))
        STRICT, WITHOUT ROWID;
";
/// Made when all files are there: sorted once, not kept in order while they come.
const INDEXES: &str = "
    CREATE INDEX files_by_stored ON files (stored, number);
    CREATE INDEX guids_by_guid ON guids (guid, number);
";

/// What is known of a loose message by now; what is higher counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Known {
    /// No record knows it.
    Nothing,
    /// Some mailbox had it, and it was deleted there.
    Deleted,
    /// It is the copy of a message that is a gap.
    Used,
    /// A live mailbox has it.
    Present,
}

/// All loose messages of all sources.
#[derive(Debug)]
pub(crate) struct LooseSet<'a> {
    /// Where they are; the database numbers them so.
    places: Vec<&'a LooseAt>,
    /// What their bytes told.
    told: Mutex<Connection>,
    filter: Filter,
    /// What could not be read.
    pub(crate) skipped: Vec<Skipped>,
}

impl<'a> LooseSet<'a> {
    /// Reads every loose file of the sources, in the order of the disk.
    pub(crate) fn read(sources: &'a [Source]) -> Result<Self, Error> {
        let mut places: Vec<_> = sources.iter().flat_map(|source| &source.loose).collect();
        places.sort_by_key(|at| at.ino);
        let mut set = Self::empty()?;
        for (batch, first) in places.chunks(BATCH).zip((0_i64..).step_by(BATCH)) {
            let read: Vec<_> = batch.par_iter().map(|at| read_loose(at)).collect();
            set.add(first, read)?;
        }
        set.complete(places)?;
        Ok(set)
    }

    fn empty() -> Result<Self, Error> {
        let told = Connection::open("")?;
        told.execute_batch(TABLES)?;
        let filter = Filter::default();
        Ok(Self { places: Vec::new(), told: Mutex::new(told), filter, skipped: Vec::new() })
    }

    fn add(&mut self, first: i64, read: Vec<Result<LooseFile, Skipped>>) -> Result<(), Error> {
        let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner);
        let transaction = told.transaction()?;
        for (file, number) in read.into_iter().zip(first..) {
            match file {
                Ok(file) => put(&transaction, &mut self.filter, number, &file)?,
                Err(skipped) => self.skipped.push(skipped),
            }
        }
        Ok(transaction.commit()?)
    }

    /// Makes it ready to be asked, `places` being those of the numbers that were added.
    fn complete(&mut self, places: Vec<&'a LooseAt>) -> Result<(), Error> {
        self.places = places;
        Ok(self.locked().execute_batch(INDEXES)?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The files that are this message, as they lie there or with CRLF for LF.
    pub(crate) fn with_guid(&self, guid: &Guid) -> Result<Vec<&'a LooseAt>, Error> {
        if !self.filter.may_have(guid) {
            return Ok(Vec::new());
        }
        let told = self.locked();
        let mut query = told.prepare_cached("SELECT number FROM guids WHERE guid = ?1")?;
        let numbers = query.query_map([guid.0], |row| row.get::<_, i64>(0))?;
        let mut found = Vec::new();
        for number in numbers {
            found.extend(self.place(number?));
        }
        Ok(found)
    }

    /// Notes what is known of the message.
    pub(crate) fn note(&self, guid: &Guid, known: Known) -> Result<(), Error> {
        if self.filter.may_have(guid) {
            let told = self.locked();
            let mut update = told.prepare_cached(
                "UPDATE files SET known = ?2 WHERE known < ?2
                 AND number IN (SELECT number FROM guids WHERE guid = ?1)",
            )?;
            update.execute((guid.0, known as u8))?;
        }
        Ok(())
    }

    /// Notes that a live mailbox of `owner` has the message.
    pub(crate) fn note_holder(&self, guid: &Guid, owner: &[u8]) -> Result<(), Error> {
        if self.filter.may_have(guid) {
            let told = self.locked();
            let insert = "INSERT OR IGNORE INTO holders (guid, owner) VALUES (?1, ?2)";
            told.prepare_cached(insert)?.execute((guid.0, owner))?;
        }
        Ok(())
    }

    /// Whether a live mailbox of `owner` has the message.
    pub(crate) fn is_held_by(&self, guid: &Guid, owner: &[u8]) -> Result<bool, Error> {
        let told = self.locked();
        let mut query =
            told.prepare_cached("SELECT 1 FROM holders WHERE guid = ?1 AND owner = ?2")?;
        Ok(query.exists((guid.0, owner))?)
    }

    /// Tells every file that could be read, with what is known of it, those that are the same
    /// message after one another.
    pub(crate) fn each(
        &self,
        mut tell: impl FnMut(&LooseAt, &LooseFile, Known) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after = (Guid::NULL, -1_i64);
        loop {
            let page = self.page(after)?;
            let Some((number, file, _)) = page.last() else { return Ok(()) };
            after = (file.stored_guid(), *number);
            for (number, file, known) in &page {
                if let Some(at) = self.place(*number) {
                    tell(at, file, *known)?;
                }
            }
        }
    }

    fn page(&self, (stored, number): (Guid, i64)) -> Result<Vec<(i64, LooseFile, Known)>, Error> {
        let told = self.locked();
        let mut query = told.prepare_cached(
            "SELECT number, guid, with_crlf, size, mtime, is_mail, recipients, known FROM files
             WHERE (stored, number) > (?1, ?2) ORDER BY stored, number LIMIT ?3",
        )?;
        let rows = query.query_map((stored.0, number, PAGE), |row| {
            Ok((row.get(0)?, file(row)?, known(row.get(7)?)))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn place(&self, number: i64) -> Option<&'a LooseAt> {
        self.places.get(usize::try_from(number).ok()?).copied()
    }

    fn locked(&self) -> MutexGuard<'_, Connection> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(
    told: &Connection,
    filter: &mut Filter,
    number: i64,
    file: &LooseFile,
) -> rusqlite::Result<()> {
    let mut insert = told.prepare_cached(
        "INSERT INTO files (number, guid, with_crlf, stored, size, mtime, is_mail, recipients, known)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
    )?;
    insert.execute(rusqlite::params![
        number,
        file.guid.0,
        file.guid_with_crlf.map(|guid| guid.0),
        file.stored_guid().0,
        file.size.cast_signed(),
        file.mtime.0,
        file.is_mail,
        encoded(&file.recipients),
    ])?;
    if file.is_mail {
        let mut insert = told.prepare_cached("INSERT INTO guids (guid, number) VALUES (?1, ?2)")?;
        for guid in [Some(file.guid), file.guid_with_crlf].into_iter().flatten() {
            filter.add(&guid);
            insert.execute((guid.0, number))?;
        }
    }
    Ok(())
}

fn file(row: &Row<'_>) -> rusqlite::Result<LooseFile> {
    Ok(LooseFile {
        guid: Guid(row.get(1)?),
        guid_with_crlf: row.get::<_, Option<_>>(2)?.map(Guid),
        size: row.get::<_, i64>(3)?.cast_unsigned(),
        mtime: Timestamp(row.get(4)?),
        is_mail: row.get(5)?,
        recipients: decoded(row.get_ref(6)?.as_blob()?),
    })
}

fn known(number: u8) -> Known {
    let all = [Known::Nothing, Known::Deleted, Known::Used, Known::Present];
    all.get(usize::from(number)).copied().unwrap_or(Known::Nothing)
}

/// A line each: which field, and the address, which has no line ends.
fn encoded(recipients: &[Recipient]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for recipient in recipients {
        let field = DELIVERY_FIELDS.iter().position(|field| *field == recipient.field);
        bytes.extend(field.and_then(|field| u8::try_from(field).ok()));
        bytes.extend_from_slice(&recipient.address);
        bytes.push(b'\n');
    }
    bytes
}

fn decoded(bytes: &[u8]) -> Vec<Recipient> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let recipient = |line: &[u8]| {
        let (field, address) = line.strip_suffix(b"\n")?.split_first()?;
        let field = DELIVERY_FIELDS.get(usize::from(*field)).copied()?;
        Some(Recipient { address: address.to_vec(), field })
    };
    lines.filter_map(recipient).collect()
}

/// Tells of most messages that they are none of the loose ones, without asking the database: a bit
/// for what a GUID begins with. Of a million files 3 % of all other messages are asked for in vain.
#[derive(Debug)]
struct Filter(Vec<u64>);

impl Default for Filter {
    fn default() -> Self {
        Self(vec![0; FILTER_BITS / 64])
    }
}

impl Filter {
    fn place(guid: &Guid) -> (usize, u64) {
        let [a, b, c, d, ..] = guid.0;
        let bit = u32::from_be_bytes([a, b, c, d]) as usize % FILTER_BITS;
        (bit / 64, 1 << (bit % 64))
    }

    fn add(&mut self, guid: &Guid) {
        let (word, bit) = Self::place(guid);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_have(&self, guid: &Guid) -> bool {
        let (word, bit) = Self::place(guid);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::Arc;

    use super::*;
    use crate::place::Place;

    fn file(text: &str, guid_with_crlf: Option<Guid>) -> LooseFile {
        LooseFile {
            guid: Guid::of(text.as_bytes()),
            guid_with_crlf,
            size: 7,
            mtime: Timestamp(-5),
            is_mail: text != "no mail",
            recipients: vec![
                Recipient { address: b"alice".to_vec(), field: DELIVERY_FIELDS[1] },
                Recipient { address: b"b\xffb".to_vec(), field: DELIVERY_FIELDS[0] },
            ],
        }
    }

    fn places(count: usize) -> Vec<LooseAt> {
        let place = Arc::new(Place::root(&std::env::temp_dir()).unwrap());
        let at = |number: usize| LooseAt {
            place: Arc::clone(&place),
            name: OsString::from(number.to_string()),
            ino: 1,
        };
        (0..count).map(at).collect()
    }

    fn told(set: &LooseSet<'_>) -> Vec<(OsString, LooseFile, Known)> {
        let mut all = Vec::new();
        set.each(|at, file, known| {
            all.push((at.name.clone(), file.clone(), known));
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn files_come_back_as_they_were_with_what_is_known_of_them() {
        let at = places(4);
        let mut set = LooseSet::empty().unwrap();
        let stored = Guid::of(b"with crlf");
        let files = [file("a", None), file("b", Some(stored)), file("no mail", None)];
        set.add(0, files.clone().map(Ok).to_vec()).unwrap();
        set.add(3, vec![Ok(file("a", None))]).unwrap();
        set.complete(at.iter().collect()).unwrap();
        let names = |guid| -> Vec<_> {
            set.with_guid(&guid).unwrap().iter().map(|at| at.name.clone()).collect()
        };
        assert_eq!(names(Guid::of(b"a")), ["0", "3"]);
        assert_eq!((names(Guid::of(b"b")).len(), names(stored).len()), (1, 1));
        assert_eq!((names(Guid::of(b"no mail")).len(), names(Guid::of(b"else")).len()), (0, 0));
        set.note(&stored, Known::Used).unwrap();
        set.note(&Guid::of(b"b"), Known::Deleted).unwrap();
        let guid = Guid::of(b"a");
        set.note_holder(&guid, b"alice").unwrap();
        set.note_holder(&guid, b"alice").unwrap();
        let held = |owner: &[u8]| set.is_held_by(&guid, owner).unwrap();
        assert_eq!((held(b"alice"), held(b"bob")), (true, false));
        let mut all = told(&set);
        all.sort_by_key(|(name, _, _)| name.clone());
        let known: Vec<_> = all.iter().map(|(_, _, known)| *known).collect();
        assert_eq!(known, [Known::Nothing, Known::Used, Known::Nothing, Known::Nothing]);
        assert_eq!(all[1].1, files[1]);
    }

    #[test]
    fn many_files_are_told_once_each_and_equal_ones_together() {
        const FILES: usize = 3000;
        let at = places(FILES);
        let mut set = LooseSet::empty().unwrap();
        let files = (0..FILES).map(|number| Ok(file(&(number % 1000).to_string(), None)));
        set.add(0, files.collect()).unwrap();
        set.complete(at.iter().collect()).unwrap();
        let all = told(&set);
        let names: std::collections::HashSet<_> = all.iter().map(|(name, _, _)| name).collect();
        assert_eq!((all.len(), names.len()), (FILES, FILES));
        let changes = all.windows(2).filter(|pair| pair[0].1.guid != pair[1].1.guid).count();
        assert_eq!(changes, 999);
    }
}
