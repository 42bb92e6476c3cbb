//! Which file is whose: records whose message is not under their name, and the files elsewhere that
//! have it, by GUID.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use mailstore::volume::message_file_name;
use mailstore_format::index::IndexRecord;
use mailstore_format::{Guid, Uid};

use super::strays::is_held_open;
use crate::evidence::{
    CacheItem, Evidence, FileEvidence, FileIdentity, MessageEvidence, Place, Reading,
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
    /// A record's own: a second name serves the other.
    Owned,
}

/// Where the messages are that are not under their names.
#[derive(Debug, Default)]
pub(super) struct Matching<'a> {
    sources: HashMap<Uid, Holding<'a>>,
    taken: HashSet<(Place, OsString)>,
}

impl<'a> Matching<'a> {
    pub(super) fn of(evidence: &'a Evidence) -> Self {
        let mut wanting: Vec<_> =
            evidence.messages.iter().filter_map(|message| wants(evidence, message)).collect();
        if wanting.is_empty() {
            return Self::default();
        }
        // A tombstone's file matters less than a message's.
        wanting.sort_by_key(|record| (record.is_expunged(), record.uid));
        let guids = wanting.iter().map(|record| record.guid).collect();
        let mut holdings = holdings(evidence, &guids);
        let mut matching = Self::default();
        for record in wanting {
            let Some(found) = holdings.get_mut(&record.guid) else { continue };
            matching.give(record, found);
        }
        matching
    }

    fn give(&mut self, record: &IndexRecord, holdings: &mut [Holding<'a>]) {
        let is_taken =
            |holding: &Holding<'_>| self.taken.contains(&(holding.place, holding.name.clone()));
        let order = |holding: &&Holding<'_>| {
            let elsewhere = holding.place != Place::of(record);
            (is_taken(holding), holding.kind, elsewhere)
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

/// Whether what has the name of this message can be neither read nor moved away.
fn is_blocked(evidence: &Evidence, uid: Uid) -> bool {
    let name = message_file_name(uid);
    let mut odd = evidence.directory.odd.iter();
    odd.any(|odd| *odd.entry.name == *name && !odd.entry.movable)
}

/// The files that have one of these GUIDs.
fn holdings<'a>(evidence: &'a Evidence, guids: &HashSet<Guid>) -> HashMap<Guid, Vec<Holding<'a>>> {
    let messages = evidence.messages.iter().filter_map(|message| {
        let FileEvidence::Regular { place, identity, .. } = message.file else { return None };
        let reading = message.reading.as_ref().filter(|reading| !reading.with_crlf)?;
        let record = message.slot.and_then(|slot| evidence.index.record(slot));
        let owner = record.filter(|record| message.is_message_of(record));
        let kind = match (record, owner) {
            (_, Some(_)) => Kind::Owned,
            (Some(_), None) => Kind::Displaced,
            (None, None) => Kind::Orphan,
        };
        let name = message_file_name(message.uid).into();
        let owner = owner.map(|record| (record, message.cache));
        Some(Holding { place, name, identity, reading, owner, kind })
    });
    let strays = evidence.strays.iter().filter_map(|stray| {
        let reading = stray.reading.as_ref()?;
        let (place, name, identity) = (stray.place, stray.name.clone(), stray.identity);
        let kind = if is_held_open(&name) { Kind::HeldOpen } else { Kind::Stray };
        Some(Holding { place, name, identity, reading, owner: None, kind })
    });
    let mut found = HashMap::<_, Vec<_>>::new();
    for holding in messages.chain(strays) {
        let guid = holding.reading.fields.guid;
        if guids.contains(&guid) {
            found.entry(guid).or_default().push(holding);
        }
    }
    found
}
