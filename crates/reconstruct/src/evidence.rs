//! Everything that is known about one mailbox, each item with where it comes from. Read-only.

mod header_traces;
mod incoming;
mod index_trust;

use std::ffi::OsString;
use std::sync::Arc;

use mailstore::spool::OddEntry;
use mailstore_format::annotations::{Annotation, AnnotationUser};
use mailstore_format::header_file::HeaderFile;
use mailstore_format::index::{DoubtfulRecord, HeaderRepair, IndexHeader, IndexRecord, Layout};
use mailstore_format::message::MessageFields;
use mailstore_format::{
    Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid, UidValidity,
};

use crate::journal::Journal;
use crate::likeness::Likeness;

pub use crate::dialect::ChosenDialect;
pub use header_traces::{HeaderCopy, HeaderTraces, RestoredHeader};
pub use incoming::{Incoming, Ready};
pub use index_trust::IndexTrust;

/// What is known about a mailbox, as gathering found it.
#[derive(Debug)]
pub struct Evidence {
    /// The mailbox's directories.
    pub directory: DirectoryEvidence,
    /// In whose manner new cache records are made.
    pub cache_dialect: ChosenDialect,
    /// `cyrus.index`.
    pub index: IndexEvidence,
    /// Whether it is this mailbox's newest.
    pub index_trust: IndexTrust,
    /// `cyrus.header`.
    pub header_file: HeaderFileEvidence,
    /// The cache of the spool directory.
    pub spool_cache: CacheFileEvidence,
    /// The cache of the archive directory, where the mailbox has one of its own.
    pub archive_cache: Option<CacheFileEvidence>,
    /// Whether messages of the archive have their items in the cache of the spool.
    pub shares_cache: bool,
    /// Every UID for which there is a record, a file or both; ascending, each once.
    pub messages: Vec<MessageEvidence>,
    /// Messages under names that are none.
    pub strays: Vec<Stray>,
    /// A `cyrus.index.NEW`, which an interrupted work of the server left.
    pub leftover: Leftover,
    /// What other files of the server say.
    pub witnesses: Witnesses,
    /// The annotations of the mailbox (UID 0) and its messages, as far as they could be read.
    pub annotations: Vec<StoredAnnotation>,
    /// Whether these are all, and their owner is known: else nothing can be said of checksums.
    pub annotations_whole: bool,
    /// What earlier runs noted about this mailbox.
    pub journal: Journal,
    /// What is to come into it, where anything is.
    pub incoming: Option<Arc<Incoming>>,
}

/// What the mailbox's directories look like from outside.
#[derive(Debug, Default)]
pub struct DirectoryEvidence {
    /// Why the mailbox must be left alone, where something speaks for a file system not mounted.
    pub unavailable: Option<String>,
    /// Why a place in which messages could lie was not seen, where the index says that none does.
    pub unverified: Option<String>,
    /// Entries that are neither messages nor the server's own files.
    pub odd: Vec<OddInPlace>,
    /// `cyrus.expunge`, or an interrupted work's `cyrus.*.NEW`.
    pub leftovers: Vec<String>,
}

/// An entry that is no message and no file of the server, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddInPlace {
    /// Where it lies.
    pub place: Place,
    /// What it is.
    pub entry: OddEntry,
}

/// The place a message file can lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The data partition.
    Spool,
    /// The archive partition.
    Archive,
}

/// Which file this is and in which state: when all are equal it was not replaced or appended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// Inode number.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Last modification.
    pub mtime: Timestamp,
}

