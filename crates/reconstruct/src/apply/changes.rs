//! Whether a mailbox is still as it was when the evidence was gathered. Asked under its locks.

use std::ffi::OsStr;
use std::path::Path;

use mailstore::volume::{GuardedDir, Kind, ReadError, message_file_name};
use mailstore_format::Uid;

use crate::error::Error;
use crate::evidence::{
    Evidence, FileEvidence, FileIdentity, HeaderFileEvidence, MessageEvidence, Place,
};
use crate::examine::identity_of;
use crate::gather::{read_file, read_header_file};
use crate::index_reader::read_index;
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
    pub(super) fn look(target: &Target, evidence: &Evidence) -> Result<Self, Error> {
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
        if same_index && same_header_file(target, evidence) && same_files(target, evidence) {
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

/// Whether the files that nothing but their presence or absence speaks for are as they were.
fn same_files(target: &Target, evidence: &Evidence) -> bool {
    let location = &target.location;
    let open = |path: &Path| GuardedDir::open_trusted(path).ok();
    let spool = open(&location.spool);
    let lies_in_spool =
        |file: &FileEvidence| matches!(file, FileEvidence::Regular { place: Place::Spool, .. });
    if spool.is_none() && evidence.messages.iter().any(|message| lies_in_spool(&message.file)) {
        return false;
    }
    let archive = location.archive.as_deref().and_then(open);
    let stat = |place: Place, uid: Uid| {
        let directory = match place {
            Place::Spool => spool.as_ref(),
            Place::Archive => archive.as_ref(),
        };
        directory
            .and_then(|directory| directory.stat(OsStr::new(&message_file_name(uid))).ok())
            .filter(|meta| meta.kind == Kind::Regular)
            .map(|meta| identity_of(&meta))
    };
    evidence.messages.iter().all(|message| match message.file {
        FileEvidence::Regular { place, identity, .. } if message.slot.is_none() => {
            stat(place, message.uid) == Some(identity)
        }
        FileEvidence::Absent if is_missed(evidence, message) => {
            stat(Place::Spool, message.uid).is_none() && stat(Place::Archive, message.uid).is_none()
        }
        _ => true,
    })
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
