//! The places of records in a file that is read by one layout.

use super::super::layout::Layout;
use super::SalvagedSlot;
use super::pieces::{Piece, Pieces};
use super::stretch::{RecordReader, Stretch};

/// The places, in file order.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) slots: Vec<SalvagedSlot>,
    /// Where no record is whole.
    pub(super) gaps: Vec<Gap>,
}

/// Places in a row none of which holds a whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// Its first slot.
    pub(super) slot: usize,
    /// How many slots it was taken for.
    pub(super) slots: usize,
    /// Whether it is no whole number of records long: bytes were lost or inserted.
    pub(super) uneven: bool,
}

impl Walk {
    /// The records of `layout` from `start` on, where the first is expected.
    pub(super) fn from(bytes: &[u8], layout: &'static Layout, start: usize) -> Self {
        let mut walk = Self::default();
        let room = bytes.len().saturating_sub(start).checked_div(layout.record_size);
        walk.slots.reserve_exact(room.unwrap_or(0));
        let covered = layout.record_crc_offset().unwrap_or(usize::MAX);
        let reader = RecordReader { layout, covered };
        for piece in Pieces::of(bytes, layout, start) {
            match piece {
                Piece::Record(record, _) => walk.slots.push(SalvagedSlot::Sound(record)),
                Piece::Gap(gap, uneven) => walk.fill_gap(reader, gap, uneven),
                Piece::Rest(rest) => walk.fill_rest(reader, rest),
            }
        }
        walk
    }

    /// Whether records lie elsewhere than one after the other.
    pub(super) fn is_uneven(&self) -> bool {
        self.gaps.iter().any(|gap| gap.uneven)
    }

    fn fill_gap(&mut self, reader: RecordReader, gap: &[u8], uneven: bool) {
        if uneven {
            self.push_gap(Stretch::proven(reader, gap).slots(reader), true);
        } else {
            let places = gap.chunks_exact(reader.layout.record_size);
            self.push_gap(places.map(|raw| reader.slot(raw)), false);
        }
    }

    /// The end of a file tells where records end only if one is found there. Else the grid of what
    /// is before it holds, and at its end is the front of a record that was cut.
    fn fill_rest(&mut self, reader: RecordReader, rest: &[u8]) {
        let uneven = !rest.len().is_multiple_of(reader.layout.record_size);
        let stretch = uneven.then(|| Stretch::proven(reader, rest));
        if let Some(stretch) = stretch.filter(Stretch::holds_at_end) {
            self.push_gap(stretch.slots(reader), true);
            return;
        }
        let places = rest.chunks_exact(reader.layout.record_size);
        let cut = reader.doubtful(places.remainder(), 0);
        self.push_gap(places.map(|raw| reader.slot(raw)).chain(cut), false);
    }

    fn push_gap(&mut self, slots: impl IntoIterator<Item = SalvagedSlot>, uneven: bool) {
        let slot = self.slots.len();
        self.slots.extend(slots);
        let slots = self.slots.len().saturating_sub(slot);
        self.gaps.push(Gap { slot, slots, uneven });
    }
}

/// How well a layout fits a file: what [`Walk`] would find, without the memory for it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Survey {
    /// Records that are whole.
    pub(super) whole: usize,
    /// Gaps between them that are no whole number of records long.
    pub(super) breaks: usize,
    /// Bytes that are in no whole record.
    pub(super) unread: usize,
    /// Where the first whole record begins.
    pub(super) first: Option<usize>,
}

impl Survey {
    /// Looks for the records of `layout` from `start` on, where the first is expected.
    pub(super) fn of(bytes: &[u8], layout: &'static Layout, start: usize) -> Self {
        let mut survey = Self::default();
        let mut pieces = Pieces::of(bytes, layout, start);
        for piece in pieces.by_ref() {
            match piece {
                Piece::Record(_, at) => {
                    survey.first = survey.first.or(Some(at));
                    survey.whole = survey.whole.saturating_add(1);
                }
                Piece::Gap(gap, uneven) => {
                    survey.breaks = survey.breaks.saturating_add(uneven.into());
                    survey.unread = survey.unread.saturating_add(gap.len());
                }
                Piece::Rest(rest) => survey.unread = survey.unread.saturating_add(rest.len()),
            }
        }
        // The unused end of a last record may be cut off, but is not likely to be.
        survey.unread = survey.unread.saturating_add(pieces.at.saturating_sub(bytes.len()));
        survey
    }
}