/// `cyrus.index`, record by record.
#[derive(Debug, Default)]
pub struct IndexEvidence {
    /// Why nothing could be read, where nothing could.
    pub unreadable: Option<String>,
    /// The file, where there is one.
    pub identity: Option<FileIdentity>,
    /// The header's bytes as read, to notice a change.
    pub header_bytes: Vec<u8>,
    /// The header, where its bytes can be decoded at all.
    pub header: Option<IndexHeader>,
    /// Whether the header's CRC vouches for it (for versions without CRC: whether it is plausible).
    pub header_proven: bool,
    /// What had to be put right before its CRC vouched for the header.
    pub header_repair: Option<HeaderRepair>,
    /// The layout of the records, where one fits.
    pub layout: Option<&'static Layout>,
    /// The record slots in file order.
    pub slots: Vec<Slot>,
    /// The slots among them whose record's CRC vouched for it only once one flipped bit was put
    /// right, or once foreign bytes were taken out; ascending.
    pub repaired_slots: Vec<usize>,
    /// Slots that the header counts beyond the end of the file.
    pub truncated_slots: usize,
    /// Sound records beyond those that a proven header counts: an append whose header was never
    /// written. They are no members; they prove what they say of a file with their UID and GUID.
    pub beyond: Vec<IndexRecord>,
    /// Whether records lie elsewhere than their layout puts them: bytes were lost or inserted.
    pub displaced: bool,
}

/// What a `cyrus.index.NEW` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Its sound records.
    pub records: Vec<IndexRecord>,
    /// The CRC-32 of `cyrus.header` that its header holds, where that is proven.
    pub header_file_crc: Option<u32>,
}

/// One place for a record in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// A record whose CRC is right, or is once what was damaged is put right (for versions without
    /// CRC: whose UID is in order).
    Record(IndexRecord),
    /// Bytes that look like a record, of which no CRC proves anything.
    Doubtful(Box<DoubtfulRecord>),
    /// Nothing that could be used.
    Destroyed,
}

/// `cyrus.header`.
#[derive(Debug)]
pub enum HeaderFileEvidence {
    /// It decodes; the CRC is of the whole file.
    Sound {
        /// Its content.
        value: Box<HeaderFile>,
        /// CRC-32 of its bytes.
        crc: u32,
    },
    /// It is there, but cannot be understood.
    Damaged(String),
    /// It may well be sound, but cannot be read.
    Unreadable(String),
    /// There is none.
    Missing,
}

/// A `cyrus.cache` file as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheFileEvidence {
    /// The file, where there is one that can be opened.
    pub identity: Option<FileIdentity>,
    /// Its generation number, where it is long enough to have one.
    pub generation: Option<u32>,
    /// Whether the name belongs to something that is no regular file.
    pub irregular: bool,
}

/// What is known about one UID.
#[derive(Debug, Clone)]
pub struct MessageEvidence {
    /// The UID, of the record or of the file's name.
    pub uid: Uid,
    /// The slot of the record that counts for this UID.
    pub slot: Option<usize>,
    /// The message file.
    pub file: FileEvidence,
    /// What reading the file yielded, where it was read.
    pub reading: Option<Reading>,
    /// The record's item in the cache.
    pub cache: CacheItem,
    /// What message that item is of, where it is sound and the file turned out to be another.
    pub cached_likeness: Option<Likeness>,
}

/// A message file, as far as it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileEvidence {
    /// Proved absent: no such entry in the spool, nor in the archive.
    Absent,
    /// A regular file.
    Regular {
        /// Where it lies.
        place: Place,
        /// Which file it is.
        identity: FileIdentity,
        /// Whether the other place holds a file of this name too.
        in_both: bool,
    },
    /// The name belongs to something that is no regular file.
    Odd,
    /// It is there, or may be; looking failed with this error number.
    Unreadable(i32),
}

/// A regular file that is no record's, though its content may be: its name is no message's, or it
/// stands behind the file of that name in the other place, or its record was given up.
#[derive(Debug, Clone)]
pub struct Stray {
    /// Where it lies.
    pub place: Place,
    /// Its name.
    pub name: OsString,
    /// Which file it is.
    pub identity: FileIdentity,
    /// Whether its name is none that a message has and it begins as mail does.
    pub is_mail: bool,
    /// What its bytes yield, where they begin as a message does or could be one that is wanted.
    pub reading: Option<Reading>,
}

