//! What a mailbox holds, on either side, as far as it can be told without opening a message.

use std::borrow::Cow;
use std::ffi::OsStr;

use mailstore::volume::{Kind, ReadError};
use mailstore_format::conversations::MessageRow;
use mailstore_format::header_file::{FlagNames, HeaderFile};
use mailstore_format::index::{IndexFile, IndexHeader, IndexRecord, Salvaged, salvage};
use mailstore_format::{
    Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid, UidValidity, UserFlags,
};

use crate::compare::Count;
use crate::listing::Listing;
use crate::place::{OpenPlace, Place, Skipped};

/// A larger index would hold more messages than a mailbox can have.
const LARGEST_INDEX: u64 = 1 << 31;
/// `cyrus.header` is some kilobytes; this leaves room for very long ACLs.
const LARGEST_HEADER_FILE: u64 = 16 << 20;
/// Decides between versions whose records look alike, where no header does: that of Cyrus 3.6.
const USUAL_VERSION: u32 = 17;

/// A mailbox's messages and numbers.
#[derive(Debug, Default)]
pub struct Contents {
    /// The generation of its UIDs, where a header that can be believed tells it.
    pub uidvalidity: Option<UidValidity>,
    /// The highest UID ever given, likewise.
    pub last_uid: Option<Uid>,
    /// The highest modseq ever given, likewise.
    pub highestmodseq: Option<ModSeq>,
    /// The highest modseq of a record that is gone from the index, likewise.
    pub deletedmodseq: Option<ModSeq>,
    /// When a message was appended last, likewise.
    pub last_append: Option<Timestamp>,
    /// How far the index can be believed.
    pub index: IndexState,
    /// What the bits of [`Message::user_flags`] mean.
    pub keywords: FlagNames,
    /// The ACL, in Cyrus's own text, where `cyrus.header` can be read.
    pub acl: Option<Vec<u8>>,
    /// Records and files, in order of UID.
    pub messages: Vec<Message>,
    /// The directories that [`FileAt::place`] counts.
    pub places: Vec<Place>,
    /// How many of these, from the first on, are of [`Contents::uidvalidity`].
    pub(crate) uid_places: usize,
    /// Every message file there is, in order of UID.
    pub files: Vec<FileAt>,
    /// What could not be read.
    pub skipped: Vec<Skipped>,
    /// Copies that several sources have of one message: all but one of each.
    pub duplicates: Count,
}

/// How far an index can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexState {
    /// There is none, or nothing can be read of it.
    #[default]
    Missing,
    /// Some records or the header are destroyed.
    Damaged,
    /// All that it ever said is there.
    Whole,
}

/// A message of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its UID; 0 where UIDs of several sources cannot be compared.
    pub uid: Uid,
    /// The UID that its file is named by.
    pub file_uid: Uid,
    /// The SHA-1 of its bytes; null as long as nothing tells it.
    pub guid: Guid,
    /// Bytes.
    pub size: u64,
    /// What says that there is, or was, such a message.
    pub voucher: Voucher,
    /// Whether it was expunged.
    pub expunged: bool,
    /// What is known of its file.
    pub file: FileState,
    /// The flags clients saw.
    pub system_flags: SystemFlags,
    /// Its keywords.
    pub user_flags: UserFlags,
    /// When it was received; 0 where nothing tells.
    pub internaldate: Timestamp,
    /// When it came into the mailbox; 0 where nothing tells.
    pub savedate: Timestamp,
    /// When its record changed last; 0 where nothing tells.
    pub last_updated: Timestamp,
    /// The modseq of that change; 0 where nothing tells.
    pub modseq: ModSeq,
    /// The modseq at which it came; 0 where nothing tells.
    pub createdmodseq: ModSeq,
    /// Its conversation.
    pub cid: ThreadId,
}

