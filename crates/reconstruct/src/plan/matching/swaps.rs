//! Two messages that changed names, of which something tells only of one.

use std::collections::{BTreeMap, HashMap, HashSet};

use mailstore::spool::message_uid;
use mailstore_format::index::layout::RecordField;
use mailstore_format::{Guid, Uid};

use super::{Holding, Kind, Lost, Matching, lost_no_record};
use crate::evidence::{Evidence, Slot};
use crate::plan::free_slots::FreeSlots;

impl<'a> Matching<'a> {
    /// The other one belongs where that one lies: unless nothing says that there can have been a
    /// record for it, or something that it is another message's.
    pub(super) fn swap_back(&mut self, evidence: &'a Evidence, lost: &BTreeMap<Uid, Lost>) {
        if evidence.witnesses.dav {
            return;
        }
        let with_record = self.sources.iter().map(|(uid, found)| (*uid, found));
        let told = self.told.iter().map(|told| (told.uid, &told.source));
        let of_orphan = |(_, found): &(Uid, &Holding<'_>)| found.kind == Kind::Orphan;
        let found = with_record.chain(told).filter(of_orphan);
        let mut found: Vec<_> = found.map(|(uid, found)| (uid, found.clone())).collect();
        if found.is_empty() || lost_no_record(evidence) {
            return;
        }
        found.sort_by_key(|(uid, _)| *uid);
        let (slots, known) = (FreeSlots::of(evidence), KnownElsewhere::of(evidence, lost));
        for (uid, found) in found {
            let Some((other, holding)) = self.partner(evidence, uid, &found) else { continue };
            let guid = holding.reading.fields.guid;
            if slots.may_miss(other) && !known.speaks_against(other, guid) {
                self.tell(other, holding, false);
            }
        }
    }

    /// The UID without a record whose name has the message of `uid`, which was `found` there; and
    /// what has the name of `uid`: another message, which nothing else wants.
    fn partner(
        &self,
        evidence: &'a Evidence,
        uid: Uid,
        found: &Holding<'a>,
    ) -> Option<(Uid, Holding<'a>)> {
        let other = message_uid(found.name.as_encoded_bytes())?;
        let at = evidence.messages.binary_search_by_key(&uid, |message| message.uid).ok()?;
        let displaced = Holding::of(evidence.messages.get(at)?, Kind::Displaced)?;
        let reading = displaced.reading;
        let may_be_its = displaced.place == found.place
            && reading.fields.has_header
            && !reading.blank
            && reading.likeness.is_another(found.reading.likeness)
            && !self.takes(displaced.place, &displaced.name)
            && !self.puts_told(displaced.place, other);
        may_be_its.then_some((other, displaced))
    }
}

/// What is known of messages whose record is lost, and of expunged ones.
struct KnownElsewhere {
    /// By damaged records that still have both, and by what else tells of lost records.
    guids: HashMap<Uid, Guid>,
    tombstones: HashSet<Guid>,
}

impl KnownElsewhere {
    fn of(evidence: &Evidence, lost: &BTreeMap<Uid, Lost>) -> Self {
        let (mut guids, mut tombstones) = (HashMap::new(), HashSet::new());
        for slot in &evidence.index.slots {
            match slot {
                Slot::Record(record) if record.is_expunged() => {
                    tombstones.insert(record.guid);
                }
                Slot::Doubtful(doubtful)
                    if doubtful.has(RecordField::Uid) && doubtful.has(RecordField::Guid) =>
                {
                    let fields = doubtful.fields();
                    guids.insert(fields.uid, fields.guid);
                }
                Slot::Record(_) | Slot::Doubtful(_) | Slot::Destroyed => {}
            }
        }
        for lost in lost.values() {
            guids.insert(lost.uid, lost.guid);
            if lost.expunged {
                tombstones.insert(lost.guid);
            }
        }
        Self { guids, tombstones }
    }

    /// Whether the message of `uid` is another one, or the one of `guid` an expunged one.
    fn speaks_against(&self, uid: Uid, guid: Guid) -> bool {
        let another = self.guids.get(&uid).is_some_and(|known| !known.is_null() && *known != guid);
        another || self.tombstones.contains(&guid)
    }
}