/// A message that was read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What its bytes yield.
    pub fields: MessageFields,
    /// What message it shows itself to be.
    pub likeness: Likeness,
    /// Whether all its bytes are NUL.
    pub blank: bool,
    /// Its newly rendered cache record, where the old one cannot serve.
    pub staged: Option<StagedCache>,
    /// Whether a whole old cache record was there and differed from what the message yields.
    pub cache_differs: bool,
    /// Whether all this is of the bytes with every bare LF made CRLF, because with these and not
    /// as it is the file is the message of its record.
    pub with_crlf: bool,
    /// Of a file that is no record's message and whose header has bare LFs: what it yields with these
    /// made CRLF.
    /// The server stores no such header (`message_copy_strict`, `imap/message.c`).
    pub as_crlf: Option<Box<Reading>>,
}

/// A cache record kept aside until the plan decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedCache {
    /// Byte offset in the staging file.
    pub offset: u64,
    /// Bytes.
    pub len: usize,
}

/// The state of a record's item in the old cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheItem {
    /// Whole, and its CRC is the record's; its length in bytes.
    Sound(usize),
    /// Cut short, out of the file, or with another CRC.
    Damaged,
    /// There is no record to point at one, or the record points nowhere.
    None,
}

/// What the server keeps elsewhere about the mailbox.
#[derive(Debug, Clone, Default)]
pub struct Witnesses {
    /// From mailboxes.db: UIDVALIDITY.
    pub uidvalidity: Option<UidValidity>,
    /// From mailboxes.db: the modseq at which the mailbox itself last changed.
    pub foldermodseq: Option<ModSeq>,
    /// From mailboxes.db: the modseq at which the mailbox was made.
    pub createdmodseq: Option<ModSeq>,
    /// From the user's counters: the highest modseq handed out.
    pub counters_highest: Option<ModSeq>,
    /// From mailboxes.db, to make `cyrus.header` anew.
    pub header: Option<HeaderFile>,
    /// From the owner's conversations: what they know of this mailbox's messages, by UID; `None`
    /// where there are none or they cannot be read.
    pub conversations: Option<Vec<ConversationRow>>,
    /// Whether these are all.
    pub conversations_coverage: Coverage,
    /// The highest UID that seen states, annotations or conversations know.
    pub highest_uid: Option<Uid>,
    /// What else may tell how `cyrus.header` was, where it is lost or no index vouches for it.
    pub header_traces: HeaderTraces,
    /// What an older copy of mailboxes.db told, because mailboxes.db does not, and which copy.
    pub from_older_list: Option<String>,
    /// The index version that other mailboxes of the store have.
    pub store_version: Option<u32>,
    /// Whether the store is one side of a replication.
    pub replicated: bool,
    /// Whether mailboxes.db holds the mailbox active.
    pub listed: bool,
    /// Whether it is a calendar, an address book or the like, of which a database is keyed by UID.
    pub dav: bool,
}

/// Whether what was read of a mailbox's rows is all there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Coverage {
    /// There may be more.
    #[default]
    Partial,
    /// It is: a UID without a row is gone.
    Whole,
}

/// What the owner's conversations know of one message in the mailbox (`conversations.db`, a row
/// without part number).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationRow {
    /// Its UID.
    pub uid: Uid,
    /// Its GUID.
    pub guid: Guid,
    /// Its flags, keywords excepted.
    pub system_flags: SystemFlags,
    /// With `EXPUNGED` the row is a tombstone; without it, proves that the message existed.
    pub internal_flags: InternalFlags,
    /// When it was received.
    pub internaldate: Timestamp,
    /// Its thread.
    pub cid: ThreadId,
}

/// An annotation, with the user it belongs to as checksums know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnnotation {
    /// The message; 0 for the mailbox itself.
    pub uid: Uid,
    /// What it is called.
    pub entry: Vec<u8>,
    /// Whose it is; empty where everybody sees it.
    pub userid: Vec<u8>,
    /// What it says.
    pub value: Vec<u8>,
}

