//! What can be had of bytes between whole records.

use super::super::doubtful::DoubtfulRecord;
use super::super::layout::Layout;
use super::super::record::IndexRecord;
use super::super::syndrome::{flip_back, join};
use super::SalvagedSlot;
use super::pieces::read_covered;

/// Reads bytes in the place of one record that are no record by their CRC.
#[derive(Clone, Copy)]
pub(super) struct RecordReader {
    pub(super) layout: &'static Layout,
    pub(super) covered: usize,
}

impl RecordReader {
    pub(super) fn sane(self, raw: &[u8]) -> Option<IndexRecord> {
        read_covered(self.layout, raw).filter(IndexRecord::is_sane)
    }

    /// The record that these bytes are but for one bit.
    fn repaired(self, raw: &[u8]) -> Option<SalvagedSlot> {
        let mut bytes = [0; Layout::LARGEST_RECORD];
        let bytes = bytes.get_mut(..raw.len())?;
        bytes.copy_from_slice(raw);
        let record = flip_back(bytes, self.covered).then(|| self.sane(bytes))?;
        record.map(SalvagedSlot::Repaired)
    }

    /// These bytes of a record from `start` on, where they look like it.
    pub(super) fn doubtful(self, raw: &[u8], start: usize) -> Option<SalvagedSlot> {
        let doubtful = DoubtfulRecord::new(self.layout, raw, start);
        let one_byte = raw.iter().all(|byte| Some(byte) == raw.first());
        (!one_byte && doubtful.fields().looks_like_one())
            .then(|| SalvagedSlot::Doubtful(Box::new(doubtful)))
    }

    pub(super) fn slot(self, raw: &[u8]) -> SalvagedSlot {
        let read = self.repaired(raw).or_else(|| self.doubtful(raw, 0));
        read.unwrap_or(SalvagedSlot::Destroyed)
    }

    /// The record into which foreign bytes were inserted.
    fn torn(self, bytes: &[u8]) -> Option<SalvagedSlot> {
        let (front, _) = bytes.split_at_checked(self.layout.record_size)?;
        let (_, back) = bytes.split_at_checked(bytes.len().checked_sub(front.len())?)?;
        let raw = join(front, back, self.covered)?;
        self.sane(&raw).map(SalvagedSlot::Repaired)
    }
}

/// A stretch in which bytes were lost or inserted: up to that place the grid of what is before it
/// holds, from there on the grid of what follows.
pub(super) struct Stretch<'a> {
    front: Vec<SalvagedSlot>,
    rest: &'a [u8],
    /// From the end on.
    back: Vec<SalvagedSlot>,
    torn: Option<SalvagedSlot>,
}

impl<'a> Stretch<'a> {
    /// Takes off `bytes`, from both ends, what its CRC proves but for a bit, and the one record
    /// that may be torn apart in between.
    pub(super) fn proven(reader: RecordReader, bytes: &'a [u8]) -> Self {
        let mut stretch = Self { front: Vec::new(), rest: bytes, back: Vec::new(), torn: None };
        stretch.peel(reader.layout.record_size, |raw| reader.repaired(raw));
        stretch.torn = reader.torn(stretch.rest);
        stretch
    }

    /// Whether the end of the stretch is proven to be where a record ends.
    pub(super) fn holds_at_end(&self) -> bool {
        self.torn.is_some() || !self.back.is_empty()
    }

    /// All that can be had of the stretch; one slot at least, for something is not where it was.
    pub(super) fn slots(mut self, reader: RecordReader) -> Vec<SalvagedSlot> {
        if let Some(torn) = self.torn.take() {
            self.front.push(torn);
        } else {
            self.peel(reader.layout.record_size, |raw| reader.doubtful(raw, 0));
            self.keep_remains(reader);
        }
        self.front.extend(self.back.into_iter().rev());
        if self.front.is_empty() {
            self.front.push(SalvagedSlot::Destroyed);
        }
        self.front
    }

    fn peel(&mut self, size: usize, read: impl Fn(&[u8]) -> Option<SalvagedSlot>) {
        while let Some((raw, after)) = self.rest.split_at_checked(size)
            && let Some(slot) = read(raw)
        {
            self.front.push(slot);
            self.rest = after;
        }
        while let Some(before) = self.rest.len().checked_sub(size)
            && let Some((before, raw)) = self.rest.split_at_checked(before)
            && let Some(slot) = read(raw)
        {
            self.back.push(slot);
            self.rest = before;
        }
    }

    /// What looks like no whole record: destroyed ones, or the front of one and the end of one,
    /// between which bytes were lost.
    fn keep_remains(&mut self, reader: RecordReader) {
        let places = self.rest.chunks_exact(reader.layout.record_size);
        if places.len() > 0 {
            self.front.extend(places.map(|raw| reader.slot(raw)));
            return;
        }
        let start_of_end = reader.layout.record_size.saturating_sub(self.rest.len());
        let remains = [0, start_of_end].map(|start| reader.doubtful(self.rest, start));
        self.front.extend(remains.into_iter().flatten());
    }
}
