//! What a crash does to indexes and caches.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use mailstore_format::Uid;
use mailstore_format::index::IndexFile;
use mailstore_tests::generate::Random;

use super::contents::Place;

/// A way to lose an index or a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    RecordsOverwritten,
    IndexDeleted,
    CacheDeleted,
    BothDeleted,
    IndexCut,
    CacheCut,
    IndexHeaderOverwritten,
    CacheOverwritten,
}

impl Damage {
    const ALL: [Self; 8] = [
        Self::RecordsOverwritten,
        Self::IndexDeleted,
        Self::CacheDeleted,
        Self::BothDeleted,
        Self::IndexCut,
        Self::CacheCut,
        Self::IndexHeaderOverwritten,
        Self::CacheOverwritten,
    ];
}

/// What was done to a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// For people.
    pub(crate) what: String,
    /// The messages, live or expunged, whose index record is gone.
    pub(crate) lost_records: BTreeSet<Uid>,
}

/// As many kinds of damage as asked for, every kind before any comes again, in an order that
/// `random` makes.
pub(crate) fn choose(random: &mut Random, count: usize) -> Vec<Damage> {
    let mut chosen = Vec::new();
    let mut left = Vec::new();
    while chosen.len() < count {
        if left.is_empty() {
            left = Damage::ALL.to_vec();
        }
        chosen.push(left.swap_remove(random.below(left.len())));
    }
    chosen
}

impl Damage {
    /// Does it to a mailbox that has messages.
    pub(crate) fn inflict(self, place: &Place, random: &mut Random) -> Result<Done> {
        let mut index = fs::read(&place.index).context("reading an index")?;
        let mut cache = fs::read(&place.cache).context("reading a cache")?;
        let records = Records::of(&index)?;
        let none = BTreeSet::new();
        let (what, lost_records) = match self {
            Self::IndexDeleted => {
                fs::remove_file(&place.index)?;
                ("index deleted".into(), records.all())
            }
            Self::CacheDeleted => {
                fs::remove_file(&place.cache)?;
                ("cache deleted".into(), none)
            }
            Self::BothDeleted => {
                fs::remove_file(&place.index)?;
                fs::remove_file(&place.cache)?;
                ("index and cache deleted".into(), records.all())
            }
            Self::IndexCut => {
                let kept = random.below(records.uids.len());
                index.truncate(records.offset(kept) + random.below(records.size));
                fs::write(&place.index, index)?;
                (format!("index cut in record {}", kept + 1), records.from(kept))
            }
            Self::CacheCut => {
                let length = random.below(cache.len());
                let what = format!("cache cut to {length} of {} bytes", cache.len());
                cache.truncate(length);
                fs::write(&place.cache, cache)?;
                (what, none)
            }
            Self::IndexHeaderOverwritten => {
                overwrite(index.get_mut(..records.start), random);
                fs::write(&place.index, index)?;
                ("index header overwritten".into(), none)
            }
            Self::RecordsOverwritten => {
                let count = 1 + random.below(records.uids.len().div_ceil(4));
                let first = random.below(records.uids.len() + 1 - count);
                let bytes = records.offset(first)..records.offset(first + count);
                overwrite(index.get_mut(bytes), random);
                fs::write(&place.index, index)?;
                let of = records.uids.len();
                (format!("{count} of {of} records overwritten"), records.range(first, count))
            }
            Self::CacheOverwritten => {
                let start = random.below(cache.len());
                let end = cache.len().min(start + 1 + random.below(4000));
                let what = format!("{} bytes of cache overwritten", end - start);
                overwrite(cache.get_mut(start..end), random);
                fs::write(&place.cache, cache)?;
                (what, none)
            }
        };
        Ok(Done { what, lost_records })
    }
}

fn overwrite(bytes: Option<&mut [u8]>, random: &mut Random) {
    for byte in bytes.into_iter().flatten() {
        *byte = random.bits().to_be_bytes()[0];
    }
}

/// Where the records of an index lie.
struct Records {
    start: usize,
    size: usize,
    uids: Vec<Uid>,
}

impl Records {
    fn of(index: &[u8]) -> Result<Self> {
        let file = IndexFile::open(index)?;
        let layout = file.layout();
        Ok(Self {
            start: layout.header_size,
            size: layout.record_size,
            uids: file.counted_slots().map(|slot| slot.record.uid).collect(),
        })
    }

    fn offset(&self, record: usize) -> usize {
        self.start + record * self.size
    }

    fn all(&self) -> BTreeSet<Uid> {
        self.from(0)
    }

    fn from(&self, first: usize) -> BTreeSet<Uid> {
        self.range(first, self.uids.len())
    }

    fn range(&self, first: usize, count: usize) -> BTreeSet<Uid> {
        self.uids.iter().copied().skip(first).take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_damage_is_chosen_before_any_comes_again() {
        for seed in 0..20 {
            let chosen = choose(&mut Random::new(seed), 11);
            assert_eq!(chosen.len(), 11);
            for kind in Damage::ALL {
                assert!(chosen[..8].contains(&kind), "{kind:?} with seed {seed}");
            }
        }
    }
}
