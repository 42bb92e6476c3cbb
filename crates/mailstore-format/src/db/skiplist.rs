//! The skiplist database (`lib/cyrusdb_skiplist.c`): records in order of their keys, written by the
//! last checkpoint, then a log of additions and deletions in transactions.
//! Byte table: `docs/format/skiplist.md`.
//!
//! The pointers between records are not followed: after a crash they lie. Entries are made out as
//! Cyrus's `recovery` does, from the records and the log, which gives the same on a sound file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::{
    DbContents, DbDamage, DbEntry, DbFault, DbKind, MAGIC, SKIPLIST_MAGIC, Standing, be_u32,
};
use crate::DecodeError;

const HEADER_SIZE: usize = 48;
const VERSION_AT: usize = 20;
const LOGSTART_AT: usize = 40;
const VERSION: u32 = 1;
const MAX_LEVEL: usize = 20;

const INORDER: u32 = 1;
const ADD: u32 = 2;
const DELETE: u32 = 4;
const COMMIT: u32 = 255;
const DUMMY: u32 = 257;
/// Closes the list of pointers of a record.
const PADDING: u32 = u32::MAX;

/// A record that carries a key: `DUMMY`, `INORDER` or `ADD`.
struct Node {
    kind: u32,
    key: Range<usize>,
    value: Range<usize>,
    end: usize,
    /// Whether everything that could be checked is as Cyrus writes it: there is no checksum.
    plausible: bool,
}

fn rounded(length: usize) -> Option<usize> {
    length.checked_next_multiple_of(4)
}

/// A counted string and where the next field starts.
fn string_at(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let length = usize::try_from(be_u32(bytes, at)?).ok()?;
    let start = at.checked_add(4)?;
    let next = start.checked_add(rounded(length)?)?;
    (next <= bytes.len()).then_some((start..start.checked_add(length)?, next))
}

fn node_at(bytes: &[u8], at: usize) -> Option<Node> {
    let kind = be_u32(bytes, at)?;
    if !matches!(kind, DUMMY | INORDER | ADD) {
        return None;
    }
    let (key, value_at) = string_at(bytes, at.checked_add(4)?)?;
    let (value, pointers_at) = string_at(bytes, value_at)?;
    let mut end = pointers_at;
    let mut plausible = (kind == DUMMY) == key.is_empty();
    for level in 0..=MAX_LEVEL {
        let pointer = be_u32(bytes, end)?;
        end = end.checked_add(4)?;
        if pointer == PADDING {
            let filled = |from: usize, to| bytes.get(from..to).is_some_and(all_zero);
            plausible &= filled(key.end, value_at) && filled(value.end, pointers_at);
            return (level > 0).then_some(Node { kind, key, value, end, plausible });
        }
        plausible &= pointer % 4 == 0;
    }
    None
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Whether two records in a row can be made out anywhere: with a damaged header, that is a skiplist.
pub(super) fn has_records(bytes: &[u8]) -> bool {
    (0..bytes.len()).step_by(4).any(|at| {
        let plausible = |at| node_at(bytes, at).filter(|node| node.plausible);
        plausible(at).and_then(|node| plausible(node.end)).is_some()
    })
}

fn check_header(bytes: &[u8]) -> Result<(), DecodeError> {
    if !bytes.strip_prefix(MAGIC).is_some_and(|rest| rest.starts_with(SKIPLIST_MAGIC)) {
        return Err(DecodeError::new(0, "magic", "a skiplist file's", "other bytes"));
    }
    match be_u32(bytes, VERSION_AT) {
        Some(VERSION) => Ok(()),
        found => Err(DecodeError::new(VERSION_AT as u64, "version", "1", format!("{found:?}"))),
    }
}

enum Change<'a> {
    Add(&'a [u8], &'a [u8]),
    Delete(&'a [u8]),
}

#[derive(Default)]
struct Replay<'a> {
    live: BTreeMap<&'a [u8], (&'a [u8], Standing)>,
    transaction: Vec<Change<'a>>,
    /// Part of the transaction in hand could not be read.
    torn: bool,
}

impl<'a> Replay<'a> {
    fn commit(&mut self) {
        let standing = if self.torn { Standing::Doubtful } else { Standing::Live };
        for change in self.transaction.drain(..) {
            match change {
                Change::Add(key, value) => {
                    self.live.insert(key, (value, standing));
                }
                // A replacement is a deletion and an addition. Where the addition may be what is
                // lost, the old value is better than none.
                Change::Delete(key) if self.torn => {
                    if let Some((_, old)) = self.live.get_mut(key) {
                        *old = Standing::Doubtful;
                    }
                }
                Change::Delete(key) => {
                    self.live.remove(key);
                }
            }
        }
        self.torn = false;
    }

