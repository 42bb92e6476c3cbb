//! Checking the items of an old `cyrus.cache`, one record at a time, in bounded memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

use mailstore_format::cache::{self, CacheRecord};
use mailstore_format::index::IndexRecord;

use crate::evidence::{CacheFileEvidence, CacheItem, FileIdentity};

/// Enough for nearly every record, in one read.
const FIRST_READ: usize = 4 * 1024;
/// No header is longer than its message; a record that claims more is garbage.
const LONGEST: usize = 256 * 1024 * 1024;

/// An open cache file; none where there is no regular file of that name.
#[derive(Debug, Default)]
pub(crate) struct CacheFile {
    file: Option<File>,
    evidence: CacheFileEvidence,
}

impl CacheFile {
    pub(crate) fn new(file: File, identity: FileIdentity) -> Self {
        let mut head = [0; cache::HEADER_SIZE];
        let generation = file
            .read_exact_at(&mut head, 0)
            .ok()
            .and_then(|()| cache::generation(&head).ok());
        let evidence = CacheFileEvidence { identity: Some(identity), generation };
        Self { file: Some(file), evidence }
    }

    pub(crate) fn evidence(&self) -> CacheFileEvidence {
        self.evidence
    }

    /// Reads the item of `record` into `item` and checks it against the record's CRC.
    pub(crate) fn check(&self, record: &IndexRecord, item: &mut Vec<u8>) -> CacheItem {
        item.clear();
        if record.cache_offset == 0 {
            return CacheItem::None;
        }
        let Some(file) = &self.file else { return CacheItem::Damaged };
        let mut wanted = FIRST_READ;
        loop {
            let available = read_at_most(file, record.cache_offset, wanted, item);
            match CacheRecord::decode(item, 0) {
                Ok(found) => {
                    let (len, sound) = (found.bytes().len(), found.crc() == record.cache_crc);
                    item.truncate(len);
                    return if sound { CacheItem::Sound(len) } else { CacheItem::Damaged };
                }
                // Either it is longer than what was read, or the file ends, or it is garbage.
                Err(_) if available < wanted || wanted >= LONGEST => return CacheItem::Damaged,
                Err(_) => wanted = wanted.saturating_mul(8),
            }
        }
    }

    /// Reads `len` bytes at `offset`, checked before by [`Self::check`].
    pub(crate) fn read(&self, offset: u64, len: usize, item: &mut Vec<u8>) -> std::io::Result<()> {
        item.resize(len, 0);
        match &self.file {
            Some(file) => file.read_exact_at(item, offset),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

/// Reads up to `wanted` bytes at `offset`; an error reads as the end of the file.
fn read_at_most(file: &File, offset: u64, wanted: usize, bytes: &mut Vec<u8>) -> usize {
    bytes.resize(wanted, 0);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    bytes.truncate(filled);
    filled
}
