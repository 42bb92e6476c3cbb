//! Looking at messages: in parallel within a mailbox, each read at most once, memory bounded.

mod scratch;
mod sighting;

use std::collections::{HashMap, HashSet};
use std::io;

use mailstore::volume::ReadError;
use mailstore_format::Uid;
use mailstore_format::index::{IndexRecord, Layout};
use mailstore_format::message::CacheDialect;
use rayon::prelude::*;

use crate::cache_file::CacheFile;
use crate::evidence::{
    CacheFileEvidence, CacheItem, Evidence, FileEvidence, FileIdentity, IndexEvidence,
    MessageEvidence, Place, Reading,
};
use crate::likeness::Likeness;
use crate::observer::Observer;
use crate::options::Check;
use crate::places::Places;
use crate::staging::CacheSink;
pub(crate) use scratch::Scratch;
pub(crate) use sighting::identity_of;
use sighting::{EIO, Sighting, Whereabouts};

/// Messages that are looked at together; their new cache records wait in memory meanwhile.
const BATCH: usize = 512;
/// A larger file is no message that any server accepted.
pub(crate) const LARGEST_MESSAGE: u64 = 1 << 30;

/// What is needed to look at the messages of one mailbox.
pub(crate) struct Examiner<'a> {
    pub(crate) places: &'a Places,
    pub(crate) check: Check,
    /// In which new cache records are made.
    pub(crate) dialect: CacheDialect,
    /// The mailbox's records.
    pub(crate) index: &'a IndexEvidence,
    /// That of the index in which new records are written.
    pub(crate) layout: &'static Layout,
    /// The slots of UIDs that have several records, newest record first.
    pub(crate) rivals: &'a HashMap<Uid, Vec<usize>>,
    pub(crate) pool: &'a rayon::ThreadPool,
    pub(crate) observer: &'a dyn Observer,
    /// What was found earlier in the same mailbox; it counts where file and record are the same.
    pub(crate) previous: Option<&'a Evidence>,
    /// Expunged messages whose file, if there is one again, must be identified.
    pub(crate) wanted_back: &'a HashSet<Uid>,
}

/// A UID to look at, with the record that counts for it.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) uid: Uid,
    pub(crate) slot: Option<usize>,
    pub(crate) record: Option<&'a IndexRecord>,
}

/// When a message's file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Where record, cache and file do not vouch for one another.
    WhereNeeded,
    /// Always: it may be a message that is wanted.
    Always,
}

/// A message's evidence, and its new cache record where the old one cannot serve.
struct Looked {
    evidence: MessageEvidence,
    new_item: Option<Vec<u8>>,
    /// That of the message with other line ends, where it has such a one.
    crlf_item: Option<Vec<u8>>,
    bytes_read: u64,
}

