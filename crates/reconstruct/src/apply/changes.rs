//! Whether a mailbox is still as it was when the evidence was gathered. Asked under its locks.

use std::ffi::OsStr;
use std::path::Path;

use mailstore::volume::{FileMeta, GuardedDir, Kind, ReadError, message_file_name};
use mailstore_format::Uid;

use crate::error::Error;
use crate::evidence::{
    Evidence, FileEvidence, FileIdentity, HeaderFileEvidence, MessageEvidence, Place,
};
use crate::examine::identity_of;
use crate::gather::{read_file, read_header_file};
use crate::index_reader::read_index;
use crate::plan::{Arrive, FileSteps, MessageContent, Rename, Return, SetAside};
use crate::target::Target;

/// What happened since the evidence was gathered.
pub(super) enum Since {
    Unchanged,
    /// So many messages must be looked at anew.
    Changed {
        messages: usize,
    },
}

impl Since {
    pub(super) fn look(
        target: &Target,
        evidence: &Evidence,
        steps: &FileSteps,
    ) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        let now = match read_file(&target.location.index, u64::MAX, &mut bytes) {
            Ok(meta) => Some(identity_of(&meta)),
            Err(ReadError::NotFound) => None,
            Err(error) => {
                let source = std::io::Error::other(error.to_string());
                return Err(Error::io("read", &target.location.index, source));
            }
        };
        let same_index = same_file(now, evidence.index_as_read().identity)
            && now.is_none_or(|now| same_content(&bytes, now, evidence));
        let files = Files::of(target);
        let same_files = files.are_as_in(evidence) && files.are_as_for(steps, evidence);
        if same_index && same_header_file(target, evidence) && same_files {
            return Ok(Self::Unchanged);
        }
        Ok(Self::Changed { messages: now.map_or(0, |now| unknown_records(&bytes, now, evidence)) })
    }
}

/// The time stamp is left out: Cyrus maps the index, and the kernel stamps such writes late.
fn same_file(now: Option<FileIdentity>, then: Option<FileIdentity>) -> bool {
    now.map(|file| (file.ino, file.size)) == then.map(|file| (file.ino, file.size))
}

/// Every record is compared: the server rewrites some without a trace in the header, as when it
/// archives a message or gives it a thread.
fn same_content(bytes: &[u8], identity: FileIdentity, evidence: &Evidence) -> bool {
    let then = evidence.index_as_read();
    let now = read_index(bytes, identity, then.layout.map(|layout| layout.version));
    now.header_bytes == then.header_bytes && now.slots == then.slots
}

fn same_header_file(target: &Target, evidence: &Evidence) -> bool {
    let crc_of = |file: &HeaderFileEvidence| match file {
        HeaderFileEvidence::Sound { crc, .. } => Some(*crc),
        _ => None,
    };
    crc_of(&read_header_file(&target.location)) == crc_of(&evidence.header_file)
}

/// The mailbox's directories as they are now.
struct Files {
    spool: Option<GuardedDir>,
    archive: Option<GuardedDir>,
}

impl Files {
    fn of(target: &Target) -> Self {
        let open = |path: &Path| GuardedDir::open_trusted(path).ok();
        let location = &target.location;
        let archive = location.archive.as_deref().and_then(open);
        Self { spool: open(&location.spool), archive }
    }

    fn stat(&self, place: Place, name: &OsStr) -> Option<FileMeta> {
        let directory = match place {
            Place::Spool => self.spool.as_ref(),
            Place::Archive => self.archive.as_ref(),
        };
        directory.and_then(|directory| directory.stat(name).ok())
    }

    fn regular(&self, place: Place, name: &OsStr) -> Option<FileIdentity> {
        let meta = self.stat(place, name).filter(|meta| meta.kind == Kind::Regular);
        meta.map(|meta| identity_of(&meta))
    }

    fn message(&self, place: Place, uid: Uid) -> Option<FileIdentity> {
        self.regular(place, OsStr::new(&message_file_name(uid)))
    }

