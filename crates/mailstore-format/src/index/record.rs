//! An index record as a value.

use super::crc::CrcState;
use super::field::{Raw, Stored};
use super::header::crc_before;
use super::layout::{Layout, RecordField};
use crate::{
    DecodeError, Guid, InternalFlags, ModSeq, SystemFlags, ThreadId, Timestamp, Uid, UserFlags,
};

/// What the index says of one message, in the terms of `struct index_record` (`imap/mailbox.h`).
///
/// A field that the version does not store is zero ([`Layout::record_has`] tells).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexRecord {
    /// The message's UID; ascending from record to record.
    pub uid: Uid,
    /// IMAP's INTERNALDATE: when the message was received.
    pub internaldate: Timestamp,
    /// The day of the Date header, for SORT and SEARCH SENTON.
    pub sentdate: Timestamp,
    /// Bytes of the message file. 32 bits before version 20.
    pub size: u64,
    /// Bytes of the message's header.
    pub header_size: u32,
    /// The Date header in UTC. Stored from version 12 on.
    pub gmtime: Timestamp,
    /// Where the body begins: always `header_size`. Stored before version 12, in `gmtime`'s place.
    pub content_offset: u32,
    /// Where the message's record begins in `cyrus.cache`: 48 bits, of which the upper 16 are
    /// stored in the upper half of the cache version's word.
    pub cache_offset: u64,
    /// When the record changed last.
    pub last_updated: Timestamp,
    /// What clients see. `\Seen` is the owner's from version 12 on.
    pub system_flags: SystemFlags,
    /// What the server notes, `EXPUNGED` first of all.
    pub internal_flags: InternalFlags,
    /// Keywords, by their slot in `cyrus.header`.
    pub user_flags: UserFlags,
    /// Lines of the body in old releases, 0 since 2.4. Stored before version 15.
    pub content_lines: u32,
    /// When the message came into this mailbox. Stored from version 15 on.
    pub savedate: Timestamp,
    /// The format of the cache record; 0 where there is none.
    pub cache_version: u16,
    /// SHA-1 of the message file. Stored from version 10 on, and there not always set.
    pub guid: Guid,
    /// The modseq of the last change. Stored from version 8 on.
    pub modseq: ModSeq,
    /// The conversation. Stored from version 13 on.
    pub cid: ThreadId,
    /// The modseq at which the message came. Stored from version 16 on.
    pub createdmodseq: ModSeq,
    /// The conversation this one was split from. Stored in version 20.
    pub basecid: ThreadId,
    /// CRC-32 of the cache record. Stored from version 12 on.
    pub cache_crc: u32,
    /// Bytes that the version leaves unused, in front, and zeros behind. In versions 7 to 9 a short
    /// message id of old releases.
    pub reserved: [u8; Self::MAX_RESERVED],
}

impl IndexRecord {
    /// The most bytes that a version leaves unused in its records.
    pub const MAX_RESERVED: usize = 32;

    /// Reads the record at the start of `bytes`, whatever its CRC says.
    /// Fails only where the input is too short.
    pub fn decode(layout: &Layout, bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() < layout.record_size {
            return Err(DecodeError::truncated(0, "record", layout.record_size, bytes.len()));
        }
        let mut record = Self::default();
        for placed in layout.record {
            record.set(placed.field, Raw { bytes: placed.of(bytes), kind: placed.kind });
        }
        Ok(record)
    }

    /// What the CRC of the record at the start of `bytes` says.
    #[must_use]
    pub fn crc_state(layout: &Layout, bytes: &[u8]) -> CrcState {
        CrcState::judge(bytes, layout.record_crc_offset())
    }