impl Examiner<'_> {
    /// Looks at every candidate. New cache records go to `sink` in the candidates' order.
    pub(crate) fn examine(
        &self,
        candidates: &[Candidate<'_>],
        sink: &mut dyn CacheSink,
    ) -> io::Result<Vec<MessageEvidence>> {
        let mut messages = Vec::with_capacity(candidates.len());
        for batch in candidates.chunks(BATCH) {
            let looked = self.look_at_all(batch, Reads::WhereNeeded);
            let bytes = looked.iter().map(|looked| looked.bytes_read).sum();
            self.observer.progressed(u64::try_from(batch.len()).unwrap_or(u64::MAX), bytes);
            for looked in looked {
                messages.push(looked.keep(sink)?);
            }
        }
        Ok(messages)
    }

    /// Reads the files of those of `messages` that are `chosen`.
    pub(crate) fn read_also(
        &self,
        messages: &mut [MessageEvidence],
        chosen: &[usize],
        sink: &mut dyn CacheSink,
    ) -> io::Result<()> {
        for batch in chosen.chunks(BATCH) {
            let of = |at: &usize| {
                let MessageEvidence { uid, slot, .. } = *messages.get(*at)?;
                let record = slot.and_then(|slot| self.index.record(slot));
                Some(Candidate { uid, slot, record })
            };
            let candidates: Vec<_> = batch.iter().filter_map(of).collect();
            let looked = self.look_at_all(&candidates, Reads::Always);
            self.observer.progressed(0, looked.iter().map(|looked| looked.bytes_read).sum());
            for (looked, at) in looked.into_iter().zip(batch) {
                if let Some(message) = messages.get_mut(*at) {
                    *message = looked.keep(sink)?;
                }
            }
        }
        Ok(())
    }

    fn look_at_all(&self, candidates: &[Candidate<'_>], reads: Reads) -> Vec<Looked> {
        self.pool.install(|| {
            let look = |scratch: &mut Scratch, candidate: &Candidate<'_>| {
                self.look(*candidate, reads, scratch)
            };
            let scratch = || self.scratch();
            candidates.par_iter().with_min_len(8).map_init(scratch, look).collect()
        })
    }

    pub(crate) fn scratch(&self) -> Scratch {
        Scratch::new(self.layout)
    }

    /// Looks at a UID. Of several records for it that one counts whose message the file is; where
    /// none is, and where the newest is a tombstone, the newest.
    fn look(&self, candidate: Candidate<'_>, reads: Reads, scratch: &mut Scratch) -> Looked {
        let rivals = self.rivals.get(&candidate.uid).filter(|_| {
            candidate.record.is_some_and(|newest| !newest.is_expunged() && !newest.is_unlinked())
        });
        let mut newest = None;
        for &slot in rivals.into_iter().flatten() {
            let Some(record) = self.index.record(slot) else { continue };
            let rival = Candidate { slot: Some(slot), record: Some(record), ..candidate };
            let looked = self.look_for(rival, Reads::Always, scratch);
            if looked.evidence.reading.is_some() && looked.evidence.is_message_of(record) {
                return looked;
            }
            newest.get_or_insert(looked);
        }
        newest.unwrap_or_else(|| self.look_for(candidate, reads, scratch))
    }

    fn look_for(&self, candidate: Candidate<'_>, reads: Reads, scratch: &mut Scratch) -> Looked {
        let Candidate { uid, record, .. } = candidate;
        // The file of a record with a delete order is the server's, unless it is one that came back.
        let given_up = record.is_some_and(IndexRecord::is_unlinked);
        let given_up = given_up && !self.wanted_back.contains(&uid);
        if !given_up && let Some(at) = self.is_read_anyway(candidate) {
            let listed = Sighting::Listed(at);
            let looked = self.look_at(candidate, listed, Reads::Always, scratch);
            // It may have gone to the other place since.
            if looked.evidence.file != FileEvidence::Absent {
                return self.or_better_copy(candidate, looked, at, scratch);
            }
        }
        let file = if given_up { FileEvidence::Absent } else { self.file(uid, record) };
        if let Some(known) = self.known_from_before(candidate, file)
            && (reads == Reads::WhereNeeded || known.evidence.reading.is_some())
        {
            return known;
        }
        let looked = self.look_at(candidate, Sighting::Stated(file), reads, scratch);
        match file {
            FileEvidence::Regular { place, in_both, .. } => {
                self.or_better_copy(candidate, looked, Whereabouts { place, in_both }, scratch)
            }
            _ => looked,
        }
    }

    /// Where the file is listed, if it is read whatever its inode says: then that need not be asked.
    fn is_read_anyway(&self, Candidate { uid, record, .. }: Candidate<'_>) -> Option<Whereabouts> {
        let needs_reading = record.is_none() || self.check == Check::Full;
        if needs_reading && self.previous.is_none() { self.listed(uid, record) } else { None }
    }

    /// What was looked at there, or the copy in the other place, where only that one is the message of
    /// the record.
    fn or_better_copy(
        &self,
        candidate: Candidate<'_>,
        looked: Looked,
        Whereabouts { place, in_both }: Whereabouts,
        scratch: &mut Scratch,
    ) -> Looked {
        match candidate.record {
            Some(record) if in_both && !looked.evidence.is_message_of(record) => {
                self.better_copy(candidate, place, scratch).unwrap_or(looked)
            }
            _ => looked,
        }
    }

    /// The copy in the other place, where that one is the message of the record.
    fn better_copy(
        &self,
        candidate: Candidate<'_>,
        worse: Place,
        scratch: &mut Scratch,
    ) -> Option<Looked> {
        let record = candidate.record?;
        let other = Sighting::Stated(self.stat(candidate.uid, worse.other(), false));
        let looked = self.look_at(candidate, other, Reads::WhereNeeded, scratch);
        let is_read = looked.evidence.reading.is_some();
        (is_read && looked.evidence.is_message_of(record)).then_some(looked)
    }

    fn look_at(
        &self,
        candidate: Candidate<'_>,
        sighting: Sighting,
        reads: Reads,
        scratch: &mut Scratch,
    ) -> Looked {
        let Candidate { uid, slot, record } = candidate;
        let cache = record.map_or(CacheItem::None, |record| match self.places.cache_of(record) {
            Some(cache) => scratch.check(self.index.layout, cache, record),
            None => CacheItem::Damaged,
        });
        let needed = |place, identity: FileIdentity| {
            let needed = || self.has_to_be_read(record, cache, place, identity);
            identity.size > 0 && (reads == Reads::Always || needed())
        };
        let (file, at) = match sighting {
            Sighting::Listed(at) => (FileEvidence::Absent, Some(at)),
            Sighting::Stated(file) => match file {
                FileEvidence::Regular { place, identity, in_both } if needed(place, identity) => {
                    (file, Some(Whereabouts { place, in_both }))
                }
                _ => (file, None),
            },
        };
        let evidence =
            MessageEvidence { uid, slot, file, reading: None, cache, cached_likeness: None };
        match at {
            Some(at) => self.read(evidence, record, at, scratch),
            None => Looked { evidence, new_item: None, crlf_item: None, bytes_read: 0 },
        }
    }

    /// Whether record, cache and file do not vouch for one another.
    fn has_to_be_read(
        &self,
        record: Option<&IndexRecord>,
        cache: CacheItem,
        place: Place,
        identity: FileIdentity,
    ) -> bool {
        let Some(record) = record else { return true };
        self.check == Check::Full
            || !matches!(cache, CacheItem::Sound(_))
            || record.size != identity.size
            || Place::of(record) != place
            || self.wanted_back.contains(&record.uid)
    }

    fn read(
        &self,
        mut evidence: MessageEvidence,
        record: Option<&IndexRecord>,
        Whereabouts { place, in_both }: Whereabouts,
        scratch: &mut Scratch,
    ) -> Looked {
        let directory = self.directory(place);
        let message = &mut scratch.message;
        let (mut new_item, mut crlf_item) = (None, None);
        match directory.and_then(|at| at.read_message(evidence.uid, LARGEST_MESSAGE, message)) {
            Ok(meta) => {
                let identity = identity_of(&meta);
                evidence.file = FileEvidence::Regular { place, identity, in_both };
                if identity.size > 0 {
                    new_item = self.judge(&mut evidence, record, place, scratch);
                }
                let is_its = record.is_some_and(|record| evidence.is_message_of(record));
                let other = evidence.reading.as_mut().filter(|_| !is_its);
                crlf_item =
                    other.and_then(|reading| scratch.note_other_line_ends(self.dialect, reading));
            }
            Err(ReadError::NotFound) => evidence.file = FileEvidence::Absent,
            Err(ReadError::NotRegular(_)) => evidence.file = FileEvidence::Odd,
            Err(ReadError::Io { errno, .. }) => evidence.file = FileEvidence::Unreadable(errno),
            Err(error) => {
                let errno = if matches!(error, ReadError::TooLarge { .. }) { EFBIG } else { EIO };
                evidence.file = FileEvidence::Unreadable(errno);
            }
        }
        let bytes_read = u64::try_from(scratch.message.len()).unwrap_or(u64::MAX);
        scratch.shrink();
        Looked { evidence, new_item, crlf_item, bytes_read }
    }

    /// Notes what the bytes that were read are, against the record; returns the message's cache
    /// record where the old one cannot serve, or is of another message.
    ///
    /// A record that serves is compared with what its own server makes of the message; a new one is
    /// made as the store's server does.
    fn judge(
        &self,
        evidence: &mut MessageEvidence,
        record: Option<&IndexRecord>,
        place: Place,
        scratch: &mut Scratch,
    ) -> Option<Vec<u8>> {
        let whole = matches!(evidence.cache, CacheItem::Sound(_));
        let kept = record.filter(|record| whole && Place::of(record) == place);
        let its_own = kept.map(|record| CacheDialect::readable_at(record.cache_version));
        let dialect = its_own.unwrap_or(self.dialect);
        let (mut reading, mut item) = scratch.understand_for(record, dialect);
        let same_message =
            record.is_none_or(|record| record.guid.is_null() || record.guid == reading.fields.guid);
        let comparable =
            kept.is_some_and(|record| record.cache_version == reading.fields.cache_version);
        let cache_differs = comparable && same_message && scratch.old_item != item;
        if whole && !same_message {
            evidence.cached_likeness = Some(Likeness::of_cache_record(&scratch.old_item));
        }
        let needed = kept.is_none() || !same_message || cache_differs;
        if needed && dialect != self.dialect {
            (reading, item) = scratch.understand_for(record, self.dialect);
        }
        evidence.reading = Some(Reading { cache_differs, ..reading });
        needed.then_some(item)
    }

    /// What an earlier look yielded, where neither file nor record changed since.
    fn known_from_before(&self, candidate: Candidate<'_>, file: FileEvidence) -> Option<Looked> {
        let previous = self.previous?;
        let at = previous.messages.binary_search_by_key(&candidate.uid, |known| known.uid).ok()?;
        let known = previous.messages.get(at)?;
        let before = known.slot.and_then(|slot| previous.index.record(slot));
        let cached = |record: Option<&IndexRecord>| {
            record.map(|record| {
                let archived = Place::of(record);
                (record.cache_offset, record.cache_crc, record.size, record.guid, archived)
            })
        };
        let expunged = |record: Option<&IndexRecord>| record.is_some_and(IndexRecord::is_expunged);
        let same = known.file == file
            && candidate.record.is_none_or(|record| self.has_same_cache(record, previous))
            && cached(before) == cached(candidate.record)
            && expunged(before) == expunged(candidate.record);
        same.then(|| Looked {
            evidence: MessageEvidence { slot: candidate.slot, ..known.clone() },
            new_item: None,
            crlf_item: None,
            bytes_read: 0,
        })
    }

    /// Whether the cache of `record` is the file that it was: another run may have replaced it, and
    /// a sound one have the very layout of one that was garbage.
    fn has_same_cache(&self, record: &IndexRecord, previous: &Evidence) -> bool {
        let before = match Place::of_cache(record, self.places.shares_cache) {
            Place::Spool => Some(previous.spool_cache),
            Place::Archive => previous.archive_cache,
        };
        let now = self.places.cache_of(record).map(CacheFile::evidence);
        let inode = |cache: CacheFileEvidence| cache.identity.map(|identity| identity.ino);
        before.and_then(inode) == now.and_then(inode)
    }
}

const EFBIG: i32 = 27;

impl Looked {
    fn keep(self, sink: &mut dyn CacheSink) -> io::Result<MessageEvidence> {
        let Self { mut evidence, new_item, crlf_item, .. } = self;
        let Some(reading) = &mut evidence.reading else { return Ok(evidence) };
        if let Some(item) = new_item {
            reading.staged = Some(sink.keep(&item)?);
        }
        if let (Some(as_crlf), Some(item)) = (&mut reading.as_crlf, crlf_item) {
            as_crlf.staged = Some(sink.keep(&item)?);
        }
        Ok(evidence)
    }
}
