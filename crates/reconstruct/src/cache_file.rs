//! Checking the items of an old `cyrus.cache`, one record at a time, in bounded memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mailstore::volume::{GuardedDir, ReadError};
use mailstore_format::cache::{self, RecordLength};
use mailstore_format::index::layout::RecordField;
use mailstore_format::index::{IndexRecord, Layout};

use crate::evidence::{CacheFileEvidence, CacheItem, FileIdentity};
use crate::examine::identity_of;
use crate::window::Window;

/// Enough for nearly every record.
const FIRST_READ: usize = 4 * 1024;
/// A record that claims to be longer is garbage: its headers alone would be that long.
const LONGEST: usize = 64 << 20;

/// An open cache file; none where there is no regular file of that name.
#[derive(Debug, Default)]
pub(crate) struct CacheFile {
    file: Option<File>,
    evidence: CacheFileEvidence,
}

impl CacheFile {
    /// Opens the cache at `path`, which need not be there.
    pub(crate) fn open(path: &Path) -> Self {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Self::default();
        };
        let opened = GuardedDir::open_trusted(parent).and_then(|parent| parent.open_file(name));
        match opened {
            Ok((file, meta)) => Self::new(file, identity_of(&meta)),
            Err(ReadError::NotRegular(_)) => Self::irregular(),
            Err(_) => Self::default(),
        }
    }

    fn new(file: File, identity: FileIdentity) -> Self {
        let mut head = [0; cache::HEADER_SIZE];
        let generation =
            file.read_exact_at(&mut head, 0).ok().and_then(|()| cache::generation(&head).ok());
        let identity = Some(identity);
        let evidence = CacheFileEvidence { identity, generation, irregular: false };
        Self { file: Some(file), evidence }
    }

    /// Something else stands in its place.
    fn irregular() -> Self {
        let evidence = CacheFileEvidence { irregular: true, ..CacheFileEvidence::default() };
        Self { file: None, evidence }
    }

    pub(crate) fn evidence(&self) -> CacheFileEvidence {
        self.evidence
    }

    /// Reads the item of `record` into `item` and checks it against the record's CRC. The versions
    /// before 12 keep none: there an item counts that ends within the file.
    pub(crate) fn check(
        &self,
        layout: Option<&Layout>,
        record: &IndexRecord,
        window: &mut Window,
        item: &mut Vec<u8>,
    ) -> CacheItem {
        item.clear();
        if record.cache_offset == 0 {
            return CacheItem::None;
        }
        let Some(read) = self.item(record.cache_offset, window) else {
            return CacheItem::Damaged;
        };
        item.extend_from_slice(read);
        let len = item.len();
        if !stores_cache_crc(layout) || crc32fast::hash(item) == record.cache_crc {
            CacheItem::Sound(len)
        } else {
            CacheItem::Damaged
        }
    }

    /// The whole item at `offset`.
    fn item<'w>(&self, offset: u64, window: &'w mut Window) -> Option<&'w [u8]> {
        let file = self.file.as_ref().filter(|_| offset >= cache::HEADER_SIZE as u64)?;
        let mut wanted = FIRST_READ;
        let len = loop {
            let read = window.at_most(file, offset, wanted);
            match cache::record_length(read) {
                RecordLength::Whole(len) => break len,
                // The file ended, or what stands there is no record.
                RecordLength::AtLeast(len)
                    if read.len() < wanted || !has_room(file, offset, len) =>
                {
                    return None;
                }
                RecordLength::AtLeast(len) => wanted = len.max(wanted.saturating_mul(2)),
            }
        };
        window.exactly(file, offset, len).ok()
    }

    /// Reads `len` bytes at `offset`, checked before by [`Self::check`].
    pub(crate) fn read<'w>(
        &self,
        offset: u64,
        len: usize,
        window: &'w mut Window,
    ) -> io::Result<&'w [u8]> {
        match &self.file {
            Some(file) => window.exactly(file, offset, len),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Whether a record of `len` bytes can stand at `offset`. Asked of the file as it is now, to which
/// the server may be appending; before anything is allocated for what garbage claims.
fn has_room(file: &File, offset: u64, len: usize) -> bool {
    let end = u64::try_from(len).ok().and_then(|len| offset.checked_add(len));
    let size = file.metadata().map_or(0, |meta| meta.len());
    len <= LONGEST && end.is_some_and(|end| end <= size)
}

/// Whether records of this version hold the CRC of their cache item.
pub(crate) fn stores_cache_crc(layout: Option<&Layout>) -> bool {
    layout.is_none_or(|layout| layout.record_has(RecordField::CacheCrc))
}