    /// Appends the record as `layout` stores it to `out`, with a fresh CRC. Fields that the version
    /// lacks are dropped; a number too large for its field becomes the largest that fits:
    /// [`IndexRecord::first_misfit`] tells beforehand.
    pub fn encode_into(&self, layout: &Layout, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start.saturating_add(layout.record_size), 0);
        let bytes = out.get_mut(start..).unwrap_or(&mut []);
        for placed in layout.record {
            let user_flags = self.user_flag_bytes();
            let value = match placed.field {
                RecordField::UserFlags => Stored::Bytes(&user_flags),
                RecordField::Crc => crc_before(bytes, placed.offset).into(),
                field => self.get(field),
            };
            placed.put(bytes, value);
        }
    }

    /// The first field whose value `layout` has a place for that is too narrow (a size above 4 GiB,
    /// or a date out of range or finer than a second, before version 20).
    #[must_use]
    pub fn first_misfit(&self, layout: &Layout) -> Option<RecordField> {
        if self.cache_offset >> 48 != 0 {
            return Some(RecordField::CacheOffset);
        }
        let misfit = layout.record.iter().find(|placed| !placed.holds(self.get(placed.field)));
        misfit.map(|placed| placed.field)
    }

    /// The record as it reads after it was written in `layout`: fields that the version lacks are
    /// gone, numbers too large for theirs are the largest it can hold.
    #[must_use]
    pub fn as_stored(&self, layout: &Layout) -> Self {
        let mut bytes = Vec::with_capacity(layout.record_size);
        self.encode_into(layout, &mut bytes);
        Self::decode(layout, &bytes).unwrap_or(*self)
    }

    /// Whether the message is a tombstone.
    #[must_use]
    pub const fn is_expunged(&self) -> bool {
        self.internal_flags.contains(InternalFlags::EXPUNGED)
    }

    /// Whether the message's file may be removed at any time.
    #[must_use]
    pub const fn is_unlinked(&self) -> bool {
        self.internal_flags.contains(InternalFlags::UNLINKED)
    }

    fn user_flag_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let words = self.user_flags.0.into_iter().flat_map(u32::to_be_bytes);
        bytes.iter_mut().zip(words).for_each(|(to, from)| *to = from);
        bytes
    }

    fn set(&mut self, field: RecordField, raw: Raw<'_>) {
        match field {
            RecordField::Uid => self.uid = Uid(raw.u32()),
            RecordField::Internaldate => self.internaldate = raw.time(),
            RecordField::Sentdate => self.sentdate = raw.time(),
            RecordField::Size => self.size = raw.u64(),
            RecordField::HeaderSize => self.header_size = raw.u32(),
            RecordField::Gmtime => self.gmtime = raw.time(),
            RecordField::ContentOffset => self.content_offset = raw.u32(),
            RecordField::CacheOffset => self.cache_offset |= u64::from(raw.u32()),
            RecordField::LastUpdated => self.last_updated = raw.time(),
            RecordField::SystemFlags => {
                let [a, b, c, d] = raw.array();
                self.internal_flags = InternalFlags(u32::from_be_bytes([a, b, 0, 0]));
                self.system_flags = SystemFlags(u16::from_be_bytes([c, d]));
            }
            RecordField::UserFlags => {
                let bytes: [u8; 16] = raw.array();
                let words = bytes.chunks_exact(4).filter_map(<[u8]>::first_chunk);
                let flags = self.user_flags.0.iter_mut().zip(words);
                flags.for_each(|(flag, word)| *flag = u32::from_be_bytes(*word));
            }
            RecordField::ContentLines => self.content_lines = raw.u32(),
            RecordField::Savedate => self.savedate = raw.time(),
            RecordField::CacheVersion => {
                let [a, b, c, d] = raw.array();
                self.cache_offset |= u64::from(u16::from_be_bytes([a, b])) << 32;
                self.cache_version = u16::from_be_bytes([c, d]);
            }
            RecordField::Guid => self.guid = Guid(raw.array()),
            RecordField::Modseq => self.modseq = ModSeq(raw.u64()),
            RecordField::Cid => self.cid = ThreadId(raw.u64()),
            RecordField::CreatedModseq => self.createdmodseq = ModSeq(raw.u64()),
            RecordField::BaseCid => self.basecid = ThreadId(raw.u64()),
            RecordField::CacheCrc => self.cache_crc = raw.u32(),
            RecordField::Reserved => self.reserved = raw.array(),
            RecordField::Crc => {}
        }
    }

    fn get(&self, field: RecordField) -> Stored<'_> {
        match field {
            RecordField::Uid => self.uid.0.into(),
            RecordField::Internaldate => self.internaldate.into(),
            RecordField::Sentdate => self.sentdate.into(),
            RecordField::Size => self.size.into(),
            RecordField::HeaderSize => self.header_size.into(),
            RecordField::Gmtime => self.gmtime.into(),
            RecordField::ContentOffset => self.content_offset.into(),
            RecordField::CacheOffset => (self.cache_offset & u64::from(u32::MAX)).into(),
            RecordField::LastUpdated => self.last_updated.into(),
            RecordField::SystemFlags => {
                (self.internal_flags.0 | u32::from(self.system_flags.0)).into()
            }
            RecordField::ContentLines => self.content_lines.into(),
            RecordField::Savedate => self.savedate.into(),
            RecordField::CacheVersion => {
                let upper = (self.cache_offset >> 16) & 0xffff_0000;
                (upper | u64::from(self.cache_version)).into()
            }
            RecordField::Guid => Stored::Bytes(&self.guid.0),
            RecordField::Modseq => self.modseq.0.into(),
            RecordField::Cid => self.cid.0.into(),
            RecordField::CreatedModseq => self.createdmodseq.0.into(),
            RecordField::BaseCid => self.basecid.0.into(),
            RecordField::CacheCrc => self.cache_crc.into(),
            RecordField::Reserved => Stored::Bytes(&self.reserved),
            // Both are written by `encode_into`, which has their bytes.
            RecordField::UserFlags | RecordField::Crc => Stored::Bytes(&[]),
        }
    }
}

