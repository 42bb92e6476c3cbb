//! What the indexes of a store say, read without any server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use mailstore::store::Store;
use mailstore_format::cache::CacheRecord;
use mailstore_format::header_file::HeaderFile;
use mailstore_format::index::IndexFile;
use mailstore_format::{Guid, ModSeq, SystemFlags, Timestamp, Uid, UidValidity};

/// Where a mailbox's own files lie.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// As an operator writes it.
    pub(crate) name: String,
    pub(crate) spool: PathBuf,
    pub(crate) index: PathBuf,
    pub(crate) cache: PathBuf,
    header: PathBuf,
}

/// A mailbox, as its index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mailbox {
    pub(crate) uidvalidity: UidValidity,
    pub(crate) last_uid: Uid,
    pub(crate) highestmodseq: ModSeq,
    pub(crate) messages: BTreeMap<Uid, Message>,
    /// Expunged messages that the index still knows.
    pub(crate) tombstones: BTreeSet<Uid>,
    /// Whether every checksum fits: the header's, each record's, each cache record's.
    pub(crate) checksums_fit: bool,
}

/// A message, as its record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) guid: Guid,
    pub(crate) size: u64,
    pub(crate) internaldate: Timestamp,
    pub(crate) flags: Flags,
    pub(crate) modseq: ModSeq,
    pub(crate) thread: u64,
}

/// The flags and keywords of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) system: SystemFlags,
    pub(crate) keywords: BTreeSet<Vec<u8>>,
}

/// All mailboxes of the store, in the order of their names.
pub(crate) fn places(imapd_conf: &Path) -> Result<Vec<Place>> {
    let store = Store::open(imapd_conf)?;
    let places = store.mailboxes().iter().map(|entry| {
        let location = store.location(entry)?;
        Ok(Place {
            name: store.namespace().display_decoded(&entry.name),
            spool: location.spool,
            index: location.index,
            cache: location.cache,
            header: location.header,
        })
    });
    places.collect()
}

impl Mailbox {
    pub(crate) fn read(place: &Place) -> Result<Self> {
        let bytes = fs::read(&place.index)?;
        let header_bytes = fs::read(&place.header)?;
        // A mailbox that never had a message has none.
        let cache = fs::read(&place.cache).unwrap_or_default();
        let wrong = || format!("the index of {}", place.name);
        let names = HeaderFile::decode(&header_bytes).with_context(wrong)?.flag_names;
        let index = IndexFile::open(&bytes).with_context(wrong)?;

        let header = index.header();
        let mut mailbox = Self {
            uidvalidity: header.uidvalidity,
            last_uid: header.last_uid,
            highestmodseq: header.highestmodseq,
            messages: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            checksums_fit: index.header_crc().is_good() && index.missing_records() == 0,
        };
        for slot in index.counted_slots() {
            let record = slot.record;
            mailbox.checksums_fit &= slot.crc.is_good();
            if record.is_expunged() {
                mailbox.tombstones.insert(record.uid);
                continue;
            }
            mailbox.checksums_fit &= CacheRecord::decode(&cache, record.cache_offset)
                .is_ok_and(|cached| cached.crc() == record.cache_crc);
            let keywords = record.user_flags.slots().filter_map(|slot| names.get(slot));
            mailbox.messages.insert(
                record.uid,
                Message {
                    guid: record.guid,
                    size: record.size,
                    internaldate: record.internaldate,
                    flags: Flags {
                        system: record.system_flags,
                        keywords: keywords.map(<[u8]>::to_vec).collect(),
                    },
                    modseq: record.modseq,
                    thread: record.cid.0,
                },
            );
        }
        Ok(mailbox)
    }

    /// Messages with any flag or keyword.
    pub(crate) fn flagged(&self) -> usize {
        let has_any = |flags: &Flags| flags.system.0 != 0 || !flags.keywords.is_empty();
        self.messages.values().filter(|message| has_any(&message.flags)).count()
    }
}