impl StoredAnnotation {
    /// An annotation of a mailbox that belongs to `owner`.
    pub(crate) fn of(annotation: &Annotation, owner: &[u8]) -> Self {
        let userid = match &annotation.user {
            AnnotationUser::Shared => Vec::new(),
            AnnotationUser::Owner => owner.to_vec(),
            AnnotationUser::Private(userid) => userid.clone(),
        };
        let (entry, value) = (annotation.entry.clone(), annotation.value.clone());
        Self { uid: annotation.uid, entry, userid, value }
    }
}

impl Place {
    /// In whose cache a record's item lies.
    #[must_use]
    pub fn of_cache(record: &IndexRecord, shares_cache: bool) -> Self {
        if shares_cache { Self::Spool } else { Self::of(record) }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Spool => Self::Archive,
            Self::Archive => Self::Spool,
        }
    }

    /// Where a record says that its file lies.
    #[must_use]
    pub fn of(record: &IndexRecord) -> Self {
        if record.internal_flags.contains(InternalFlags::ARCHIVED) {
            Self::Archive
        } else {
            Self::Spool
        }
    }
}

impl Evidence {
    /// The index as it is on disk, whatever of it is believed.
    #[must_use]
    pub fn index_as_read(&self) -> &IndexEvidence {
        match &self.index_trust {
            IndexTrust::Foreign { as_read, .. } => as_read,
            IndexTrust::Current | IndexTrust::Older(_) => &self.index,
        }
    }
}

impl Evidence {
    /// The CRC-32s of `cyrus.header` by which it may be known, the likeliest first: the one that the
    /// index holds; where its header is not proven, the one in a leftover index too. One in a damaged
    /// index header proves as much where it fits.
    pub fn header_file_crcs(&self) -> impl Iterator<Item = u32> {
        let own = self.index.header.as_ref().map(|header| header.header_file_crc);
        let leftover = self.leftover.header_file_crc.filter(|_| !self.index.header_proven);
        own.into_iter().chain(leftover).filter(|&crc| crc != 0)
    }

    /// That one of them which stands in a header that its own CRC proves.
    #[must_use]
    pub fn proven_header_file_crc(&self) -> Option<u32> {
        let header = self.index.header.as_ref().filter(|_| self.index.header_proven);
        let known = header.map(|header| header.header_file_crc).or(self.leftover.header_file_crc);
        known.filter(|&crc| crc != 0)
    }

    /// The record that counts for `uid`.
    #[must_use]
    pub fn record_of(&self, uid: Uid) -> Option<&IndexRecord> {
        let at = self.messages.binary_search_by_key(&uid, |message| message.uid).ok()?;
        self.index.record(self.messages.get(at)?.slot?)
    }
}

impl IndexEvidence {
    /// The record in `slot`.
    #[must_use]
    pub fn record(&self, slot: usize) -> Option<&IndexRecord> {
        match self.slots.get(slot) {
            Some(Slot::Record(record)) => Some(record),
            _ => None,
        }
    }

    /// How many slots hold no proven record.
    #[must_use]
    pub fn unproven_slots(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Record(_))).count()
    }

    /// Whether there is an index of which anything could be read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.unreadable.is_none() && self.layout.is_some()
    }
}

impl FileEvidence {
    /// Whether it is a regular file without a byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Regular { identity, .. } if identity.size == 0)
    }
}

impl MessageEvidence {
    /// Whether its file is the message of `record`: by its bytes, where they were read; else
    /// by its size, for which the record's cache item then vouches.
    ///
    /// Where the record has no GUID, as in versions before 10, the size decides.
    #[must_use]
    pub fn is_message_of(&self, record: &IndexRecord) -> bool {
        match (&self.reading, self.file) {
            (Some(reading), FileEvidence::Regular { .. }) if record.guid.is_null() => {
                reading.fields.size == record.size
            }
            (Some(reading), FileEvidence::Regular { .. }) => {
                reading.fields.guid == record.guid && !reading.with_crlf
            }
            (None, FileEvidence::Regular { identity, .. }) => identity.size == record.size,
            _ => false,
        }
    }

    /// The GUID of the file's bytes, where they were read.
    #[must_use]
    pub fn guid_read(&self) -> Option<Guid> {
        self.reading.as_ref().map(|reading| reading.fields.guid)
    }
}
