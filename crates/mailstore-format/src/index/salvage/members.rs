//! Which of the records in a file its header counts, and how many of those it counts are lost.
//!
//! The rule, for a proven header that counts fewer places than there are:
//! - Where the header's sums (messages, flags, bytes) are those of the records it counts and not
//!   those of all, the rest is beyond: an append whose header was never written.
//! - Where they are those of all records and not those of the ones it counts, its count is wrong.
//! - Else a record behind the counted ones is beyond if its UID is above the last one that the
//!   header knows to be given out: a message gets its UID and its place in the count at once.
//! - Where bytes were lost or inserted, places cannot be counted off: the UID alone decides.
//!
//! Where it counts more, the others were in the gaps, as many as there are UIDs for, or behind the
//! last record; but nothing was behind a record with the last UID.

use super::super::counts::recount;
use super::super::header::IndexHeader;
use super::super::layout::{HeaderField, Layout, RecordField};
use super::super::record::IndexRecord;
use super::SalvagedSlot;
use super::walk::{Gap, Walk};
use crate::Uid;

/// No more places of lost records are told of one by one, whatever a header counts.
const MOST_PLACES: usize = 1 << 16;

/// The places that the header counts, and what it does not.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) slots: Vec<SalvagedSlot>,
    pub(super) beyond: Vec<IndexRecord>,
    /// Records that are counted and were behind all that is left.
    pub(super) missing: usize,
    /// Whether foreign bytes have the room of whole records.
    pub(super) padded: bool,
}

/// Compares what was found with what a proven header counts.
pub(super) fn counted(walk: Walk, header: &IndexHeader, layout: &Layout) -> Members {
    let count = usize::try_from(header.num_records).unwrap_or(usize::MAX);
    match count.checked_sub(walk.slots.len()) {
        Some(0) => Members { slots: walk.slots, ..Members::default() },
        Some(missing) => with_lost(&walk, missing, header.last_uid),
        None => without_surplus(walk, count, header, layout),
    }
}

fn with_lost(walk: &Walk, missing: usize, last_uid: Uid) -> Members {
    let complete = walk.slots.iter().rev().find_map(SalvagedSlot::record);
    let complete = complete.is_some_and(|record| record.uid >= last_uid);
    let uneven = walk.gaps.iter().any(|gap| gap.uneven);
    let holes = walk.gaps.iter().filter(|gap| gap.uneven || complete && !uneven);
    let (mut left, mut slots) = (MOST_PLACES.min(missing), Vec::new());
    let mut placed = 0_usize;
    let mut from = 0_usize;
    for hole in holes {
        let end = hole.slot.saturating_add(hole.slots);
        slots.extend_from_slice(walk.slots.get(from..end).unwrap_or(&[]));
        let room = room_for_lost(&walk.slots, *hole, last_uid).min(missing).min(left);
        slots.extend(std::iter::repeat_n(SalvagedSlot::Destroyed, room));
        left = left.saturating_sub(room);
        placed = placed.saturating_add(room);
        from = end;
    }
    slots.extend_from_slice(walk.slots.get(from..).unwrap_or(&[]));
    let missing = if complete { 0 } else { missing.saturating_sub(placed) };
    Members { slots, missing, ..Members::default() }
}

/// How many UIDs there are in a gap beyond those of the places seen in it. With several gaps each
/// gets all that it can: a UID too many that may be kept does less harm than one too few.
fn room_for_lost(slots: &[SalvagedSlot], gap: Gap, last_uid: Uid) -> usize {
    let uid_of =
        |at: usize| slots.get(at).and_then(SalvagedSlot::record).map(|record| record.uid.0);
    let before = gap.slot.checked_sub(1).and_then(uid_of).unwrap_or(0);
    let after = uid_of(gap.slot.saturating_add(gap.slots)).unwrap_or(last_uid.0.saturating_add(1));
    let between = after.saturating_sub(before).saturating_sub(1);
    usize::try_from(between).unwrap_or(usize::MAX).saturating_sub(gap.slots)
}

fn without_surplus(walk: Walk, count: usize, header: &IndexHeader, layout: &Layout) -> Members {
    let Walk { mut slots, gaps, .. } = walk;
    let uneven = gaps.iter().any(|gap| gap.uneven);
    let counted = (!uneven).then_some(count);
    let end = end_of_members(&slots, counted, header, layout);
    let beyond = slots.split_off(end.min(slots.len()));
    let beyond = beyond.iter().filter_map(SalvagedSlot::record).copied().collect();
    let surplus = slots.len().saturating_sub(count);
    let records = slots.iter().filter(|slot| slot.record().is_some()).count();
    let mut padded = false;
    if surplus > 0 && records < slots.len() {
        let known: Vec<_> = slots.iter().filter(|slot| slot.record().is_some()).cloned().collect();
        if records == count && sums_agree(&known, header, layout) {
            (slots, padded) = (known, true);
        } else if let ([gap], true) = (gaps.as_slice(), records < count) {
            padded = drop_surplus(&mut slots, *gap, surplus);
        }
    }
    Members { slots, beyond, missing: 0, padded }
}

/// Where the places end that the header counts, or would if its count were right.
fn end_of_members(
    slots: &[SalvagedSlot],
    counted: Option<usize>,
    header: &IndexHeader,
    layout: &Layout,
) -> usize {
    if let Some(first) = counted.and_then(|counted| slots.get(..counted)) {
        match (sums_agree(first, header, layout), sums_agree(slots, header, layout)) {
            (true, false) => return first.len(),
            (false, true) => return slots.len(),
            _ => {}
        }
    }
    let given_out =
        |slot: &SalvagedSlot| slot.record().is_some_and(|record| record.uid <= header.last_uid);
    let last = slots.iter().rposition(given_out).map_or(0, |at| at.saturating_add(1));
    last.max(counted.unwrap_or(0))
}

/// Whether these are all records, and the header's sums are theirs.
pub(super) fn sums_agree(slots: &[SalvagedSlot], header: &IndexHeader, layout: &Layout) -> bool {
    if slots.iter().any(|slot| slot.record().is_none()) {
        return false;
    }
    let counts = recount(layout, slots.iter().filter_map(SalvagedSlot::record));
    let differences = counts.differences(header, layout);
    differences.iter().all(|difference| difference.field == HeaderField::NumRecords)
}

/// Takes `surplus` places out of the only gap: first those of which nothing is left, then ends of
/// records, each of which may be that of the record whose front is there. Tells whether there were
/// any.
fn drop_surplus(slots: &mut Vec<SalvagedSlot>, gap: Gap, surplus: usize) -> bool {
    let before = slots.len();
    let places = gap.slot..gap.slot.saturating_add(gap.slots);
    let is_destroyed = |slot: &SalvagedSlot| matches!(slot, SalvagedSlot::Destroyed);
    let is_end = |slot: &SalvagedSlot| matches!(slot, SalvagedSlot::Doubtful(doubtful) if !doubtful.has(RecordField::Uid));
    let mut left = surplus;
    for is_surplus in [&is_destroyed as &dyn Fn(&SalvagedSlot) -> bool, &is_end] {
        let mut at = 0_usize;
        slots.retain(|slot| {
            let drop = left > 0 && places.contains(&at) && is_surplus(slot);
            at = at.saturating_add(1);
            left = left.saturating_sub(drop.into());
            !drop
        });
    }
    slots.len() < before
}
