//! A file as whole records and what lies between them: along the grid as long as it holds, and on
//! from the next whole record where it does not.

use super::super::layout::Layout;
use super::super::record::IndexRecord;
use super::super::syndrome::{STORED, syndrome};
use super::scan::BlockScanner;
use crate::Uid;

/// A piece of a file.
pub(super) enum Piece<'a> {
    /// A record that is whole by its CRC, and its offset.
    Record(IndexRecord, usize),
    /// Bytes without a whole record between two of them, and whether they are no whole number of
    /// records long.
    Gap(&'a [u8], bool),
    /// Bytes without a whole record, up to the end of the file.
    Rest(&'a [u8]),
}

/// Takes a file apart, in time linear in its bytes: each is part of one record or of one gap, and
/// each gap is scanned once.
pub(super) struct Pieces<'a> {
    bytes: &'a [u8],
    layout: &'static Layout,
    covered: usize,
    /// Where the next record is expected.
    pub(super) at: usize,
    /// Where the CRC of the last record ends: in the wide form of version 19 before the record does.
    covered_to: usize,
    /// Made when it is needed, which for most files is never.
    scanner: Option<BlockScanner>,
}

impl<'a> Pieces<'a> {
    /// The pieces from `start` on, where the first record of `layout` is expected.
    /// Without CRC there is nothing to tell records by: all is one rest.
    pub(super) fn of(bytes: &'a [u8], layout: &'static Layout, start: usize) -> Self {
        let covered = layout.record_crc_offset().unwrap_or(usize::MAX);
        Self { bytes, layout, covered, at: start, covered_to: start, scanner: None }
    }

    /// The record where one is expected. Its CRC suffices; a UID of 0 is what servers write over
    /// records that they could not read.
    fn expected(&self, raw: &[u8]) -> Option<IndexRecord> {
        if syndrome(raw, self.covered) != Some(0) {
            return None;
        }
        read_covered(self.layout, raw).filter(|record| record.uid != Uid(0))
    }

    /// The next place where a record is whole, at any offset.
    fn resynchronised(&mut self) -> Option<usize> {
        let covered = self.covered;
        let scanner = self.scanner.get_or_insert_with(|| BlockScanner::new(covered));
        let is_record = |at: usize| {
            let record = read_covered(self.layout, self.bytes.get(at..).unwrap_or(&[]));
            record.is_some_and(|record| record.is_sane())
        };
        let from =
            if self.covered_to < self.at { self.covered_to } else { self.at.saturating_add(1) };
        scanner.next(self.bytes, from, is_record)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let whole = rest.get(..self.covered.saturating_add(STORED));
        if let Some(record) = whole.and_then(|raw| self.expected(raw)) {
            let at = self.at;
            self.at = at.saturating_add(self.layout.record_size);
            self.covered_to = at.saturating_add(self.covered).saturating_add(STORED);
            return Some(Piece::Record(record, at));
        }
        let next = whole.and_then(|_| self.resynchronised());
        let gap = self.bytes.get(self.at..next.unwrap_or(self.bytes.len())).unwrap_or(&[]);
        let expected = |next: usize| {
            let missed = next.checked_sub(self.at);
            missed.is_some_and(|missed| missed.is_multiple_of(self.layout.record_size))
        };
        let piece = match next {
            Some(next) => Piece::Gap(gap, !expected(next)),
            None => Piece::Rest(gap),
        };
        self.at = next.unwrap_or(self.bytes.len());
        self.covered_to = self.at;
        Some(piece)
    }
}

/// The record in `raw` as far as its CRC covers it: in the wide form of version 19 the unused bytes
/// behind the CRC may be anything, or cut off.
pub(super) fn read_covered(layout: &Layout, raw: &[u8]) -> Option<IndexRecord> {
    let end = layout.record_crc_offset()?.saturating_add(STORED);
    if end == layout.record_size {
        return IndexRecord::decode(layout, raw).ok();
    }
    let mut record = [0; Layout::LARGEST_RECORD];
    record.get_mut(..end)?.copy_from_slice(raw.get(..end)?);
    IndexRecord::decode(layout, &record).ok()
}
