//! `cyrus.cache`: parsed headers and structure of each message, so that clients can be answered
//! without opening its file.
//!
//! The file is a generation number and then records; an index record says where its cache record
//! begins ([`crate::index::IndexRecord::cache_offset`]) and what its CRC is. Nothing in the cache
//! itself says whose record it is. The byte tables are in `docs/format/cache.md`; what the items
//! hold is made by [`crate::message`].
//!
//! ```
//! use mailstore_format::cache::{self, CacheItem, CacheRecord};
//!
//! let mut file = cache::encode_generation(3).to_vec();
//! let mut items: [&[u8]; CacheItem::COUNT] = [b""; CacheItem::COUNT];
//! items[CacheItem::Subject as usize] = b"\"hello\"";
//! cache::encode_record(&items, &mut file);
//!
//! assert_eq!(cache::generation(&file)?, 3);
//! let record = CacheRecord::decode(&file, 4)?;
//! assert_eq!(record.item(CacheItem::Subject), b"\"hello\"");
//! assert_eq!(record.crc(), crc32fast::hash(&file[4..]));
//! # Ok::<(), mailstore_format::DecodeError>(())
//! ```

use crate::DecodeError;

/// Bytes of the generation number, before which no record begins.
pub const HEADER_SIZE: usize = 4;

/// The items of a cache record, in their order on disk (`imap/mailbox.h`, `CACHE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum CacheItem {
    /// The IMAP ENVELOPE, in parentheses.
    Envelope = 0,
    /// The IMAP BODYSTRUCTURE.
    BodyStructure,
    /// The IMAP BODY: the structure without extension data.
    Body,
    /// Offsets and sizes of all MIME parts, binary.
    Section,
    /// The headers worth keeping, as they are in the message.
    Headers,
    /// Addresses of From, prepared for searching; likewise the next three.
    From,
    /// Addresses of To.
    To,
    /// Addresses of Cc.
    Cc,
    /// Addresses of Bcc.
    Bcc,
    /// The Subject, decoded and prepared for searching.
    Subject,
}

impl CacheItem {
    /// How many items a record has (`NUM_CACHE_FIELDS`).
    pub const COUNT: usize = 10;

    /// All items in their order on disk.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Envelope,
        Self::BodyStructure,
        Self::Body,
        Self::Section,
        Self::Headers,
        Self::From,
        Self::To,
        Self::Cc,
        Self::Bcc,
        Self::Subject,
    ];

    /// Cyrus's name of the item.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "CACHE_ENVELOPE",
            Self::BodyStructure => "CACHE_BODYSTRUCTURE",
            Self::Body => "CACHE_BODY",
            Self::Section => "CACHE_SECTION",
            Self::Headers => "CACHE_HEADERS",
            Self::From => "CACHE_FROM",
            Self::To => "CACHE_TO",
            Self::Cc => "CACHE_CC",
            Self::Bcc => "CACHE_BCC",
            Self::Subject => "CACHE_SUBJECT",
        }
    }
}

/// The generation number at the start of a cache file, as the index header has one too.
pub fn generation(bytes: &[u8]) -> Result<u32, DecodeError> {
    let number = bytes.first_chunk().map(|number| u32::from_be_bytes(*number));
    number.ok_or_else(|| DecodeError::truncated(0, "generation_no", HEADER_SIZE, bytes.len()))
}

/// The first bytes of a cache file.
#[must_use]
pub const fn encode_generation(generation: u32) -> [u8; HEADER_SIZE] {
    generation.to_be_bytes()
}

/// One message's cache record, within the bytes of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheRecord<'a> {
    bytes: &'a [u8],
    items: [&'a [u8]; CacheItem::COUNT],
}

impl<'a> CacheRecord<'a> {
    /// Splits the record at byte `offset` of the cache file `file` into its items
    /// (`cache_parserecord` in `imap/mailbox.c`).
    ///
    /// Fails where an item or its padding does not end within the file, or where `offset` lies in
    /// the generation number. Any aligned zeros split into ten empty items: only the CRC that the
    /// index keeps proves a record.
    pub fn decode(file: &'a [u8], offset: u64) -> Result<Self, DecodeError> {
        let outside = || {
            let expected = format!("{HEADER_SIZE} to the file's {} bytes", file.len());
            DecodeError::new(offset, "cache_offset", expected, offset.to_string())
        };
        let start = usize::try_from(offset).map_err(|_| outside())?;
        let from_start = file.get(start..).filter(|_| start >= HEADER_SIZE).ok_or_else(outside)?;
        let mut rest = from_start;
        let mut items: [&[u8]; CacheItem::COUNT] = [&[]; CacheItem::COUNT];
        for (slot, item) in items.iter_mut().zip(CacheItem::ALL) {
            let truncated = |needed: usize, left: &[u8]| {
                let position = file.len().saturating_sub(left.len());
                let position = u64::try_from(position).unwrap_or(u64::MAX);
                DecodeError::truncated(position, item.name(), needed, left.len())
            };
            let (length, after) = rest.split_first_chunk().ok_or_else(|| truncated(4, rest))?;
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let padded = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
            let (data, next) =
                after.split_at_checked(padded).ok_or_else(|| truncated(padded, after))?;
            *slot = data.get(..length).unwrap_or(data);
            rest = next;
        }
        let size = from_start.len().saturating_sub(rest.len());
        Ok(Self { bytes: from_start.get(..size).unwrap_or(from_start), items })
    }

