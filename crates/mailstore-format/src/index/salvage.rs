//! All that can be had of an index file, however badly it is damaged.
//!
//! [`salvage`] is for any bytes: each record stands on its own CRC, wherever it lies; the header on
//! its own. Damage is undone where a CRC proves what was there before: one flipped bit, foreign
//! bytes inserted into a record or the header, wrong numbers in the header. What no CRC proves is
//! kept apart, as a [`DoubtfulRecord`].

mod by_records;
mod header;
mod members;
mod pieces;
mod scan;
mod stretch;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail by panicking")]
mod tests;
mod walk;
mod without_crc;

use super::doubtful::DoubtfulRecord;
use super::header::IndexHeader;
use super::layout::Layout;
use super::record::IndexRecord;

use self::by_records::Found;
use self::header::ProvenHeader;
use self::members::Members;
use self::walk::Walk;

pub use self::header::HeaderRepair;

/// What an index file yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// The layout of header and records.
    pub layout: &'static Layout,
    /// The header, where the file has as many bytes: as it was, where it is proven, else as the
    /// bytes at its place read.
    pub header: Option<IndexHeader>,
    /// Whether the header can be believed.
    pub header_state: HeaderState,
    /// The places of records in file order: those that the header counts, where it is proven.
    pub slots: Vec<SalvagedSlot>,
    /// Records that a proven header counts and that were behind all that is left.
    pub missing: usize,
    /// Whole records behind those that a proven header counts: of an append that never ended.
    pub beyond: Vec<IndexRecord>,
    /// Whether records lie elsewhere than the layout puts them, because bytes were lost or inserted.
    pub displaced: bool,
}

/// Whether a header can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderState {
    /// Its CRC fits. Before version 12, which has none: it can be decoded.
    Sound,
    /// Its CRC fits once one thing is put right.
    Repaired(HeaderRepair),
    /// Nothing speaks for it.
    Doubtful,
}

/// What is in the place of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SalvagedSlot {
    /// A record whose CRC fits. Before version 12: whose UID is in order.
    Sound(IndexRecord),
    /// A record whose CRC fits once one bit is flipped, or once foreign bytes are taken out.
    Repaired(IndexRecord),
    /// Bytes that look like a record that nothing proves.
    Doubtful(Box<DoubtfulRecord>),
    /// Nothing that could be used, or nothing at all.
    Destroyed,
}

impl SalvagedSlot {
    /// The record, where it is proven.
    #[must_use]
    pub const fn record(&self) -> Option<&IndexRecord> {
        match self {
            Self::Sound(record) | Self::Repaired(record) => Some(record),
            Self::Doubtful(_) | Self::Destroyed => None,
        }
    }
}

impl HeaderState {
    /// Whether the header can be believed.
    #[must_use]
    pub const fn is_proven(self) -> bool {
        !matches!(self, Self::Doubtful)
    }
}

/// Reads whatever can be read of an index file; `None` where neither its header nor any record
/// shows that it is one.
///
/// `usual_version` is that of the store's other mailboxes: it decides between versions whose records
/// look alike, where the header does not. Time is linear in the bytes, whatever they are: an
/// intact file is read once; one without a sound header up to once for each form of records, at a
/// few nanoseconds a byte (16 MiB of random bytes: half a second, optimised).
#[must_use]
pub fn salvage(bytes: &[u8], usual_version: Option<u32>) -> Option<Salvaged> {
    let named = IndexHeader::layout_in(bytes).ok();
    if let Some(layout) = named.filter(|layout| !layout.has_crc()) {
        return without_crc::read(bytes, layout);
    }
    let under = |header| Salvaged::under(bytes, header);
    if let Some(sound) = ProvenHeader::sound(bytes).map(under) {
        return Some(sound.unless_misnamed(bytes, usual_version));
    }
    let repaired = header::put_right(bytes).map(under);
    let repaired = repaired.or_else(|| Salvaged::misnamed(bytes, usual_version));
    if repaired.is_some() {
        return repaired;
    }
    match by_records::find(bytes, usual_version) {
        Some(Found::Under(header)) => Some(Salvaged::under(bytes, *header)),
        Some(Found::Alone(layout, start)) => Some(Salvaged::alone(bytes, layout, start)),
        None => match named {
            Some(layout) => Some(Salvaged::alone(bytes, layout, layout.header_size)),
            None => without_crc::guess(bytes),
        },
    }
}

impl Salvaged {
    /// A file of which only this much is known.
    fn new(layout: &'static Layout, header_state: HeaderState) -> Self {
        Self {
            layout,
            header: None,
            header_state,
            slots: Vec::new(),
            missing: 0,
            beyond: Vec::new(),
            displaced: false,
        }
    }

    fn under(bytes: &[u8], found: ProvenHeader) -> Self {
        let ProvenHeader { layout, header, repair, start } = found;
        let walk = Walk::from(bytes, layout, start);
        let displaced = start != layout.header_size || walk.is_uneven();
        let Members { slots, beyond, missing, padded } = members::counted(walk, &header, layout);
        let header_state = repair.map_or(HeaderState::Sound, HeaderState::Repaired);
        let displaced = displaced || padded;
        let header = Some(header);
        Self { layout, header, header_state, slots, missing, beyond, displaced }
    }

    /// A header can be whole and name what its records are not: then they do not follow on one
    /// another as it says, and do as another layout says.
    fn unless_misnamed(self, bytes: &[u8], usual_version: Option<u32>) -> Self {
        let records = self.records();
        if self.slots.is_empty() || records > 0 && !self.displaced {
            return self;
        }
        let other = Self::misnamed(bytes, usual_version);
        let other = other.filter(|other| other.layout != self.layout);
        other.filter(|other| other.records() > records).unwrap_or(self)
    }

    /// A file whose header is whole, but names what its records are not; none without records, for
    /// it may then be what its header names, of a version that is not known.
    fn misnamed(bytes: &[u8], usual_version: Option<u32>) -> Option<Self> {
        let header = by_records::under_one_of(bytes, header::as_it_is(bytes), usual_version)?;
        Some(Self::under(bytes, header)).filter(|salvaged| salvaged.records() > 0)
    }

    /// How many records are proven.
    fn records(&self) -> usize {
        let slots = self.slots.iter().filter(|slot| slot.record().is_some()).count();
        slots.saturating_add(self.beyond.len())
    }

    fn alone(bytes: &[u8], layout: &'static Layout, start: usize) -> Self {
        let walk = Walk::from(bytes, layout, start);
        let displaced = start != layout.header_size || walk.is_uneven();
        let header = IndexHeader::decode_with(bytes, layout).ok();
        let slots = walk.slots;
        Self { header, slots, displaced, ..Self::new(layout, HeaderState::Doubtful) }
    }
}
