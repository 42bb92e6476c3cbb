//! The numbers of the mailbox as a whole: UIDVALIDITY, last UID, modseqs, counts, generation.

use mailstore_format::header_file::HeaderFile;
use mailstore_format::index::{IndexHeader, IndexRecord, Layout, options};
use mailstore_format::{InternalFlags, ModSeq, Uid, UidValidity, UserFlags};

use super::totals::Totals;
use super::{
    CacheSource, DEFAULT_VERSION, Draft, Draughtsman, Elsewhere, FRESH_GENERATION, MODSEQ_JUMP,
    PlannedRecord, Rewrite,
};
use crate::evidence::{HeaderFileEvidence, IndexEvidence, Place, Slot};
use crate::finding::{Code, Remedy};

/// A number in a header that fails its CRC is believed where it lies at most this far above what
/// the records prove.
const BELIEVABLE_DISTANCE: u64 = 1_000_000;

/// Bytes of a cache file before its first record: the generation number.
const CACHE_HEADER: u64 = 4;

/// In what layout a new index is written: that of the old one, else of the store's others.
pub(crate) fn layout_to_write(
    index: &IndexEvidence,
    store_version: Option<u32>,
) -> &'static Layout {
    index
        .layout
        .or_else(|| Layout::of_version(store_version?))
        .or_else(|| Layout::of_version(DEFAULT_VERSION))
        .expect("the default version has a layout")
}

