//! The checksums by which replication compares mailboxes: XORs of a CRC-32 a message and one an
//! annotation. The header keeps them ([`SyncCrcs`]), so they also prove flag names and annotations.
//!
//! Source: `crc_basic`, `crc_annot`, `crc_virtannot`, `mailbox_is_virtannot` in `imap/mailbox.c`.
//! Only records that are not expunged take part; neither do annotations of the mailbox itself.

use std::borrow::Borrow;
use std::fmt::{self, Write as _};

use super::header::SyncCrcs;
use super::record::IndexRecord;
use crate::header_file::FlagNames;
use crate::{SystemFlags, Uid};

/// The namespace of Cyrus's own annotations (`IMAP_ANNOT_NS`).
const CYRUS_NAMESPACE: &str = "/vendor/cmu/cyrus-imapd/";

/// How a thread id is written into the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadIdForm {
    /// Without leading zeros: releases up to 3.12.
    Shortest,
    /// 16 digits: 3.13.
    Padded,
}

/// What a server puts into the annotation checksum. It depends on the index version and on the
/// release: two releases disagree on the same mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncCrcDialect {
    /// The index's minor version: which record fields stand in for annotations.
    pub version: u32,
    /// How thread ids are written.
    pub thread_id: ThreadIdForm,
}

impl SyncCrcDialect {
    /// The dialects that a file of this version can have been written in, the likelier first.
    #[must_use]
    pub fn candidates(version: u32) -> [Self; 2] {
        let both = [ThreadIdForm::Shortest, ThreadIdForm::Padded];
        let mut dialects = both.map(|thread_id| Self { version, thread_id });
        if version >= 20 {
            dialects.reverse();
        }
        dialects
    }

    /// Whether a stored annotation is left out because a record field stands in for it.
    #[must_use]
    pub fn is_virtual(&self, entry: &[u8]) -> bool {
        let Some(name) = entry.strip_prefix(CYRUS_NAMESPACE.as_bytes()) else { return false };
        let since = match name {
            b"thrid" => 13,
            b"savedate" => 15,
            b"createdmodseq" => 16,
            b"internaldate.nsec" | b"basethrid" => 20,
            _ => return false,
        };
        self.version >= since
    }

    /// The checksum of the record fields that stand in for annotations; 0 for an expunged record.
    #[must_use]
    pub fn virtual_annotations(&self, record: &IndexRecord) -> u32 {
        if record.is_expunged() {
            return 0;
        }
        let mut crc = 0;
        let mut add = |since: u32, name: &str, is_set: bool, value: fmt::Arguments<'_>| {
            if is_set && self.version >= since {
                crc ^= of_text(format_args!("{} {CYRUS_NAMESPACE}{name}  {value}", record.uid));
            }
        };
        let digits = match self.thread_id {
            ThreadIdForm::Shortest => 1,
            ThreadIdForm::Padded => 16,
        };
        let IndexRecord { cid, createdmodseq, basecid, .. } = record;
        let saved = record.savedate.seconds();
        let nanos = record.internaldate.subsecond_nanos();
        add(13, "thrid", cid.0 != 0, format_args!("{:0digits$x}", cid.0));
        add(15, "savedate", saved != 0, format_args!("{saved}"));
        add(16, "createdmodseq", createdmodseq.0 != 0, format_args!("{createdmodseq}"));
        add(20, "internaldate.nsec", nanos != 0, format_args!("{nanos}"));
        add(20, "basethrid", basecid.0 != 0, format_args!("{:0digits$x}", basecid.0));
        crc
    }
}

/// The checksum of one message's state; 0 for an expunged record.
#[must_use]
pub fn basic(record: &IndexRecord, flag_names: &FlagNames) -> u32 {
    if record.is_expunged() {
        return 0;
    }
    of_text(format_args!(
        "{} {} {} ({}) {} {}",
        record.uid,
        record.modseq,
        record.last_updated.seconds(),
        flags(record, flag_names),
        record.internaldate.seconds(),
        record.guid,
    ))
}

/// The XOR of the checksums of all flags. A keyword whose slot has no name does not take part.
fn flags(record: &IndexRecord, flag_names: &FlagNames) -> u32 {
    const SYSTEM: [(SystemFlags, &[u8]); 5] = [
        (SystemFlags::DELETED, b"\\deleted"),
        (SystemFlags::ANSWERED, b"\\answered"),
        (SystemFlags::FLAGGED, b"\\flagged"),
        (SystemFlags::DRAFT, b"\\draft"),
        (SystemFlags::SEEN, b"\\seen"),
    ];
    let set = SYSTEM.iter().filter(|(flag, _)| record.system_flags.contains(*flag));
    let system = set.fold(0, |crc, (_, name)| crc ^ crc32fast::hash(name));
    let keywords = record.user_flags.slots().filter_map(|slot| flag_names.get(slot));
    keywords.fold(system, |crc, name| crc ^ crc32fast::hash(&name.to_ascii_lowercase()))
}

