//! What some of a store's indexes tell of the server that writes them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mailstore::store::Store;
use mailstore::volume::GuardedDir;
use mailstore_format::UidValidity;
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
    /// The mailboxes of each index version.
    versions: BTreeMap<u32, OfVersion>,
}

/// The mailboxes of an index version that were asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct OfVersion {
    count: usize,
    /// The highest UIDVALIDITY, which is when the youngest of them was made.
    youngest: UidValidity,
}

impl StoreSample {
    /// Asks indexes from all over the store.
    pub(crate) fn of(store: &Store) -> Self {
        let mailboxes = store.mailboxes();
        let step = (mailboxes.len() / SAMPLES).max(1);
        let spread = (0..step).flat_map(|first| mailboxes.iter().skip(first).step_by(step));
        let indexes = spread.filter_map(|entry| Some(store.location(entry).ok()?.index));
        let mut sample = Self::default();
        for asked in indexes.filter_map(|index| asked(&index)).take(SAMPLES) {
            sample.add(asked.layout.version, asked.uidvalidity);
            sample.cache_version = sample.cache_version.max(asked.cache_version);
        }
        sample.index_version = sample.commonest();
        sample
    }

    fn commonest(&self) -> Option<u32> {
        let mut counts = BTreeMap::<u32, usize>::new();
        for (&version, of) in &self.versions {
            let version = self.version_instead(version, of.youngest).unwrap_or(version);
            *counts.entry(version).or_default() += of.count;
        }
        let commonest = counts.into_iter().max_by_key(|&(version, count)| (count, version));
        commonest.map(|(version, _)| version)
    }

    fn add(&mut self, version: u32, made: UidValidity) {
        let of = self.versions.entry(version).or_default();
        of.count += 1;
        of.youngest = of.youngest.max(made);
    }

    /// The version that a mailbox has which was made at `made`, where its index cannot have the one that
    /// it names. Versions 16 to 19 differ in nothing but their number, so nothing in the index tells; but
    /// a server gives new mailboxes its own version, and does not change that of an old one. One of a
    /// higher version than any other, and not younger than all, was not made so.
    pub(crate) fn version_instead(&self, version: u32, made: UidValidity) -> Option<u32> {
        const ALIKE: RangeInclusive<u32> = 16..=19;
        let (lower, of_lower) = self.versions.range(..version).next_back()?;
        let itself = self.versions.range(version..).map(|(_, of)| of.count).sum::<usize>();
        let is_impossible = itself <= 1 && of_lower.youngest >= made;
        (ALIKE.contains(&version) && ALIKE.contains(lower) && is_impossible).then_some(*lower)
    }
}

/// What an index with a sound header tells.
struct Asked {
    layout: &'static Layout,
    uidvalidity: UidValidity,
    /// By its newest records.
    cache_version: Option<u16>,
}

fn asked(index: &Path) -> Option<Asked> {
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
    let uidvalidity = IndexHeader::decode_with(header, layout).ok()?.uidvalidity;
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
    let cache_version = version_told_by(layout, records.iter());
    Some(Asked { layout, uidvalidity, cache_version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_higher_version_is_believed_of_the_youngest_mailbox_only() {
        let made = |seconds| UidValidity(seconds);
        let mut sample = StoreSample::default();
        for at in [100, 200, 300] {
            sample.add(17, made(at));
        }
        sample.add(19, made(250));
        assert_eq!(sample.version_instead(19, made(250)), Some(17));
        assert_eq!(sample.version_instead(19, made(300)), Some(17), "made in the same second");
        assert_eq!(sample.version_instead(19, made(301)), None, "made by a newer server");
        assert_eq!(sample.version_instead(17, made(100)), None);
        assert_eq!(sample.commonest(), Some(17));
        assert_eq!(sample.version_instead(20, made(250)), None, "its records tell");
        let mut pair = StoreSample::default();
        pair.add(17, made(300));
        pair.add(19, made(250));
        assert_eq!(pair.commonest(), Some(17), "as many as of the impossible one");
        sample.add(19, made(400));
        assert_eq!(sample.version_instead(19, made(250)), None, "it is not the only one");
    }
}
