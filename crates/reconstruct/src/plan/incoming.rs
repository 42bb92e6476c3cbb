//! Messages that come in from outside: each gets a new UID, unless it came before.

use std::collections::{HashMap, HashSet};

use mailstore_format::index::layout::RecordField;
use mailstore_format::index::{IndexRecord, Layout};
use mailstore_format::{Guid, InternalFlags, ModSeq, Timestamp, Uid, UserFlags};

use super::adoption::{Found, Witness};
use super::keyword_slots::with_keyword;
use super::{Arrive, CacheSource, Draft, Draughtsman};
use crate::arrivals::{Arrival, Arrivals, Arrived, Fate};
use crate::evidence::{Incoming, Place, Ready};
use crate::finding::{Code, Remedy};
use crate::journal::{Arriving, WantedBecause};

/// Why nothing comes into a mailbox that has to be repaired first.
const DAMAGED: &str = "the mailbox is damaged or out of reach: repair it first (reconstruct), then \
                       deliver again";

/// Why a message does not come that came before: nobody knows what became of it.
const NO_TRACE: &str = "it came before and the mailbox shows no trace of it: its owner may have \
                        deleted it; --again delivers it, marked";

/// What the mailbox has that may be one of the messages.
struct Copies<'a> {
    /// Records by the SHA-1 of their message, by UID.
    records: HashMap<Guid, Vec<IndexRecord>>,
    /// Messages that are others: they came under other keys.
    others: HashSet<Uid>,
    /// Expunged because their coming was undone.
    retracted: HashSet<Uid>,
    /// Expunged because their files were gone: by UID, the modseq of their tombstone.
    pruned: HashMap<Uid, ModSeq>,
    /// Records whose message is not there, by its SHA-1.
    waiting: HashMap<Guid, Vec<Uid>>,
    /// What earlier runs brought, by key.
    arrived: HashMap<&'a str, &'a Arriving>,
    /// The last UID that the mailbox has given out.
    last_uid: Uid,
    /// Whether what left no trace comes again.
    again: bool,
    /// UIDs of what is there, where some message came before and it is another one's by now.
    reused: HashSet<Uid>,
    tells_savedate: bool,
}

impl<'a> Draughtsman<'a> {
    /// Gives every message that is to come in its place. `false` where the mailbox is not one into
    /// which anything may come: then nothing at all is done to it.
    pub(super) fn settle_incoming(&mut self) -> bool {
        let evidence = self.evidence;
        let Some(incoming) = evidence.incoming.as_deref() else { return true };
        if self.needs_repair() {
            return false;
        }
        if evidence.witnesses.dav {
            self.hold_each("the server's DAV database is keyed by UID");
            return true;
        }
        let mut copies = Copies::of(self, incoming);
        let (mut to_come, mut returning) = (Vec::new(), Vec::new());
        for (arrival, ready) in incoming.messages() {
            match (copies.fate_of(arrival), ready) {
                (Some(fate), _) => self.arrived_as(arrival, fate),
                (None, Err(why)) => self.hold(arrival, why),
                (None, Ok(ready)) => match copies.waiting_for(arrival) {
                    Some(uid) => returning.push((arrival, ready, uid)),
                    None => to_come.push((arrival, ready)),
                },
            }
        }
        self.bring_to_their_records(&returning);
        self.bring(to_come, incoming);
        if incoming.arrivals.raise_numbers {
            self.raise_numbers(&incoming.arrivals);
        }
        true
    }

