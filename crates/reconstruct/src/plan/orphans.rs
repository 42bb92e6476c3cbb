//! Message files without a record: they come back, under their own UID wherever that is safe.

use std::collections::{HashMap, HashSet};

use mailstore::volume::message_file_name;
use mailstore_format::{Guid, Uid};

use super::adoption::{Found, Witness};
use super::copies::{CompleteRows, CopyOf};
use super::free_slots::FreeSlots;
use super::loose::{Known, Loose, UIDS_IN_REACH, What};
use super::matching::{Holding, Told};
use super::testimony::Testimony;
use super::{Draughtsman, Put, SetAside, UID_JUMP};
use crate::evidence::{FileEvidence, FileIdentity, MessageEvidence};
use crate::finding::{Code, Remedy};

/// A message file without a record.
#[derive(Clone, Copy)]
struct Orphan<'a> {
    uid: Uid,
    found: Found<'a>,
}

impl<'a> Orphan<'a> {
    /// The message as it was before its line ends were changed, where they were.
    fn whole(&self) -> Option<Found<'a>> {
        let reading = self.found.reading.as_crlf.as_deref()?;
        Some(Found { reading, ..self.found })
    }
}

/// What becomes of a file without a record.
enum Fate<'a> {
    KeepsUid(&'static str, Witness<'a>),
    /// The same, once its line ends are CRLF.
    IsWholeWithCrlf(&'static str, Witness<'a>, Found<'a>),
    NewUid(String),
    /// It is a copy of a message, and never became one of its own.
    Copy(CopyOf),
}

impl<'a> Draughtsman<'a> {
    /// Gives every message file without a record one, or notes it as loose.
    pub(super) fn adopt_orphans(&mut self) {
        let any = self.evidence.messages.iter().any(|message| message.slot.is_none());
        if any || !self.matching.told().is_empty() {
            let slots = FreeSlots::of(self.evidence);
            let testimony = Testimony::of(self.evidence, self.last_uid);
            let orphans = self.readable_orphans();
            let fates = self.decide_fates(&orphans, &slots, &testimony);
            self.adopt_told_messages(&slots, &testimony);
            self.adopt_files(orphans, fates);
        }
        self.jump_last_uid();
    }

    fn adopt_files(&mut self, orphans: Vec<Orphan<'a>>, fates: Vec<Fate<'a>>) {
        let index_gone = self.evidence.index.slots.is_empty();
        let mut kept = 0_usize;
        for (orphan, fate) in orphans.into_iter().zip(fates) {
            match fate {
                Fate::KeepsUid(why, witness) => {
                    kept += 1;
                    self.report_kept(orphan.uid, why, &witness, index_gone);
                    self.last_uid = self.last_uid.max(orphan.uid);
                    self.adopt(orphan.found, orphan.uid, witness);
                }
                Fate::IsWholeWithCrlf(why, witness, whole) => {
                    let uid = orphan.uid;
                    self.report_kept(uid, why, &witness, false);
                    self.put_with_crlf(uid, whole.place, whole.identity);
                    self.last_uid = self.last_uid.max(uid);
                    self.adopt(whole, uid, witness);
                }
                Fate::NewUid(why) if self.evidence.witnesses.dav => {
                    let detail = format!(
                        "its file has no record, and {why}; left, because the server's DAV \
                         database is keyed by UID"
                    );
                    let code = Code::MessageRenumbered;
                    self.find_about(orphan.uid, code, Remedy::Left, detail);
                }
                Fate::Copy(of) => self.set_copy_aside(orphan, of),
                Fate::NewUid(why) => self.loose.push(Loose {
                    found: orphan.found,
                    name: message_file_name(orphan.uid).into(),
                    exchanged: false,
                    what: What::Orphan(why),
                }),
            }
        }
        if index_gone && kept > 0 {
            let detail = format!("{kept} message files keep the UIDs of their names");
            self.find(Code::MessageWithoutRecord, Remedy::Repair, detail);
        }
    }

    /// Puts messages without a record under their own names.
    fn adopt_told_messages(&mut self, slots: &FreeSlots, testimony: &Testimony<'a>) {
        for Told { uid, source } in self.matching.told().to_vec() {
            let Holding { place, identity, reading, .. } = source;
            let found = Found { place, identity, reading };
            let (why, witness) = testimony
                .about(uid, slots.gap_of(uid), found)
                .unwrap_or(("the two had changed names", Witness::None));
            let what = if witness.is_tombstone() { ", and that it was expunged" } else { "" };
            let name = source.name.display();
            let detail = format!("its message is {name}: {why}{what}; it is put back");
            self.find_about(uid, Code::MessagePutBack, Remedy::Repair, detail);
            self.file_steps.puts.push(Put { place, uid, content: source.content() });
            self.last_uid = self.last_uid.max(uid);
            self.adopt(found, uid, witness);
        }
    }