impl Draughtsman<'_> {
    /// Finds the last UID and the highest modseq known, before anything is added to them.
    pub(super) fn settle_numbers(&mut self) {
        let index = &self.evidence.index;
        let records = || (0..index.slots.len()).filter_map(|slot| index.record(slot));
        let top_uid = records().map(|record| record.uid).max().unwrap_or_default();
        let top_modseq = records().map(|record| record.modseq).max().unwrap_or_default();
        let server = &self.evidence.witnesses;
        let witnessed = [server.foldermodseq, server.createdmodseq, server.counters_highest]
            .into_iter()
            .flatten()
            .fold(top_modseq, ModSeq::max);
        match &index.header {
            Some(header) if index.header_proven => {
                let (last_uid, highest) = (header.last_uid, header.highestmodseq);
                self.last_uid = last_uid.max(top_uid);
                self.highestmodseq = highest.max(top_modseq);
                if self.evidence.index_trust.is_older() {
                    self.highestmodseq = self.highestmodseq.max(witnessed);
                    if server.counters_highest.is_none() {
                        self.jump_modseq();
                    }
                }
                if last_uid < top_uid {
                    let detail = format!("the header says {last_uid}, a record has {top_uid}");
                    self.find(Code::LastUidLow, Remedy::Repair, detail);
                }
                if highest < top_modseq {
                    let detail = format!("the header says {highest}, a record has {top_modseq}");
                    self.find(Code::HighestModseqLow, Remedy::Repair, detail);
                }
            }
            doubtful => {
                let believe = |floor: u64, claim: u64| {
                    let near = claim.checked_sub(floor).is_some_and(|by| by <= BELIEVABLE_DISTANCE);
                    if near { claim } else { floor }
                };
                self.last_uid = top_uid;
                self.highestmodseq = witnessed;
                if let Some(header) = doubtful {
                    let uid = believe(u64::from(top_uid.0), u64::from(header.last_uid.0));
                    self.last_uid = Uid(u32::try_from(uid).unwrap_or(top_uid.0));
                    self.highestmodseq = ModSeq(believe(witnessed.0, header.highestmodseq.0));
                }
                if server.counters_highest.is_none() {
                    self.jump_modseq();
                }
            }
        }
    }

    fn jump_modseq(&mut self) {
        let known = self.highestmodseq;
        self.highestmodseq = ModSeq(known.0.saturating_add(MODSEQ_JUMP));
        let detail = format!(
            "the highest modseq known is {known}; {} is taken, above any that a client may have seen",
            self.highestmodseq
        );
        self.find(Code::ModseqUnproven, Remedy::Note, detail);
    }

    /// Gives every keyword slot with a bit set a name, lest the next new keyword takes the slot.
    pub(super) fn name_every_keyword(&mut self) {
        let used = self
            .drafts
            .iter()
            .fold(UserFlags::default(), |used, draft| used.union(&draft.record.user_flags));
        let Some(mut file) = self.current_header_file() else { return };
        let unnamed: Vec<_> =
            used.slots().filter(|&slot| file.flag_names.get(slot).is_none()).collect();
        if unnamed.is_empty() {
            return;
        }
        for &slot in &unnamed {
            let placeholder = placeholder_keyword(slot);
            let detail = format!(
                "keyword slot {slot} is set on messages but has no name; it is called {placeholder}"
            );
            self.find(Code::KeywordUnnamed, Remedy::Repair, detail);
            file.flag_names.set(slot, Some(placeholder.into_bytes()));
        }
        self.header_file = Some(file);
    }

    pub(super) fn current_header_file(&self) -> Option<HeaderFile> {
        match (&self.header_file, &self.evidence.header_file) {
            (Some(file), _) => Some(file.clone()),
            (None, HeaderFileEvidence::Sound { value, .. }) => Some((**value).clone()),
            (None, _) => None,
        }
    }

    /// The names of the keywords that are set on `record`.
    pub(super) fn flag_names_of(&self, record: &IndexRecord) -> Vec<(usize, Vec<u8>)> {
        let Some(file) = self.current_header_file() else { return Vec::new() };
        record
            .user_flags
            .slots()
            .filter_map(|slot| Some((slot, file.flag_names.get(slot)?.to_vec())))
            .collect()
    }

    /// Puts the parts together, and decides whether there is anything to write at all.
    pub(super) fn finish(&mut self) -> Option<Rewrite> {
        let store_version = self.evidence.witnesses.store_version;
        let layout = layout_to_write(&self.evidence.index, store_version);
        self.stamp_changes();
        self.replace_irregular_caches();
        self.report_missing_caches();
        let records = self.place_in_caches();
        let header = self.header(layout, &records);
        let set_aside: Vec<_> = self
            .evidence
            .directory
            .leftovers
            .iter()
            .filter(|name| *name == "cyrus.expunge")
            .cloned()
            .collect();
        let nothing_to_do = self.header_file.is_none()
            && self.file_steps.is_empty()
            && set_aside.is_empty()
            && !self.stale_spool_cache
            && !self.stale_archive_cache
            && self.records_stand(&records)
            && self.header_stands(layout, &header);
        if nothing_to_do {
            return None;
        }
        let conversations = self.conversations_after(&records);
        let mut records = records;
        for planned in &mut records {
            // An order to delete one of two copies is never written.
            let flags = planned.record.internal_flags;
            planned.record.internal_flags = flags.without(InternalFlags::NEEDS_CLEANUP);
        }
        let tombstone = self.highestmodseq;
        for pruned in self.wanted.iter_mut().filter(|wanted| wanted.is_pruned()) {
            pruned.tombstone = tombstone;
        }
        let used_before =
            self.evidence.index.header.as_ref().map(|header| header.quota_mailbox_used);
        Some(Rewrite {
            elsewhere: Elsewhere {
                // A cyrus.header made anew has no quota root: `quota -f` finds it.
                quota: used_before != Some(header.quota_mailbox_used)
                    || !matches!(self.evidence.header_file, HeaderFileEvidence::Sound { .. }),
                conversations,
            },
            layout,
            header: IndexHeader {
                generation_no: self.next_generation(),
                options: header.options & options::SAFE_MASK,
                ..header
            },
            records,
            replace_spool_cache: self.stale_spool_cache,
            replace_archive_cache: self.stale_archive_cache,
            shares_cache: self.evidence.shares_cache,
            header_file: self.header_file.take(),
            file_steps: std::mem::take(&mut self.file_steps),
            wanted: self.wanted.iter().filter(|wanted| wanted.is_acted_on()).cloned().collect(),
            set_aside,
        })
    }

    /// Gives every changed or added record one modseq above all earlier ones.
    fn stamp_changes(&mut self) {
        if !self.drafts.iter().any(|draft| draft.changed) {
            return;
        }
        self.highestmodseq = ModSeq(self.highestmodseq.0.saturating_add(1));
        for draft in self.drafts.iter_mut().filter(|draft| draft.changed) {
            draft.record.modseq = self.highestmodseq;
            if draft.record.createdmodseq == ModSeq(0) {
                draft.record.createdmodseq = self.highestmodseq;
            }
        }
    }

    /// What stands in the place of a cache and is no file must go, messages or not: the server could
    /// deliver nothing.
    fn replace_irregular_caches(&mut self) {
        self.stale_spool_cache |= self.evidence.spool_cache.irregular;
        self.stale_archive_cache |= self.evidence.archive_cache.is_some_and(|file| file.irregular);
    }

    fn report_missing_caches(&mut self) {
        let files = [
            (self.stale_spool_cache, Some(self.evidence.spool_cache), "spool"),
            (self.stale_archive_cache, self.evidence.archive_cache, "archive"),
        ];
        for (stale, file, place) in files {
            // With the index gone too, the cache is made anew as a matter of course.
            let expected =
                !self.evidence.index.slots.is_empty() || file.is_some_and(|file| file.irregular);
            if stale && expected && file.is_none_or(|file| file.generation.is_none()) {
                let detail =
                    format!("the cache of the {place} is missing or does not begin as one");
                self.find(Code::CacheMissing, Remedy::Repair, detail);
            }
        }
    }

    /// Gives every record the offset that its cache item will have.
    fn place_in_caches(&mut self) -> Vec<PlannedRecord> {
        let (mut spool_end, mut archive_end) = (CACHE_HEADER, CACHE_HEADER);
        let shares_cache = self.evidence.shares_cache;
        let (replace_spool, replace_archive) = (self.stale_spool_cache, self.stale_archive_cache);
        let place = |Draft { mut record, cache, .. }: Draft| {
            let (replaced, end) = match Place::of_cache(&record, shares_cache) {
                Place::Spool => (replace_spool, &mut spool_end),
                Place::Archive => (replace_archive, &mut archive_end),
            };
            let len = match cache {
                CacheSource::Old { len, .. } => len,
                CacheSource::Staged(staged) => staged.len,
                CacheSource::None => 0,
            };
            if replaced {
                record.cache_offset = if len == 0 { 0 } else { *end };
                *end = end.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
            }
            PlannedRecord { record, cache }
        };
        std::mem::take(&mut self.drafts).into_iter().map(place).collect()
    }

    fn header(&mut self, layout: &'static Layout, records: &[PlannedRecord]) -> IndexHeader {
        let index = &self.evidence.index;
        let mut header = match &index.header {
            Some(header) if index.header_proven => header.clone(),
            doubtful => self.fresh_header(doubtful.as_ref(), records),
        };
        let wiped = header.options & options::MAILBOX_DELETED != 0;
        if wiped && self.evidence.witnesses.listed {
            let detail = "the header says deleted, which orders the server to wipe the directory; \
                          mailboxes.db lists the mailbox, so the order is cleared";
            self.find(Code::HeaderOptions, Remedy::Repair, detail);
            header.options &= options::SAFE_MASK;
        }
        if !self.file_steps.arrivals.is_empty() {
            header.last_appenddate = self.policy.now;
        }
        header.last_uid = self.last_uid;
        header.highestmodseq = self.highestmodseq;
        if self.stale_spool_cache || self.stale_archive_cache {
            header.leaked_cache_records = 0;
        }
        self.settle_deletedmodseq(&mut header);
        self.settle_header_crc(&mut header);
        let flag_names = self.current_header_file().map(|file| file.flag_names).unwrap_or_default();
        let annotations =
            self.evidence.annotations_whole.then_some(self.evidence.annotations.as_slice());
        let totals = Totals::of(layout, records, annotations, &flag_names);
        let differences = totals.differences(layout, &header);
        if index.header_proven && !differences.is_empty() && self.records_stand(records) {
            self.find(Code::HeaderCounts, Remedy::Repair, differences.join(", "));
        }
        totals.apply(&mut header);
        header.num_records = u32::try_from(records.len()).unwrap_or(u32::MAX);
        header
    }

    /// A header for a mailbox whose own is gone or fails its CRC.
    fn fresh_header(
        &mut self,
        doubtful: Option<&IndexHeader>,
        records: &[PlannedRecord],
    ) -> IndexHeader {
        let witnesses = &self.evidence.witnesses;
        let createdmodseq = witnesses.createdmodseq;
        self.report_older_list();
        let witnesses = &self.evidence.witnesses;
        let uidvalidity = witnesses
            .uidvalidity
            .filter(|uidvalidity| uidvalidity.0 != 0)
            .unwrap_or_else(|| self.unlisted_uidvalidity(doubtful));
        let newest = records.iter().map(|planned| planned.record.internaldate).max();
        IndexHeader {
            uidvalidity,
            options: options::POP3_NEW_UIDL,
            last_appenddate: newest.unwrap_or_default(),
            createdmodseq: createdmodseq.unwrap_or(self.highestmodseq),
            deletedmodseq: self.unproven_deletedmodseq(doubtful),
            ..IndexHeader::default()
        }
    }

    /// The UIDVALIDITY of a mailbox of which mailboxes.db tells none: that of a header that fails
    /// its CRC, where it is a time in the past as Cyrus makes it, else a new one.
    fn unlisted_uidvalidity(&mut self, doubtful: Option<&IndexHeader>) -> UidValidity {
        let now = u32::try_from(self.policy.now.seconds()).unwrap_or(u32::MAX);
        let claimed = doubtful.map(|header| header.uidvalidity);
        if let Some(claimed) = claimed.filter(|claimed| (1..=now).contains(&claimed.0)) {
            let detail =
                format!("only the damaged header tells the UIDVALIDITY, {claimed}; it is believed");
            self.find(Code::UidvalidityUnproven, Remedy::Note, detail);
            return claimed;
        }
        let detail = format!("nothing tells the UIDVALIDITY; it is {now}, so clients fetch anew");
        self.find(Code::UidvalidityUnproven, Remedy::Note, detail);
        UidValidity(now)
    }

    /// A destroyed record that no file replaces may have been a tombstone: clients that ask for
    /// what vanished must then compare everything. On a replicated store the number stays, because
    /// a high one would expunge messages on the replica.
    fn settle_deletedmodseq(&self, header: &mut IndexHeader) {
        let destroyed =
            self.evidence.index.unproven_slots() > 0 || self.evidence.index.truncated_slots > 0;
        if destroyed && !self.evidence.witnesses.replicated {
            header.deletedmodseq = self.highestmodseq;
        }
    }

    /// The number for a mailbox whose own is lost; on a replicated store never more than it was.
    fn unproven_deletedmodseq(&self, doubtful: Option<&IndexHeader>) -> ModSeq {
        if !self.evidence.witnesses.replicated {
            return self.highestmodseq;
        }
        let claimed = doubtful.map(|header| header.deletedmodseq);
        claimed.filter(|&claimed| claimed <= self.highestmodseq).unwrap_or_default()
    }

    fn settle_header_crc(&mut self, header: &mut IndexHeader) {
        let crc = match (&self.header_file, &self.evidence.header_file) {
            (Some(file), _) => crc32fast::hash(&file.encode()),
            (None, HeaderFileEvidence::Sound { crc, .. }) => *crc,
            (None, _) => header.header_file_crc,
        };
        let stored = header.header_file_crc;
        let proven = self.evidence.index.header_proven;
        if proven && self.header_file.is_none() && stored != 0 && stored != crc {
            let detail = format!("the index holds {stored:08x}, cyrus.header has {crc:08x}");
            self.find(Code::HeaderFileCrc, Remedy::Repair, detail);
        }
        if stored != 0 || !proven {
            header.header_file_crc = crc;
        }
    }

    /// Whether the records on disk are the planned ones, in order.
    fn records_stand(&self, records: &[PlannedRecord]) -> bool {
        let index = &self.evidence.index;
        index.truncated_slots == 0
            && index.repaired_slots.is_empty()
            && !index.displaced
            && index.slots.len() == records.len()
            && index
                .slots
                .iter()
                .zip(records)
                .all(|(slot, planned)| *slot == Slot::Record(planned.record))
    }

    /// Whether the header on disk is the planned one, as far as its version can tell.
    fn header_stands(&self, layout: &'static Layout, planned: &IndexHeader) -> bool {
        let index = &self.evidence.index;
        index.header_proven
            && index.header_repair.is_none()
            && index
                .header
                .as_ref()
                .is_some_and(|header| header.encode(layout) == planned.encode(layout))
    }

    /// A generation above every known one, so that sessions notice the replaced index.
    fn next_generation(&self) -> u32 {
        let caches = [Some(self.evidence.spool_cache), self.evidence.archive_cache];
        caches
            .into_iter()
            .flatten()
            .filter_map(|cache| cache.generation)
            .chain(self.evidence.index.header.as_ref().map(|header| header.generation_no))
            .filter(|&generation| generation < u32::MAX / 2)
            .max()
            .map_or(FRESH_GENERATION, |known| known.saturating_add(1))
    }
}

/// The name of a keyword whose own is lost: an IMAP atom that tells its slot.
fn placeholder_keyword(slot: usize) -> String {
    format!("$RecoveredKeyword{slot}")
}
