//! What the index header says of all records and annotations together.

use mailstore_format::header_file::FlagNames;
use mailstore_format::index::layout::HeaderField;
use mailstore_format::index::sync_crc::{self, SyncCrcDialect};
use mailstore_format::index::{Counts, IndexHeader, Layout, SyncCrcs, recount};
use mailstore_format::{Timestamp, Uid};

use super::PlannedRecord;
use crate::evidence::StoredAnnotation;

/// The derived fields of an index header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Totals {
    counts: Counts,
    /// The checksums in each dialect that the version can have been written in, likelier first.
    sync_crcs: [SyncCrcs; 2],
    quota_annot_used: u64,
    /// Whether the annotations could be read; else what is stored about them stays.
    annotations_known: bool,
}

impl Totals {
    pub(super) fn of(
        layout: &Layout,
        planned: &[PlannedRecord],
        annotations: Option<&[StoredAnnotation]>,
        flag_names: &FlagNames,
    ) -> Self {
        let records = || planned.iter().map(|planned| &planned.record);
        let live = |uid: Uid| {
            uid == Uid(0)
                || planned
                    .binary_search_by_key(&uid, |planned| planned.record.uid)
                    .ok()
                    .and_then(|at| planned.get(at))
                    .is_some_and(|planned| !planned.record.is_expunged())
        };
        let known = annotations.unwrap_or_default();
        let annotations_known = annotations.is_some();
        let annotations: Vec<_> = known.iter().filter(|note| live(note.uid)).collect();
        let dialects = SyncCrcDialect::candidates(layout.version);
        let mut sync_crcs = sync_crc::of_records(records(), flag_names, dialects);
        for (crcs, dialect) in sync_crcs.iter_mut().zip(dialects) {
            let of_messages = annotations.iter().filter(|note| note.uid != Uid(0));
            for note in of_messages.filter(|note| !dialect.is_virtual(&note.entry)) {
                crcs.annot ^= sync_crc::annot(note.uid, &note.entry, &note.userid, &note.value);
            }
        }
        let quota_annot_used = annotations
            .iter()
            .map(|note| u64::try_from(note.value.len()).unwrap_or(u64::MAX))
            .fold(0, u64::saturating_add);
        Self { counts: recount(layout, records()), sync_crcs, quota_annot_used, annotations_known }
    }

    /// The checksums in the dialect that wrote `header`; where neither fits, the likelier one's.
    fn sync_crcs_like(&self, header: &IndexHeader) -> SyncCrcs {
        let [likelier, other] = self.sync_crcs;
        if header.sync_crcs.annot == other.annot { other } else { likelier }
    }

    /// In words, what `header` as stored in `layout` says differently.
    pub(super) fn differences(&self, layout: &Layout, header: &IndexHeader) -> Vec<String> {
        let mut differences: Vec<_> = self
            .counts
            .differences(header, layout)
            .iter()
            .map(|difference| {
                let (field, stored) = (difference.field, difference.stored);
                format!("{field:?} is {stored}, not {}", difference.computed)
            })
            .collect();
        let crcs = self.sync_crcs_like(header);
        let mut compare = |field, name: &str, stored: u64, computed: u64| {
            if layout.header_has(field) && stored != computed {
                differences.push(format!("{name} is {stored}, not {computed}"));
            }
        };
        let stored = header.sync_crcs;
        compare(HeaderField::SyncCrcBasic, "SyncCrcBasic", stored.basic.into(), crcs.basic.into());
        if !self.annotations_known {
            return differences;
        }
        compare(HeaderField::SyncCrcAnnot, "SyncCrcAnnot", stored.annot.into(), crcs.annot.into());
        let (stored, computed) = (header.quota_annot_used, self.quota_annot_used);
        compare(HeaderField::QuotaAnnotUsed, "QuotaAnnotUsed", stored, computed);
        differences
    }

    pub(super) fn apply(&self, header: &mut IndexHeader) {
        let crcs = self.sync_crcs_like(header);
        header.sync_crcs.basic = crcs.basic;
        self.counts.apply(header);
        if self.annotations_known {
            header.sync_crcs.annot = crcs.annot;
            header.quota_annot_used = self.quota_annot_used;
        }
        let oldest = self.counts.oldest_expunged;
        let unset = header.first_expunged == Timestamp::default();
        if oldest != Timestamp::default() && (unset || oldest < header.first_expunged) {
            header.first_expunged = oldest;
        }
    }
}
