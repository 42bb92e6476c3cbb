//! Cyrus's key-value databases, read only: twoskip, skiplist and flat files (`lib/cyrusdb_*.c`).
//!
//! [`read`] takes the whole file and gives the entries of the last committed state. It needs no
//! lock and repairs nothing: what Cyrus would first recover after a crash is read as it would be
//! after that recovery. Damage does not stop it: what is intact comes out, and what could not be
//! read is listed beside it. The byte tables are in `docs/format/{twoskip,skiplist,flat}.md`.
//!
//! ```
//! use mailstore_format::db;
//!
//! let contents = db::read(b"user.erin\t0 default erin\tlrs\t\n")?;
//! assert_eq!(contents.entries[0].key.as_ref(), b"user.erin");
//! assert!(contents.damage.is_empty());
//! # Ok::<(), mailstore_format::DecodeError>(())
//! ```

mod flat;
mod skiplist;
mod twoskip;
mod twoskip_liveness;

use std::borrow::Cow;
use std::fmt;

use crate::DecodeError;

/// The first bytes of all of Cyrus's own binary databases.
const MAGIC: &[u8; 4] = b"\xa1\x02\x8b\x0d";
const TWOSKIP_MAGIC: &[u8] = b"twoskip file\0\0\0\0";
const SKIPLIST_MAGIC: &[u8] = b"skiplist file\0\0\0";
const TWOM_MAGIC: &[u8] = b"twomfile\0\0\0\0";

/// Which database a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DbKind {
    /// `lib/cyrusdb_twoskip.c`: the default for almost everything since 2.5.
    Twoskip,
    /// `lib/cyrusdb_skiplist.c`: the default before, and of conversations.db up to 3.8.
    Skiplist,
    /// `lib/cyrusdb_flat.c`: a text file of sorted lines, as for subscriptions.
    Flat,
    /// `lib/twom.c`, new in 3.13: recognised, but not read.
    Twom,
}

impl fmt::Display for DbKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Twoskip => "twoskip",
            Self::Skiplist => "skiplist",
            Self::Flat => "flat",
            Self::Twom => "twom",
        })
    }
}

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbContents<'a> {
    /// What kind of file it is.
    pub kind: DbKind,
    /// The entries of the last committed state, in bytewise order of their keys.
    pub entries: Vec<DbEntry<'a>>,
    /// What is wrong with the file, in order of offset.
    pub damage: Vec<DbDamage>,
}

impl<'a> DbContents<'a> {
    /// The entry under `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&DbEntry<'a>> {
        let at = self.entries.binary_search_by(|entry| entry.key.as_ref().cmp(key)).ok()?;
        self.entries.get(at)
    }
}

/// One entry; key and value borrow from the file unless it had them escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbEntry<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// The value.
    pub value: Cow<'a, [u8]>,
    /// How sure it is that Cyrus would have found this entry before the damage.
    pub standing: Standing,
}

/// How sure it is that an entry is part of the last committed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is: the file proves it.
    Live,
    /// It was committed once. Whether it was deleted or replaced since, the damaged part of the
    /// file would have told.
    Doubtful,
}

/// One thing that is wrong with a database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbDamage {
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// What.
    pub fault: DbFault,
}

/// What is wrong at one place of a database file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DbFault {
    /// The file's header is not what it should be; it was read without.
    Header(DecodeError),
    /// The file is shorter than its header says.
    Truncated {
        /// The length its header promises.
        expected: u64,
    },
    /// No record can be made out here.
    Unreadable {
        /// How many bytes are lost.
        length: u64,
    },
    /// The record's head is damaged; key and value are whole.
    RecordHead,
    /// The record's key or value is damaged; it is lost.
    RecordBody,
    /// The way to the next record in key order is lost here. Entries that follow were found
    /// otherwise, or not.
    BrokenChain,
    /// The file holds another number of entries than its header says.
    EntryCount {
        /// The number in the header.
        expected: u64,
        /// The number of entries that were found.
        found: u64,
    },
}

impl fmt::Display for DbFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => write!(f, "the header is damaged: {error}"),
            Self::Truncated { expected } => {
                write!(f, "the file ends here but had {expected} bytes")
            }
            Self::Unreadable { length } => write!(f, "{length} bytes are not readable as records"),
            Self::RecordHead => f.write_str("a record's head is damaged, its content is whole"),
            Self::RecordBody => f.write_str("a record's key or value is damaged"),
            Self::BrokenChain => f.write_str("the way to the next record is lost"),
            Self::EntryCount { expected, found } => {
                write!(f, "{found} entries where the header says {expected}")
            }
        }
    }
}

/// What kind of database `bytes` are.
///
/// By its first bytes (`cyrusdb_detect`); where those are damaged, by records that can be made out.
/// `None` for an empty file and for anything else.
#[must_use]
pub fn recognise(bytes: &[u8]) -> Option<DbKind> {
    if let Some(magic) = bytes.strip_prefix(MAGIC) {
        for (kind, rest) in [
            (DbKind::Twoskip, TWOSKIP_MAGIC),
            (DbKind::Skiplist, SKIPLIST_MAGIC),
            (DbKind::Twom, TWOM_MAGIC),
        ] {
            if magic.starts_with(rest) {
                return Some(kind);
            }
        }
    }
    if twoskip::has_records(bytes) {
        Some(DbKind::Twoskip)
    } else if skiplist::has_records(bytes) {
        Some(DbKind::Skiplist)
    } else if flat::has_records(bytes) {
        Some(DbKind::Flat)
    } else {
        None
    }
}

/// Reads a database of any kind. An empty file is a database without entries, as it is for Cyrus.
///
/// Takes time and memory proportional to the length of the file, whatever its pointers say.
///
/// # Errors
/// Where the bytes are no database, or one of a kind that is not read ([`DbKind::Twom`]).
pub fn read(bytes: &[u8]) -> Result<DbContents<'_>, DecodeError> {
    let expected = "a twoskip, skiplist or flat database";
    let mut contents = match recognise(bytes) {
        Some(DbKind::Twoskip) => twoskip::read(bytes),
        Some(DbKind::Skiplist) => skiplist::read(bytes),
        Some(DbKind::Flat) => flat::read(bytes),
        None if bytes.is_empty() => flat::read(bytes),
        Some(DbKind::Twom) => {
            return Err(DecodeError::new(0, "magic", expected, "twom, which is not supported yet"));
        }
        None => {
            let start = bytes.get(..bytes.len().min(20)).unwrap_or_default();
            return Err(DecodeError::new(0, "magic", expected, start.escape_ascii().to_string()));
        }
    };
    contents.damage.sort_by_key(|damage| damage.offset);
    Ok(contents)
}

/// Sorts by key; where a key is there twice, the surer and then the later one of `entries` stays.
fn sort_entries(entries: &mut Vec<DbEntry<'_>>) {
    entries.reverse();
    entries.sort_by(|a, b| (&a.key, a.standing).cmp(&(&b.key, b.standing)));
    entries.dedup_by(|later, kept| later.key == kept.key);
}

fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_holds_nothing_and_is_sound() {
        let contents = read(b"").expect("as for Cyrus");
        assert_eq!((contents.entries.len(), contents.damage.len()), (0, 0));
    }

    #[test]
    fn twom_is_recognised_and_refused() {
        let file = [&MAGIC[..], TWOM_MAGIC, &[0; 80]].concat();
        assert_eq!(recognise(&file), Some(DbKind::Twom));
        assert!(read(&file).expect_err("it is not read").found.contains("twom"));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(read(b"hello world\n").is_err());
        assert!(read(&[0; 4096]).is_err());
    }
}
