//! Triage of one mailbox.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::time::Duration;

use mailstore::spool::OddKind;
use mailstore::volume::{ReadError, message_file_name};
use mailstore_format::Uid;
use mailstore_format::index::IndexRecord;

use super::{Damage, MailboxTriage, Severity, Witness};
use crate::evidence::{CacheItem, HeaderFileEvidence, IndexEvidence, Place, Slot};
use crate::finding::Code;
use crate::gather::{LARGEST_INDEX, directory_evidence, read_file, read_header_file};
use crate::index_reader::read_index_at;
use crate::places::{Places, ScannedPlace};
use crate::site::Site;
use crate::target::Target;
use crate::window::Window;

/// So many messages are sampled, evenly spread, for their size and their cache record.
const SAMPLES: usize = 64;
/// An index that seems damaged may have been read while the server wrote it: it is read again after
/// this time.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// Looks over one mailbox. Opens no message.
pub(super) fn look_over(site: &Site, target: &Target) -> MailboxTriage {
    let mut triage = MailboxTriage {
        mailbox: target.name.clone(),
        user: String::from_utf8_lossy(&target.owner).into_owned(),
        severity: Severity::Sound,
        messages: 0,
        damage: Vec::new(),
        left: Vec::new(),
        to_read: 0,
        bytes_to_read: 0,
        sampled: 0,
        unavailable: None,
    };
    // Listed before the index is read: what arrives in between has a record, whose file is then
    // asked for by name.
    let listed = Places::list(&target.location).opened();
    let index = index_of(site, target);
    match listed.and_then(|listed| listed.judged_by(&index, &target.location)) {
        Ok(places) => Look { target, index, places, triage: &mut triage }.at_everything(site),
        Err(closed) => {
            triage.note(Code::PartitionUnavailable, 1);
            triage.unavailable = Some(closed.why());
            triage.severity = Severity::Unavailable;
        }
    }
    triage
}

/// The index, read without any lock. What a moment without luck shows is not believed.
fn index_of(site: &Site, target: &Target) -> IndexEvidence {
    let read = || {
        let mut bytes = Vec::new();
        match read_file(&target.location.index, LARGEST_INDEX, &mut bytes) {
            Ok(meta) => {
                let identity = crate::examine::identity_of(&meta);
                read_index_at(site, &bytes, identity)
            }
            Err(ReadError::NotFound) => IndexEvidence::default(),
            Err(error) => {
                let unreadable = Some(error.to_string());
                IndexEvidence { unreadable, ..IndexEvidence::default() }
            }
        }
    };
    let index = read();
    if index.header_proven && lost_records(&index) == 0 {
        return index;
    }
    std::thread::sleep(SECOND_LOOK);
    read()
}

fn lost_records(index: &IndexEvidence) -> usize {
    let lost = |slot: &&Slot| !matches!(slot, Slot::Record(_));
    index.slots.iter().filter(lost).count().saturating_add(index.truncated_slots)
}

impl MailboxTriage {
    fn note(&mut self, code: Code, count: usize) {
        if count > 0 {
            self.damage.push(Damage { code, count: number(count) });
        }
    }
}

struct Look<'a> {
    target: &'a Target,
    index: IndexEvidence,
    places: Places,
    triage: &'a mut MailboxTriage,
}