    /// Whether anything was found that a repair would change, but for what an interrupted delivery
    /// left to do.
    fn needs_repair(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|it| it.remedy == Remedy::Repair && it.code != Code::MessageDelivered)
    }

    /// The oldest first, each under the next UID that is free and that nobody has ever seen.
    fn bring(&mut self, mut to_come: Vec<(&'a Arrival, &'a Ready)>, incoming: &Incoming) {
        if to_come.is_empty() {
            return;
        }
        to_come.sort_by_key(|(arrival, ready)| (ready.identity.mtime, arrival.uid_before));
        let counted = self.evidence.witnesses.counters_highest.unwrap_or_default();
        self.highestmodseq = self.highestmodseq.max(counted);
        let taken = self.names_taken();
        self.pass_names_in_the_way(&taken);
        self.pass_seen_numbers(&incoming.arrivals);
        for (arrival, ready) in to_come {
            let next = (self.last_uid.0..u32::MAX).map(|last| Uid(last.saturating_add(1)));
            match next.into_iter().find(|uid| !taken.contains(uid)) {
                Some(to) => self.bring_one(arrival, ready, to),
                None => self.hold(arrival, "no UID is left to give"),
            }
        }
    }

    /// A number that no server gave out is damage, and not believed.
    fn pass_seen_numbers(&mut self, arrivals: &Arrivals) {
        let Arrivals { above_uid, above_modseq, .. } = arrivals;
        if *above_uid <= Uid::HIGHEST_PLAUSIBLE {
            self.last_uid = self.last_uid.max(*above_uid);
        }
        if *above_modseq <= ModSeq::HIGHEST_PLAUSIBLE {
            self.highestmodseq = self.highestmodseq.max(*above_modseq);
        }
    }

    /// So that what comes next, in whatever way, comes above all that was ever seen.
    fn raise_numbers(&mut self, arrivals: &Arrivals) {
        let (uid, modseq) = (self.last_uid, self.highestmodseq);
        self.pass_seen_numbers(arrivals);
        if (self.last_uid, self.highestmodseq) != (uid, modseq) {
            let detail = format!(
                "the last UID was {uid} and the highest modseq {modseq}; {} and {} are known to \
                 clients of a source, and what comes next comes above them",
                self.last_uid, self.highestmodseq
            );
            self.find(Code::NumbersRaised, Remedy::Repair, detail);
        }
    }

    fn bring_one(&mut self, arrival: &Arrival, ready: &Ready, to: Uid) {
        self.last_uid = to;
        let noted = noted(arrival, ready, to);
        let (place, identity, reading) = (Place::Spool, ready.identity, &ready.reading);
        self.adopt(Found { place, identity, reading }, to, Witness::Arriving(&noted));
        self.put_in_place(arrival, ready, place, noted);
    }

    /// Messages of records that are there: these get their files back, and keep UIDs and flags.
    fn bring_to_their_records(&mut self, returning: &[(&Arrival, &Ready, Uid)]) {
        if returning.is_empty() {
            return;
        }
        let place = Place::Spool;
        self.stale_cache_of(place);
        let uids: HashSet<Uid> = returning.iter().map(|(.., uid)| *uid).collect();
        self.wanted.retain(|wanted| !uids.contains(&wanted.record.uid));
        self.findings.retain(|it| {
            it.code != Code::MessageMissing || it.uid.is_none_or(|uid| !uids.contains(&uid))
        });
        let drafts = self.drafts.iter().enumerate();
        let at: HashMap<Uid, usize> = drafts.map(|(at, draft)| (draft.record.uid, at)).collect();
        for (arrival, ready, uid) in returning {
            let draft = at.get(uid).and_then(|&at| self.drafts.get_mut(at));
            let Some(Draft { record, cache, .. }) = draft else { continue };
            let fields = &ready.reading.fields;
            record.internal_flags = record.internal_flags.without(InternalFlags::ARCHIVED);
            record.cache_version = fields.cache_version;
            record.cache_crc = fields.cache_crc;
            *cache = ready.reading.staged.map_or(CacheSource::None, CacheSource::Staged);
            self.put_in_place(arrival, ready, place, noted(arrival, ready, *uid));
        }
    }

    fn put_in_place(&mut self, arrival: &Arrival, ready: &Ready, place: Place, noted: Arriving) {
        let (to, identity) = (noted.to, ready.identity);
        let detail = format!("{} comes in", arrival.guid);
        self.find_about(to, Code::MessageDelivered, Remedy::Repair, detail);
        let ready = ready.path.clone();
        self.file_steps.arrivals.push(Arrive { place, noted, ready, identity });
        self.arrived_as(arrival, Fate::Delivered { uid: to });
    }

    /// The keywords of a message that comes from outside, in the slots that have their names.
    pub(super) fn slots_of_arriving(&mut self, arriving: &Arriving) -> UserFlags {
        let mut flags = UserFlags::default();
        for name in &arriving.keywords {
            if let Some(slot) = self.slot_of_keyword(name.as_bytes(), None) {
                flags = with_keyword(flags, slot);
            } else {
                let detail = format!("no slot is left for its keyword {name}");
                self.find_about(arriving.to, Code::KeywordUnnamed, Remedy::Left, detail);
            }
        }
        flags
    }

    /// Nothing comes into a mailbox that was given up before it was asked what is to come.
    pub(super) fn hold_unasked(&mut self) {
        if self.arrived.is_empty() {
            self.hold_each(DAMAGED);
        }
    }

    /// The live records whose message is proved absent.
    fn waiting_records(&self) -> HashMap<Guid, Vec<Uid>> {
        let mut waiting = HashMap::<Guid, Vec<Uid>>::new();
        let missing = self.wanted.iter().filter(|wanted| wanted.why == WantedBecause::Missing);
        for record in missing.map(|wanted| &wanted.record).filter(|it| !it.guid.is_null()) {
            waiting.entry(record.guid).or_default().push(record.uid);
        }
        waiting
    }

    fn hold_each(&mut self, why: &str) {
        let Some(incoming) = self.evidence.incoming.as_deref() else { return };
        incoming.arrivals.messages.iter().for_each(|arrival| self.hold(arrival, why));
    }

    fn hold(&mut self, arrival: &Arrival, why: &str) {
        let detail = format!("{}: {why}", arrival.guid);
        self.find(Code::MessageHeld, Remedy::Left, detail);
        self.arrived_as(arrival, Fate::Held { why: why.to_owned() });
    }

    fn arrived_as(&mut self, arrival: &Arrival, fate: Fate) {
        self.arrived.push(Arrived { key: arrival.key.clone(), fate });
    }
}

