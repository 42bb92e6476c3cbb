//! Proof by the checksum of all messages' state, in which keywords count by name: only where every
//! record is there as the checksum knew it.

use mailstore_format::UserFlags;
use mailstore_format::header_file::FlagNames;
use mailstore_format::index::layout::HeaderField;
use mailstore_format::index::{IndexRecord, SyncCrcs, sync_crc};

use super::candidates::{Candidates, pools};
use crate::evidence::IndexEvidence;

/// Checksums of single records that are computed at most.
const WORK: usize = 400_000;

/// The names of all slots that are set on messages, where they are proved. Of the others nothing is.
pub(super) fn prove(index: &IndexEvidence, candidates: &Candidates) -> Option<FlagNames> {
    let mut search = Search::of(index)?;
    for list in &candidates.lists {
        let names: Option<Vec<&[u8]>> = search.slots.iter().map(|&slot| list.get(slot)).collect();
        if let Some(found) = names.and_then(|names| search.attempt(&names)) {
            return Some(found);
        }
    }
    candidates.certain().iter().find_map(|certain| {
        let open = search.slots.iter().filter(|&&slot| certain.get(slot).is_none()).count();
        pools(&candidates.names, open)
            .find_map(|names| search.combine(certain, names, &mut Vec::new()))
    })
}

/// Whether the checksum is that of messages with these keywords; none where it cannot tell, as where
/// no message has any.
pub(super) fn confirms(index: &IndexEvidence, names: &FlagNames) -> Option<bool> {
    let mut search = Search::of(index)?;
    let of_slots: Option<Vec<&[u8]>> = search.slots.iter().map(|&slot| names.get(slot)).collect();
    Some(of_slots.and_then(|of_slots| search.attempt(&of_slots)).is_some())
}

/// The records, divided into those whose checksum is known and those that keywords change.
struct Search<'a> {
    records: Vec<&'a IndexRecord>,
    slots: Vec<usize>,
    expected: u32,
    attempts: usize,
}

impl<'a> Search<'a> {
    /// None where the checksum is of other records than are left, or tells of no keyword.
    fn of(index: &'a IndexEvidence) -> Option<Self> {
        let header = index.header.as_ref().filter(|_| index.header_proven)?;
        index.layout.filter(|layout| layout.header_has(HeaderField::SyncCrcBasic))?;
        let all: Option<Vec<_>> = (0..index.slots.len()).map(|slot| index.record(slot)).collect();
        let all = all.filter(|_| index.truncated_slots == 0)?;
        let live = all.into_iter().filter(|record| !record.is_expunged());
        let (plain, records): (Vec<&IndexRecord>, Vec<&IndexRecord>) =
            live.partition(|record| record.user_flags == UserFlags::default());
        let used = records
            .iter()
            .fold(UserFlags::default(), |used, record| used.union(&record.user_flags));
        let none = FlagNames::default();
        let crc_of_plain = plain.into_iter().map(|record| sync_crc::basic(record, &none));
        let rest = crc_of_plain.fold(SyncCrcs::INITIAL.basic, |all, crc| all ^ crc);
        let attempts = WORK.checked_div(records.len())?;
        let expected = header.sync_crcs.basic ^ rest;
        Some(Self { records, slots: used.slots().collect(), expected, attempts })
    }

    /// The names by slot, where they give the checksum.
    fn attempt(&mut self, names: &[&[u8]]) -> Option<FlagNames> {
        self.attempts = self.attempts.checked_sub(1)?;
        let mut found = FlagNames::default();
        for (&slot, name) in self.slots.iter().zip(names) {
            found.set(slot, Some(name.to_vec()));
        }
        let crcs = self.records.iter().map(|record| sync_crc::basic(record, &found));
        (crcs.fold(0, |all, crc| all ^ crc) == self.expected).then_some(found)
    }

    /// Combines names; slots that have a certain one have that.
    fn combine<'n>(
        &mut self,
        certain: &'n FlagNames,
        names: &'n [Vec<u8>],
        chosen: &mut Vec<&'n [u8]>,
    ) -> Option<FlagNames> {
        let Some(&slot) = self.slots.get(chosen.len()) else { return self.attempt(chosen) };
        let own = certain.get(slot);
        let others = names.iter().map(Vec::as_slice).filter(|_| own.is_none());
        for name in own.into_iter().chain(others) {
            if self.attempts == 0 {
                return None;
            }
            let taken = chosen.iter().any(|other| other.eq_ignore_ascii_case(name));
            if !taken {
                chosen.push(name);
                let found = self.combine(certain, names, chosen);
                if found.is_some() {
                    return found;
                }
                chosen.pop();
            }
        }
        None
    }
}
