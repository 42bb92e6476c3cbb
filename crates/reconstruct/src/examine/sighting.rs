//! Where a message's file is, by listings and by its inode.

use std::ffi::OsStr;

use mailstore::volume::{FileMeta, GuardedDir, Kind, ReadError, message_file_name};
use mailstore_format::Uid;
use mailstore_format::index::IndexRecord;

use super::Examiner;
use crate::evidence::{FileEvidence, FileIdentity, Place};
use crate::places::ScannedPlace;

/// Where a message's file lies, and whether the other place has one of its name too.
#[derive(Clone, Copy)]
pub(super) struct Whereabouts {
    pub(super) place: Place,
    pub(super) in_both: bool,
}

/// What is known of a message's file before it is opened.
#[derive(Clone, Copy)]
pub(super) enum Sighting {
    /// A listing has it, and it is read whatever it is.
    Listed(Whereabouts),
    /// What its inode says.
    Stated(FileEvidence),
}

pub(super) const EIO: i32 = 5;

impl Examiner<'_> {
    /// Where a listing has the file of `uid`.
    pub(super) fn listed(&self, uid: Uid, record: Option<&IndexRecord>) -> Option<Whereabouts> {
        let listed =
            |place: &ScannedPlace| place.scan().is_some_and(|scan| scan.message(uid).is_some());
        let in_archive = self.places.archive.as_ref().is_some_and(listed);
        match (listed(&self.places.spool), in_archive) {
            (true, true) => Some(Whereabouts { place: expected_place(record), in_both: true }),
            (true, false) => Some(Whereabouts { place: Place::Spool, in_both: false }),
            (false, true) => Some(Whereabouts { place: Place::Archive, in_both: false }),
            (false, false) => None,
        }
    }

    /// Where the file of `uid` lies, and what it is.
    pub(super) fn file(&self, uid: Uid, record: Option<&IndexRecord>) -> FileEvidence {
        // A file that no listing has is asked for by name: it may have come since.
        let unlisted = || Whereabouts { place: expected_place(record), in_both: false };
        let Whereabouts { place, in_both } = self.listed(uid, record).unwrap_or_else(unlisted);
        match self.stat(uid, place, in_both) {
            FileEvidence::Absent => self.stat(uid, place.other(), false),
            found => found,
        }
    }

    pub(super) fn stat(&self, uid: Uid, place: Place, in_both: bool) -> FileEvidence {
        let name = message_file_name(uid);
        match self.directory(place).and_then(|at| at.stat(OsStr::new(&name))) {
            Ok(meta) if meta.kind == Kind::Regular => {
                FileEvidence::Regular { place, identity: identity_of(&meta), in_both }
            }
            Ok(_) => FileEvidence::Odd,
            Err(ReadError::NotFound) => FileEvidence::Absent,
            Err(ReadError::Io { errno, .. }) => FileEvidence::Unreadable(errno),
            Err(_) => FileEvidence::Unreadable(EIO),
        }
    }

    pub(super) fn directory(&self, place: Place) -> Result<&GuardedDir, ReadError> {
        self.places.at(place).ok_or(ReadError::NotFound).and_then(ScannedPlace::directory)
    }
}

pub(crate) fn identity_of(meta: &FileMeta) -> FileIdentity {
    FileIdentity { ino: meta.ino, size: meta.size, mtime: meta.mtime }
}

fn expected_place(record: Option<&IndexRecord>) -> Place {
    record.map_or(Place::Spool, Place::of)
}
