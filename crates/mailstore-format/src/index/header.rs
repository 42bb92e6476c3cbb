//! The index header as a value.

use super::crc::CrcState;
use super::field::{Raw, Stored};
use super::layout::{HeaderField, Layout};
use crate::{DecodeError, ModSeq, Timestamp, Uid, UidValidity};

/// Checksums over what replication compares: XORs over all records that are not expunged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncCrcs {
    /// Over UIDs, modseqs, dates, flags and GUIDs. Stored from version 12 on.
    pub basic: u32,
    /// Over annotations, real and virtual. Stored from version 13 on.
    pub annot: u32,
}

impl SyncCrcs {
    /// Those of a mailbox without messages (`CRC_INIT_BASIC`, `CRC_INIT_ANNOT`).
    pub const INITIAL: Self = Self { basic: 0, annot: 12_345_678 };
}

/// The header of `cyrus.index`, in the terms of `struct index_header` (`imap/mailbox.h`).
///
/// A field that the version does not store is zero ([`Layout::header_has`] tells). Cyrus, when it
/// reads such a file, takes other values: `exists` = `num_records` and `deletedmodseq` =
/// `highestmodseq` before version 12, `changes_epoch` = `last_repack_time` before 17.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexHeader {
    /// Counts replacements of the file; a cache of another generation belongs to another file.
    pub generation_no: u32,
    /// Always 0.
    pub format: u32,
    /// The version, which selects the [`Layout`].
    pub minor_version: u32,
    /// Bytes before the first record.
    pub start_offset: u32,
    /// Bytes a record.
    pub record_size: u32,
    /// Records in the file, expunged ones included.
    pub num_records: u32,
    /// When a message was appended last.
    pub last_appenddate: Timestamp,
    /// The highest UID ever given; UIDNEXT is one more.
    pub last_uid: Uid,
    /// Bytes of all messages that are not expunged.
    pub quota_mailbox_used: u64,
    /// When a POP3 session logged in last.
    pub pop3_last_login: Timestamp,
    /// The UIDVALIDITY.
    pub uidvalidity: UidValidity,
    /// Messages with `\Deleted`, expunged ones not counted; likewise the next four.
    pub deleted: u32,
    /// Messages with `\Answered`.
    pub answered: u32,
    /// Messages with `\Flagged`.
    pub flagged: u32,
    /// Messages. Stored from version 12 on.
    pub exists: u32,
    /// Messages without the owner's `\Seen`. Stored from version 14 on.
    pub unseen: u32,
    /// Bits, see [`super::options`]. Unknown ones are kept.
    pub options: u32,
    /// Cache records that no index record points to.
    pub leaked_cache_records: u32,
    /// The highest modseq of any change. Stored from version 8 on.
    pub highestmodseq: ModSeq,
    /// The highest modseq of a record that is gone from the file: QRESYNC knows nothing before it.
    /// Stored from version 12 on.
    pub deletedmodseq: ModSeq,
    /// When the oldest expunged record was expunged; 0 where there is none. Stored from 12 on.
    pub first_expunged: Timestamp,
    /// When records were last removed. Stored from version 12 on.
    pub last_repack_time: Timestamp,
    /// CRC-32 of the whole `cyrus.header`. Stored from version 12 on.
    pub header_file_crc: u32,
    /// What replication compares. Stored from version 12 on.
    pub sync_crcs: SyncCrcs,
    /// The highest UID that the owner was told of. Stored from version 12 on.
    pub recentuid: Uid,
    /// When that was. Stored from version 12 on.
    pub recenttime: Timestamp,
    /// POP3 shows only messages received since. Stored from version 13 on.
    pub pop3_show_after: Timestamp,
    /// Bytes of all annotations of the mailbox and its messages. Stored from version 13 on.
    pub quota_annot_used: u64,
    /// Bytes of messages with `\Deleted`. Stored from version 18 on.
    pub quota_deleted_used: u64,
    /// Bytes of expunged messages that are not unlinked. Stored from version 18 on.
    pub quota_expunged_used: u64,
    /// The modseq at which the mailbox was made. Stored from version 16 on.
    pub createdmodseq: ModSeq,
    /// Changes can be computed from here on. Stored from version 17 on.
    pub changes_epoch: Timestamp,
    /// Bytes the version leaves unused, in front; zeros behind.
    pub reserved: [u8; Self::MAX_RESERVED],
}

