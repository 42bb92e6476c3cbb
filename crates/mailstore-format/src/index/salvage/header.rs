//! Headers that their CRC proves, once what is wrong with them is put right.

use std::ops::Range;

use super::super::header::IndexHeader;
use super::super::layout::Layout;
use super::super::syndrome::{flip_back, join, syndrome};
use super::scan::BlockScanner;

/// What had to be put right before the header's CRC proved the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderRepair {
    /// One flipped bit.
    Bit,
    /// The version, the start offset or the record size: they are not those of the records.
    Named,
    /// Its place: bytes were lost or inserted before it, or inserted into it.
    Moved,
}

/// A header that is proven, and where the records behind it begin.
#[derive(Debug, Clone)]
pub(super) struct ProvenHeader {
    pub(super) layout: &'static Layout,
    pub(super) header: IndexHeader,
    pub(super) repair: Option<HeaderRepair>,
    pub(super) start: usize,
}

/// The bytes by which a header's layout is known: version, start offset, record size.
const NAMED: Range<usize> = 8..20;

impl ProvenHeader {
    fn of(raw: &[u8], layout: &'static Layout, repair: HeaderRepair, start: usize) -> Option<Self> {
        let header = IndexHeader::decode_with(raw, layout).ok()?;
        Some(Self { layout, header, repair: Some(repair), start })
    }

    /// The header at the front of the file, where it is whole and names its layout.
    pub(super) fn sound(bytes: &[u8]) -> Option<Self> {
        let layout = IndexHeader::layout_in(bytes).ok()?;
        if !IndexHeader::crc_state(bytes, layout).is_good() {
            return None;
        }
        let header = IndexHeader::decode_with(bytes, layout).ok()?;
        Some(Self { layout, header, repair: None, start: layout.header_size })
    }

    /// The header of `layout` somewhere in the bytes before the first whole record, or torn apart
    /// between the front of the file and the first record, or one before it.
    pub(super) fn moved(before: &[u8], layout: &'static Layout) -> Option<Self> {
        let covered = layout.header_crc_offset()?;
        let is_it = |raw: &[u8]| IndexHeader::layout_in(raw) == Ok(layout);
        let there = |at: usize| before.get(at..).unwrap_or(&[]);
        if let Some(at) = BlockScanner::new(covered).next(before, 0, |at| is_it(there(at))) {
            let start = at.saturating_add(layout.header_size);
            return Self::of(there(at), layout, HeaderRepair::Moved, start);
        }
        let front = before.get(..layout.header_size)?;
        let ends = (layout.header_size..=before.len()).rev().step_by(layout.record_size);
        ends.into_iter().find_map(|end| {
            let back = before.get(end.saturating_sub(layout.header_size)..end)?;
            let raw = join(front, back, covered).filter(|raw| is_it(raw))?;
            Self::of(&raw, layout, HeaderRepair::Moved, end)
        })
    }
}

/// The header at the front of the file with one thing put right.
pub(super) fn put_right(bytes: &[u8]) -> Option<ProvenHeader> {
    with_crc().find_map(|(layout, _)| flipped(bytes, layout).or_else(|| renamed(bytes, layout)))
}

/// The header at the front of the file by each layout whose CRC proves it, whatever it names. It may
/// be of a version that is not known: only records can show which of these it is, if any.
pub(super) fn as_it_is(bytes: &[u8]) -> Vec<ProvenHeader> {
    let whole = with_crc().filter(|(_, covered)| syndrome(bytes, *covered) == Some(0));
    let found = whole.filter_map(|(layout, _)| {
        ProvenHeader::of(bytes, layout, HeaderRepair::Named, layout.header_size)
    });
    found.collect()
}

fn with_crc() -> impl Iterator<Item = (&'static Layout, usize)> {
    Layout::ALL.into_iter().filter_map(|layout| Some((layout, layout.header_crc_offset()?)))
}

fn flipped(bytes: &[u8], layout: &'static Layout) -> Option<ProvenHeader> {
    let mut raw = bytes.get(..layout.header_size)?.to_vec();
    let whole = flip_back(&mut raw, layout.header_crc_offset()?);
    if !whole || IndexHeader::layout_in(&raw) != Ok(layout) {
        return None;
    }
    ProvenHeader::of(&raw, layout, HeaderRepair::Bit, layout.header_size)
}

fn renamed(bytes: &[u8], layout: &'static Layout) -> Option<ProvenHeader> {
    let mut raw = bytes.get(..layout.header_size)?.to_vec();
    let named = IndexHeader::default().encode(layout);
    raw.get_mut(NAMED)?.copy_from_slice(named.get(NAMED)?);
    if syndrome(&raw, layout.header_crc_offset()?) != Some(0) {
        return None;
    }
    ProvenHeader::of(&raw, layout, HeaderRepair::Named, layout.header_size)
}
