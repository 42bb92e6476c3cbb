//! Which file is whose: records whose message is not under their name, and the files elsewhere that
//! have it, by GUID.

mod swaps;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use mailstore::volume::message_file_name;
use mailstore_format::index::IndexRecord;
use mailstore_format::{Guid, InternalFlags, Uid};

use super::MessageContent;
use super::strays::is_held_open;
use crate::evidence::{
    CacheItem, Evidence, FileEvidence, FileIdentity, MessageEvidence, Place, Reading, Slot,
};

/// A file that was read, and where it lies.
#[derive(Debug, Clone)]
pub(super) struct Holding<'a> {
    pub(super) place: Place,
    pub(super) name: OsString,
    pub(super) identity: FileIdentity,
    pub(super) reading: &'a Reading,
    /// The record that has this file rightly, and its cache item.
    pub(super) owner: Option<(&'a IndexRecord, CacheItem)>,
    kind: Kind,
}

/// What a file is, those first that are taken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The name of a record whose message it is not.
    Displaced,
    /// A name that is no message's.
    Stray,
    /// The name of a message without a record.
    Orphan,
    /// The name of a removed file that somebody holds open, which stays.
    HeldOpen,
    /// A record's own, or one that something else knows under this name: a second name serves the
    /// other.
    Owned,
}

/// A message without a record that lies under another name than its own: something tells of it, or
/// it changed names with a message that has its record.
#[derive(Debug, Clone)]
pub(super) struct Told<'a> {
    pub(super) uid: Uid,
    pub(super) source: Holding<'a>,
}

/// A message whose record is lost, and of which something else tells.
#[derive(Debug, Clone, Copy)]
struct Lost {
    uid: Uid,
    guid: Guid,
    expunged: bool,
}

/// Where the messages are that are not under their names.
#[derive(Debug, Default)]
pub(super) struct Matching<'a> {
    sources: HashMap<Uid, Holding<'a>>,
    taken: HashSet<(Place, OsString)>,
    told: Vec<Told<'a>>,
    /// Those of them that are live.
    told_live: HashSet<Guid>,
    /// The names under which they are put.
    told_names: HashSet<(Place, Uid)>,
}

impl<'a> Matching<'a> {
    pub(super) fn of(evidence: &'a Evidence) -> Self {
        let mut wanting: Vec<_> =
            evidence.messages.iter().filter_map(|message| wants(evidence, message)).collect();
        let lost = lost_messages(evidence);
        let lost_without_file: Vec<_> =
            lost.values().filter(|lost| lacks_its_file(evidence, **lost)).copied().collect();
        if wanting.is_empty() && lost_without_file.is_empty() {
            return Self::default();
        }
        // A tombstone's file matters less than a message's.
        wanting.sort_by_key(|record| (record.is_expunged(), record.uid));
        let of_lost = lost_without_file.iter().map(|lost| lost.guid);
        let guids = wanting.iter().map(|record| record.guid).chain(of_lost).collect();
        let holdings = holdings(evidence, &guids, &lost);
        let mut matching = Self::default();
        for record in wanting {
            let Some(found) = holdings.get(&record.guid) else { continue };
            matching.give(record, found);
        }
        let (tombstones, live): (Vec<_>, Vec<_>) =
            lost_without_file.into_iter().partition(|lost| lost.expunged);
        for lost in live.into_iter().chain(tombstones) {
            let Some(found) = holdings.get(&lost.guid) else { continue };
            matching.give_to_lost(lost, found);
        }
        matching.swap_back(evidence, &lost);
        matching
    }

    fn give_to_lost(&mut self, lost: Lost, holdings: &[Holding<'a>]) {
        let is_free = |holding: &&Holding<'_>| {
            holding.kind < Kind::HeldOpen && !self.takes(holding.place, &holding.name)
        };
        let order = |holding: &&Holding<'_>| (holding.reading.with_crlf, holding.kind);
        let best = holdings.iter().filter(is_free).min_by_key(order);
        if let Some(source) = best.cloned() {
            self.tell(lost.uid, source, lost.expunged);
        }
    }

