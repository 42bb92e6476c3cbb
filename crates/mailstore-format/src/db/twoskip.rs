//! The twoskip database (`lib/cyrusdb_twoskip.c`): records of all transactions since the last
//! checkpoint, linked in order of their keys. Byte table: `docs/format/twoskip.md`.
//!
//! Here the records are made out and their checksums verified, one after the other through the
//! file; which of them are live is [`super::twoskip_liveness`]'s to say.

use std::ops::Range;

use super::twoskip_liveness;
use super::{DbContents, DbDamage, DbFault, DbKind, MAGIC, TWOSKIP_MAGIC, be_u16, be_u32, be_u64};
use crate::DecodeError;

const HEADER_SIZE: usize = 64;
const VERSION_AT: usize = 20;
const NUM_RECORDS_AT: usize = 32;
const CURRENT_SIZE_AT: usize = 48;
const HEADER_CRC_AT: usize = 60;
const VERSION: u32 = 1;
const _: () = assert!(HEADER_CRC_AT + 4 == HEADER_SIZE);

/// The first record, which has no key and points to the first of every level.
pub(super) const DUMMY_AT: usize = HEADER_SIZE;
const MAX_LEVEL: u8 = 31;
/// Type, level and lengths; one pointer a level and one more; two checksums.
const DUMMY_SIZE: usize = 8 + 8 * 32 + 8;
/// Fills up to where a record's head fits into one disk block.
const BLANK: &[u8; 8] = b" BLANK\x07\xa0";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dummy,
    Record,
    Delete,
    Commit,
}

/// One record: where its parts are, and which of them are whole.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) offset: usize,
    pub(super) kind: Kind,
    level: u8,
    pointers_at: usize,
    key_at: usize,
    value_at: usize,
    value_end: usize,
    end: usize,
    /// The checksum of type, lengths and pointers is right.
    pub(super) head_is_whole: bool,
    /// The checksum of key and value is right.
    pub(super) body_is_whole: bool,
}

impl Record {
    /// The record at `offset`, if one fits there; no checksum is looked at.
    fn layout(bytes: &[u8], offset: usize) -> Option<Self> {
        let kind = match bytes.get(offset)? {
            b'=' => Kind::Dummy,
            b'+' => Kind::Record,
            b'-' => Kind::Delete,
            b'$' => Kind::Commit,
            _ => return None,
        };
        let level = *bytes.get(offset.checked_add(1)?)?;
        if level > MAX_LEVEL || (kind == Kind::Record && level == 0) {
            return None;
        }
        let mut pointers_at = offset.checked_add(8)?;
        let mut long_length = |short: u64, marker: u64| {
            if short != marker {
                return usize::try_from(short).ok();
            }
            let long = be_u64(bytes, pointers_at)?;
            pointers_at = pointers_at.checked_add(8)?;
            usize::try_from(long).ok()
        };
        let short = u64::from(be_u16(bytes, offset.checked_add(2)?)?);
        let key_length = long_length(short, u64::from(u16::MAX))?;
        let short = u64::from(be_u32(bytes, offset.checked_add(4)?)?);
        let value_length = long_length(short, u64::from(u32::MAX))?;
        let pointers = usize::from(level).checked_add(1)?.checked_mul(8)?;
        let key_at = pointers_at.checked_add(pointers)?.checked_add(8)?;
        let value_at = key_at.checked_add(key_length)?;
        let value_end = value_at.checked_add(value_length)?;
        let body = key_length.checked_add(value_length)?.checked_next_multiple_of(8)?;
        let end = key_at.checked_add(body)?;
        (end <= bytes.len()).then_some(Self {
            offset,
            kind,
            level,
            pointers_at,
            key_at,
            value_at,
            value_end,
            end,
            head_is_whole: false,
            body_is_whole: false,
        })
    }

    fn crc(bytes: &[u8], part: Range<usize>) -> Option<u32> {
        bytes.get(part).map(crc32fast::hash)
    }

    fn head_fits(&self, bytes: &[u8]) -> bool {
        let crc_at = self.key_at.saturating_sub(8);
        let stored = be_u32(bytes, crc_at);
        stored.is_some() && Self::crc(bytes, self.offset..crc_at) == stored
    }

    fn body_fits(&self, bytes: &[u8]) -> bool {
        let stored = be_u32(bytes, self.key_at.saturating_sub(4));
        stored.is_some() && Self::crc(bytes, self.key_at..self.end) == stored
    }

