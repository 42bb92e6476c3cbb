//! Where in the index records are missing that files without a record can have had.

use std::collections::HashSet;

use mailstore_format::Uid;

use crate::evidence::{Evidence, IndexEvidence, Slot};

/// How many destroyed record slots lie between which UIDs.
///
/// Gap `n` lies below the `n`-th UID that has a record; the last gap lies above all of them.
pub(super) struct FreeSlots {
    uids: Vec<Uid>,
    free: Vec<u64>,
    /// Above this one nothing is known to be missing, where the index is not an older one.
    last_uid: Option<Uid>,
    is_older: bool,
}

impl FreeSlots {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let index = &evidence.index;
        let mut uids = Vec::new();
        let mut free = vec![0_u64];
        let mut seen = HashSet::new();
        for slot in &index.slots {
            // A record that is there twice stands in place of another.
            let is_lost = match slot {
                Slot::Destroyed | Slot::Doubtful(_) => true,
                Slot::Record(record) => !seen.insert(record.uid),
            };
            match slot {
                _ if is_lost => {
                    if let Some(last) = free.last_mut() {
                        *last += 1;
                    }
                }
                // A record out of order bounds no gap.
                Slot::Record(record) if uids.last().is_none_or(|&last| last < record.uid) => {
                    uids.push(record.uid);
                    free.push(0);
                }
                _ => {}
            }
        }
        if !keeps_places(index) {
            // Only how many records are lost is known, not where.
            uids = Vec::new();
            free = vec![free.iter().sum()];
        }
        if let Some(last) = free.last_mut() {
            // No count that could be believed says how many records stood behind the last one.
            let cut_off = if index.header_proven && !counts_too_few(index) {
                u64::try_from(index.truncated_slots).unwrap_or(u64::MAX)
            } else {
                u64::MAX
            };
            *last = last.saturating_add(cut_off);
        }
        if evidence.index_trust.is_foreign() {
            free.fill(u64::MAX); // Nothing tells how many records there were anywhere.
        }
        let header = index.header.as_ref().filter(|_| index.header_proven);
        let last_uid = header.map(|header| header.last_uid);
        Self { uids, free, last_uid, is_older: evidence.index_trust.is_older() }
    }

    /// Whether there can have been a record of this UID that is missing.
    pub(super) fn may_miss(&self, uid: Uid) -> bool {
        if self.last_uid.is_some_and(|last| last < uid) {
            return self.is_older;
        }
        self.free_in(self.gap_of(uid)) > 0
    }

    pub(super) fn gap_of(&self, uid: Uid) -> usize {
        self.uids.partition_point(|&known| known < uid)
    }

    pub(super) fn free_in(&self, gap: usize) -> u64 {
        self.free.get(gap).copied().unwrap_or(0)
    }
}

/// Whether the header counts fewer records than are there: then it does not tell how many there were.
fn counts_too_few(index: &IndexEvidence) -> bool {
    let counted = index.header.as_ref().map_or(0, |header| header.num_records);
    usize::try_from(counted).is_ok_and(|counted| counted < index.slots.len())
}

/// Whether a destroyed record stands where it was: not where records were lost with their bytes, nor
/// where they are out of order.
pub(super) fn keeps_places(index: &IndexEvidence) -> bool {
    let uids = (0..index.slots.len()).filter_map(|slot| index.record(slot)).map(|it| it.uid);
    !index.displaced && uids.is_sorted_by(|one, next| one < next)
}