impl IndexHeader {
    /// The most bytes that a version leaves unused in its header.
    pub const MAX_RESERVED: usize = 28;

    /// Bytes that hold the version, start offset and record size of any version.
    const VERSIONED: usize = 20;

    /// Reads the header at the start of an index file, whatever its CRC says.
    ///
    /// Fails where Cyrus would refuse the file as `IMAP_MAILBOX_BADFORMAT`: the version is unknown,
    /// the start offset or record size is not the version's, or the input is too short.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_with(bytes, Self::layout_in(bytes)?)
    }

    /// The layout that the header at the start of an index file names.
    /// Fails as [`IndexHeader::decode`] does, but looks at the first 20 bytes only.
    pub fn layout_in(bytes: &[u8]) -> Result<&'static Layout, DecodeError> {
        let number = |offset: usize, field| {
            let raw = bytes.get(offset..).and_then(<[u8]>::first_chunk);
            raw.map(|raw| u32::from_be_bytes(*raw))
                .ok_or_else(|| DecodeError::truncated(0, field, Self::VERSIONED, bytes.len()))
        };
        let version = number(8, "minor_version")?;
        let start_offset = number(12, "start_offset")?;
        let record_size = number(16, "record_size")?;
        if let Some(layout) = Layout::for_header(version, start_offset, record_size) {
            return Ok(layout);
        }
        let Some(layout) = Layout::of_version(version) else {
            return Err(DecodeError::new(8, "minor_version", "6-10 or 12-20", version.to_string()));
        };
        Err(DecodeError::new(
            12,
            "start_offset, record_size",
            format!("{}, {} for version {version}", layout.header_size, layout.record_size),
            format!("{start_offset}, {record_size}"),
        ))
    }

    /// Reads a header by `layout`, whatever version it names itself: for one that is damaged.
    pub fn decode_with(bytes: &[u8], layout: &Layout) -> Result<Self, DecodeError> {
        if bytes.len() < layout.header_size {
            return Err(DecodeError::truncated(0, "header", layout.header_size, bytes.len()));
        }
        let mut header = Self::default();
        for placed in layout.header {
            header.set(placed.field, Raw { bytes: placed.of(bytes), kind: placed.kind });
        }
        Ok(header)
    }

    /// What the CRC of the header at the start of `bytes` says.
    #[must_use]
    pub fn crc_state(bytes: &[u8], layout: &Layout) -> CrcState {
        CrcState::judge(bytes, layout.header_crc_offset())
    }

    /// The header as `layout` stores it, with a fresh CRC. Version, start offset and record size
    /// are the layout's. Fields that the version lacks are dropped; a number too large for its
    /// field becomes the largest it can hold.
    #[must_use]
    pub fn encode(&self, layout: &Layout) -> Vec<u8> {
        let size = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut bytes = vec![0; layout.header_size];
        for placed in layout.header {
            let value = match placed.field {
                HeaderField::MinorVersion => layout.version.into(),
                HeaderField::StartOffset => size(layout.header_size).into(),
                HeaderField::RecordSize => size(layout.record_size).into(),
                HeaderField::Crc => crc_before(&bytes, placed.offset).into(),
                field => self.get(field),
            };
            placed.put(&mut bytes, value);
        }
        bytes
    }

    fn set(&mut self, field: HeaderField, raw: Raw<'_>) {
        match field {
            HeaderField::GenerationNo => self.generation_no = raw.u32(),
            HeaderField::Format => self.format = raw.u32(),
            HeaderField::MinorVersion => self.minor_version = raw.u32(),
            HeaderField::StartOffset => self.start_offset = raw.u32(),
            HeaderField::RecordSize => self.record_size = raw.u32(),
            HeaderField::NumRecords => self.num_records = raw.u32(),
            HeaderField::LastAppenddate => self.last_appenddate = raw.time(),
            HeaderField::LastUid => self.last_uid = Uid(raw.u32()),
            HeaderField::QuotaMailboxUsed => self.quota_mailbox_used = raw.u64(),
            HeaderField::Pop3LastLogin => self.pop3_last_login = raw.time(),
            HeaderField::UidValidity => self.uidvalidity = UidValidity(raw.u32()),
            HeaderField::Deleted => self.deleted = raw.u32(),
            HeaderField::Answered => self.answered = raw.u32(),
            HeaderField::Flagged => self.flagged = raw.u32(),
            HeaderField::Exists => self.exists = raw.u32(),
            HeaderField::Unseen => self.unseen = raw.u32(),
            HeaderField::Options => self.options = raw.u32(),
            HeaderField::LeakedCacheRecords => self.leaked_cache_records = raw.u32(),
            HeaderField::HighestModseq => self.highestmodseq = ModSeq(raw.u64()),
            HeaderField::DeletedModseq => self.deletedmodseq = ModSeq(raw.u64()),
            HeaderField::FirstExpunged => self.first_expunged = raw.time(),
            HeaderField::LastRepackTime => self.last_repack_time = raw.time(),
            HeaderField::HeaderFileCrc => self.header_file_crc = raw.u32(),
            HeaderField::SyncCrcBasic => self.sync_crcs.basic = raw.u32(),
            HeaderField::SyncCrcAnnot => self.sync_crcs.annot = raw.u32(),
            HeaderField::RecentUid => self.recentuid = Uid(raw.u32()),
            HeaderField::RecentTime => self.recenttime = raw.time(),
            HeaderField::Pop3ShowAfter => self.pop3_show_after = raw.time(),
            HeaderField::QuotaAnnotUsed => self.quota_annot_used = raw.u64(),
            HeaderField::QuotaDeletedUsed => self.quota_deleted_used = raw.u64(),
            HeaderField::QuotaExpungedUsed => self.quota_expunged_used = raw.u64(),
            HeaderField::CreatedModseq => self.createdmodseq = ModSeq(raw.u64()),
            HeaderField::ChangesEpoch => self.changes_epoch = raw.time(),
            HeaderField::Reserved => self.reserved = raw.array(),
            HeaderField::Crc => {}
        }
    }

    fn get(&self, field: HeaderField) -> Stored<'_> {
        match field {
            HeaderField::GenerationNo => self.generation_no.into(),
            HeaderField::Format => self.format.into(),
            HeaderField::MinorVersion => self.minor_version.into(),
            HeaderField::StartOffset => self.start_offset.into(),
            HeaderField::RecordSize => self.record_size.into(),
            HeaderField::NumRecords => self.num_records.into(),
            HeaderField::LastAppenddate => self.last_appenddate.into(),
            HeaderField::LastUid => self.last_uid.0.into(),
            HeaderField::QuotaMailboxUsed => self.quota_mailbox_used.into(),
            HeaderField::Pop3LastLogin => self.pop3_last_login.into(),
            HeaderField::UidValidity => self.uidvalidity.0.into(),
            HeaderField::Deleted => self.deleted.into(),
            HeaderField::Answered => self.answered.into(),
            HeaderField::Flagged => self.flagged.into(),
            HeaderField::Exists => self.exists.into(),
            HeaderField::Unseen => self.unseen.into(),
            HeaderField::Options => self.options.into(),
            HeaderField::LeakedCacheRecords => self.leaked_cache_records.into(),
            HeaderField::HighestModseq => self.highestmodseq.0.into(),
            HeaderField::DeletedModseq => self.deletedmodseq.0.into(),
            HeaderField::FirstExpunged => self.first_expunged.into(),
            HeaderField::LastRepackTime => self.last_repack_time.into(),
            HeaderField::HeaderFileCrc => self.header_file_crc.into(),
            HeaderField::SyncCrcBasic => self.sync_crcs.basic.into(),
            HeaderField::SyncCrcAnnot => self.sync_crcs.annot.into(),
            HeaderField::RecentUid => self.recentuid.0.into(),
            HeaderField::RecentTime => self.recenttime.into(),
            HeaderField::Pop3ShowAfter => self.pop3_show_after.into(),
            HeaderField::QuotaAnnotUsed => self.quota_annot_used.into(),
            HeaderField::QuotaDeletedUsed => self.quota_deleted_used.into(),
            HeaderField::QuotaExpungedUsed => self.quota_expunged_used.into(),
            HeaderField::CreatedModseq => self.createdmodseq.0.into(),
            HeaderField::ChangesEpoch => self.changes_epoch.into(),
            HeaderField::Reserved => Stored::Bytes(&self.reserved),
            HeaderField::Crc => Stored::Bytes(&[]),
        }
    }
}