    /// Whether key and value end where the lengths say, by the padding that follows: only a whole
    /// head vouches for the lengths otherwise. Where the key ends within them, nothing tells.
    fn lengths_fit_the_padding(&self, bytes: &[u8]) -> bool {
        let padding = bytes.get(self.value_end..self.end);
        let last = self.value_end.checked_sub(1).and_then(|at| bytes.get(at));
        padding.is_some_and(|padding| padding.iter().all(|&byte| byte == 0))
            && last.is_some_and(|&byte| byte != 0)
    }

    pub(super) fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.key_at..self.value_at).unwrap_or_default()
    }

    pub(super) fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.value_at..self.value_end).unwrap_or_default()
    }

    /// The pointer in `slot`; none beyond the level of the record, and none from a damaged head.
    fn pointer(&self, bytes: &[u8], slot: u8) -> Option<u64> {
        if slot > self.level || !self.head_is_whole {
            return None;
        }
        be_u64(bytes, self.pointers_at.checked_add(usize::from(slot).checked_mul(8)?)?)
    }

    /// The offset of the next record in order of keys, 0 at the end (`_getloc` at level 0).
    ///
    /// The first two pointers take turns. Of those that lie before `committed`, where the last
    /// transaction ends, the higher is the newer; what lies behind was never committed.
    pub(super) fn next(&self, bytes: &[u8], committed: u64) -> Option<u64> {
        let first = self.pointer(bytes, 0)?;
        match self.pointer(bytes, 1) {
            // A deletion has but one.
            None => Some(first),
            Some(second) if first >= committed => Some(second),
            Some(second) if second >= committed => Some(first),
            Some(second) => Some(first.max(second)),
        }
    }

    /// The pointers of the upper levels, which skip records.
    pub(super) fn skips<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = u64> + use<'a> {
        let record = self.clone();
        (2..=MAX_LEVEL).map_while(move |slot| record.pointer(bytes, slot))
    }
}

/// All records of a file, in order of offset, and what lies between them.
pub(super) struct Scan {
    pub(super) records: Vec<Record>,
    pub(super) damage: Vec<DbDamage>,
    /// Where the first record was lost, if any was: what came after may have touched its key.
    pub(super) first_loss: Option<usize>,
}

/// Whether any record whose head is whole can be made out: with a damaged header, that is a twoskip.
pub(super) fn has_records(bytes: &[u8]) -> bool {
    (DUMMY_AT..bytes.len())
        .step_by(8)
        .filter_map(|at| Record::layout(bytes, at))
        .any(|record| record.head_fits(bytes))
}

/// Reads every record up to the end of `bytes`. Where none can be made out, it looks for the next
/// at every eighth byte, as Cyrus's `recovery2` does.
fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan { records: Vec::new(), damage: Vec::new(), first_loss: None };
    // Lengths from a damaged head cost a checksum over what they claim: not more often, in all,
    // than the file is long.
    let mut guesses_left = bytes.len();
    let mut lost_since: Option<usize> = None;
    let mut at = DUMMY_AT;
    while at < bytes.len() {
        if bytes.get(at..).is_some_and(|rest| rest.starts_with(BLANK)) {
            at = at.saturating_add(8);
            continue;
        }
        let record = Record::layout(bytes, at).and_then(|mut record| {
            record.head_is_whole = record.head_fits(bytes);
            if record.head_is_whole {
                record.body_is_whole = record.body_fits(bytes);
                return Some(record);
            }
            if record.kind != Kind::Record || lost_since.is_some() {
                return None;
            }
            guesses_left = guesses_left.checked_sub(record.end.saturating_sub(record.key_at))?;
            record.body_is_whole = record.lengths_fit_the_padding(bytes) && record.body_fits(bytes);
            record.body_is_whole.then_some(record)
        });
        let Some(record) = record else {
            lost_since.get_or_insert(at);
            at = at.saturating_add(8);
            continue;
        };
        scan.close_loss(&mut lost_since, at);
        let fault = match (record.head_is_whole, record.body_is_whole) {
            (true, true) => None,
            (false, _) => Some(DbFault::RecordHead),
            (true, false) => {
                scan.first_loss.get_or_insert(at);
                Some(DbFault::RecordBody)
            }
        };
        if let Some(fault) = fault {
            scan.damage.push(DbDamage { offset: at as u64, fault });
        }
        at = record.end;
        scan.records.push(record);
    }
    scan.close_loss(&mut lost_since, bytes.len());
    scan
}

