//! Which records of a twoskip file are live: neither replaced nor deleted since.
//!
//! The file does not say it of the record itself. What a live record points to is live, so the
//! pointers, from the dummy on, prove most of it; and between a record and the one that it names as
//! its next, nothing is live. Where a record of the chain is lost, there is a gap in this proof. For
//! the keys in a gap the history is replayed: records lie in the order of writing, the last of a key
//! is the one that counts, and a deletion takes the key before the one it points to. The replay is
//! exact up to the first lost record, whose key nobody knows; what is found beyond is doubtful.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::twoskip::{DUMMY_AT, Kind, Record, Scan};
use super::{DbDamage, DbEntry, DbFault, Standing, sort_entries};

/// Deletions between a record and its next; Cyrus leaves one.
const MAX_DELETIONS_IN_A_ROW: usize = 16;

/// The two orders of keys (`lib/bsearch.c`). The file does not say which it is in.
#[derive(Debug, Clone, Copy)]
enum KeyOrder {
    /// `bsearch_ncompare_raw`
    Bytes,
    /// `bsearch_ncompare_mbox`: as bytes, but `.` before everything else that can be in a name.
    Mailbox,
}

impl KeyOrder {
    fn rank(self, byte: u8) -> u8 {
        match (self, byte) {
            (Self::Mailbox, b'\t' | b'\n') => 1,
            (Self::Mailbox, b'.') => 2,
            (Self::Mailbox, 1..=8) => byte.saturating_add(2),
            (Self::Bytes | Self::Mailbox, _) => byte,
        }
    }

    fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        let ranks = a.iter().map(|&byte| self.rank(byte));
        ranks.cmp(b.iter().map(|&byte| self.rank(byte)))
    }
}

/// Where a pointer leads.
enum Target {
    End,
    Record(usize),
    Lost,
}

struct Chain<'s, 'a> {
    bytes: &'a [u8],
    records: &'s [Record],
    committed: u64,
}

impl<'a> Chain<'_, 'a> {
    fn key(&self, index: usize) -> &'a [u8] {
        self.records.get(index).map(|record| record.key(self.bytes)).unwrap_or_default()
    }

    fn at(&self, offset: u64) -> Option<usize> {
        let offset = usize::try_from(offset).ok()?;
        self.records.binary_search_by_key(&offset, |record| record.offset).ok()
    }

    /// Follows `offset` through deletions, which lie in the way.
    fn target(&self, mut offset: u64) -> Target {
        for _ in 0..MAX_DELETIONS_IN_A_ROW {
            if offset == 0 {
                return Target::End;
            }
            let Some((index, record)) =
                self.at(offset).and_then(|index| Some((index, self.records.get(index)?)))
            else {
                return Target::Lost;
            };
            match (record.kind, record.next(self.bytes, self.committed)) {
                (Kind::Record, _) => return Target::Record(index),
                (Kind::Delete, Some(next)) => offset = next,
                _ => return Target::Lost,
            }
        }
        Target::Lost
    }

    fn successor(&self, index: usize) -> Target {
        let next =
            self.records.get(index).and_then(|record| record.next(self.bytes, self.committed));
        next.map_or(Target::Lost, |next| self.target(next))
    }

    /// Every record that a live record points to, from the dummy on.
    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.records.len()];
        let mut to_visit = Vec::new();
        to_visit.extend(self.dummy());
        while let Some(index) = to_visit.pop() {
            let Some(record) = self.records.get(index) else { continue };
            let next = record.next(self.bytes, self.committed);
            let skips = record.skips(self.bytes).filter(|&offset| offset < self.committed);
            for offset in next.into_iter().chain(skips) {
                if let Target::Record(found) = self.target(offset)
                    && let Some(known) = reached.get_mut(found)
                    && !std::mem::replace(known, true)
                {
                    to_visit.push(found);
                }
            }
        }
        reached
    }

    fn dummy(&self) -> Option<usize> {
        let index = self.at(DUMMY_AT as u64)?;
        self.records.get(index).filter(|record| record.kind == Kind::Dummy).map(|_| index)
    }

    /// The order in which the chain ascends more often.
    fn key_order(&self, live: &[usize]) -> KeyOrder {
        let mut descents = [0_usize; 2];
        for &index in live {
            if let Target::Record(next) = self.successor(index)
                && self.records.get(next).is_some_and(|record| record.body_is_whole)
            {
                for (count, order) in descents.iter_mut().zip([KeyOrder::Bytes, KeyOrder::Mailbox])
                {
                    if order.compare(self.key(index), self.key(next)).is_ge() {
                        *count = count.saturating_add(1);
                    }
                }
            }
        }
        if descents.first() <= descents.last() { KeyOrder::Bytes } else { KeyOrder::Mailbox }
    }
}