    /// All bytes of the record, lengths and padding included.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// An item's bytes, without length and padding.
    #[must_use]
    pub fn item(&self, item: CacheItem) -> &'a [u8] {
        self.items.get(item as usize).copied().unwrap_or(&[])
    }

    /// All items in their order on disk.
    #[must_use]
    pub const fn items(&self) -> &[&'a [u8]; CacheItem::COUNT] {
        &self.items
    }

    /// The CRC-32 that the index keeps of the record (`cache_crc`), which covers all its bytes.
    #[must_use]
    pub fn crc(&self) -> u32 {
        crc32fast::hash(self.bytes)
    }
}

/// How long the record is whose first bytes are `front`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordLength {
    /// So many bytes, all of them in `front`.
    Whole(usize),
    /// `front` ends before it does: it has at least so many.
    AtLeast(usize),
}

/// Measures the record that begins with `front`, so that it can be read without its file in memory.
#[must_use]
pub fn record_length(front: &[u8]) -> RecordLength {
    let mut end = 0_usize;
    for _ in CacheItem::ALL {
        let Some(length) = front.get(end..).and_then(<[u8]>::first_chunk) else {
            return RecordLength::AtLeast(end.saturating_add(4));
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let padded = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        end = end.saturating_add(4).saturating_add(padded);
    }
    if end <= front.len() { RecordLength::Whole(end) } else { RecordLength::AtLeast(end) }
}

/// Appends a record of these items to `out` (`message_write_xdrstring` in `imap/message.c`).
/// An item of 4 GiB or more, which no record can hold, is cut there.
pub fn encode_record(items: &[&[u8]; CacheItem::COUNT], out: &mut Vec<u8>) {
    for item in items {
        let length = u32::try_from(item.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        let data = usize::try_from(length).ok().and_then(|length| item.get(..length));
        out.extend_from_slice(data.unwrap_or(item));
        let padding = match length % 4 {
            0 => 0,
            over => 4usize.saturating_sub(usize::try_from(over).unwrap_or(0)),
        };
        out.resize(out.len().saturating_add(padding), 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file_of(items: &[&[u8]; CacheItem::COUNT]) -> Vec<u8> {
        let mut file = encode_generation(1).to_vec();
        encode_record(items, &mut file);
        file
    }

    #[test]
    fn a_record_is_measured_from_its_front() {
        let mut bytes = Vec::new();
        encode_record(&[b"abcde"; CacheItem::COUNT], &mut bytes);
        assert_eq!(record_length(&bytes), RecordLength::Whole(120));
        bytes.extend_from_slice(b"next record");
        assert_eq!(record_length(&bytes), RecordLength::Whole(120));
        assert_eq!(record_length(&bytes[..119]), RecordLength::AtLeast(120));
        assert_eq!(record_length(&bytes[..20]), RecordLength::AtLeast(28));
    }

    #[test]
    fn items_are_padded_to_four_bytes() {
        let mut items: [&[u8]; CacheItem::COUNT] = [b"abcd"; CacheItem::COUNT];
        items[0] = b"abcde";
        let file = file_of(&items);
        assert_eq!(file[4..16], *b"\0\0\0\x05abcde\0\0\0");
        assert_eq!(CacheRecord::decode(&file, 4).unwrap().items(), &items);
    }

    #[test]
    fn a_record_that_is_cut_anywhere_is_an_error_that_names_the_item() {
        let file = file_of(&[b"abcde"; CacheItem::COUNT]);
        for cut in 4..file.len() {
            assert!(CacheRecord::decode(&file[..cut], 4).is_err());
        }
        let error = CacheRecord::decode(&file[..file.len() - 1], 4).unwrap_err();
        assert_eq!((error.field, error.offset), ("CACHE_SUBJECT", file.len() as u64 - 8));
    }

    #[test]
    fn a_record_neither_begins_in_the_generation_number_nor_beyond_the_file() {
        let file = file_of(&[b""; CacheItem::COUNT]);
        for offset in [0, 3, file.len() as u64 + 1, u64::MAX] {
            assert_eq!(CacheRecord::decode(&file, offset).unwrap_err().field, "cache_offset");
        }
        assert!(generation(&file[..3]).is_err());
    }

    #[test]
    fn a_length_of_four_gibibytes_is_an_error_and_allocates_nothing() {
        let mut file = file_of(&[b"abcd"; CacheItem::COUNT]);
        file[4..8].fill(0xff);
        assert_eq!(CacheRecord::decode(&file, 4).unwrap_err().field, "CACHE_ENVELOPE");
    }

    proptest! {
        #[test]
        fn any_items_survive_a_write_and_read(
            items in proptest::array::uniform10(proptest::collection::vec(any::<u8>(), 0..40)),
        ) {
            let items: [&[u8]; CacheItem::COUNT] = std::array::from_fn(|item| items[item].as_slice());
            let file = file_of(&items);
            let record = CacheRecord::decode(&file, 4).unwrap();
            prop_assert_eq!(record.items(), &items);
            prop_assert_eq!(record.bytes(), &file[4..]);
        }

        #[test]
        fn any_bytes_are_a_record_or_an_error(
            file in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..200),
            offset in 0u64..220,
        ) {
            let _ = CacheRecord::decode(&file, offset);
        }
    }
}