impl Scan {
    fn close_loss(&mut self, lost_since: &mut Option<usize>, end: usize) {
        let Some(since) = lost_since.take() else { return };
        let length = end.saturating_sub(since);
        // The dummy has no key: without it the way is lost, but no entry.
        if since != DUMMY_AT || length != DUMMY_SIZE {
            self.first_loss.get_or_insert(since);
        }
        let fault = DbFault::Unreadable { length: length as u64 };
        self.damage.push(DbDamage { offset: since as u64, fault });
    }

    /// Where the last transaction ends, by the records alone.
    fn last_commit_end(&self, length: usize) -> usize {
        let committed = |record: &&Record| {
            record.head_is_whole && matches!(record.kind, Kind::Commit | Kind::Dummy)
        };
        let end = self.records.iter().rev().find(committed).map_or(0, |record| record.end);
        // A commit may be what is lost behind it.
        let lost_behind = self.damage.iter().any(|damage| {
            matches!(damage.fault, DbFault::Unreadable { .. }) && damage.offset >= end as u64
        });
        if end == 0 || lost_behind { length } else { end }
    }
}

struct Header {
    num_records: u64,
    current_size: u64,
}

fn header(bytes: &[u8]) -> Result<Header, DecodeError> {
    let left = bytes.len();
    let truncated = || DecodeError::truncated(0, "header", HEADER_SIZE, left);
    let stored = be_u32(bytes, HEADER_CRC_AT).ok_or_else(truncated)?;
    if !bytes.strip_prefix(MAGIC).is_some_and(|rest| rest.starts_with(TWOSKIP_MAGIC)) {
        return Err(DecodeError::new(0, "magic", "a twoskip file's", "other bytes"));
    }
    let computed = Record::crc(bytes, 0..HEADER_CRC_AT).ok_or_else(truncated)?;
    if computed != stored {
        let (computed, stored) = (format!("{computed:08x}"), format!("{stored:08x}"));
        return Err(DecodeError::new(HEADER_CRC_AT as u64, "crc32", computed, stored));
    }
    let version = be_u32(bytes, VERSION_AT).ok_or_else(truncated)?;
    if version > VERSION {
        let found = version.to_string();
        return Err(DecodeError::new(VERSION_AT as u64, "version", "at most 1", found));
    }
    let num_records = be_u64(bytes, NUM_RECORDS_AT).ok_or_else(truncated)?;
    let current_size = be_u64(bytes, CURRENT_SIZE_AT).ok_or_else(truncated)?;
    Ok(Header { num_records, current_size })
}

pub(super) fn read(bytes: &[u8]) -> DbContents<'_> {
    let header = header(bytes);
    let mut damage = Vec::new();
    let (found, committed) = match &header {
        Ok(header) => {
            let end = usize::try_from(header.current_size).unwrap_or(usize::MAX);
            let mut found = scan(bytes.get(..end).unwrap_or(bytes));
            if end > bytes.len() {
                let fault = DbFault::Truncated { expected: header.current_size };
                damage.push(DbDamage { offset: bytes.len() as u64, fault });
                found.first_loss.get_or_insert(bytes.len());
            }
            (found, header.current_size)
        }
        Err(error) => {
            damage.push(DbDamage { offset: error.offset, fault: DbFault::Header(error.clone()) });
            let mut found = scan(bytes);
            let end = found.last_commit_end(bytes.len());
            found.records.retain(|record| record.offset < end);
            found.damage.retain(|damage| damage.offset < end as u64);
            (found, end as u64)
        }
    };
    let (entries, breaks) = twoskip_liveness::live_entries(bytes, &found, committed);
    damage.extend(found.damage);
    damage.extend(breaks);
    if let Ok(header) = header
        && damage.is_empty()
        && header.num_records != entries.len() as u64
    {
        let (expected, found) = (header.num_records, entries.len() as u64);
        let fault = DbFault::EntryCount { expected, found };
        damage.push(DbDamage { offset: NUM_RECORDS_AT as u64, fault });
    }
    DbContents { kind: DbKind::Twoskip, entries, damage }
}
