//! Files that have no record, or whose record wants another: each becomes a message under a new UID,
//! or is put away, or stays.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

use mailstore::spool::message_uid;
use mailstore_format::index::IndexRecord;
use mailstore_format::{Guid, Uid};

use super::adoption::{Found, Witness};
use super::{Draughtsman, MessageContent, Put, Rename, SetAside};
use crate::evidence::{FileEvidence, Place};
use crate::finding::{Code, Remedy};

/// A name above the last UID that lies within this distance is in the server's way.
pub(super) const UIDS_IN_REACH: u32 = 1_000_000;

/// A file whose content has to find its place.
#[derive(Debug, Clone)]
pub(super) struct Loose<'a> {
    pub(super) found: Found<'a>,
    pub(super) name: OsString,
    /// Whether a message is put under its name, which takes this file out of the way.
    pub(super) exchanged: bool,
    pub(super) what: What,
}

/// What a loose file is.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// What is left of the message of this record.
    Remains(Box<IndexRecord>),
    /// Another message under a record's name.
    Other,
    /// A file without a record that cannot keep its UID; why not.
    Orphan(String),
    /// A file whose name is no message's.
    Stray,
}

/// Which messages the mailbox has, by what they are.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Live, and their bytes seen.
    pub(super) live: HashMap<Guid, Uid>,
    /// Expunged.
    pub(super) tombstones: HashMap<Guid, Uid>,
}

impl<'a> Draughtsman<'a> {
    /// Finds out what the mailbox has, where anything may be a copy of it.
    pub(super) fn know_messages(&mut self) {
        let evidence = self.evidence;
        let loose_strays = evidence.strays.iter().any(|stray| stray.reading.is_some());
        let orphans = evidence.messages.iter().any(|message| message.slot.is_none());
        if self.loose.is_empty() && !loose_strays && !orphans {
            return;
        }
        for message in &evidence.messages {
            let record = message.slot.and_then(|slot| evidence.index.record(slot));
            let Some(record) = record.filter(|record| !record.guid.is_null()) else { continue };
            let uid = record.uid;
            let made_whole = message.reading.as_ref().is_some_and(|reading| reading.with_crlf);
            let seen = message.reading.is_some() && message.is_message_of(record) || made_whole;
            if record.is_expunged() || record.is_unlinked() {
                self.known.tombstones.insert(record.guid, uid);
            } else if seen || self.matching.source(uid).is_some() {
                self.known.live.insert(record.guid, uid);
            }
        }
        let rows = evidence.witnesses.conversations.iter().flatten();
        let expunged = rows
            .filter(|row| row.internal_flags.contains(mailstore_format::InternalFlags::EXPUNGED));
        self.known.tombstones.extend(expunged.map(|row| (row.guid, row.uid)));
    }

    /// Gives every loose file its place. New UIDs follow the order of the old ones; files that
    /// never had one come last, by their dates.
    pub(super) fn settle_loose(&mut self) {
        let mut loose = std::mem::take(&mut self.loose);
        loose.sort_by_key(|file| {
            let stray = matches!(file.what, What::Stray);
            (stray, file.uid(), file.found.identity.mtime)
        });
        let taken = self.names_taken();
        self.pass_names_in_the_way(&taken);
        for file in loose {
            self.settle(file, &taken);
        }
    }

    fn settle(&mut self, file: Loose<'a>, taken: &HashSet<Uid>) {
        if let Some(to) = self.linked_by_an_interrupted_run(&file) {
            self.finish_renaming(&file, to);
            return;
        }
        if let Some(uid) = self.copied_from(&file) {
            let detail = format!("{} is a copy of message {uid}; set aside", file.shown());
            self.report_loose(&file, Code::Copy, Remedy::Repair, detail);
            self.put_away(file, "a copy of a message that is there");
            return;
        }
        let next = (self.last_uid.0..u32::MAX).map(|last| Uid(last.saturating_add(1)));
        let Some(to) = next.into_iter().find(|uid| !taken.contains(uid)) else {
            let detail = format!("{} is a message, and no UID is left to give", file.shown());
            self.report_loose(&file, Code::MessageRenumbered, Remedy::Left, detail);
            return;
        };
        self.last_uid = to;
        let (code, why) = file.what.code_and_reason();
        let detail = format!("{} gets UID {to}: {why}", file.shown());
        self.report_loose(&file, code, Remedy::Repair, detail);
        self.give_name(&file, to);
        self.adopt(file.found, to, file.what.witness());
    }

    /// Completes what a run was about to do that was cut short after the new name was there.
    fn finish_renaming(&mut self, file: &Loose<'a>, to: Uid) {
        let detail = format!(
            "{} is the same file as {to}., its new name since a run that was cut short",
            file.shown()
        );
        let (code, _) = file.what.code_and_reason();
        self.report_loose(file, code, Remedy::Repair, detail);
        self.give_name(file, to);
        if !self.has_draft(to) {
            self.last_uid = self.last_uid.max(to);
            self.adopt(file.found, to, file.what.witness());
        }
    }

