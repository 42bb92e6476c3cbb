//! An index record's fields by minor version. `docs/format/index.md` shows the same tables side by
//! side. [`super::Layout`] asserts at compile time that each fills its record exactly.

use super::field::Kind::{Bytes, Nanos, Seconds, U32, U64};
use super::field::{Placed, at};
use super::layout::RecordField::{
    self, BaseCid, CacheCrc, CacheOffset, CacheVersion, Cid, ContentLines, ContentOffset, Crc,
    CreatedModseq, Gmtime, Guid, HeaderSize, Internaldate, LastUpdated, Modseq, Reserved, Savedate,
    Sentdate, Size, SystemFlags, Uid, UserFlags,
};

/// Version 6: 60 bytes.
pub(super) const V6: [Placed<RecordField>; 12] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, ContentOffset, U32),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, ContentLines, U32),
    at(56, CacheVersion, U32),
];

/// Version 7 adds room, used for a short message id: 72 bytes.
pub(super) const V7: [Placed<RecordField>; 13] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, ContentOffset, U32),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, ContentLines, U32),
    at(56, CacheVersion, U32),
    at(60, Reserved, Bytes(12)),
];

/// Versions 8 and 9 add the modseq: 80 bytes.
pub(super) const V8: [Placed<RecordField>; 14] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, ContentOffset, U32),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, ContentLines, U32),
    at(56, CacheVersion, U32),
    at(60, Reserved, Bytes(12)),
    at(72, Modseq, U64),
];

/// Version 10 has the GUID where the short id was: 88 bytes.
pub(super) const V10: [Placed<RecordField>; 14] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, ContentOffset, U32),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, ContentLines, U32),
    at(56, CacheVersion, U32),
    at(60, Guid, Bytes(20)),
    at(80, Modseq, U64),
];

/// Version 12 adds both CRCs and keeps the date where the content offset was: 96 bytes.
pub(super) const V12: [Placed<RecordField>; 16] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, Gmtime, Seconds),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, ContentLines, U32),
    at(56, CacheVersion, U32),
    at(60, Guid, Bytes(20)),
    at(80, Modseq, U64),
    at(88, CacheCrc, U32),
    at(92, Crc, U32),
];

/// Versions 13 and 14 add the thread id: 104 bytes.
pub(super) const V13: [Placed<RecordField>; 17] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, Gmtime, Seconds),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, ContentLines, U32),
    at(56, CacheVersion, U32),
    at(60, Guid, Bytes(20)),
    at(80, Modseq, U64),
    at(88, Cid, U64),
    at(96, CacheCrc, U32),
    at(100, Crc, U32),
];

/// Version 15 keeps the save date where the content lines were: 104 bytes.
pub(super) const V15: [Placed<RecordField>; 17] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, Gmtime, Seconds),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, Savedate, Seconds),
    at(56, CacheVersion, U32),
    at(60, Guid, Bytes(20)),
    at(80, Modseq, U64),
    at(88, Cid, U64),
    at(96, CacheCrc, U32),
    at(100, Crc, U32),
];

/// Versions 16 to 19 add the modseq of creation: 112 bytes.
pub(super) const V16: [Placed<RecordField>; 18] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, Gmtime, Seconds),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, Savedate, Seconds),
    at(56, CacheVersion, U32),
    at(60, Guid, Bytes(20)),
    at(80, Modseq, U64),
    at(88, Cid, U64),
    at(96, CreatedModseq, U64),
    at(104, CacheCrc, U32),
    at(108, Crc, U32),
];

/// Version 19 at the stride of version 20 ([`super::Layout::V19_WIDE`]): 144 bytes.
pub(super) const V19_WIDE: [Placed<RecordField>; 19] = [
    at(0, Uid, U32),
    at(4, Internaldate, Seconds),
    at(8, Sentdate, Seconds),
    at(12, Size, U32),
    at(16, HeaderSize, U32),
    at(20, Gmtime, Seconds),
    at(24, CacheOffset, U32),
    at(28, LastUpdated, Seconds),
    at(32, SystemFlags, U32),
    at(36, UserFlags, Bytes(16)),
    at(52, Savedate, Seconds),
    at(56, CacheVersion, U32),
    at(60, Guid, Bytes(20)),
    at(80, Modseq, U64),
    at(88, Cid, U64),
    at(96, CreatedModseq, U64),
    at(104, CacheCrc, U32),
    at(108, Crc, U32),
    at(112, Reserved, Bytes(32)),
];

/// Version 20 has 64-bit times and size and another order: 144 bytes.
pub(super) const V20: [Placed<RecordField>; 19] = [
    at(0, Uid, U32),
    at(4, CacheOffset, U32),
    at(8, Internaldate, Nanos),
    at(16, Sentdate, Nanos),
    at(24, Size, U64),
    at(32, HeaderSize, U32),
    at(36, SystemFlags, U32),
    at(40, UserFlags, Bytes(16)),
    at(56, CacheVersion, U32),
    at(60, Guid, Bytes(20)),
    at(80, Modseq, U64),
    at(88, Cid, U64),
    at(96, CreatedModseq, U64),
    at(104, Gmtime, Nanos),
    at(112, LastUpdated, Nanos),
    at(120, Savedate, Nanos),
    at(128, BaseCid, U64),
    at(136, CacheCrc, U32),
    at(140, Crc, U32),
];