/// The live entries among the records of `scan`, and where the chain was broken. `committed` is
/// where the last transaction ends.
pub(super) fn live_entries<'a>(
    bytes: &'a [u8],
    scan: &Scan,
    committed: u64,
) -> (Vec<DbEntry<'a>>, Vec<DbDamage>) {
    let chain = Chain { bytes, records: &scan.records, committed };
    let reached = chain.reached();
    let is_whole = |&index: &usize| {
        scan.records.get(index).is_some_and(|record| record.body_is_whole)
            && reached.get(index) == Some(&true)
    };
    let mut live: Vec<usize> = (0..scan.records.len()).filter(is_whole).collect();
    let order = chain.key_order(&live);
    live.sort_by(|&a, &b| order.compare(chain.key(a), chain.key(b)).then(a.cmp(&b)));

    let mut damage = Vec::new();
    // gaps[n]: there may be live records unknown before live[n], or behind the last.
    let mut gaps = Vec::with_capacity(live.len().saturating_add(1));
    let mut before = chain.dummy();
    for after in live.iter().map(Some).chain([None]) {
        let closed = match (before.map(|index| chain.successor(index)), after) {
            (Some(Target::End), None) => true,
            (Some(Target::Record(next)), Some(&after)) => next == after,
            _ => false,
        };
        gaps.push(!closed);
        if !closed {
            let offset = before.and_then(|index| scan.records.get(index));
            let offset = offset.map_or(DUMMY_AT, |record| record.offset) as u64;
            damage.push(DbDamage { offset, fault: DbFault::BrokenChain });
        }
        before = after.copied();
    }

    let entry = |index: usize, proven: bool| {
        let record = scan.records.get(index)?;
        let standing =
            if proven && record.head_is_whole { Standing::Live } else { Standing::Doubtful };
        let (key, value) = (record.key(bytes), record.value(bytes));
        Some(DbEntry { key: Cow::Borrowed(key), value: Cow::Borrowed(value), standing })
    };
    let mut entries: Vec<_> = live.iter().filter_map(|&index| entry(index, true)).collect();
    if gaps.contains(&true) {
        for index in replay(&chain, scan.first_loss, order) {
            let key = chain.key(index);
            let place = live.partition_point(|&known| order.compare(chain.key(known), key).is_lt());
            let is_known = live.get(place).is_some_and(|&known| chain.key(known) == key);
            if !is_known && gaps.get(place) == Some(&true) {
                entries.extend(entry(index, scan.first_loss.is_none()));
            }
        }
    }
    sort_entries(&mut entries);
    (entries, damage)
}

/// The last record of every key that is not known to be deleted.
fn replay(chain: &Chain<'_, '_>, first_loss: Option<usize>, order: KeyOrder) -> Vec<usize> {
    let ranks = key_ranks(chain, order);
    let rank = |index: usize| ranks.get(index).copied().unwrap_or_default();
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, record) in chain.records.iter().enumerate() {
        match record.kind {
            Kind::Record if record.body_is_whole => {
                last.insert(rank(index), index);
            }
            Kind::Delete if first_loss.is_none_or(|lost| record.offset < lost) => {
                let deleted = match chain.successor(index) {
                    Target::End => last.last_key_value(),
                    Target::Record(next) => last.range(..rank(next)).next_back(),
                    Target::Lost => None,
                };
                if let Some((&key, _)) = deleted {
                    last.remove(&key);
                }
            }
            _ => {}
        }
    }
    last.into_values().collect()
}

/// The place of each record's key among all keys, equal ones at one place: keys can be long, and
/// any number of deletions can point to one.
fn key_ranks(chain: &Chain<'_, '_>, order: KeyOrder) -> Vec<usize> {
    let mut by_key: Vec<usize> = (0..chain.records.len()).collect();
    by_key.sort_by(|&a, &b| order.compare(chain.key(a), chain.key(b)));
    let mut ranks = vec![0; by_key.len()];
    let (mut rank, mut before) = (0_usize, None);
    for index in by_key {
        let key = chain.key(index);
        if before.replace(key).is_some_and(|before| order.compare(before, key).is_ne()) {
            rank = rank.saturating_add(1);
        }
        if let Some(place) = ranks.get_mut(index) {
            *place = rank;
        }
    }
    ranks
}
