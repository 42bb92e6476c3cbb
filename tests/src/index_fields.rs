//! The fields of `cyrus.index` by name, to say what Cyrus changed in one. Written from
//! `imap/mailbox.h` (`OFFSET_…`, minor version 17) and independent of the library under test: a
//! judge that shared its mistakes would miss them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

pub(crate) const HEADER_SIZE: usize = 160;
pub(crate) const RECORD_SIZE: usize = 112;
/// The minor version of Cyrus 3.6.
const MINOR_VERSION: u32 = 17;

/// Name and offset of each field, ascending; a field ends where the next begins.
const HEADER_FIELDS: [(&str, usize); 32] = [
    ("generation_no", 0),
    ("format", 4),
    ("minor_version", 8),
    ("start_offset", 12),
    ("record_size", 16),
    ("num_records", 20),
    ("last_appenddate", 24),
    ("last_uid", 28),
    ("quota_mailbox_used", 32),
    ("pop3_last_login", 40),
    ("uidvalidity", 44),
    ("deleted", 48),
    ("answered", 52),
    ("flagged", 56),
    ("options", 60),
    ("leaked_cache_records", 64),
    ("highestmodseq", 68),
    ("deletedmodseq", 76),
    ("exists", 84),
    ("first_expunged", 88),
    ("last_repack_time", 92),
    ("header_file_crc", 96),
    ("synccrcs.basic", 100),
    ("recentuid", 104),
    ("recenttime", 108),
    ("pop3_show_after", 112),
    ("quota_annot_used", 116),
    ("synccrcs.annot", 120),
    ("unseen", 124),
    ("createdmodseq", 128),
    ("changes_epoch", 136),
    ("spare", 140),
];
const HEADER_CRC: (&str, usize) = ("header_crc", 156);

const RECORD_FIELDS: [(&str, usize); 19] = [
    ("uid", 0),
    ("internaldate", 4),
    ("sentdate", 8),
    ("size", 12),
    ("header_size", 16),
    ("gmtime", 20),
    ("cache_offset", 24),
    ("last_updated", 28),
    ("system_flags", 32),
    ("user_flags", 36),
    ("savedate", 52),
    ("cache_version", 56),
    ("guid", 60),
    ("modseq", 80),
    ("cid", 88),
    ("createdmodseq", 96),
    ("cache_crc", 104),
    ("record_crc", 108),
    ("", RECORD_SIZE),
];

/// How two indexes differ, one field a line; empty if they are the same bytes.
pub(crate) fn differences(before: &[u8], after: &[u8]) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    if !usable_version(before) || !usable_version(after) {
        return vec!["the index is not of minor version 17, or its header is not readable".into()];
    }
    let mut header_fields = HEADER_FIELDS.to_vec();
    header_fields.extend([HEADER_CRC, ("", HEADER_SIZE)]);
    let (header_before, records_before) = before.split_at(HEADER_SIZE);
    let (header_after, records_after) = after.split_at(HEADER_SIZE);
    let mut found = field_differences("header", &header_fields, header_before, header_after);

    let (records_before, records_after) = (by_uid(records_before), by_uid(records_after));
    for (uid, before) in &records_before {
        match records_after.get(uid) {
            Some(after) => {
                let place = format!("record of UID {uid}");
                found.extend(field_differences(&place, &RECORD_FIELDS, before, after));
            }
            None => found.push(format!("record of UID {uid} is gone")),
        }
    }
    for uid in records_after.keys().filter(|uid| !records_before.contains_key(uid)) {
        found.push(format!("record of UID {uid} is new"));
    }
    if found.is_empty() {
        found.push("the same records in another order, or one more than once".into());
    }
    found
}

/// Whether an index is of the version whose fields are listed here.
pub(crate) fn usable_version(index: &[u8]) -> bool {
    number(index, 8) == Some(MINOR_VERSION.into())
        && number(index, 12) == Some(HEADER_SIZE as u64)
        && number(index, 16) == Some(RECORD_SIZE as u64)
        && index.len() >= HEADER_SIZE
}

