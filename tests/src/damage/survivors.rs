//! Which evidence a damage left, found by comparing the damaged files with the sound ones: it needs
//! no word of whoever did the damage, and holds for any number of kinds at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};
use mailstore_format::header_file::HeaderFile;
use mailstore_format::header_file::remains::is_atom;
use mailstore_format::index::{IndexFile, IndexRecord, Layout};
use mailstore_format::{Guid, InternalFlags};

use super::messages::with_crlf;
use super::place::Place;

/// A record of the sound mailbox.
#[derive(Debug, Clone)]
pub struct Original {
    /// What it says.
    pub record: IndexRecord,
    /// Whether it is in the damaged index: byte for byte anywhere in it, or in the leftover of a
    /// repack beside it, with one flipped bit at most.
    pub intact: bool,
    /// Records of this message in the damaged index that have a good CRC and say something else:
    /// its state of another time.
    pub versions: Vec<IndexRecord>,
}

/// What is left of a mailbox. UIDVALIDITY is not among it: mailboxes.db keeps it, which is not hit.
#[derive(Debug, Clone, Default)]
pub struct Survivors {
    /// The records of the sound mailbox by UID, tombstones among them.
    pub originals: BTreeMap<u32, Original>,
    /// The names of keywords by slot, as the sound mailbox has them.
    pub names: BTreeMap<usize, String>,
    /// The slots whose names are left.
    pub known_names: BTreeSet<usize>,
    /// Names by slot as a damaged `cyrus.header` has them, where they can be names and nothing tells
    /// others.
    pub misread_names: BTreeMap<usize, String>,
    /// The messages that are there whole, under any name, and the times that their files have.
    /// Files whose line ends were lost count as whole where anything tells the message's SHA-1.
    pub bodies: BTreeMap<Guid, Vec<i64>>,
    /// How many more files of a message there are than there were, where nothing tells that their
    /// UIDs were never given out: each may be a message of its own.
    pub possible_copies: BTreeMap<Guid, usize>,
    /// How many files of a message there were more than there are.
    pub missing_copies: BTreeMap<Guid, usize>,
    /// What has the names of UIDs in the damaged mailbox.
    pub named: BTreeMap<u32, Guid>,
    /// The SHA-1 of every other file: what damaged messages have become.
    pub remains: BTreeSet<Guid>,
    /// The UIDs whose names these files have. The server shows them with the sizes of their records,
    /// so what is seen of them has another SHA-1.
    pub remains_named: BTreeSet<u32>,
    /// Whether a message's only file is one that somebody holds open, whose name stays.
    pub held_open: bool,
    /// Whether every record is intact, the index header too, and no bytes came to the index.
    pub index_whole: bool,
    /// Whether conversations.db, which is not hit, has a row for each message.
    pub conversations: bool,
}

impl Survivors {
    /// What is left in `damaged` of `sound`, the same mailbox in a copy of the store.
    pub fn of(sound: &Place, damaged: &Place, conversations: bool) -> Result<Self> {
        let sound_index = fs::read(&sound.index)?;
        let index = IndexFile::open(&sound_index)?;
        let layout = index.layout();
        let damaged_index = fs::read(&damaged.index).unwrap_or_default();
        let leftover = fs::read(damaged.index.with_extension("index.NEW")).unwrap_or_default();
        let haystack = Haystack { parts: [&damaged_index, &leftover], size: layout.record_size };

        let mut originals = BTreeMap::new();
        for slot in index.counted_slots() {
            let original = Original {
                record: slot.record,
                intact: haystack.holds(slot.bytes),
                versions: Vec::new(),
            };
            originals.insert(slot.record.uid.0, original);
        }
        for record in haystack.sound_records(layout) {
            let original = originals.get_mut(&record.uid.0);
            let is_version = |original: &&mut Original| {
                original.record.guid == record.guid && original.record != record
            };
            if let Some(original) = original.filter(is_version) {
                original.versions.push(record);
            }
        }
        let index_whole = damaged_index == sound_index;
        let mut left = Self { originals, index_whole, conversations, ..Self::default() };
        let has_header = |file: &[u8]| within_one_bit(&sound_index, file, layout.header_size);
        left.read_names(sound, damaged, has_header(&damaged_index) || has_header(&leftover))?;
        left.read_messages(sound, damaged)?;
        if !has_header(&damaged_index) && !conversations {
            left.note_possible_copies(sound)?;
        }
        Ok(left)
    }

    fn read_names(&mut self, sound: &Place, damaged: &Place, proven: bool) -> Result<()> {
        let before = fs::read(&sound.header)?;
        let after = fs::read(&damaged.header).unwrap_or_default();
        let decoded = HeaderFile::decode(&before).context("a sound cyrus.header")?;
        for (slot, name) in decoded.flag_names.iter() {
            self.names.insert(slot, String::from_utf8_lossy(name).into_owned());
        }
        let whole = before == after
            // The CRC in the index header tells which bit it was.
            || proven && before.len() == after.len()
                && within_one_bit(&before, &after, before.len());
        let same = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
        for (slot, name) in decoded.flag_names.iter() {
            // Up to where nothing has changed the names can be counted off.
            let end =
                before.windows(name.len()).rposition(|at| at == name).map(|at| at + name.len());
            if whole || end.is_some_and(|end| end < same) {
                self.known_names.insert(slot);
            }
        }
        if let Ok(misread) = HeaderFile::decode(&after) {
            let names = misread.flag_names.iter();
            let names =
                names.filter(|(slot, name)| is_atom(name) && !self.known_names.contains(slot));
            let names =
                names.map(|(slot, name)| (slot, String::from_utf8_lossy(name).into_owned()));
            self.misread_names = names.collect();
        }
        Ok(())
    }