/// What tells of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// An index record that its CRC proves; in versions without CRCs, one in order.
    Record,
    /// A row of the owner's conversations.
    Conversations,
    /// Its file alone: that it is whole, nobody says.
    File,
}

/// What is known of a message's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// The directories were listed, and it is in none.
    Missing,
    /// It is listed.
    Listed,
    /// Not all directories could be listed.
    Unknown,
    /// It was read, and has the GUID.
    Verified,
    /// It was read, and is not the message any more.
    Bad,
}

/// A message file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileAt {
    /// The UID it is named by.
    pub uid: Uid,
    /// Which of [`Contents::places`] it lies in.
    pub place: u32,
    /// Its inode: the order in which disks read fast.
    pub ino: u64,
}

impl Contents {
    /// Reads what lies in `places`, all of one mailbox. The directories are listed before the
    /// indexes are read: a message that arrives in between has a record and no listed file, and
    /// [`Contents::look_again`] then finds it.
    #[must_use]
    pub fn read(places: Vec<Place>) -> Self {
        Self::read_listed(places, &[])
    }

    /// The same for places of which some have been listed already.
    #[must_use]
    pub(crate) fn read_listed(places: Vec<Place>, listings: &[Option<Listing>]) -> Self {
        let mut contents = Self::default();
        let mut opened = Vec::new();
        for (place, number) in places.iter().zip(0..) {
            let known = usize::try_from(number).ok().and_then(|at| listings.get(at)?.as_ref());
            match listed(place, known) {
                Ok((directory, listing)) => {
                    contents.add_files(number, &listing);
                    opened.push((place, directory, listing.has_header, listing.has_index));
                }
                // A mailbox without mail in one of its roots has no directory there.
                Err(ReadError::NotFound) => {}
                Err(error) => contents.skipped.push(Skipped::of(place.path(), error)),
            }
        }
        for (place, directory, has_header, has_index) in opened {
            if has_header {
                contents.read_header_file(place, &directory);
            }
            if has_index {
                contents.read_index(place, &directory);
            }
        }
        contents.uid_places = places.len();
        contents.places = places;
        contents.files.sort_unstable();
        contents.settle();
        contents.mark_files();
        contents
    }

    fn add_files(&mut self, place: u32, listing: &Listing) {
        let files = listing.messages.iter();
        self.files.extend(files.map(|file| FileAt { uid: file.uid, place, ino: file.ino }));
    }

    fn read_header_file(&mut self, place: &Place, directory: &OpenPlace) {
        let (mut bytes, name) = (Vec::new(), "cyrus.header");
        match directory.read_into(OsStr::new(name), LARGEST_HEADER_FILE, &mut bytes) {
            Ok(_) => {
                if let Ok(header) = HeaderFile::decode(&bytes) {
                    self.keywords = header.flag_names;
                    self.acl = header.acl;
                }
            }
            Err(error) => self.skipped.push(Skipped::of(place.entry(name), error)),
        }
    }

    fn read_index(&mut self, place: &Place, directory: &OpenPlace) {
        let (mut bytes, name) = (Vec::new(), "cyrus.index");
        match directory.read_into(OsStr::new(name), LARGEST_INDEX, &mut bytes) {
            Ok(_) => {
                if let Some(whole) = IndexFile::whole(&bytes) {
                    self.add_whole(&whole);
                } else if let Some(salvaged) = salvage(&bytes, Some(USUAL_VERSION)) {
                    self.add_salvaged(&salvaged);
                }
            }
            Err(error) => self.skipped.push(Skipped::of(place.entry(name), error)),
        }
    }

    /// Takes over what an index says that nothing is wrong with. A second index of the mailbox adds
    /// to the first.
    fn add_whole(&mut self, index: &IndexFile<'_>) {
        self.add_header(index.header());
        self.index = IndexState::Whole;
        self.messages.extend(index.records().map(|record| Message::of_record(&record)));
    }

