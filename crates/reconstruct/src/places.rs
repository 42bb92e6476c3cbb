//! The directories of a mailbox's messages: listed, and judged whether they can be believed.
//!
//! A partition whose disk is not mounted looks exactly like one whose mail is gone. Where anything
//! speaks for the former, the mailbox is left alone.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use mailstore::location::MailboxLocation;
use mailstore::spool::{DirectoryFacts, OddEntry, SpoolFile, SpoolScan};
use mailstore::volume::{GuardedDir, ReadError};
use mailstore_format::index::IndexRecord;

use crate::cache_file::CacheFile;
use crate::error::Error;
use crate::evidence::{CacheFileEvidence, IndexEvidence, Place};

/// The mailbox's directories, as far as it has them.
pub(crate) struct Places {
    pub(crate) spool: ScannedPlace,
    pub(crate) archive: Option<ScannedPlace>,
    /// Why the archive was not seen, where the index says that no message lies there.
    pub(crate) unverified: Option<String>,
    /// Whether both have their items in the cache of the spool.
    pub(crate) shares_cache: bool,
}

/// One of the mailbox's two places, scanned.
pub(crate) struct ScannedPlace {
    /// The directory and what is in it; `None` where there is none. The server makes one for the
    /// first file that belongs there, which on a store with a metadata partition is a message.
    listing: Option<(GuardedDir, SpoolScan)>,
    pub(crate) cache: CacheFile,
}

/// Why a mailbox's messages cannot be looked at.
pub(crate) enum Closed {
    /// The partition as a whole, or the system refuses: nothing can be said of the mailbox.
    Partition(String),
    /// The mailbox's own directory is not where or what it should be.
    Mailbox(String),
}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Partition(why) | Closed::Mailbox(why) => Self::Unavailable(why),
        }
    }
}

/// The directories as listed, before the index says what should be in them.
pub(crate) struct Listed {
    spool: Result<ScannedPlace, Closed>,
    archive: Result<Option<ScannedPlace>, Closed>,
}

impl Closed {
    pub(crate) fn why(self) -> String {
        match self {
            Self::Partition(why) | Self::Mailbox(why) => why,
        }
    }
}

impl Places {
    /// Lists the mailbox's directories.
    pub(crate) fn list(location: &MailboxLocation) -> Listed {
        Listed { spool: list_spool(location), archive: list_archive(location) }
    }

    /// Spool and, where there is one, archive.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ScannedPlace> {
        [Some(&self.spool), self.archive.as_ref()].into_iter().flatten()
    }

    /// The same, each with which it is.
    pub(crate) fn each(&self) -> impl Iterator<Item = (Place, &ScannedPlace)> {
        [Place::Spool, Place::Archive].into_iter().filter_map(|at| Some((at, self.at(at)?)))
    }

    /// The archive's cache, where it has one of its own.
    pub(crate) fn archive_cache(&self) -> Option<CacheFileEvidence> {
        let archive = self.archive.as_ref().filter(|_| !self.shares_cache);
        archive.map(|archive| archive.cache.evidence())
    }

    /// The cache in which the item of `record` lies.
    pub(crate) fn cache_of(&self, record: &IndexRecord) -> Option<&CacheFile> {
        self.at(Place::of_cache(record, self.shares_cache)).map(|place| &place.cache)
    }

    /// The place in which files of `place` lie; `None` where the mailbox has no archive.
    pub(crate) fn at(&self, place: Place) -> Option<&ScannedPlace> {
        match place {
            Place::Spool => Some(&self.spool),
            Place::Archive => self.archive.as_ref(),
        }
    }
}

impl Listed {
    /// Fails where the system lets nobody look at the spool, whatever the index says.
    pub(crate) fn opened(self) -> Result<Self, Closed> {
        match self.spool {
            Err(closed @ Closed::Partition(_)) => Err(closed),
            _ => Ok(self),
        }
    }

    /// Believes the listing where the index does not contradict it.
    pub(crate) fn judged_by(
        self,
        index: &IndexEvidence,
        location: &MailboxLocation,
    ) -> Result<Places, Closed> {
        let spool = self.spool?;
        let directory = location.spool.display();
        let knows = |place| knows_of_files(index, place, location);
        let may_have_files = !is_whole(index) || knows(Place::Spool);
        if spool.listing.is_none() && may_have_files {
            return Err(Closed::Mailbox(format!(
                "{directory} does not exist; is its partition mounted, was it moved away? \
                 (If no message was ever in it, make the directory and run again.)"
            )));
        }
        if spool.is_empty() && knows(Place::Spool) {
            let why = format!("{directory} is empty, but the index knows of files there");
            return Err(Closed::Mailbox(why));
        }
        let (archive, unverified) = match self.archive {
            Ok(archive) => (archive, None),
            Err(closed) if is_whole(index) && !knows(Place::Archive) => (None, Some(closed.why())),
            Err(closed) => return Err(closed),
        };
        // The server makes the archive's directory when it first moves a message there.
        let archive = archive.filter(|archive| archive.listing.is_some());
        if archive.as_ref().is_none_or(ScannedPlace::is_empty) && knows(Place::Archive) {
            let directory = location.archive.as_deref().unwrap_or(&location.spool).display();
            let what = if archive.is_some() { "is empty" } else { "does not exist" };
            let why = format!("{directory} {what}, but the index knows of files there");
            return Err(Closed::Mailbox(why));
        }
        let shares_cache = location.archive_cache.as_ref() == Some(&location.cache);
        Ok(Places { spool, archive, unverified, shares_cache })
    }
}