impl Look<'_> {
    fn at_everything(mut self, site: &Site) {
        self.at_index();
        self.at_header_file();
        self.at_directory();
        self.at_files();
        self.at_witnesses(site);
        self.triage.severity = self.severity();
    }

    fn at_index(&mut self) {
        let (index, triage) = (&self.index, &mut *self.triage);
        match (&index.unreadable, index.identity) {
            (None, None) => triage.note(Code::IndexMissing, 1),
            (Some(_), _) => triage.note(Code::IndexUnreadable, 1),
            _ if !index.header_proven => triage.note(Code::IndexHeaderDamaged, 1),
            _ => {}
        }
        triage.note(Code::IndexTruncated, index.truncated_slots);
        triage.note(Code::RecordDamaged, lost_records(index) - index.truncated_slots);
    }

    fn at_header_file(&mut self) {
        match read_header_file(&self.target.location) {
            HeaderFileEvidence::Sound { .. } => self.triage.left.push(Witness::HeaderFile),
            HeaderFileEvidence::Missing => self.triage.note(Code::HeaderFileMissing, 1),
            _ => self.triage.note(Code::HeaderFileDamaged, 1),
        }
    }

    fn at_directory(&mut self) {
        let evidence = directory_evidence(&self.target.location, &self.places);
        let irregular = |kind: &OddKind| matches!(kind, OddKind::NotAFile(_));
        let not_files = evidence.odd.iter().filter(|odd| irregular(&odd.entry.kind)).count();
        self.triage.note(Code::NotARegularFile, not_files);
        self.triage.note(Code::OddEntry, evidence.odd.len() - not_files);
        let stale = evidence.leftovers.iter().filter(|name| *name == "cyrus.expunge").count();
        self.triage.note(Code::StaleExpunge, stale);
        self.triage.note(Code::Leftover, evidence.leftovers.len() - stale);
    }

    /// Holds records against files: by name all, by size and cache record a sample.
    fn at_files(&mut self) {
        let files: HashSet<Uid> =
            self.places.all().flat_map(ScannedPlace::files).map(|file| file.uid).collect();
        let records: Vec<IndexRecord> = (0..self.index.slots.len())
            .filter_map(|slot| self.index.record(slot))
            .copied()
            .collect();
        let known: HashSet<Uid> = records.iter().map(|record| record.uid).collect();
        let live: Vec<&IndexRecord> =
            records.iter().filter(|record| !record.is_expunged()).collect();
        let not_listed = live.iter().filter(|record| !files.contains(&record.uid));
        let missing = not_listed.filter(|record| self.size_of(record.uid).is_none()).count();
        let without_record = files.iter().filter(|uid| !known.contains(uid)).count();
        self.triage.note(Code::MessageMissing, missing);
        self.triage.note(Code::MessageWithoutRecord, without_record);
        self.triage.messages = number(live.len().max(files.len()));

        let present: Vec<&IndexRecord> =
            live.iter().filter(|record| files.contains(&record.uid)).copied().collect();
        let sample = self.sample(&present);
        let bytes: u64 = present.iter().map(|record| record.size).sum();
        let average = bytes.checked_div(number(present.len())).unwrap_or(0).max(4096);
        let suspects = sample.scaled(sample.to_read, present.len());
        self.triage.to_read = suspects.saturating_add(number(without_record));
        self.triage.bytes_to_read = self.triage.to_read.saturating_mul(average);
        if !files.is_empty() {
            self.triage.left.push(Witness::Messages);
        }
    }

    fn sample(&mut self, present: &[&IndexRecord]) -> Sample {
        let step = present.len().div_ceil(SAMPLES).max(1);
        let mut sample = Sample::default();
        let mut item = Vec::new();
        for record in present.iter().step_by(step) {
            // They lie far from one another.
            let mut window = Window::default();
            sample.taken += 1;
            let size = self.size_of(record.uid);
            let cache = self.places.cache_of(record);
            let item = cache.map_or(CacheItem::Damaged, |cache| {
                cache.check(self.index.layout, record, &mut window, &mut item)
            });
            sample.empty += usize::from(size == Some(0));
            sample.other_size +=
                usize::from(size.is_some_and(|size| size > 0 && size != record.size));
            sample.cache += usize::from(!matches!(item, CacheItem::Sound(_)));
            let is_read = size != Some(record.size) || !matches!(item, CacheItem::Sound(_));
            sample.to_read += usize::from(is_read);
        }
        self.triage.sampled = number(sample.taken);
        let estimate = |seen: usize| usize::try_from(sample.scaled(seen, present.len()));
        for (code, seen) in [
            (Code::MessageEmpty, sample.empty),
            (Code::SizeMismatch, sample.other_size),
            (Code::CacheRecordDamaged, sample.cache),
        ] {
            self.triage.note(code, estimate(seen).unwrap_or(usize::MAX));
        }
        sample
    }

    fn size_of(&self, uid: Uid) -> Option<u64> {
        let name = message_file_name(uid);
        let stat = |place| {
            let directory = self.places.at(place).map(ScannedPlace::directory)?.ok()?;
            directory.stat(OsStr::new(&name)).ok().map(|meta| meta.size)
        };
        stat(Place::Spool).or_else(|| stat(Place::Archive))
    }

    fn at_witnesses(&mut self, site: &Site) {
        let is_there = |path: Option<&std::path::PathBuf>| path.is_some_and(|path| path.is_file());
        let held = [
            (self.index.header_proven, Witness::IndexHeader),
            (lost_records(&self.index) < self.index.slots.len(), Witness::IndexRecords),
            (self.target.listed.listed, Witness::MailboxList),
            (is_there(self.target.counters_file.as_ref()), Witness::Counters),
            (site.has_conversations(), Witness::Conversations),
        ];
        let held = held.into_iter().filter(|(is, _)| *is).map(|(_, witness)| witness);
        self.triage.left.extend(held);
        self.triage.left.sort_unstable();
    }

    fn severity(&self) -> Severity {
        let lost = lost_records(&self.index);
        let whole = self.index.header_proven && lost == 0;
        let had_any = !self.index.slots.is_empty() || self.index.truncated_slots > 0;
        let kept = self.index.slots.len().saturating_sub(lost);
        if !whole && (!had_any || lost > kept) {
            Severity::Lost
        } else if !whole {
            Severity::Damaged
        } else if !self.triage.damage.is_empty() {
            Severity::Blemished
        } else {
            Severity::Sound
        }
    }
}

/// What a sample of the messages that are there showed.
#[derive(Debug, Default)]
struct Sample {
    taken: usize,
    empty: usize,
    other_size: usize,
    cache: usize,
    to_read: usize,
}

impl Sample {
    /// Of `all`, how many will be as `seen` of the sample are.
    fn scaled(&self, seen: usize, all: usize) -> u64 {
        let (seen, all, taken) = (number(seen), number(all), number(self.taken));
        seen.saturating_mul(all).checked_div(taken).unwrap_or(0)
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