    fn tell(&mut self, uid: Uid, source: Holding<'a>, expunged: bool) {
        if !expunged {
            self.told_live.insert(source.reading.fields.guid);
        }
        self.taken.insert((source.place, source.name.clone()));
        self.told_names.insert((source.place, uid));
        self.told.push(Told { uid, source });
    }

    /// Messages without a record, under other names than their own.
    pub(super) fn told(&self) -> &[Told<'a>] {
        &self.told
    }

    /// Whether a message without a record is put under the name of `uid`.
    pub(super) fn puts_told(&self, place: Place, uid: Uid) -> bool {
        self.told_names.contains(&(place, uid))
    }

    /// Whether one of these is live and has these bytes.
    pub(super) fn tells_live(&self, guid: Guid) -> bool {
        self.told_live.contains(&guid)
    }

    fn give(&mut self, record: &IndexRecord, holdings: &[Holding<'a>]) {
        let is_taken =
            |holding: &Holding<'_>| self.taken.contains(&(holding.place, holding.name.clone()));
        let order = |holding: &&Holding<'_>| {
            let elsewhere = holding.place != Place::of(record);
            (is_taken(holding), holding.reading.with_crlf, holding.kind, elsewhere)
        };
        let may_take = |holding: &&Holding<'_>| {
            // What has no record may be a message of its own rather than a tombstone's file.
            !record.is_expunged() || !is_taken(holding) && holding.kind < Kind::Orphan
        };
        let best = holdings.iter().filter(may_take).min_by_key(order);
        if let Some(holding) = best.cloned() {
            if holding.kind != Kind::Owned {
                self.taken.insert((holding.place, holding.name.clone()));
            }
            self.sources.insert(record.uid, holding);
        }
    }

    /// The file elsewhere that is the message of the record with this UID, which its own is not.
    pub(super) fn source(&self, uid: Uid) -> Option<&Holding<'a>> {
        self.sources.get(&uid)
    }

    /// Whether the file of this name is put under another.
    pub(super) fn takes(&self, place: Place, name: &OsStr) -> bool {
        !self.taken.is_empty() && self.taken.contains(&(place, name.to_owned()))
    }
}

/// The record of `message`, where the message that it has by its GUID is not under its name. What
/// cannot be read may be it.
fn wants<'a>(evidence: &'a Evidence, message: &'a MessageEvidence) -> Option<&'a IndexRecord> {
    let record = message.slot.and_then(|slot| evidence.index.record(slot))?;
    let whole_with_crlf = message.reading.as_ref().is_some_and(|reading| reading.with_crlf);
    let settled = record.is_unlinked()
        || record.guid.is_null()
        || whole_with_crlf
        || matches!(message.file, FileEvidence::Unreadable(_))
        || message.file == FileEvidence::Odd && is_blocked(evidence, message.uid)
        || message.is_message_of(record);
    (!settled).then_some(record)
}

/// What tells of messages whose record is lost: none where the index lost no record, because then
/// the server had forgotten them.
fn lost_messages(evidence: &Evidence) -> BTreeMap<Uid, Lost> {
    if lost_no_record(evidence) {
        return BTreeMap::new();
    }
    // Beside records of the index an interrupted work's may be of any time before.
    let is_record = |slot: &Slot| matches!(slot, Slot::Record(_));
    let alone = !evidence.index.slots.iter().any(is_record);
    let leftover = evidence.leftover.records.iter().filter(|_| alone);
    let leftover = leftover.map(|record| Lost {
        uid: record.uid,
        guid: record.guid,
        expunged: record.is_expunged(),
    });
    let rows = evidence.witnesses.conversations.iter().flatten().map(|row| Lost {
        uid: row.uid,
        guid: row.guid,
        expunged: row.internal_flags.contains(InternalFlags::EXPUNGED),
    });
    let lost = leftover.chain(rows).map(|lost| (lost.uid, lost));
    lost.filter(|(uid, _)| evidence.record_of(*uid).is_none()).collect()
}

/// Whether every record that there was is there.
fn lost_no_record(evidence: &Evidence) -> bool {
    let index = &evidence.index;
    index.header_proven
        && !evidence.index_trust.is_older()
        && index.truncated_slots == 0
        && !index.displaced
        && index.slots.iter().all(|slot| matches!(slot, Slot::Record(_)))
}