/// The CRC-32 of the first `end` bytes.
pub(super) fn crc_before(bytes: &[u8], end: usize) -> u32 {
    crc32fast::hash(bytes.get(..end).unwrap_or(bytes))
}

/// No table reserves more than the value can keep.
const _: () = {
    let mut layouts = Layout::ALL.as_slice();
    while let [layout, rest @ ..] = layouts {
        let mut fields = layout.header;
        while let [placed, more @ ..] = fields {
            let reserved = matches!(placed.field, HeaderField::Reserved);
            assert!(!reserved || placed.kind.width() <= IndexHeader::MAX_RESERVED);
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
    fn a_truncated_header_is_an_error_not_a_panic() {
        for layout in Layout::ALL {
            let bytes = IndexHeader::default().encode(layout);
            for cut in 0..bytes.len() {
                assert!(IndexHeader::decode(&bytes[..cut]).is_err(), "{cut} of {}", layout.version);
            }
            assert!(IndexHeader::decode(&bytes).is_ok());
        }
    }

    #[test]
    fn an_unknown_version_and_a_wrong_record_size_are_named() {
        let mut bytes = IndexHeader::default().encode(Layout::of_version(17).unwrap());
        bytes[11] = 11;
        assert_eq!(IndexHeader::decode(&bytes).unwrap_err().field, "minor_version");
        bytes[11] = 18;
        bytes[19] = 144;
        assert_eq!(IndexHeader::decode(&bytes).unwrap_err().offset, 12);
    }

    #[test]
    fn a_changed_bit_makes_the_crc_bad() {
        let layout = Layout::of_version(20).unwrap();
        let mut bytes = IndexHeader::default().encode(layout);
        assert_eq!(IndexHeader::crc_state(&bytes, layout), CrcState::Good);
        bytes[90] ^= 1;
        assert!(IndexHeader::crc_state(&bytes, layout).is_bad());
        assert!(IndexHeader::crc_state(&bytes[..40], layout).is_bad());
        let old = Layout::of_version(10).unwrap();
        assert_eq!(IndexHeader::crc_state(&bytes, old), CrcState::Absent);
    }

    proptest! {
        #[test]
        fn any_bytes_survive_a_read_and_write_but_for_version_and_crc(
            which in 0..Layout::ALL.len(),
            random in proptest::collection::vec(any::<u8>(), 192),
        ) {
            let layout = Layout::ALL[which];
            let mut bytes = random[..layout.header_size].to_vec();
            bytes[8..20].copy_from_slice(&IndexHeader::default().encode(layout)[8..20]);
            if let Some(crc) = layout.header_crc_offset() {
                let computed = crc32fast::hash(&bytes[..crc]);
                bytes[crc..].copy_from_slice(&computed.to_be_bytes());
            }
            let header = IndexHeader::decode(&bytes).unwrap();
            prop_assert_eq!(header.encode(layout), bytes);
        }

        #[test]
        fn any_bytes_are_a_header_or_an_error(
            random in proptest::collection::vec(any::<u8>(), 0..200),
            which in 0..Layout::ALL.len(),
        ) {
            let _ = IndexHeader::decode(&random);
            let _ = IndexHeader::decode_with(&random, Layout::ALL[which]);
            let _ = IndexHeader::crc_state(&random, Layout::ALL[which]);
        }
    }
}
