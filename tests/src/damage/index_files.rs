//! Damage to a whole `cyrus.index`: gone, garbage, another one's, an older one, leftovers beside it.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use mailstore_format::index::{IndexHeader, Layout};

use super::index_header::byte;
use super::kind::{Done, Kind, Scene};
use super::place::Place;

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "index-removed", what: "there is no index", inflict: removed },
    Kind { name: "index-emptied", what: "the index has no bytes", inflict: emptied },
    Kind { name: "index-zeroed", what: "the index is all NULs", inflict: zeroed },
    Kind { name: "index-garbage", what: "the index is random bytes", inflict: garbage },
    Kind {
        name: "index-foreign",
        what: "the index of another mailbox is laid over this one's",
        inflict: foreign,
    },
    Kind {
        name: "index-older",
        what: "an older copy of the index is laid over it",
        inflict: |scene| older(scene, false),
    },
    Kind {
        name: "metadata-older",
        what: "older copies of index, cache and cyrus.header are laid over them",
        inflict: |scene| older(scene, true),
    },
    Kind {
        name: "leftover-new-index",
        what: "the index is gone, an interrupted repack left cyrus.index.NEW",
        inflict: leftover_new,
    },
    Kind {
        name: "leftover-new-garbage",
        what: "beside a sound index lies a cyrus.index.NEW of random bytes",
        inflict: leftover_garbage,
    },
    Kind {
        name: "stale-expunge",
        what: "a cyrus.expunge of a release of long ago lists messages that are alive",
        inflict: stale_expunge,
    },
];

/// The bytes of an index, whatever they are worth, and the layout to hit records by.
pub(super) struct IndexBytes {
    path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) layout: &'static Layout,
}

impl IndexBytes {
    /// `None` where there is no index, or an empty one.
    pub(super) fn read(place: &Place) -> Option<Self> {
        /// For an index whose header tells no version any more: Cyrus 3.6's.
        const USUAL_VERSION: u32 = 17;
        let bytes = fs::read(&place.index).ok().filter(|bytes| !bytes.is_empty())?;
        let layout = IndexHeader::layout_in(&bytes).ok().or(Layout::of_version(USUAL_VERSION))?;
        Some(Self { path: place.index.clone(), bytes, layout })
    }

    pub(super) fn write(&self) -> Result<()> {
        Place::put(&self.path, &self.bytes)
    }

    /// How many whole records there are.
    pub(super) fn records(&self) -> usize {
        self.bytes.len().saturating_sub(self.layout.header_size) / self.layout.record_size
    }

    pub(super) fn record(&self, number: usize) -> std::ops::Range<usize> {
        let begin = self.layout.header_size + number * self.layout.record_size;
        begin..begin + self.layout.record_size
    }

    /// The UID in a record's first bytes.
    pub(super) fn uid(&self, number: usize) -> u32 {
        let bytes = self.bytes.get(self.record(number)).and_then(|record| record.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// The UIDs of all records that `range` touches.
    pub(super) fn uids_in(&self, range: std::ops::Range<usize>) -> Vec<u32> {
        let touched = |number: &usize| {
            let record = self.record(*number);
            record.start < range.end && range.start < record.end
        };
        (0..self.records()).filter(touched).map(|number| self.uid(number)).collect()
    }
}

fn removed(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    if !scene.place.index.exists() {
        return Ok(None);
    }
    fs::remove_file(&scene.place.index)?;
    Ok(Some(Done::new("removed")))
}

fn emptied(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    Place::put(&scene.place.index, b"")?;
    Ok(Some(Done::new("0 bytes")))
}

fn zeroed(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    index.bytes.fill(0);
    index.write()?;
    Ok(Some(Done::new(format!("{} bytes", index.bytes.len()))))
}

fn garbage(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    index.bytes.fill_with(|| byte(scene.random));
    index.write()?;
    Ok(Some(Done::new(format!("{} bytes", index.bytes.len()))))
}

fn foreign(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let others: Vec<&Place> = scene.others.iter().filter(|other| other.index.exists()).collect();
    if others.is_empty() {
        return Ok(None);
    }
    let other = others[scene.random.below(others.len())];
    Place::put(&scene.place.index, &fs::read(&other.index)?)?;
    Ok(Some(Done::new(format!("of {}", other.mailbox))))
}

fn older(scene: &mut Scene<'_>, everything: bool) -> Result<Option<Done>> {
    let Some(older) = scene.older else { return Ok(None) };
    let mut pairs = vec![(&older.index, &scene.place.index)];
    if everything {
        pairs.push((&older.cache, &scene.place.cache));
        pairs.push((&older.header, &scene.place.header));
    }
    for (from, to) in pairs {
        Place::put(to, &fs::read(from)?)?;
    }
    let bytes = fs::metadata(&scene.place.index)?.len();
    Ok(Some(Done::new(format!("an index of {bytes} bytes"))))
}

fn leftover_new(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some(index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let stale = scene.random.one_in(2);
    let (detail, bytes) = match scene.older {
        Some(older) if stale => ("as the older copy has it", fs::read(&older.index)?),
        _ => ("as the index was", index.bytes),
    };
    Place::put(&scene.place.index.with_extension("index.NEW"), &bytes)?;
    fs::remove_file(&scene.place.index)?;
    Ok(Some(Done::new(detail)))
}

fn leftover_garbage(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let mut bytes = vec![0; 1 + scene.random.below(5000)];
    bytes.fill_with(|| byte(scene.random));
    Place::put(&scene.place.index.with_extension("index.NEW"), &bytes)?;
    Ok(Some(Done::new(format!("{} bytes", bytes.len()))))
}

fn stale_expunge(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some(index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let records = index.records();
    if records == 0 {
        return Ok(None);
    }
    // The file has the form of an index; its records are those whose messages are to go.
    let count = 1 + scene.random.below(records);
    let Ok(mut header) = IndexHeader::decode_with(&index.bytes, index.layout) else {
        return Ok(None);
    };
    header.num_records = u32::try_from(count)?;
    let mut bytes = header.encode(index.layout);
    bytes.extend(&index.bytes[index.record(0).start..index.record(count - 1).end]);
    Place::put(&scene.place.expunge, &bytes)?;
    let uids: Vec<u32> = (0..count).map(|number| index.uid(number)).collect();
    Ok(Some(Done::new(format!("{count} records")).hitting(uids)))
}
