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
        Ok(Self::of_fields(|field| layout.field(field, bytes)))
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

    /// The record whose fields have these bytes.
    #[inline]
    fn of_fields<'a>(raw: impl Fn(RecordField) -> Raw<'a>) -> Self {
        let flags: [u8; 4] = raw(RecordField::SystemFlags).array();
        let [internal_high, internal_low, system_high, system_low] = flags;
        let cache_version: [u8; 4] = raw(RecordField::CacheVersion).array();
        let [offset_high, offset_low, version_high, version_low] = cache_version;
        let cache_offset = u64::from(u16::from_be_bytes([offset_high, offset_low])) << 32;
        Self {
            uid: Uid(raw(RecordField::Uid).u32()),
            internaldate: raw(RecordField::Internaldate).time(),
            sentdate: raw(RecordField::Sentdate).time(),
            size: raw(RecordField::Size).u64(),
            header_size: raw(RecordField::HeaderSize).u32(),
            gmtime: raw(RecordField::Gmtime).time(),
            content_offset: raw(RecordField::ContentOffset).u32(),
            cache_offset: cache_offset | u64::from(raw(RecordField::CacheOffset).u32()),
            last_updated: raw(RecordField::LastUpdated).time(),
            system_flags: SystemFlags(u16::from_be_bytes([system_high, system_low])),
            internal_flags: InternalFlags(u32::from_be_bytes([internal_high, internal_low, 0, 0])),
            user_flags: user_flags(raw(RecordField::UserFlags).array()),
            content_lines: raw(RecordField::ContentLines).u32(),
            savedate: raw(RecordField::Savedate).time(),
            cache_version: u16::from_be_bytes([version_high, version_low]),
            guid: Guid(raw(RecordField::Guid).array()),
            modseq: ModSeq(raw(RecordField::Modseq).u64()),
            cid: ThreadId(raw(RecordField::Cid).u64()),
            createdmodseq: ModSeq(raw(RecordField::CreatedModseq).u64()),
            basecid: ThreadId(raw(RecordField::BaseCid).u64()),
            cache_crc: raw(RecordField::CacheCrc).u32(),
            reserved: raw(RecordField::Reserved).array(),
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

fn user_flags(bytes: [u8; 16]) -> UserFlags {
    let mut words = [0; 4];
    let stored = bytes.chunks_exact(4).filter_map(<[u8]>::first_chunk);
    words.iter_mut().zip(stored).for_each(|(word, stored)| *word = u32::from_be_bytes(*stored));
    UserFlags(words)
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