fn noted(arrival: &Arrival, ready: &Ready, to: Uid) -> Arriving {
    Arriving {
        key: arrival.key.clone(),
        to,
        guid: arrival.guid,
        system_flags: arrival.system_flags,
        keywords: arrival.keywords.clone(),
        internaldate: ready.identity.mtime,
        committed: false,
    }
}

impl<'a> Copies<'a> {
    fn of(draughtsman: &Draughtsman<'a>, incoming: &Incoming) -> Self {
        let evidence = draughtsman.evidence;
        let guids: HashSet<Guid> =
            incoming.arrivals.messages.iter().map(|arrival| arrival.guid).collect();
        let mut records = HashMap::<Guid, Vec<IndexRecord>>::new();
        let asked = incoming.arrivals.messages.iter();
        let asked = asked.filter_map(|arrival| Some((arrival.came_as?, arrival.guid)));
        let noted = evidence.journal.arrived.iter().map(|noted| (noted.to, noted.guid));
        let came: HashMap<Uid, Guid> = noted.chain(asked).collect();
        let mut reused = HashSet::new();
        for draft in &draughtsman.drafts {
            if came.get(&draft.record.uid).is_some_and(|guid| *guid != draft.record.guid) {
                reused.insert(draft.record.uid);
            }
            if guids.contains(&draft.record.guid) {
                records.entry(draft.record.guid).or_default().push(draft.record);
            }
        }
        let journal = &evidence.journal;
        let noted = journal.arrived.iter().map(|arrived| arrived.to);
        let tells_savedate = |layout: &Layout| layout.record_has(RecordField::Savedate);
        Self {
            records,
            others: noted.chain(incoming.arrivals.came_before.iter().copied()).collect(),
            retracted: journal.retracted.iter().copied().collect(),
            pruned: journal.pruned().map(|it| (it.record.uid, it.tombstone)).collect(),
            waiting: draughtsman.waiting_records(),
            arrived: journal.arrived.iter().map(|it| (it.key.as_str(), it)).collect(),
            last_uid: draughtsman.last_uid,
            again: incoming.arrivals.again,
            reused,
            tells_savedate: evidence.index.layout.is_some_and(tells_savedate),
        }
    }

    /// What became of `arrival` before, where anything did. Each copy is taken for one message only.
    fn fate_of(&mut self, arrival: &Arrival) -> Option<Fate> {
        let records = self.records.get(&arrival.guid).map_or(&[][..], Vec::as_slice);
        let waiting = self.waiting.get(&arrival.guid);
        let lacks_file = |uid: &Uid| waiting.is_some_and(|waiting| waiting.contains(uid));
        if let Some(uid) = self.came_as(arrival, records)
            && !lacks_file(&uid)
        {
            match records.iter().find(|record| record.uid == uid) {
                Some(record) if self.was_pruned(record) => {}
                Some(_) => return Some(Fate::DeliveredBefore { uid }),
                None if self.again => {}
                None => return Some(Fate::Held { why: format!("UID {uid}: {NO_TRACE}") }),
            }
        }
        let is_it = |record: &&IndexRecord| {
            let is_its_own = record.uid == arrival.uid_before;
            let came_since = self.tells_savedate && since(record.savedate, arrival.missed_at);
            let uid = &record.uid;
            let retracted = record.is_expunged() && self.retracted.contains(uid);
            let is_another = self.others.contains(uid) || retracted || self.was_pruned(record);
            !is_another && !lacks_file(uid) && (is_its_own || came_since)
        };
        let uid = records.iter().find(is_it)?.uid;
        self.others.insert(uid);
        Some(Fate::Found { uid })
    }

    /// Whether it is a tombstone of ours: its file was gone.
    fn was_pruned(&self, record: &IndexRecord) -> bool {
        record.is_expunged() && self.pruned.get(&record.uid) == Some(&record.modseq)
    }

    /// The UID under which `arrival` came before. A mailbox that never gave out that UID, or gave it to
    /// another message, was set back to what it had been before that.
    fn came_as(&self, arrival: &Arrival, records: &[IndexRecord]) -> Option<Uid> {
        let noted = self.arrived.get(arrival.key.as_str());
        // A record that was to get its file back had been there all along.
        let came = noted
            .filter(|noted| noted.committed || records.iter().any(|record| record.uid == noted.to));
        let uid = came.map(|noted| noted.to).or(arrival.came_as)?;
        (uid <= self.last_uid && !self.reused.contains(&uid)).then_some(uid)
    }

    /// The record that waits for `arrival`, its own before others'.
    fn waiting_for(&mut self, arrival: &Arrival) -> Option<Uid> {
        let waiting = self.waiting.get_mut(&arrival.guid)?;
        let own = waiting.iter().position(|&uid| uid == arrival.uid_before);
        let uid = waiting.get(own.unwrap_or(0)).copied()?;
        waiting.retain(|&other| other != uid);
        Some(uid)
    }
}

/// Whether something that is known to the second was not before `then`.
fn since(saved: Timestamp, then: Timestamp) -> bool {
    saved.seconds() >= then.seconds()
}