    /// What is left at the end was never committed, unless its commit is what could not be read.
    fn finish(mut self) -> Vec<DbEntry<'a>> {
        if self.torn {
            for change in self.transaction.drain(..) {
                if let Change::Add(key, value) = change {
                    self.live.entry(key).or_insert((value, Standing::Doubtful));
                }
            }
        }
        let entry = |(key, (value, standing)): (&'a [u8], (&'a [u8], _))| DbEntry {
            key: Cow::Borrowed(key),
            value: Cow::Borrowed(value),
            standing,
        };
        self.live.into_iter().map(entry).collect()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    replay: Replay<'a>,
    damage: Vec<DbDamage>,
    /// Where the bytes stopped making sense.
    lost_since: Option<usize>,
    /// Where the records of the last checkpoint end.
    log_at: Option<usize>,
}

pub(super) fn read(bytes: &[u8]) -> DbContents<'_> {
    let mut damage = Vec::new();
    if let Err(error) = check_header(bytes) {
        damage.push(DbDamage { offset: error.offset, fault: DbFault::Header(error) });
    }
    let replay = Replay::default();
    let mut reader =
        Reader { bytes, at: HEADER_SIZE, replay, damage, lost_since: None, log_at: None };
    reader.run();
    DbContents { kind: DbKind::Skiplist, entries: reader.replay.finish(), damage: reader.damage }
}

impl Reader<'_> {
    /// Every turn moves on by at least four bytes.
    fn run(&mut self) {
        while self.at < self.bytes.len() {
            let in_step = self.lost_since.is_none();
            let node = node_at(self.bytes, self.at).filter(|node| node.plausible);
            let dummy_belongs = self.at == HEADER_SIZE;
            match (node, be_u32(self.bytes, self.at)) {
                (Some(node), _) if (node.kind == DUMMY) == dummy_belongs => self.node(&node),
                (_, Some(COMMIT)) if in_step => {
                    self.log_begins();
                    self.replay.commit();
                    self.advance(4);
                }
                (_, Some(DELETE)) if in_step => self.deletion(),
                _ => self.lose(),
            }
        }
        if self.damage.is_empty() {
            self.log_begins();
        }
        self.close_loss();
    }

    fn advance(&mut self, length: usize) {
        self.at = self.at.saturating_add(length);
    }

    fn lose(&mut self) {
        self.lost_since.get_or_insert(self.at);
        self.replay.torn = true;
        self.advance(4);
    }

    fn close_loss(&mut self) {
        if let Some(since) = self.lost_since.take() {
            let length = self.at.min(self.bytes.len()).saturating_sub(since) as u64;
            self.damage
                .push(DbDamage { offset: since as u64, fault: DbFault::Unreadable { length } });
        }
    }

    fn node(&mut self, node: &Node) {
        self.close_loss();
        let key = self.bytes.get(node.key.clone()).unwrap_or_default();
        let value = self.bytes.get(node.value.clone()).unwrap_or_default();
        match node.kind {
            // A key twice among these is not Cyrus's doing; the log knows better than either.
            INORDER => {
                self.replay.live.entry(key).or_insert((value, Standing::Live));
                self.replay.torn = false;
            }
            ADD => {
                self.log_begins();
                self.replay.transaction.push(Change::Add(key, value));
            }
            _ => {}
        }
        self.at = node.end;
    }

    fn deletion(&mut self) {
        self.log_begins();
        let target = self.at.checked_add(4).and_then(|at| be_u32(self.bytes, at));
        let deleted = target
            .map(|target| target as usize)
            .filter(|&target| target < self.at)
            .and_then(|target| node_at(self.bytes, target))
            .and_then(|node| self.bytes.get(node.key));
        if let Some(key) = deleted {
            self.replay.transaction.push(Change::Delete(key));
        } else {
            // The record it points to is lost itself, or this one is damaged.
            self.damage.push(DbDamage { offset: self.at as u64, fault: DbFault::RecordBody });
        }
        self.advance(8);
    }

    /// `recovery` notes a wrong `logstart`; here it tells that records before it are not what they
    /// seem.
    fn log_begins(&mut self) {
        if self.log_at.is_some() {
            return;
        }
        self.log_at = Some(self.at);
        let stored = be_u32(self.bytes, LOGSTART_AT);
        if self.damage.is_empty() && stored.is_none_or(|stored| stored as usize != self.at) {
            let (expected, found) = (self.at.to_string(), format!("{stored:?}"));
            let error = DecodeError::new(LOGSTART_AT as u64, "logstart", expected, found);
            self.damage.push(DbDamage { offset: error.offset, fault: DbFault::Header(error) });
        }
    }
}