    /// Takes over what is left of an index.
    fn add_salvaged(&mut self, salvaged: &Salvaged) {
        let proven = salvaged.header_state.is_proven();
        if let Some(header) = salvaged.header.as_ref().filter(|_| proven) {
            self.add_header(header);
        }
        let all = salvaged.slots.iter().all(|slot| slot.record().is_some());
        let whole = proven && all && salvaged.missing == 0;
        self.index = if whole { IndexState::Whole } else { IndexState::Damaged };
        let counted = salvaged.slots.iter().filter_map(|slot| slot.record());
        let records = counted.chain(&salvaged.beyond).filter(|record| record.uid != Uid(0));
        self.messages.extend(records.map(Message::of_record));
    }

    fn add_header(&mut self, header: &IndexHeader) {
        self.uidvalidity = self.uidvalidity.or(Some(header.uidvalidity));
        self.last_uid = self.last_uid.max(Some(header.last_uid));
        self.highestmodseq = self.highestmodseq.max(Some(header.highestmodseq));
        self.deletedmodseq = self.deletedmodseq.max(Some(header.deletedmodseq));
        self.last_append = self.last_append.max(Some(header.last_appenddate));
    }

    /// Orders the messages; of several of one UID the one that changed last stays.
    fn settle(&mut self) {
        let newest_first = |message: &Message| std::cmp::Reverse(message.last_change());
        self.messages.sort_by_key(|message| (message.uid, newest_first(message)));
        self.messages.dedup_by_key(|message| message.uid);
        self.messages.shrink_to_fit();
    }

    /// Notes which messages have a file.
    fn mark_files(&mut self) {
        let unlisted = self.skipped.iter().any(Skipped::hides_mail);
        let missing = if unlisted { FileState::Unknown } else { FileState::Missing };
        let mut files = self.files.iter().map(|file| file.uid).peekable();
        for message in &mut self.messages {
            while files.next_if(|&uid| uid < message.uid).is_some() {}
            let listed = files.peek() == Some(&message.uid);
            message.file = if listed { FileState::Listed } else { missing };
        }
    }

    /// Looks by name for the files of records that were not listed: they may have come meanwhile.
    pub fn look_again(&mut self) {
        let missing =
            |message: &&mut Message| message.file == FileState::Missing && !message.expunged;
        let mut missing: Vec<_> = self.messages.iter_mut().filter(missing).collect();
        if missing.is_empty() {
            return;
        }
        let directories: Vec<_> = self.places.iter().map(|place| place.open().ok()).collect();
        for (directory, place) in directories.iter().zip(0..) {
            let Some(directory) = directory else { continue };
            for message in &mut missing {
                let name = mailstore::volume::message_file_name(message.uid);
                let found = directory.stat(OsStr::new(&name));
                if let Some(meta) = found.ok().filter(|meta| meta.kind == Kind::Regular) {
                    message.file = FileState::Listed;
                    self.files.push(FileAt { uid: message.uid, place, ino: meta.ino });
                }
            }
        }
        self.files.sort_unstable();
    }

    /// Adds a message for each file that has no record: its GUID is not known yet.
    pub fn add_orphans(&mut self) {
        let mut messages = self.messages.iter().map(|message| message.uid).peekable();
        let mut orphans = Vec::new();
        for file in &self.files {
            while messages.next_if(|&uid| uid < file.uid).is_some() {}
            if messages.peek() != Some(&file.uid) {
                orphans.push(Message::of_file(file.uid));
            }
        }
        orphans.dedup_by_key(|message| message.uid);
        self.messages.append(&mut orphans);
        self.messages.sort_by_key(|message| message.uid);
    }