    /// Whether the files that nothing but their presence or absence speaks for are as they were.
    fn are_as_in(&self, evidence: &Evidence) -> bool {
        let lies_in_spool =
            |file: &FileEvidence| matches!(file, FileEvidence::Regular { place: Place::Spool, .. });
        let mut messages = evidence.messages.iter();
        if self.spool.is_none() && messages.any(|message| lies_in_spool(&message.file)) {
            return false;
        }
        evidence.messages.iter().all(|message| match message.file {
            FileEvidence::Regular { place, identity, .. } if message.slot.is_none() => {
                self.message(place, message.uid) == Some(identity)
            }
            FileEvidence::Absent if is_missed(evidence, message) => {
                self.message(Place::Spool, message.uid).is_none()
                    && self.message(Place::Archive, message.uid).is_none()
            }
            _ => true,
        })
    }

    /// Whether the entries that `steps` are about are those that the plan saw.
    fn are_as_for(&self, steps: &FileSteps, evidence: &Evidence) -> bool {
        let puts = steps.puts.iter().all(|put| {
            let MessageContent { name, identity, .. } = &put.content;
            self.regular(put.place, name) == Some(*identity)
                && self.is_as_in(evidence, put.place, put.uid)
        });
        let is_there =
            |rename: &Rename| self.regular(rename.place, &rename.from) == Some(rename.identity);
        let is_free = |back: &Return| self.stat(back.place, &back.name).is_none();
        let is_new = |arrive: &Arrive| {
            let name = message_file_name(arrive.noted.to);
            self.stat(arrive.place, OsStr::new(&name)).is_none()
        };
        let ino = |step: &SetAside| self.stat(step.place, &step.name).map(|meta| meta.ino);
        puts && steps.renames.iter().all(is_there)
            && steps.returns.iter().all(is_free)
            && steps.arrivals.iter().all(is_new)
            && steps.set_aside.iter().all(|step| ino(step) == Some(step.ino))
    }

    /// Whether what has the message's name in `place` is what it was.
    fn is_as_in(&self, evidence: &Evidence, place: Place, uid: Uid) -> bool {
        let now = self.stat(place, OsStr::new(&message_file_name(uid)));
        let at = evidence.messages.binary_search_by_key(&uid, |message| message.uid);
        let then = at.ok().and_then(|at| evidence.messages.get(at)).map(|message| message.file);
        match (then, now) {
            (Some(FileEvidence::Regular { place: found, identity, .. }), Some(meta))
                if found == place =>
            {
                meta.kind == Kind::Regular && identity_of(&meta) == identity
            }
            (Some(FileEvidence::Odd), Some(meta)) => meta.kind != Kind::Regular,
            (Some(FileEvidence::Absent) | None, now) => now.is_none(),
            // It lies, or lay, in the other place.
            (Some(FileEvidence::Regular { place: found, .. }), None) => found != place,
            _ => false,
        }
    }
}

/// Whether the message should be there: nobody asks for the file of an expunged one.
fn is_missed(evidence: &Evidence, message: &MessageEvidence) -> bool {
    let record = message.slot.and_then(|slot| evidence.index.record(slot));
    record.is_some_and(|record| !record.is_expunged() && !record.is_unlinked())
}

/// How many records of the index as it is now were not looked at with the same cache item.
fn unknown_records(bytes: &[u8], identity: FileIdentity, evidence: &Evidence) -> usize {
    let now =
        read_index(bytes, identity, evidence.index_as_read().layout.map(|layout| layout.version));
    (0..now.slots.len())
        .filter_map(|slot| now.record(slot))
        .filter(|record| {
            let known = evidence
                .messages
                .binary_search_by_key(&record.uid, |message| message.uid)
                .ok()
                .and_then(|at| evidence.messages.get(at)?.slot)
                .and_then(|slot| evidence.index.record(slot));
            known.is_none_or(|known| {
                (known.cache_offset, known.cache_crc) != (record.cache_offset, record.cache_crc)
            })
        })
        .count()
}
