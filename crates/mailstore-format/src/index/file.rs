//! A whole index file, with what is wrong with it as data.

use super::crc::CrcState;
use super::header::IndexHeader;
use super::layout::Layout;
use super::record::IndexRecord;
use crate::DecodeError;

/// An index file in memory: its header, and its records one by one.
///
/// Opening it proves only that a header is there. What its CRC says, how many records the file
/// really holds and what each record's CRC says is for the caller to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile<'a> {
    bytes: &'a [u8],
    header: IndexHeader,
    layout: &'static Layout,
}

impl<'a> IndexFile<'a> {
    /// A file whose header names its version. Fails as [`IndexHeader::decode`] does.
    pub fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::open_with(bytes, IndexHeader::layout_in(bytes)?)
    }

    /// A file read by `layout`, whatever its header says: for one whose header is damaged.
    /// Fails where the file ends before its header does.
    pub fn open_with(bytes: &'a [u8], layout: &'static Layout) -> Result<Self, DecodeError> {
        let header = IndexHeader::decode_with(bytes, layout)?;
        Ok(Self { bytes, header, layout })
    }

    /// A file that is whole in every part: the CRCs of its header and of every record fit, it has the
    /// records that the header counts and nothing else. `None` for any other file, and for versions
    /// without CRCs: [`salvage`](super::salvage()) is for those, and of a whole file it says the same.
    #[must_use]
    pub fn whole(bytes: &'a [u8]) -> Option<Self> {
        let file = Self::open(bytes).ok()?;
        let slots = Slots::new(bytes, file.layout).records;
        let counted = usize::try_from(file.header.num_records).ok()?;
        let nothing_else = slots.len() == counted && slots.remainder().is_empty();
        if !file.header_crc().is_good() || !nothing_else {
            return None;
        }
        // In every version a record begins with the UID. One of 0 is what servers write over
        // records that they could not read.
        let is_whole = |record: &[u8]| {
            IndexRecord::crc_state(file.layout, record).is_good()
                && record.first_chunk() != Some(&[0; 4])
        };
        slots.clone().all(is_whole).then_some(file)
    }

    /// The header. Trust it as far as [`IndexFile::header_crc`] goes.
    #[must_use]
    pub fn header(&self) -> &IndexHeader {
        &self.header
    }

    /// The layout the file is read by.
    #[must_use]
    pub fn layout(&self) -> &'static Layout {
        self.layout
    }

    /// What the header's CRC says.
    #[must_use]
    pub fn header_crc(&self) -> CrcState {
        IndexHeader::crc_state(self.bytes, self.layout)
    }

    /// All whole records that the file has room for, those beyond `num_records` included: an append
    /// writes the record before the header that counts it.
    #[must_use]
    pub fn slots(&self) -> Slots<'a> {
        Slots::new(self.bytes, self.layout)
    }

    /// What the records say, without a look at their CRCs: those of [`IndexFile::whole`] fit.
    #[must_use]
    pub fn records(&self) -> impl ExactSizeIterator<Item = IndexRecord> + use<'a> {
        let (layout, records) = (self.layout, self.slots().records);
        records.map(move |bytes| IndexRecord::decode(layout, bytes).unwrap_or_default())
    }

    /// The records that the header counts and the file has.
    pub fn counted_slots(&self) -> impl Iterator<Item = Slot<'a>> + use<'a> {
        let counted = self.header.num_records;
        self.slots().take_while(move |slot| slot.recno <= counted)
    }

    /// How many records the header counts that the file ends before.
    #[must_use]
    pub fn missing_records(&self) -> u32 {
        let whole = u32::try_from(self.slots().len()).unwrap_or(u32::MAX);
        self.header.num_records.saturating_sub(whole)
    }

    /// What follows the last whole record: the front of one that was cut, as a rule.
    #[must_use]
    pub fn trailing_bytes(&self) -> &'a [u8] {
        self.slots().records.remainder()
    }
}

/// One record's place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot<'a> {
    /// The record's number, from 1.
    pub recno: u32,
    /// Its bytes, `record_size` of them.
    pub bytes: &'a [u8],
    /// What its CRC says.
    pub crc: CrcState,
    /// What the bytes say.
    pub record: IndexRecord,
}

/// The records of an index file in order, wherever its header is to be believed or not.
#[derive(Debug, Clone)]
pub struct Slots<'a> {
    records: std::slice::ChunksExact<'a, u8>,
    layout: &'static Layout,
    recno: u32,
}