    fn set_copy_aside(&mut self, Orphan { uid, found }: Orphan<'_>, of: CopyOf) {
        let (code, what, reason) = match of {
            CopyOf::Live => (Code::Copy, "", "a copy of a message that is there"),
            CopyOf::Expunged => {
                let reason = "a copy of a message that is expunged";
                (Code::StaysExpunged, " that is expunged", reason)
            }
        };
        let detail =
            format!("its file has no record yet, and is a copy of a message{what}; set aside");
        self.find_about(uid, code, Remedy::Repair, detail);
        let Found { place, identity: FileIdentity { ino, .. }, .. } = found;
        let name = message_file_name(uid).into();
        self.file_steps.set_aside.push(SetAside { place, name, ino, reason });
    }

    fn report_kept(&mut self, uid: Uid, why: &str, witness: &Witness<'_>, index_gone: bool) {
        if witness.is_tombstone() {
            let detail = format!("its file has no record; {why}, and that it was expunged");
            self.find_about(uid, Code::StaysExpunged, Remedy::Repair, detail);
            return;
        }
        if matches!(witness, Witness::Arriving(_)) {
            let detail = format!("its file has no record yet; {why}");
            self.find_about(uid, Code::MessageDelivered, Remedy::Repair, detail);
            return;
        }
        if matches!(witness, Witness::Proven(_)) {
            self.find_about(uid, Code::RecordProven, Remedy::Repair, why);
            return;
        }
        if !index_gone {
            let detail = format!("its file has no record; {why}");
            self.find_about(uid, Code::MessageWithoutRecord, Remedy::Repair, detail);
        }
    }

