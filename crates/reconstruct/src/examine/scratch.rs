//! What the bytes of a message are, in buffers that a thread keeps from message to message.

use std::collections::BTreeMap;

use mailstore_format::index::{IndexRecord, Layout};
use mailstore_format::line_ends::{bare_lfs, with_crlf};
use mailstore_format::message::{CacheDialect, MessageReader};

use crate::cache_file::CacheFile;
use crate::evidence::{CacheItem, Reading, StagedCache};
use crate::likeness::Likeness;
use crate::window::Window;

/// A reading buffer that one large message blew up beyond this is given back.
const BUFFER_KEPT: usize = 8 << 20;

/// Buffers that a thread keeps from message to message.
pub(crate) struct Scratch {
    /// One for each dialect that was needed.
    readers: BTreeMap<CacheDialect, MessageReader>,
    layout: &'static Layout,
    pub(crate) message: Vec<u8>,
    pub(super) old_item: Vec<u8>,
    /// What was last read of each cache, by inode.
    windows: BTreeMap<u64, Window>,
}

impl Scratch {
    pub(crate) fn new(layout: &'static Layout) -> Self {
        let (readers, windows) = (BTreeMap::new(), BTreeMap::new());
        Self { readers, layout, message: Vec::new(), old_item: Vec::new(), windows }
    }

    /// Reads the item that `record` has in `cache` and checks it.
    pub(super) fn check(
        &mut self,
        layout: Option<&Layout>,
        cache: &CacheFile,
        record: &IndexRecord,
    ) -> CacheItem {
        let inode = cache.evidence().identity.map_or(0, |identity| identity.ino);
        let window = self.windows.entry(inode).or_default();
        cache.check(layout, record, window, &mut self.old_item)
    }

    /// Gives a buffer back that one large message blew up.
    pub(crate) fn shrink(&mut self) {
        if self.message.capacity() > BUFFER_KEPT {
            self.message = Vec::new();
        }
    }
}

impl Scratch {
    /// What the bytes that were read are; their cache record goes to `item`.
    pub(crate) fn understand(&mut self, dialect: CacheDialect, item: &mut Vec<u8>) -> Reading {
        let reader = reader(&mut self.readers, dialect, self.layout);
        reading_of(reader, &self.message, item)
    }

    /// The same, with their cache record; with every bare LF made CRLF, where only that makes them
    /// the message of `record`.
    pub(super) fn understand_for(
        &mut self,
        record: Option<&IndexRecord>,
        dialect: CacheDialect,
    ) -> (Reading, Vec<u8>) {
        let mut item = Vec::new();
        let reading = self.understand(dialect, &mut item);
        let other =
            record.filter(|record| !record.guid.is_null() && record.guid != reading.fields.guid);
        let converted = other.and_then(|record| self.understand_as_crlf(dialect, record));
        converted.unwrap_or((reading, item))
    }

    /// What the bytes are once every bare LF is CRLF, where that makes them the message of `record`.
    fn understand_as_crlf(
        &mut self,
        dialect: CacheDialect,
        record: &IndexRecord,
    ) -> Option<(Reading, Vec<u8>)> {
        let len = u64::try_from(self.message.len()).ok()?;
        let bare = bare_lfs(&self.message);
        let converted = len.checked_add(u64::try_from(bare).ok()?)?;
        if bare == 0 || converted != record.size {
            return None;
        }
        let (reading, item) = self.with_other_line_ends(dialect, bare);
        (reading.fields.guid == record.guid).then_some((reading, item))
    }

    /// Notes what a file that is not its record's message is once its bare LFs are CRLF, where its
    /// header has such; returns its cache record then.
    pub(crate) fn note_other_line_ends(
        &mut self,
        dialect: CacheDialect,
        reading: &mut Reading,
    ) -> Option<Vec<u8>> {
        let first_line = self.message.split(|&byte| byte == b'\n').next()?;
        let may_be_other =
            first_line.last() != Some(&b'\r') && !reading.with_crlf && reading.fields.has_header;
        let bare = if may_be_other { bare_lfs(&self.message) } else { 0 };
        if bare == 0 {
            return None;
        }
        let (as_crlf, item) = self.with_other_line_ends(dialect, bare);
        reading.as_crlf = Some(Box::new(as_crlf));
        Some(item)
    }

    /// What the bytes are with their `bare` LFs made CRLF.
    fn with_other_line_ends(&mut self, dialect: CacheDialect, bare: usize) -> (Reading, Vec<u8>) {
        let mut item = Vec::new();
        let message = with_crlf(&self.message, bare);
        let reader = reader(&mut self.readers, dialect, self.layout);
        let reading = reading_of(reader, &message, &mut item);
        (Reading { with_crlf: true, ..reading }, item)
    }
}

/// The reader for this dialect, and for an index of this layout.
fn reader<'a>(
    readers: &'a mut BTreeMap<CacheDialect, MessageReader>,
    dialect: CacheDialect,
    layout: &Layout,
) -> &'a mut MessageReader {
    readers.entry(dialect).or_insert_with(|| {
        let reader = MessageReader::with_day_start(crate::plan::start_of_local_day_number);
        reader.with_dialect(dialect).for_index(layout)
    })
}

fn reading_of(reader: &mut MessageReader, message: &[u8], item: &mut Vec<u8>) -> Reading {
    let fields = reader.read(message, item);
    Reading {
        fields,
        likeness: Likeness::of_cache_record(item),
        blank: message.iter().all(|&byte| byte == 0),
        staged: None::<StagedCache>,
        cache_differs: false,
        with_crlf: false,
        as_crlf: None,
    }
}