impl ScannedPlace {
    /// Whether there is nothing in it at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.scan().is_none_or(SpoolScan::is_empty)
    }

    /// Message files, by UID.
    pub(crate) fn files(&self) -> &[SpoolFile] {
        self.scan().map_or(&[], |scan| &scan.messages)
    }

    /// What does not belong there, by name.
    pub(crate) fn odd(&self) -> &[OddEntry] {
        self.scan().map_or(&[], |scan| &scan.odd)
    }

    /// Files of the server, by name.
    pub(crate) fn meta_files(&self) -> &[OsString] {
        self.scan().map_or(&[], |scan| &scan.meta_files)
    }

    /// The directory, to look into.
    pub(crate) fn directory(&self) -> Result<&GuardedDir, ReadError> {
        self.listing.as_ref().map(|(directory, _)| directory).ok_or(ReadError::NotFound)
    }

    pub(crate) fn scan(&self) -> Option<&SpoolScan> {
        self.listing.as_ref().map(|(_, scan)| scan)
    }
}

fn list_spool(location: &MailboxLocation) -> Result<ScannedPlace, Closed> {
    let root = &location.partition_roots.data;
    check_root(root)?;
    location.partition_roots.meta.iter().try_for_each(|root| check_root(root))?;
    scan(root, &location.spool, &location.cache)
}

/// The archive's directory; `None` where the store has no archive.
fn list_archive(location: &MailboxLocation) -> Result<Option<ScannedPlace>, Closed> {
    let parts = (&location.archive, &location.archive_cache, &location.partition_roots.archive);
    let (Some(directory), Some(cache), Some(root)) = parts else { return Ok(None) };
    check_root(root)?;
    scan(root, directory, cache).map(Some)
}

/// Fails where a partition's root looks as it does when its disk is not mounted.
fn check_root(root: &Path) -> Result<(), Closed> {
    let root_is = |what: &str| {
        let why = format!("the partition {} {what}; is it mounted?", root.display());
        Err(Closed::Partition(why))
    };
    match DirectoryFacts::of(root) {
        DirectoryFacts::Present { empty: false, .. } => Ok(()),
        DirectoryFacts::Present { .. } => {
            root_is("is empty (if nothing belongs there yet, put any file into it)")
        }
        DirectoryFacts::Missing => root_is("does not exist"),
        DirectoryFacts::NotADirectory(kind) => root_is(&format!("is {kind}")),
        DirectoryFacts::Unreadable(errno) => {
            let error = io::Error::from_raw_os_error(errno);
            root_is(&format!("cannot be read: {error}"))
        }
    }
}

fn scan(root: &Path, directory: &Path, cache: &Path) -> Result<ScannedPlace, Closed> {
    let shown = directory.display();
    let refused = |what: &str, error: &ReadError| {
        Closed::Partition(format!(
            "{shown} cannot be {what}: {error}; check its owner, its mode and its disk"
        ))
    };
    let cache = CacheFile::open(cache);
    let opened = match GuardedDir::open_under(root, directory) {
        Ok(opened) => opened,
        Err(ReadError::NotFound) => return Ok(ScannedPlace { listing: None, cache }),
        Err(error) => return Err(refused("opened", &error)),
    };
    let root = GuardedDir::open_trusted(root).map_err(|error| refused("opened", &error))?;
    if root.meta().dev != opened.meta().dev {
        let why = format!("{shown} lies on another device than its partition's root");
        return Err(Closed::Mailbox(why));
    }
    let scan = SpoolScan::of(&opened).map_err(|error| refused("listed", &error))?;
    Ok(ScannedPlace { listing: Some((opened, scan)), cache })
}

/// Whether the index knows of anything in the directory of `place`: files of messages or tombstones,
/// or annotations of messages.
fn knows_of_files(index: &IndexEvidence, place: Place, location: &MailboxLocation) -> bool {
    let records = || (0..index.slots.len()).filter_map(|slot| index.record(slot));
    let filed = |record: &IndexRecord| !record.is_unlinked() && Place::of(record) == place;
    let annotated = index.header.as_ref().is_some_and(|header| header.quota_annot_used > 0);
    let annotations_here =
        place == Place::Spool && location.annotations.starts_with(&location.spool);
    let live = |record: &IndexRecord| !record.is_expunged();
    records().any(filed) || annotations_here && annotated && records().any(live)
}

/// Whether the index is there, under a sound header, and no record of it was lost.
fn is_whole(index: &IndexEvidence) -> bool {
    let no_record_lost = index.unproven_slots() == 0 && index.truncated_slots == 0;
    index.is_read() && index.header_proven && no_record_lost
}