/// Whether a message whose record is lost is not under its own name either, nor can be.
fn lacks_its_file(evidence: &Evidence, lost: Lost) -> bool {
    let messages = &evidence.messages;
    let at = messages.binary_search_by_key(&lost.uid, |message| message.uid).ok();
    let message = at.and_then(|at| messages.get(at));
    let can_be = message.is_some_and(|message| {
        let reading = message.reading.as_ref();
        let as_it_is = reading.map(|reading| reading.fields.guid);
        let as_crlf = reading.and_then(|reading| reading.as_crlf.as_deref());
        let as_crlf = as_crlf.map(|reading| reading.fields.guid);
        [as_it_is, as_crlf].contains(&Some(lost.guid))
            || matches!(message.file, FileEvidence::Unreadable(_))
    });
    !can_be && !is_blocked(evidence, lost.uid)
}

/// Whether what has the name of this message can be neither read nor moved away.
fn is_blocked(evidence: &Evidence, uid: Uid) -> bool {
    let name = message_file_name(uid);
    let mut odd = evidence.directory.odd.iter();
    odd.any(|odd| *odd.entry.name == *name && !odd.entry.movable)
}

impl<'a> Holding<'a> {
    /// What has to be put in order to have this message elsewhere.
    pub(super) fn content(&self) -> MessageContent {
        let Self { name, identity, reading, .. } = self;
        let (name, with_crlf) = (name.clone(), reading.with_crlf);
        MessageContent { name, identity: *identity, with_crlf }
    }

    /// The file of `message`, as it is.
    fn of(message: &'a MessageEvidence, kind: Kind) -> Option<Self> {
        let FileEvidence::Regular { place, identity, .. } = message.file else { return None };
        let reading = message.reading.as_ref().filter(|reading| !reading.with_crlf)?;
        let name = message_file_name(message.uid).into();
        Some(Self { place, name, identity, reading, owner: None, kind })
    }

    /// The same file with its bare LFs made CRLF, where that may be a message.
    fn with_crlf(&self) -> Option<Self> {
        let reading = self.reading.as_crlf.as_deref()?;
        Some(Self { reading, owner: None, ..self.clone() })
    }
}

/// The files that have one of these GUIDs, as they are or once their line ends are put right.
fn holdings<'a>(
    evidence: &'a Evidence,
    guids: &HashSet<Guid>,
    lost: &BTreeMap<Uid, Lost>,
) -> HashMap<Guid, Vec<Holding<'a>>> {
    let messages = evidence.messages.iter().filter_map(|message| {
        let record = message.slot.and_then(|slot| evidence.index.record(slot));
        let owner = record.filter(|record| message.is_message_of(record));
        let guid = message.reading.as_ref().map(|reading| reading.fields.guid);
        let told = || lost.get(&message.uid).map(|lost| lost.guid);
        let kind = match (record, owner) {
            (_, Some(_)) => Kind::Owned,
            (Some(_), None) => Kind::Displaced,
            (None, None) if told().is_some_and(|told| guid == Some(told)) => Kind::Owned,
            (None, None) => Kind::Orphan,
        };
        let owner = owner.map(|record| (record, message.cache));
        Some(Holding { owner, ..Holding::of(message, kind)? })
    });
    let strays = evidence.strays.iter().filter_map(|stray| {
        let reading = stray.reading.as_ref()?;
        let (place, name, identity) = (stray.place, stray.name.clone(), stray.identity);
        let kind = if is_held_open(&name) { Kind::HeldOpen } else { Kind::Stray };
        Some(Holding { place, name, identity, reading, owner: None, kind })
    });
    let mut found = HashMap::<_, Vec<_>>::new();
    for holding in messages.chain(strays) {
        let with_crlf = holding.with_crlf().filter(|_| holding.kind != Kind::Owned);
        for holding in [Some(holding), with_crlf].into_iter().flatten() {
            let guid = holding.reading.fields.guid;
            if guids.contains(&guid) {
                found.entry(guid).or_default().push(holding);
            }
        }
    }
    found
}