    fn note_possible_copies(&mut self, sound: &Place) -> Result<()> {
        for body in self.named.values() {
            *self.possible_copies.entry(*body).or_default() += 1;
        }
        for path in sound.messages()?.values() {
            if let Some(count) = self.possible_copies.get_mut(&Guid::of(&fs::read(path)?)) {
                *count = count.saturating_sub(1);
            }
        }
        Ok(())
    }

    fn read_messages(&mut self, sound: &Place, damaged: &Place) -> Result<()> {
        for path in sound.messages()?.values() {
            *self.missing_copies.entry(Guid::of(&fs::read(path)?)).or_default() += 1;
        }
        for (name, path) in damaged.entries()? {
            let metadata = path.symlink_metadata()?;
            if !metadata.is_file() {
                continue;
            }
            let bytes = fs::read(&path)?;
            let guid = Guid::of(&bytes);
            let restored = Guid::of(&with_crlf(&bytes));
            let is_message = |guid: &Guid| self.missing_copies.contains_key(guid);
            let restored = Some(restored).filter(|restored| self.tells_guid(*restored));
            // An open file of somebody's is nobody's message unless something tells so.
            let is_left_open = name.starts_with(".nfs") && !self.tells_guid(guid);
            let body = [Some(guid), restored].into_iter().flatten().find(is_message);
            let body = body.filter(|_| !is_left_open);
            let uid = Place::uid_of(&name);
            if body != Some(guid) {
                self.remains.insert(guid);
                self.remains_named.extend(uid);
            }
            let Some(body) = body else { continue };
            let last = self.missing_copies.get(&body) == Some(&1);
            self.held_open |= name.starts_with(".nfs") && last;
            self.bodies.entry(body).or_default().push(metadata.mtime());
            if let Some(missing) = self.missing_copies.get_mut(&body) {
                *missing = missing.saturating_sub(1);
            }
            self.named.extend(uid.map(|uid| (uid, body)));
        }
        Ok(())
    }

    /// Whether anything tells that there was a message with this SHA-1.
    fn tells_guid(&self, guid: Guid) -> bool {
        let mut intact = self.originals.values().filter(|original| original.intact);
        self.conversations || intact.any(|original| original.record.guid == guid)
    }

    /// Whether every message file is there and whole, those of expunged messages too. Where one is
    /// not, Cyrus's tools complain, whatever a repair does.
    #[must_use]
    pub fn every_file_is_whole(&self) -> bool {
        !self.held_open
            && self.remains.is_empty()
            && self.missing_copies.values().all(|missing| *missing == 0)
    }

    /// Whether the message's bytes are still there.
    #[must_use]
    pub fn has_body(&self, guid: Guid) -> bool {
        self.bodies.contains_key(&guid)
    }

    /// Whether anything tells that this message has this UID.
    #[must_use]
    pub fn tells_uid(&self, uid: u32, guid: Guid) -> bool {
        self.has_record(uid) || self.conversations || self.named.get(&uid) == Some(&guid)
    }

    /// Whether the record is intact.
    #[must_use]
    pub fn has_record(&self, uid: u32) -> bool {
        self.originals.get(&uid).is_some_and(|original| original.intact)
    }

    /// Whether anything tells the system flags.
    #[must_use]
    pub fn tells_flags(&self, uid: u32) -> bool {
        self.has_record(uid) || self.conversations
    }

    /// Whether anything tells the internal date: the record, conversations.db, or the file's time.
    #[must_use]
    pub fn tells_date(&self, uid: u32) -> bool {
        let by_time = self.originals.get(&uid).is_some_and(|original| {
            let times = self.bodies.get(&original.record.guid);
            let date = original.record.internaldate.seconds();
            times.is_some_and(|times| times.iter().all(|time| *time == date))
        });
        self.tells_flags(uid) || by_time
    }

    /// The tombstones of which nothing is left, by the message's GUID: that it was expunged cannot
    /// be known.
    #[must_use]
    pub fn lost_tombstones(&self) -> BTreeMap<Guid, usize> {
        let mut lost = BTreeMap::new();
        for original in self.originals.values() {
            let record = &original.record;
            let has_row =
                self.conversations && !record.internal_flags.contains(InternalFlags::UNLINKED);
            if record.is_expunged() && !original.intact && !has_row {
                *lost.entry(record.guid).or_default() += 1;
            }
        }
        lost
    }
}

/// Whether the first `length` bytes differ in one bit at most.
fn within_one_bit(one: &[u8], other: &[u8], length: usize) -> bool {
    let (Some(one), Some(other)) = (one.get(..length), other.get(..length)) else { return false };
    let mut bits = 0;
    for (a, b) in one.iter().zip(other) {
        bits += (a ^ b).count_ones();
        if bits > 1 {
            return false;
        }
    }
    true
}

/// The files that records can be left in.
struct Haystack<'a> {
    parts: [&'a [u8]; 2],
    size: usize,
}

impl Haystack<'_> {
    fn holds(&self, record: &[u8]) -> bool {
        let mut windows = self.parts.iter().flat_map(|part| part.windows(self.size));
        windows.any(|window| within_one_bit(window, record, self.size))
    }

    /// Whatever has the CRC of a record, at any offset.
    fn sound_records(&self, layout: &'static Layout) -> Vec<IndexRecord> {
        let windows = self.parts.iter().flat_map(|part| part.windows(self.size));
        let sound = windows.filter(|window| IndexRecord::crc_state(layout, window).is_good());
        let decoded = sound.filter_map(|window| IndexRecord::decode(layout, window).ok());
        decoded.filter(|record| record.uid.0 != 0).collect()
    }
}
