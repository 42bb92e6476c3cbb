//! Which layout a file has, told by where the CRCs of its records fit.

use std::cmp::Reverse;

use super::super::counts::recount;
use super::super::header::IndexHeader;
use super::super::layout::{Layout, RecordField};
use super::super::record::IndexRecord;
use super::SalvagedSlot;
use super::header::ProvenHeader;
use super::walk::{Survey, Walk};
use crate::{ModSeq, Uid};

/// How a file without a proven header at its front is to be read.
pub(super) enum Found {
    /// By a header that is proven.
    Under(Box<ProvenHeader>),
    /// By this layout, from there on.
    Alone(&'static Layout, usize),
}

/// Of headers that are all proven by the same bytes, the one under which most records are found.
pub(super) fn under_one_of(
    bytes: &[u8],
    mut headers: Vec<ProvenHeader>,
    usual_version: Option<u32>,
) -> Option<ProvenHeader> {
    let layouts = headers.iter().map(|header| header.layout);
    let (form, _) = best_fit(bytes, layouts, |layout| layout.header_size)?;
    headers.retain(|header| alike(header.layout, form));
    let named = headers.iter().find(|found| found.header.minor_version == found.layout.version);
    let layouts: Vec<_> = headers.iter().map(|header| header.layout).collect();
    let chosen = named.map(|found| found.layout);
    let start = form.header_size;
    let chosen = chosen.or_else(|| likeliest(bytes, &layouts, start, usual_version))?;
    headers.into_iter().find(|header| header.layout == chosen)
}

/// Finds out by which layout most records can be read, wherever they lie, and where its header is.
pub(super) fn find(bytes: &[u8], usual_version: Option<u32>) -> Option<Found> {
    let layouts = Layout::ALL.into_iter().filter(|layout| layout.has_crc());
    let (form, survey) = best_fit(bytes, layouts, |_| 0)?;
    let first = survey.first?;
    let before = bytes.get(..first).unwrap_or(bytes);
    let alike: Vec<_> = Layout::ALL.into_iter().filter(|layout| alike(layout, form)).collect();
    if let Some(header) = alike.iter().find_map(|layout| ProvenHeader::moved(before, layout)) {
        return Some(Found::Under(Box::new(header)));
    }
    let behind_header = |layout: &&'static Layout| grid_start(layout, first) == layout.header_size;
    let on_grid: Vec<_> = alike.iter().copied().filter(behind_header).collect();
    let layouts = if on_grid.is_empty() { &alike } else { &on_grid };
    let layout = likeliest(bytes, layouts, first, usual_version)?;
    Some(Found::Alone(layout, grid_start(layout, first)))
}

/// Where the first place of a record is, if a record begins at `first`: behind the header, unless
/// so much of the file was lost that there is no room for one.
fn grid_start(layout: &Layout, first: usize) -> usize {
    let header = if first < layout.header_size { 0 } else { layout.header_size };
    let behind = first.saturating_sub(header).checked_rem(layout.record_size).unwrap_or(0);
    header.saturating_add(behind)
}

/// The layout by which most records are found: of as many, with fewer breaks, the first behind the
/// header where a record's place is, like the one that the header names, and less left over.
fn best_fit(
    bytes: &[u8],
    layouts: impl Iterator<Item = &'static Layout>,
    start: impl Fn(&Layout) -> usize,
) -> Option<(&'static Layout, Survey)> {
    let mut forms: Vec<&'static Layout> = Vec::new();
    for layout in layouts {
        if !forms.iter().any(|form| alike(form, layout) && start(form) == start(layout)) {
            forms.push(layout);
        }
    }
    let named = IndexHeader::layout_in(bytes).ok();
    let surveys =
        forms.into_iter().map(|layout| (layout, Survey::of(bytes, layout, start(layout))));
    surveys.max_by_key(|(layout, survey)| {
        let in_place = survey.first.is_some_and(|first| is_a_place(layout, first));
        let is_named = named.is_some_and(|named| alike(named, layout));
        let (breaks, unread) = (Reverse(survey.breaks), Reverse(survey.unread));
        (survey.whole, breaks, in_place, is_named, unread)
    })
}

/// Whether a record begins at this offset where no bytes were lost or inserted.
fn is_a_place(layout: &Layout, offset: usize) -> bool {
    let behind = offset.checked_sub(layout.header_size);
    behind.and_then(|behind| behind.checked_rem(layout.record_size)) == Some(0)
}

/// Whether the same CRCs fit under both layouts.
fn alike(one: &Layout, other: &Layout) -> bool {
    one.record_size == other.record_size && one.record_crc_offset() == other.record_crc_offset()
}

/// Of layouts with records alike the one that the header names, whatever else is wrong with it; or
/// the usual one; or the one that what is left of the header contradicts least, the lowest first:
/// every release that can read the others can read it.
fn likeliest(
    bytes: &[u8],
    layouts: &[&'static Layout],
    start: usize,
    usual_version: Option<u32>,
) -> Option<&'static Layout> {
    let named = IndexHeader::layout_in(bytes).ok();
    let known = layouts.iter().find(|layout| Some(**layout) == named);
    let usual = || layouts.iter().find(|layout| Some(layout.version) == usual_version);
    known.or_else(usual).copied().or_else(|| {
        let layouts = layouts.iter().copied();
        layouts.min_by_key(|layout| contradictions(bytes, layout, start))
    })
}

/// How much of what is left of the header contradicts the records or itself under `layout`.
fn contradictions(bytes: &[u8], layout: &'static Layout, start: usize) -> usize {
    let Ok(header) = IndexHeader::decode_with(bytes, layout) else { return usize::MAX };
    let (mut last_uid, mut highest, mut has_lines) = (Uid(0), ModSeq(0), false);
    let walk = Walk::from(bytes, layout, start);
    let records = walk.slots.iter().filter_map(SalvagedSlot::record);
    let records = records.inspect(|record: &&IndexRecord| {
        last_uid = last_uid.max(record.uid);
        highest = highest.max(record.modseq);
        has_lines |= record.content_lines != 0;
    });
    let differences = recount(layout, records).differences(&header, layout).len();
    let signs = [
        header.minor_version != layout.version,
        header.last_uid < last_uid,
        header.highestmodseq < highest,
        header.deletedmodseq > header.highestmodseq,
        header.reserved != [0; IndexHeader::MAX_RESERVED],
        has_lines && layout.record_has(RecordField::ContentLines),
    ];
    signs.into_iter().filter(|sign| *sign).count().saturating_add(differences)
}