impl<'a> Slots<'a> {
    /// All whole records in the index file `bytes` behind a header of the size of `layout`'s.
    #[must_use]
    pub fn new(bytes: &'a [u8], layout: &'static Layout) -> Self {
        let records = bytes.get(layout.header_size..).unwrap_or(&[]);
        Self { records: records.chunks_exact(layout.record_size), layout, recno: 0 }
    }
}

impl<'a> Iterator for Slots<'a> {
    type Item = Slot<'a>;

    fn next(&mut self) -> Option<Slot<'a>> {
        let bytes = self.records.next()?;
        self.recno = self.recno.saturating_add(1);
        let record = IndexRecord::decode(self.layout, bytes).ok()?;
        let crc = IndexRecord::crc_state(self.layout, bytes);
        Some(Slot { recno: self.recno, bytes, crc, record })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for Slots<'_> {}

#[cfg(test)]
mod tests {
    use super::super::salvage::{SalvagedSlot, salvage};
    use super::*;
    use crate::Uid;

    fn three_records() -> Vec<u8> {
        let layout = Layout::of_version(17).unwrap();
        let header = IndexHeader { num_records: 3, ..IndexHeader::default() };
        let mut bytes = header.encode(layout);
        for uid in 1..=3 {
            IndexRecord { uid: Uid(uid), ..IndexRecord::default() }.encode_into(layout, &mut bytes);
        }
        bytes
    }

    #[test]
    fn a_cut_last_record_is_trailing_bytes_and_one_missing() {
        let bytes = three_records();
        let file = IndexFile::open(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(file.slots().map(|slot| slot.record.uid.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(file.missing_records(), 1);
        assert_eq!(file.trailing_bytes().len(), 111);
        assert_eq!(IndexFile::open(&bytes).unwrap().missing_records(), 0);
    }

    #[test]
    fn a_record_beyond_the_count_is_seen_but_not_counted() {
        let mut bytes = three_records();
        bytes[23] = 2;
        let file = IndexFile::open(&bytes).unwrap();
        assert!(file.header_crc().is_bad());
        assert_eq!((file.slots().len(), file.counted_slots().count()), (3, 2));
    }

    #[test]
    fn a_count_far_beyond_the_file_costs_nothing() {
        let mut bytes = three_records();
        bytes[20..24].fill(0xff);
        let file = IndexFile::open(&bytes).unwrap();
        assert_eq!(file.slots().len(), 3);
        assert_eq!(file.missing_records(), u32::MAX - 3);
    }

    #[test]
    fn one_bad_record_leaves_its_neighbours_alone() {
        let mut bytes = three_records();
        bytes[160 + 112] ^= 1;
        let file = IndexFile::open(&bytes).unwrap();
        let good: Vec<bool> = file.slots().map(|slot| slot.crc.is_good()).collect();
        assert_eq!(good, [true, false, true]);
    }

    #[test]
    fn of_a_whole_file_as_much_is_said_as_is_salvaged() {
        for layout in Layout::ALL {
            let header = IndexHeader { num_records: 2, last_uid: Uid(9), ..IndexHeader::default() };
            let mut bytes = header.encode(layout);
            let record = |uid| IndexRecord { uid: Uid(uid), size: 7, ..IndexRecord::default() };
            for one in [record(3), record(9)] {
                one.encode_into(layout, &mut bytes);
            }
            let salvaged = salvage(&bytes, None).unwrap();
            let known: Vec<_> = salvaged.slots.iter().filter_map(SalvagedSlot::record).collect();
            let whole = IndexFile::whole(&bytes);
            assert_eq!(whole.is_some(), layout.has_crc(), "version {}", layout.version);
            if let Some(whole) = whole {
                assert_eq!(Some(whole.header()), salvaged.header.as_ref());
                assert!(whole.records().eq(known.into_iter().copied()));
            }
        }
    }

    #[test]
    fn a_file_of_which_any_byte_is_wrong_is_not_whole() {
        let bytes = three_records();
        assert!(IndexFile::whole(&bytes).is_some());
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x10;
            assert_eq!(IndexFile::whole(&wrong), None, "byte {at}");
        }
        assert_eq!(IndexFile::whole(&bytes[..bytes.len() - 1]), None);
        assert_eq!(IndexFile::whole(&[bytes.as_slice(), &[0]].concat()), None);
        let layout = Layout::of_version(17).unwrap();
        let header = IndexHeader { num_records: 1, ..IndexHeader::default() };
        let mut unreadable = header.encode(layout);
        IndexRecord::default().encode_into(layout, &mut unreadable);
        assert_eq!(IndexFile::whole(&unreadable), None, "a UID of 0");
    }
}