/// The checksum of a text that is never put together.
fn of_text(text: fmt::Arguments<'_>) -> u32 {
    struct Checksum(crc32fast::Hasher);

    impl fmt::Write for Checksum {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            self.0.update(piece.as_bytes());
            Ok(())
        }
    }

    let mut checksum = Checksum(crc32fast::Hasher::new());
    checksum.write_fmt(text).expect("a checksum takes any text");
    checksum.0.finalize()
}

/// The checksum of one annotation of one message. `userid` is empty for a shared one.
#[must_use]
pub fn annot(uid: Uid, entry: &[u8], userid: &[u8], value: &[u8]) -> u32 {
    let uid = uid.to_string();
    let mut hasher = crc32fast::Hasher::new();
    for part in [uid.as_bytes(), b" ", entry, b" ", userid, b" ", value] {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The checksums of a mailbox in each of `dialects`, but for its stored annotations: XOR [`annot`] of
/// each of those of a message that is not expunged onto `annot`, unless
/// [`SyncCrcDialect::is_virtual`].
#[must_use]
pub fn of_records<R: Borrow<IndexRecord>, const N: usize>(
    records: impl IntoIterator<Item = R>,
    flag_names: &FlagNames,
    dialects: [SyncCrcDialect; N],
) -> [SyncCrcs; N] {
    records.into_iter().fold([SyncCrcs::INITIAL; N], |mut crcs, record| {
        let record = record.borrow();
        let basic = basic(record, flag_names);
        for (crcs, dialect) in crcs.iter_mut().zip(dialects) {
            crcs.basic ^= basic;
            crcs.annot ^= dialect.virtual_annotations(record);
        }
        crcs
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InternalFlags, ModSeq, ThreadId, Timestamp, UserFlags};

    fn record() -> IndexRecord {
        IndexRecord {
            uid: Uid(7),
            modseq: ModSeq(9),
            cid: ThreadId(0x00ab),
            createdmodseq: ModSeq(5),
            savedate: Timestamp::from_seconds(11),
            internaldate: Timestamp(1_000_000_002),
            ..IndexRecord::default()
        }
    }

    #[test]
    fn the_basic_checksum_is_that_of_the_text_cyrus_hashes() {
        let text = format!("7 9 0 (0) 1 {}", "0".repeat(40));
        assert_eq!(basic(&record(), &FlagNames::default()), crc32fast::hash(text.as_bytes()));
    }

    #[test]
    fn keywords_count_without_case_and_unnamed_ones_not_at_all() {
        let names = |name: &str| FlagNames::new([None, Some(name.into())]).unwrap();
        let flagged = IndexRecord { user_flags: UserFlags([0b110, 0, 0, 0]), ..record() };
        assert_eq!(basic(&flagged, &names("WORK")), basic(&flagged, &names("work")));
        assert_ne!(basic(&flagged, &names("work")), basic(&record(), &names("work")));
        assert_eq!(basic(&flagged, &FlagNames::default()), basic(&record(), &names("work")));
    }

    #[test]
    fn thread_ids_with_leading_zeros_differ_between_releases() {
        let [shortest, padded] = SyncCrcDialect::candidates(13);
        let expected =
            |id: &str| annot(Uid(7), b"/vendor/cmu/cyrus-imapd/thrid", b"", id.as_bytes());
        assert_eq!(shortest.virtual_annotations(&record()), expected("ab"));
        assert_eq!(padded.virtual_annotations(&record()), expected("00000000000000ab"));
    }

    #[test]
    fn later_versions_let_more_fields_stand_in() {
        let crcs: Vec<u32> = [12, 13, 15, 16, 20]
            .map(|version| SyncCrcDialect { version, thread_id: ThreadIdForm::Padded })
            .iter()
            .map(|dialect| dialect.virtual_annotations(&record()))
            .collect();
        assert_eq!(crcs[0], 0);
        assert!(crcs.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(SyncCrcDialect::candidates(15)[0].is_virtual(b"/vendor/cmu/cyrus-imapd/savedate"));
        assert!(!SyncCrcDialect::candidates(14)[0].is_virtual(b"/vendor/cmu/cyrus-imapd/savedate"));
        assert!(!SyncCrcDialect::candidates(20)[0].is_virtual(b"/comment"));
    }

    #[test]
    fn expunged_records_take_no_part() {
        let expunged = IndexRecord { internal_flags: InternalFlags::EXPUNGED, ..record() };
        let dialect = SyncCrcDialect::candidates(20)[0];
        let [crcs] = of_records([&expunged], &FlagNames::default(), [dialect]);
        assert_eq!(crcs, SyncCrcs::INITIAL);
    }
}