    fn has_draft(&self, uid: Uid) -> bool {
        self.drafts.iter().any(|draft| draft.record.uid == uid)
    }

    /// The live message that has the very bytes of `file`. An orphan may be a message of its own
    /// that was a copy, unless it is known that there is no record for it.
    fn copied_from(&self, file: &Loose<'_>) -> Option<Uid> {
        let may_be_one = matches!(file.what, What::Orphan(_)) && self.last_uid_is_unproven();
        let uid = self.known.live.get(&file.found.reading.fields.guid);
        uid.filter(|_| !may_be_one).copied()
    }

    /// Gives a file the name of its new UID. Where another is put under its old name, which is done
    /// first, it must have the new one before that.
    fn give_name(&mut self, file: &Loose<'_>, to: Uid) {
        let Loose { found, name, exchanged, .. } = file;
        let (place, identity) = (found.place, found.identity);
        if *exchanged {
            let content = MessageContent { name: name.clone(), identity, with_crlf: false };
            self.file_steps.puts.push(Put { place, uid: to, content });
        } else {
            self.file_steps.renames.push(Rename { place, from: name.clone(), to, identity });
        }
    }

    /// Puts a file into the quarantine, unless what is put under its name does so.
    fn put_away(&mut self, file: Loose<'_>, reason: &'static str) {
        if !file.exchanged {
            let (place, ino) = (file.found.place, file.found.identity.ino);
            self.file_steps.set_aside.push(SetAside { place, name: file.name, ino, reason });
        }
    }

    fn report_loose(&mut self, file: &Loose<'_>, code: Code, remedy: Remedy, detail: String) {
        match file.uid() {
            Some(uid) => self.find_about(uid, code, remedy, detail),
            None => self.find(code, remedy, detail),
        }
    }

    /// The new name of a file, where an earlier run noted it, linked it and was interrupted before
    /// it could put the old name away.
    pub(super) fn linked_by_an_interrupted_run(&self, file: &Loose<'_>) -> Option<Uid> {
        let (place, ino) = (file.found.place, file.found.identity.ino);
        let noted = self.evidence.journal.renamed.iter().rev().filter(|renamed| {
            (renamed.place, renamed.ino) == (place, ino) && renamed.from == file.name
        });
        noted.map(|renamed| renamed.to).find(|&to| self.is_named(to, place, ino))
    }

    fn is_named(&self, uid: Uid, place: Place, ino: u64) -> bool {
        let messages = &self.evidence.messages;
        let at = messages.binary_search_by_key(&uid, |message| message.uid).ok();
        at.and_then(|at| messages.get(at)).is_some_and(|message| {
            matches!(message.file, FileEvidence::Regular { place: found, identity, .. }
                if (found, identity.ino) == (place, ino))
        })
    }

    /// Every UID that a directory entry is named after, whatever it is: none may be given out.
    pub(super) fn names_taken(&self) -> HashSet<Uid> {
        let messages = self.evidence.messages.iter().map(|message| message.uid);
        let odd = self.evidence.directory.odd.iter();
        let odd = odd.filter_map(|odd| message_uid(odd.entry.name.as_encoded_bytes()));
        messages.chain(odd).collect()
    }

    /// Lifts the last UID above the names of entries that cannot be served but lie where the server
    /// would put its next message, over them.
    pub(super) fn pass_names_in_the_way(&mut self, taken: &HashSet<Uid>) {
        let reach = self.last_uid.0.saturating_add(UIDS_IN_REACH);
        let in_the_way = taken.iter().filter(|uid| uid.0 <= reach).max().copied();
        if let Some(top) = in_the_way.filter(|&top| top > self.last_uid) {
            let detail = format!(
                "the last UID was {}, but an entry is named {top}.: the server would put its next \
                 messages over it",
                self.last_uid
            );
            self.find(Code::LastUidLow, Remedy::Repair, detail);
            self.last_uid = top;
        }
    }
}

impl Loose<'_> {
    /// The UID that its name tells.
    pub(super) fn uid(&self) -> Option<Uid> {
        message_uid(self.name.as_encoded_bytes())
    }

    fn shown(&self) -> String {
        match self.what {
            What::Stray => format!("{}, which is no message's name,", self.name.display()),
            _ => "its file".to_owned(),
        }
    }
}

impl What {
    fn code_and_reason(&self) -> (Code, String) {
        match self {
            Self::Remains(record) => {
                let was = format!("SHA-1 {} and {} bytes", record.guid, record.size);
                let why = format!("it is what is left of the message, which had {was}");
                (Code::RemainsKept, why)
            }
            Self::Other => {
                (Code::MessageRenumbered, "it is another message than its record's".to_owned())
            }
            Self::Orphan(why) => (Code::MessageRenumbered, format!("it has no record, and {why}")),
            Self::Stray => (Code::StrayMessage, "it is a message all the same".to_owned()),
        }
    }

    fn witness<'w>(&self) -> Witness<'w> {
        match self {
            Self::Remains(record) => Witness::Remains(record.clone()),
            Self::Other | Self::Orphan(_) | Self::Stray => Witness::None,
        }
    }
}
