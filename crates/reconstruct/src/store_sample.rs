//! What some of a store's indexes tell of the server that writes them.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mailstore::store::Store;
use mailstore::volume::GuardedDir;
use mailstore_format::index::{IndexHeader, IndexRecord, Layout};

use crate::dialect::version_told_by;

/// How many indexes with a sound header are asked.
const SAMPLES: usize = 50;
/// How many records of each, from its end: the newest.
const RECORDS: usize = 64;

/// What the server writes, as far as its files tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreSample {
    /// The commonest index version, whatever single mailbox was brought from elsewhere.
    pub(crate) index_version: Option<u32>,
    /// The cache version: the highest of the records that were asked.
    pub(crate) cache_version: Option<u16>,
}

impl StoreSample {
    /// Asks indexes from all over the store.
    pub(crate) fn of(store: &Store) -> Self {
        let mailboxes = store.mailboxes();
        let step = (mailboxes.len() / SAMPLES).max(1);
        let spread = (0..step).flat_map(|first| mailboxes.iter().skip(first).step_by(step));
        let indexes = spread.filter_map(|entry| Some(store.location(entry).ok()?.index));
        let (mut counts, mut cache_version) = (BTreeMap::<u32, usize>::new(), None);
        for (layout, version) in indexes.filter_map(|index| asked(&index)).take(SAMPLES) {
            *counts.entry(layout.version).or_default() += 1;
            cache_version = cache_version.max(version);
        }
        let commonest = counts.into_iter().max_by_key(|&(version, count)| (count, version));
        Self { index_version: commonest.map(|(version, _)| version), cache_version }
    }
}

/// The layout of an index with a sound header, and what its newest records tell.
fn asked(index: &Path) -> Option<(&'static Layout, Option<u16>)> {
    let directory = GuardedDir::open_trusted(index.parent()?).ok()?;
    let (file, meta) = directory.open_file(index.file_name()?).ok()?;
    let mut header = [0; Layout::LARGEST_HEADER];
    let len = usize::try_from(meta.size).ok()?.min(header.len());
    let header = header.get_mut(..len)?;
    file.read_exact_at(header, 0).ok()?;
    let layout = IndexHeader::layout_in(header).ok()?;
    if IndexHeader::crc_state(header, layout).is_bad() {
        return None;
    }
    let slots = usize::try_from(meta.size).ok()?.checked_sub(layout.header_size)?;
    let slots = slots / layout.record_size;
    let asked = slots.min(RECORDS);
    let start = layout.header_size + (slots - asked) * layout.record_size;
    let mut bytes = vec![0; asked * layout.record_size];
    // Where the records cannot be read, the header still tells the version.
    let read = file.read_exact_at(&mut bytes, u64::try_from(start).ok()?).is_ok();
    let records = bytes.chunks_exact(layout.record_size).filter(|_| read);
    let sound = records.filter(|record| !IndexRecord::crc_state(layout, record).is_bad());
    let records: Vec<_> =
        sound.filter_map(|record| IndexRecord::decode(layout, record).ok()).collect();
    Some((layout, version_told_by(layout, records.iter())))
}