    /// Takes over what the owner's conversations know and the index does not: that a message was
    /// expunged, what a file without a record should be, that there was a message at all.
    pub fn add_rows(&mut self, rows: &[MessageRow]) {
        let mut added = Vec::new();
        for row in rows {
            let expunged = row.state.internal_flags.contains(InternalFlags::EXPUNGED);
            let found = self.messages.binary_search_by_key(&row.uid, |message| message.uid);
            match found.ok().and_then(|at| self.messages.get_mut(at)) {
                Some(message) if message.voucher == Voucher::File => {
                    let (file, read) = (message.file, message.guid);
                    let size = message.size;
                    *message = Message::of_row(row);
                    message.size = size;
                    let other = !read.is_null() && read != row.guid;
                    message.file = if other { FileState::Bad } else { file };
                }
                None if expunged || self.index != IndexState::Whole => {
                    added.push(Message::of_row(row));
                }
                Some(_) | None => {}
            }
        }
        self.messages.append(&mut added);
        self.messages.sort_by_key(|message| message.uid);
    }

    /// Adds the tombstones among the rows that the index does not have.
    pub fn add_tombstones(&mut self, rows: &[MessageRow]) {
        let expunged = InternalFlags::EXPUNGED;
        let gone = rows.iter().filter(|row| row.state.internal_flags.contains(expunged));
        let unknown = gone.filter(|row| {
            self.messages.binary_search_by_key(&row.uid, |message| message.uid).is_err()
        });
        let mut added: Vec<_> = unknown.map(Message::of_row).collect();
        self.messages.append(&mut added);
        self.messages.sort_by_key(|message| message.uid);
    }

    /// The files named by `uid`.
    pub fn files_of(&self, uid: Uid) -> impl Iterator<Item = &FileAt> {
        let first = self.files.partition_point(|file| file.uid < uid);
        let from = self.files.get(first..).unwrap_or_default();
        from.iter().take_while(move |file| file.uid == uid)
    }

    /// The names of a message's keywords.
    #[must_use]
    pub fn keywords_of(&self, message: &Message) -> Vec<String> {
        let names = message.user_flags.slots().filter_map(|slot| self.keywords.get(slot));
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }
}

/// A directory and what it holds, which may be known.
fn listed<'a>(
    place: &Place,
    known: Option<&'a Listing>,
) -> Result<(OpenPlace, Cow<'a, Listing>), ReadError> {
    let directory = place.open()?;
    let listing = match known {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(Listing::of(&directory)?),
    };
    Ok((directory, listing))
}

impl Message {
    /// What an index record says.
    #[must_use]
    pub fn of_record(record: &IndexRecord) -> Self {
        Self {
            uid: record.uid,
            file_uid: record.uid,
            guid: record.guid,
            size: record.size,
            voucher: Voucher::Record,
            expunged: record.is_expunged(),
            file: FileState::Unknown,
            system_flags: record.system_flags,
            user_flags: record.user_flags,
            internaldate: record.internaldate,
            savedate: record.savedate,
            last_updated: record.last_updated,
            modseq: record.modseq,
            createdmodseq: record.createdmodseq,
            cid: record.cid,
        }
    }

    /// A file without a record.
    fn of_file(uid: Uid) -> Self {
        Self {
            voucher: Voucher::File,
            file: FileState::Listed,
            ..Self::of_record(&IndexRecord { uid, ..IndexRecord::default() })
        }
    }

    fn of_row(row: &MessageRow) -> Self {
        let record = IndexRecord {
            uid: row.uid,
            guid: row.guid,
            cid: row.cid,
            system_flags: row.state.system_flags,
            internal_flags: row.state.internal_flags,
            internaldate: row.state.internaldate,
            ..IndexRecord::default()
        };
        Self {
            voucher: Voucher::Conversations,
            file: FileState::Missing,
            ..Self::of_record(&record)
        }
    }

    /// When its record changed last: what is greater is later.
    #[must_use]
    pub fn last_change(&self) -> (Timestamp, ModSeq) {
        (self.last_updated, self.modseq)
    }

    /// Whether its GUID has to be read from its file.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.guid.is_null() && self.file == FileState::Listed
    }
}

#[cfg(test)]
mod tests;