/// Where a field of the header begins and ends.
pub(crate) fn header_field(name: &str) -> Result<(usize, usize)> {
    let mut fields = HEADER_FIELDS.to_vec();
    fields.extend([HEADER_CRC, ("", HEADER_SIZE)]);
    range_of(&fields, name)
}

/// Where a field of a record begins and ends.
pub(crate) fn record_field(name: &str) -> Result<(usize, usize)> {
    range_of(&RECORD_FIELDS, name)
}

/// The number of 4 or 8 bytes that stands at `range`.
pub(crate) fn number_in(bytes: &[u8], (begin, end): (usize, usize)) -> Result<u64> {
    let field = bytes.get(begin..end).filter(|field| matches!(field.len(), 4 | 8));
    let field = field.context("no number stands there")?;
    Ok(field.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn range_of(fields: &[(&str, usize)], name: &str) -> Result<(usize, usize)> {
    let mut pairs = fields.windows(2).filter_map(|pair| match pair {
        &[(field, begin), (_, end)] if field == name => Some((begin, end)),
        _ => None,
    });
    pairs.next().with_context(|| format!("no field is called {name}"))
}

/// The CRC-32 of `cyrus.header` that an index remembers.
pub(crate) fn header_file_crc(index: &[u8]) -> Option<u64> {
    number(index, 96)
}

fn by_uid(records: &[u8]) -> BTreeMap<u64, &[u8]> {
    let uid_of = |record| number(record, 0).unwrap_or_default();
    records.chunks(RECORD_SIZE).map(|record| (uid_of(record), record)).collect()
}

fn field_differences(
    place: &str,
    fields: &[(&str, usize)],
    before: &[u8],
    after: &[u8],
) -> Vec<String> {
    let mut found = Vec::new();
    for pair in fields.windows(2) {
        let &[(name, begin), (_, end)] = pair else { continue };
        let (old, new) = (before.get(begin..end), after.get(begin..end));
        if old != new {
            let show = |bytes: Option<&[u8]>| match (bytes, end - begin) {
                (Some(bytes), 4 | 8) => {
                    bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b)).to_string()
                }
                (Some(bytes), _) => format!("{bytes:02x?}"),
                (None, _) => "cut off".into(),
            };
            found.push(format!("{place}: {name} was {} and is {}", show(old), show(new)));
        }
    }
    found
}

fn number(bytes: &[u8], offset: usize) -> Option<u64> {
    let four: [u8; 4] = bytes.get(offset..)?.first_chunk().copied()?;
    Some(u32::from_be_bytes(four).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(records: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_SIZE];
        for (offset, value) in [(8, 17_u32), (12, 160), (16, 112)] {
            bytes.splice(offset..offset + 4, value.to_be_bytes());
        }
        for uid in records {
            bytes.extend(uid.to_be_bytes());
            bytes.extend([0; RECORD_SIZE - 4]);
        }
        bytes
    }

    #[test]
    fn changed_fields_are_named_with_their_values() {
        let before = index(&[1, 2]);
        let mut after = before.clone();
        after[87] = 3;
        after[HEADER_SIZE + RECORD_SIZE + 87] = 9;
        let expected = ["header: exists was 0 and is 3", "record of UID 2: modseq was 0 and is 9"];
        assert_eq!(differences(&before, &after), expected);
        assert_eq!(differences(&before, &before), [""; 0]);
    }

    #[test]
    fn equal_records_that_are_not_the_same_bytes_are_told() {
        assert_eq!(differences(&index(&[1, 2]), &index(&[2, 1])).len(), 1);
        assert_eq!(differences(&index(&[1, 2]), &index(&[1, 2, 2])).len(), 1);
    }

    #[test]
    fn records_that_come_and_go_and_foreign_versions_are_told() {
        assert_eq!(differences(&index(&[1]), &index(&[1, 5])), ["record of UID 5 is new"]);
        assert_eq!(differences(&index(&[1, 5]), &index(&[1])), ["record of UID 5 is gone"]);
        assert_eq!(differences(&index(&[]), b"").len(), 1);
    }
}