/// No table reserves more than the value can keep.
const _: () = {
    let mut layouts = Layout::ALL.as_slice();
    while let [layout, rest @ ..] = layouts {
        let mut fields = layout.record;
        while let [placed, more @ ..] = fields {
            let reserved = matches!(placed.field, RecordField::Reserved);
            assert!(!reserved || placed.kind.width() <= IndexRecord::MAX_RESERVED);
            fields = more;
        }
        layouts = rest;
    }
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_upper_bits_of_the_cache_offset_lie_beside_the_cache_version() {
        let layout = Layout::of_version(17).unwrap();
        let record = IndexRecord {
            cache_offset: 0x1234_5678_9abc,
            cache_version: 11,
            ..IndexRecord::default()
        };
        let mut bytes = Vec::new();
        record.encode_into(layout, &mut bytes);
        assert_eq!(bytes[24..28], [0x56, 0x78, 0x9a, 0xbc]);
        assert_eq!(bytes[56..60], [0x12, 0x34, 0, 11]);
        assert_eq!(IndexRecord::decode(layout, &bytes), Ok(record));
        assert_eq!(record.first_misfit(layout), None);
        let far = IndexRecord { cache_offset: 1 << 48, ..record };
        assert_eq!(far.first_misfit(layout), Some(RecordField::CacheOffset));
    }

    #[test]
    fn unknown_flag_bits_are_kept_in_their_half_of_the_word() {
        let layout = Layout::of_version(12).unwrap();
        let record = IndexRecord {
            system_flags: SystemFlags(0xffff),
            internal_flags: InternalFlags(0xffff_0000),
            ..IndexRecord::default()
        };
        let mut bytes = Vec::new();
        record.encode_into(layout, &mut bytes);
        assert_eq!(bytes[32..36], [0xff; 4]);
        assert_eq!(IndexRecord::decode(layout, &bytes), Ok(record));
    }

    #[test]
    fn a_truncated_record_is_an_error_not_a_panic() {
        for layout in Layout::ALL {
            let bytes = vec![0; layout.record_size];
            assert!(IndexRecord::decode(layout, &bytes[1..]).is_err());
            assert!(IndexRecord::decode(layout, &bytes).is_ok());
        }
    }

    #[test]
    fn a_size_above_four_gibibytes_fits_version_20_only() {
        let record = IndexRecord { size: 1 << 32, ..IndexRecord::default() };
        let misfit = |version| record.first_misfit(Layout::of_version(version).unwrap());
        assert_eq!(misfit(19), Some(RecordField::Size));
        assert_eq!(misfit(20), None);
    }

    proptest! {
        #[test]
        fn any_bytes_survive_a_read_and_write_with_a_good_crc(
            which in 0..Layout::ALL.len(),
            random in proptest::collection::vec(any::<u8>(), 144),
        ) {
            let layout = Layout::ALL[which];
            let mut bytes = random[..layout.record_size].to_vec();
            if let Some(crc) = layout.record_crc_offset() {
                let computed = crc32fast::hash(&bytes[..crc]);
                bytes[crc..][..4].copy_from_slice(&computed.to_be_bytes());
                prop_assert_eq!(IndexRecord::crc_state(layout, &bytes), CrcState::Good);
            }
            let record = IndexRecord::decode(layout, &bytes).unwrap();
            prop_assert_eq!(record.first_misfit(layout), None);
            let mut written = vec![7];
            record.encode_into(layout, &mut written);
            prop_assert_eq!(&written[1..], bytes);
        }
    }
}