    /// The orphans that have to find their place; what is none is told, and what is nothing is put
    /// away.
    fn readable_orphans(&mut self) -> Vec<Orphan<'a>> {
        let evidence = self.evidence;
        let claimed = self.names_of_interrupted_runs();
        let mut readable = Vec::new();
        for message in evidence.messages.iter().filter(|message| message.slot.is_none()) {
            let uid = message.uid;
            match (message.file, &message.reading) {
                (FileEvidence::Unreadable(errno), _) => {
                    let error = std::io::Error::from_raw_os_error(errno);
                    let detail = format!("a file without a record: {error}");
                    self.find_about(uid, Code::MessageUnreadable, Remedy::Left, detail);
                }
                (FileEvidence::Regular { place, .. }, _)
                    if is_nothing(message) && self.matching.puts_told(place, uid) => {}
                (FileEvidence::Regular { .. }, _) if is_nothing(message) => {
                    let detail = "a file without a record that is empty or holds only NULs; it is \
                                  set aside";
                    self.find_about(uid, Code::MessageEmpty, Remedy::Repair, detail);
                    self.set_message_aside(message, "it holds nothing");
                }
                (FileEvidence::Regular { place, identity, .. }, Some(reading)) => {
                    let exchanged = self.matching.puts_told(place, uid);
                    let name = message_file_name(uid);
                    if self.matching.takes(place, name.as_ref()) {
                        if !exchanged {
                            let reason = "its message is under its own name again";
                            self.set_message_aside(message, reason);
                        }
                    } else if exchanged {
                        let found = Found { place, identity, reading };
                        let what = What::Orphan("its name is that of another message".to_owned());
                        self.loose.push(Loose { found, name: name.into(), exchanged, what });
                    } else if !claimed.contains(&uid) {
                        let found = Found { place, identity, reading };
                        readable.push(Orphan { uid, found });
                    }
                }
                (FileEvidence::Absent | FileEvidence::Odd, _)
                | (FileEvidence::Regular { .. }, None) => {}
            }
        }
        readable
    }

    /// New names of files that are remains: an earlier run gave them, and was cut short.
    fn names_of_interrupted_runs(&self) -> HashSet<Uid> {
        let loose = self.loose.iter();
        loose.filter_map(|file| self.linked_by_an_interrupted_run(file)).collect()
    }

    /// Puts the file of `message` into the quarantine.
    pub(super) fn set_message_aside(&mut self, message: &MessageEvidence, reason: &'static str) {
        if let FileEvidence::Regular { place, identity, .. } = message.file {
            let name = message_file_name(message.uid).into();
            let ino = identity.ino;
            self.file_steps.set_aside.push(SetAside { place, name, ino, reason });
        }
    }

    fn decide_fates(
        &self,
        orphans: &[Orphan<'a>],
        slots: &FreeSlots,
        testimony: &Testimony<'a>,
    ) -> Vec<Fate<'a>> {
        let files = orphans.iter().map(|orphan| (orphan.uid, orphan.found));
        let rows = CompleteRows::of(self.evidence, files);
        let told = orphans
            .iter()
            .map(|orphan| told_fate(orphan, slots.gap_of(orphan.uid), testimony, rows.as_ref()));
        let told: Vec<_> = told.collect();
        let claims = self.claims(orphans, &told, slots);
        let fate = |(orphan, told): (&Orphan<'a>, Option<Fate<'a>>)| {
            let fate = told.unwrap_or_else(|| {
                let gap = slots.gap_of(orphan.uid);
                let claims = claims.get(&gap).copied().unwrap_or_default();
                self.fate_without_witness(orphan, slots.free_in(gap), claims)
            });
            self.with_line_ends_put_right(orphan, fate)
        };
        let mut fates: Vec<_> = orphans.iter().zip(told).map(fate).collect();
        self.tell_newer_copies(orphans, &mut fates);
        fates
    }

    /// How many files claim the missing records of each gap.
    fn claims(
        &self,
        orphans: &[Orphan<'a>],
        told: &[Option<Fate<'a>>],
        slots: &FreeSlots,
    ) -> HashMap<usize, Claims> {
        let mut claims = HashMap::<usize, Claims>::new();
        for (orphan, told) in orphans.iter().zip(told) {
            if orphan.uid <= self.last_uid {
                let claims = claims.entry(slots.gap_of(orphan.uid)).or_default();
                match told {
                    Some(Fate::Copy(_)) => {}
                    Some(_) => claims.proven += 1,
                    None if self.is_copy(orphan) => claims.copies += 1,
                    None => claims.others += 1,
                }
            }
        }
        let put_back = self.matching.told().iter().filter(|told| told.uid <= self.last_uid);
        for Told { uid, .. } in put_back {
            claims.entry(slots.gap_of(*uid)).or_default().proven += 1;
        }
        claims
    }

    /// A message that keeps its UID, as it must have been before its line ends were changed: where
    /// nothing tells of the bytes as they are.
    fn with_line_ends_put_right(&self, orphan: &Orphan<'a>, fate: Fate<'a>) -> Fate<'a> {
        match (fate, orphan.whole()) {
            (Fate::KeepsUid(why, witness), Some(whole))
                if !witness.knows_the_bytes() && !self.is_known(whole) =>
            {
                Fate::IsWholeWithCrlf(why, witness, whole)
            }
            (fate, _) => fate,
        }
    }

    /// Of those that are newer than the index some may be copies of others that have lost their record.
    fn tell_newer_copies(&self, orphans: &[Orphan<'a>], fates: &mut [Fate<'a>]) {
        let guid = |orphan: &Orphan<'_>| orphan.found.reading.fields.guid;
        let kept = orphans.iter().zip(&*fates).filter_map(|(orphan, fate)| match fate {
            Fate::KeepsUid(_, witness) if orphan.uid <= self.last_uid => Some((
                guid(orphan),
                if witness.is_tombstone() { CopyOf::Expunged } else { CopyOf::Live },
            )),
            _ => None,
        });
        let kept: HashMap<Guid, CopyOf> = kept.collect();
        for (orphan, fate) in orphans.iter().zip(fates) {
            if let (Fate::KeepsUid(_, Witness::Newer), Some(of)) = (&*fate, kept.get(&guid(orphan)))
            {
                *fate = Fate::Copy(*of);
            }
        }
    }

    fn fate_without_witness(&self, orphan: &Orphan<'_>, free: u64, claims: Claims) -> Fate<'a> {
        if orphan.uid > self.plausible_uid() {
            return Fate::NewUid("no server ever gave out a UID like this".to_owned());
        }
        if orphan.uid > self.last_uid {
            let newer = !self.last_uid_is_unproven();
            // Whoever copied a message was never told that it worked.
            if newer && self.is_copy(orphan) {
                return Fate::NewUid("it is a copy that has no record yet".to_owned());
            }
            if newer && self.was_expunged(orphan) {
                return Fate::Copy(CopyOf::Expunged);
            }
            let witness = if newer { Witness::Newer } else { Witness::None };
            return Fate::KeepsUid("its UID is above the last one given out", witness);
        }
        if free == u64::MAX {
            let why = "nothing tells how many records the index had";
            return Fate::KeepsUid(why, Witness::None);
        }
        let free = free.saturating_sub(claims.proven);
        let claimed = claims.others.saturating_add(claims.copies);
        let keeps = free >= claimed || free >= claims.others && !self.is_copy(orphan);
        if keeps {
            let why = "a destroyed record between its neighbours was its own";
            Fate::KeepsUid(why, Witness::None)
        } else if free == 0 {
            let why = "no record is missing where it would stand, so its UID was expunged";
            Fate::NewUid(why.to_owned())
        } else {
            Fate::NewUid(format!(
                "{claimed} files claim the {free} records destroyed where it would stand"
            ))
        }
    }

    /// Whether a live message of the mailbox has the same bytes.
    fn is_copy(&self, orphan: &Orphan<'_>) -> bool {
        let guid = orphan.found.reading.fields.guid;
        self.known.live.contains_key(&guid) || self.matching.tells_live(guid)
    }

    /// Whether any record of the mailbox is of these bytes.
    fn is_known(&self, found: Found<'_>) -> bool {
        let guid = found.reading.fields.guid;
        let Known { live, tombstones } = &self.known;
        let mut wanted = self.wanted.iter();
        live.contains_key(&guid)
            || tombstones.contains_key(&guid)
            || wanted.any(|wanted| wanted.record.guid == guid)
    }

    /// Whether an expunged message of the mailbox has the same bytes.
    fn was_expunged(&self, orphan: &Orphan<'_>) -> bool {
        self.known.tombstones.contains_key(&orphan.found.reading.fields.guid)
    }

    /// The highest UID that a file's name can be believed to tell.
    fn plausible_uid(&self) -> Uid {
        if self.evidence.index.header_proven {
            Uid(self.last_uid.0.saturating_add(UIDS_IN_REACH)).min(Uid::HIGHEST_PLAUSIBLE)
        } else {
            Uid::HIGHEST_PLAUSIBLE
        }
    }

    /// Leaves room above every UID that may have been given out, where nothing proves the last one.
    fn jump_last_uid(&mut self) {
        if !self.last_uid_is_unproven() {
            return;
        }
        let known = self.last_uid.max(self.witnessed_uid());
        self.last_uid = Uid(known.0.saturating_add(UID_JUMP));
        let detail = format!(
            "the last UID known is {known}; {} is taken, above any that may have been given out",
            self.last_uid
        );
        self.find(Code::LastUidUnproven, Remedy::Note, detail);
    }
}

/// What something tells of a file whose record would stand in `gap`: of its bytes as they are, then
/// with their line ends put right, then of its name.
fn told_fate<'a>(
    orphan: &Orphan<'a>,
    gap: usize,
    testimony: &Testimony<'a>,
    rows: Option<&CompleteRows>,
) -> Option<Fate<'a>> {
    let as_it_is = testimony.about(orphan.uid, gap, orphan.found);
    let of_name = testimony.about_name(orphan.uid, gap);
    // The server gave the UID out where there is a record of it.
    let is_known = as_it_is.as_ref().is_some_and(|(_, witness)| witness.knows_the_bytes());
    if !is_known && of_name.is_none() {
        let copied = rows.and_then(|rows| rows.copied_by(orphan.uid, orphan.found));
        if let Some(copy) = copied {
            return Some(Fate::Copy(copy));
        }
    }
    if let Some((why, witness)) = as_it_is {
        return Some(Fate::KeepsUid(why, witness));
    }
    let whole = orphan.whole();
    let told = whole.and_then(|whole| testimony.about(orphan.uid, gap, whole));
    match (told, whole) {
        (Some((why, witness)), Some(whole)) => Some(Fate::IsWholeWithCrlf(why, witness, whole)),
        _ => of_name.map(|(why, witness)| Fate::KeepsUid(why, witness)),
    }
}

/// How many files claim the missing records of one gap.
#[derive(Debug, Clone, Copy, Default)]
struct Claims {
    /// Known under their UIDs by another witness.
    proven: u64,
    /// Of the same bytes as a live message of the mailbox.
    copies: u64,
    /// All others.
    others: u64,
}

/// Whether nothing is left in the file of `message`.
pub(super) fn is_nothing(message: &MessageEvidence) -> bool {
    let blank = message.reading.as_ref().is_some_and(|reading| reading.blank);
    blank || message.file.is_empty()
}
