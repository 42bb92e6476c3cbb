//! Versions before 12, which have no CRC: records on the grid, told by their UIDs.

use super::super::doubtful::DoubtfulRecord;
use super::super::file::Slots;
use super::super::header::IndexHeader;
use super::super::layout::Layout;
use super::super::record::IndexRecord;
use super::members::sums_agree;
use super::{HeaderState, Salvaged, SalvagedSlot};
use crate::Uid;

/// Fewer records than these do not show that a file without a readable header is an index.
const FEWEST: usize = 3;

/// Reads a file whose header names a version without CRC.
pub(super) fn read(bytes: &[u8], layout: &'static Layout) -> Option<Salvaged> {
    let header = IndexHeader::decode_with(bytes, layout).ok()?;
    let records: Vec<IndexRecord> = Slots::new(bytes, layout).map(|slot| slot.record).collect();
    let highest = ceiling(&records, header.last_uid);
    let in_order = longest_ascending(&records, |record| record.is_sane() && record.uid <= highest);
    let mut slots = judged(bytes, layout, &in_order);
    let count = usize::try_from(header.num_records).unwrap_or(usize::MAX);
    let last = in_order.iter().rposition(|sound| *sound).and_then(|last| records.get(last));
    let complete = last.is_some_and(|record| record.uid >= header.last_uid);
    let missing = if complete { 0 } else { count.saturating_sub(slots.len()) };
    if !count_is_wrong(&slots, count, &header, layout) {
        slots.truncate(count);
    }
    let header_state = HeaderState::Sound;
    Some(Salvaged { header: Some(header), missing, slots, ..Salvaged::new(layout, header_state) })
}

/// Reads a file whose header is lost: only where the records show beyond doubt what they are.
pub(super) fn guess(bytes: &[u8]) -> Option<Salvaged> {
    let layouts = Layout::ALL.into_iter().filter(|layout| !layout.has_crc());
    let read = layouts.map(|layout| {
        let records: Vec<IndexRecord> = Slots::new(bytes, layout).map(|slot| slot.record).collect();
        (layout, longest_ascending(&records, IndexRecord::is_plainly_one))
    });
    let sound = |in_order: &[bool]| in_order.iter().filter(|sound| **sound).count();
    let (layout, in_order) = read.max_by_key(|(_, in_order)| sound(in_order))?;
    if sound(&in_order) < FEWEST || sound(&in_order) < in_order.len().div_ceil(2) {
        return None;
    }
    let header = IndexHeader::decode_with(bytes, layout).ok();
    let slots = judged(bytes, layout, &in_order);
    Some(Salvaged { header, slots, ..Salvaged::new(layout, HeaderState::Doubtful) })
}

/// The highest UID a record can have: the last one given out, unless most records belie it.
fn ceiling(records: &[IndexRecord], last_uid: Uid) -> Uid {
    let sane = || records.iter().filter(|record| record.is_sane());
    let above = sane().filter(|record| record.uid > last_uid).count();
    if above > sane().count().saturating_sub(above) { Uid(u32::MAX) } else { last_uid }
}

fn judged(bytes: &[u8], layout: &'static Layout, in_order: &[bool]) -> Vec<SalvagedSlot> {
    let slots = Slots::new(bytes, layout).zip(in_order).map(|(slot, sound)| match sound {
        true => SalvagedSlot::Sound(slot.record),
        false if slot.record.looks_like_one() => {
            SalvagedSlot::Doubtful(Box::new(DoubtfulRecord::new(layout, slot.bytes, 0)))
        }
        false => SalvagedSlot::Destroyed,
    });
    slots.collect()
}

/// Whether the header's sums are those of all records and not those of the ones it counts. Nothing
/// less makes bytes behind the last counted record members, where no CRC speaks for them.
fn count_is_wrong(
    slots: &[SalvagedSlot],
    count: usize,
    header: &IndexHeader,
    layout: &Layout,
) -> bool {
    let agrees = |slots: &[SalvagedSlot]| sums_agree(slots, header, layout);
    slots.get(..count).is_some_and(|counted| !agrees(counted)) && agrees(slots)
}

/// Of each record, whether it belongs to the longest sequence of eligible ones with ascending UIDs:
/// one record with a wrong UID then costs itself only.
fn longest_ascending(
    records: &[IndexRecord],
    eligible: impl Fn(&IndexRecord) -> bool,
) -> Vec<bool> {
    // Of all sequences of length n + 1 the one that ends lowest ends at `ends[n]`.
    let mut ends: Vec<(Uid, usize)> = Vec::new();
    let mut before = vec![None; records.len()];
    for (at, record) in records.iter().enumerate().filter(|(_, record)| eligible(record)) {
        let shorter = ends.partition_point(|(uid, _)| *uid < record.uid);
        let previous = shorter.checked_sub(1).and_then(|longest| ends.get(longest));
        if let Some(place) = before.get_mut(at) {
            *place = previous.map(|(_, at)| *at);
        }
        match ends.get_mut(shorter) {
            Some(end) => *end = (record.uid, at),
            None => ends.push((record.uid, at)),
        }
    }
    let mut chosen = vec![false; records.len()];
    let mut next = ends.last().map(|(_, at)| *at);
    while let Some(at) = next {
        if let Some(place) = chosen.get_mut(at) {
            *place = true;
        }
        next = before.get(at).copied().flatten();
    }
    chosen
}
