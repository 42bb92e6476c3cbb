//! Collecting the evidence about a mailbox. Reads only, and survives whatever it meets.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use mailstore::location::MailboxLocation;
use mailstore::lock::{self, LockMode, MailboxLocks};
use mailstore::spool::{DirectoryFacts, OddKind, SpoolScan, message_uid};
use mailstore::volume::{GuardedDir, ReadError};
use mailstore_format::annotations::Annotation;
use mailstore_format::db;
use mailstore_format::header_file::HeaderFile;

use crate::cache_file::CacheFile;
use crate::error::Error;
use crate::evidence::{
    DirectoryEvidence, Evidence, HeaderFileEvidence, IndexEvidence, MessageEvidence, Place, Slot,
    StoredAnnotation,
};
use crate::examine::{Candidate, Examiner, ScannedPlace, identity_of};
use crate::index_reader::{looks_newer, read_index};
use crate::pruned;
use crate::run::Context;
use crate::staging::CacheSink;
use crate::target::Target;

/// A larger index would hold more messages than a mailbox can have.
const LARGEST_INDEX: u64 = 1 << 36;
/// `cyrus.header` is some kilobytes; this leaves room for very long ACLs.
const LARGEST_HEADER_FILE: u64 = 16 << 20;
/// A larger annotation database is not read into memory.
const LARGEST_DATABASE: u64 = 1 << 30;

/// Gathers the evidence about `target`.
///
/// `held` are the mailbox's locks, where the caller has them; else a shared lock is held while the
/// index is read. New cache records go to `sink`. `previous` spares reading what is still the same.
pub(crate) fn gather(
    context: &Context<'_>,
    target: &Target,
    held: Option<&MailboxLocks>,
    previous: Option<&Evidence>,
    sink: &mut dyn CacheSink,
) -> Result<Evidence, Error> {
    let location = &target.location;
    let spool = match open_spool(location) {
        Ok(spool) => spool,
        Err(why) => return Ok(unavailable(why)),
    };
    let archive = open_archive(location);
    // The directories were listed before the index is read: a message that arrives in between has
    // a record without a listed file, which is then asked for by name, not a file without record.
    let index = read_index_file(context, target, held)?;
    let archive = match archive {
        Ok(archive) => archive,
        Err(_) if is_proved_without(&index, Place::Archive) => None,
        Err(why) => return Ok(unavailable(why)),
    };
    // The server makes the archive's directory when it first moves a message there.
    let archive = archive.filter(|archive| archive.listing.is_some());
    if archive.is_none() && has_records_in(&index, Place::Archive) {
        let directory = location.archive.as_deref().unwrap_or(&location.spool).display();
        let why = format!("{directory} does not exist, but the index lists messages there");
        return Ok(unavailable(why));
    }
    let spool_dir = location.spool.display();
    if spool.listing.is_none() && !is_proved_without(&index, Place::Spool) {
        return Ok(unavailable(format!(
            "{spool_dir} does not exist; is its partition mounted, was it moved away? \
             (If no message was ever in it, make the directory and run again.)"
        )));
    }
    if spool.is_empty() && has_records_in(&index, Place::Spool) {
        return Ok(unavailable(format!(
            "{spool_dir} is empty, but the index lists messages there"
        )));
    }
    let header_file = read_header_file(location);
    let nothing_left = spool.is_empty()
        && index.identity.is_none()
        && matches!(header_file, HeaderFileEvidence::Missing);
    if nothing_left {
        let why = format!("{spool_dir} is empty: nothing of the mailbox is left");
        return Ok(unavailable(why));
    }
    let pruned = pruned::of_earlier_runs(&target.recovery.data, &target.key);
    let examiner = Examiner {
        spool: &spool,
        archive: archive.as_ref(),
        check: context.options.check,
        layout: index.layout,
        pool: context.pool,
        observer: context.observer,
        previous,
        wanted_back: &pruned.iter().map(|pruned| pruned.record.uid).collect(),
    };
    let candidates = candidates(&index, &spool, archive.as_ref());
    let messages = examiner
        .examine(&candidates, sink)
        .map_err(|source| Error::io("stage cache records for", &location.spool, source))?;
    Ok(Evidence {
        directory: directory_evidence(location, &messages, &spool, archive.as_ref()),
        header_file,
        spool_cache: spool.cache.evidence(),
        archive_cache: archive.as_ref().map(|archive| archive.cache.evidence()),
        witnesses: context.witnesses(target),
        annotations: annotations(context, target),
        index,
        messages,
        pruned,
    })
}

/// The evidence of a mailbox that must be left alone.
fn unavailable(why: String) -> Evidence {
    Evidence {
        directory: DirectoryEvidence { unavailable: Some(why), ..DirectoryEvidence::default() },
        index: IndexEvidence::default(),
        header_file: HeaderFileEvidence::Missing,
        spool_cache: crate::evidence::CacheFileEvidence::default(),
        archive_cache: None,
        messages: Vec::new(),
        witnesses: crate::evidence::Witnesses::default(),
        annotations: None,
        pruned: Vec::new(),
    }
}

fn open_spool(location: &MailboxLocation) -> Result<ScannedPlace, String> {
    let root = &location.partition_roots.data;
    check_root(root)?;
    let place = scan(root, &location.spool, &location.cache)?;
    let roots: Vec<_> = location.partition_roots.meta.iter().collect();
    roots.into_iter().try_for_each(|root| check_root(root))?;
    Ok(place)
}

/// The archive's directory; `None` where the store has no archive.
fn open_archive(location: &MailboxLocation) -> Result<Option<ScannedPlace>, String> {
    let parts = (&location.archive, &location.archive_cache, &location.partition_roots.archive);
    let (Some(directory), Some(cache), Some(root)) = parts else { return Ok(None) };
    check_root(root)?;
    scan(root, directory, cache).map(Some)
}

/// Fails where a partition's root looks as it does when its disk is not mounted.
fn check_root(root: &Path) -> Result<(), String> {
    let root_is =
        |what: &str| Err(format!("the partition {} {what}; is it mounted?", root.display()));
    match DirectoryFacts::of(root) {
        DirectoryFacts::Present { empty: false, .. } => Ok(()),
        DirectoryFacts::Present { .. } => root_is("is empty"),
        DirectoryFacts::Missing => root_is("does not exist"),
        DirectoryFacts::NotADirectory(kind) => root_is(&format!("is {kind}")),
        DirectoryFacts::Unreadable(errno) => {
            let error = io::Error::from_raw_os_error(errno);
            root_is(&format!("cannot be read: {error}"))
        }
    }
}

fn scan(root: &Path, directory: &Path, cache: &Path) -> Result<ScannedPlace, String> {
    let shown = directory.display();
    let opened = match GuardedDir::open_under(root, directory) {
        Ok(opened) => opened,
        Err(ReadError::NotFound) => {
            return Ok(ScannedPlace { listing: None, cache: open_cache(cache) });
        }
        Err(error) => return Err(format!("{shown} cannot be opened: {error}")),
    };
    let root = GuardedDir::open_trusted(root).map_err(|error| format!("{shown}: {error}"))?;
    if root.meta().dev != opened.meta().dev {
        return Err(format!("{shown} lies on another device than its partition's root"));
    }
    let scan =
        SpoolScan::of(&opened).map_err(|error| format!("{shown} cannot be listed: {error}"))?;
    Ok(ScannedPlace { listing: Some((opened, scan)), cache: open_cache(cache) })
}

pub(crate) fn open_cache(path: &Path) -> CacheFile {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return CacheFile::default();
    };
    let opened = GuardedDir::open_trusted(parent).and_then(|parent| parent.open_file(name));
    match opened {
        Ok((file, meta)) => CacheFile::new(file, identity_of(&meta)),
        Err(ReadError::NotRegular(_)) => CacheFile::irregular(),
        Err(_) => CacheFile::default(),
    }
}

fn has_records_in(index: &IndexEvidence, place: Place) -> bool {
    (0..index.slots.len())
        .filter_map(|slot| index.record(slot))
        .any(|record| !record.is_expunged() && Place::of(record) == place)
}

/// Whether an index with a sound header says that no message lies in `place`.
fn is_proved_without(index: &IndexEvidence, place: Place) -> bool {
    let is_whole = !index.slots.contains(&Slot::Destroyed) && index.truncated_slots == 0;
    index.is_read() && index.header_proven && is_whole && !has_records_in(index, place)
}

/// Reads the index; under a shared lock of its own, unless the caller holds the locks.
fn read_index_file(
    context: &Context<'_>,
    target: &Target,
    held: Option<&MailboxLocks>,
) -> Result<IndexEvidence, Error> {
    let _shared = match (held, context.lock_space, &target.locks) {
        (None, Some(space), Some(plan)) => {
            let (name, observer) = (&target.name, context.observer);
            Some(MailboxLocks::acquire(
                space,
                plan,
                LockMode::SharedIfPresent,
                context.options.lock_timeout,
                &mut |wait| observer.waiting(name, wait),
            )?)
        }
        _ => None,
    };
    let path = &target.location.index;
    let mut bytes = Vec::new();
    let meta = match read_file(path, LARGEST_INDEX, &mut bytes) {
        Ok(meta) => meta,
        Err(ReadError::NotFound) => return Ok(IndexEvidence::default()),
        Err(error) => {
            let unreadable = Some(format!("{} cannot be read: {error}", path.display()));
            return Ok(IndexEvidence { unreadable, ..IndexEvidence::default() });
        }
    };
    let mut index = read_index(&bytes, identity_of(&meta));
    if index.unreadable.is_some() && looks_newer(&bytes).is_some() {
        index.identity = None;
    }
    Ok(index)
}

pub(crate) fn read_file(
    path: &Path,
    most: u64,
    bytes: &mut Vec<u8>,
) -> Result<mailstore::volume::FileMeta, ReadError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ReadError::NotFound);
    };
    GuardedDir::open_trusted(parent)?.read_into(name, most, bytes)
}

/// The first `len` bytes of a regular file, or all that it has.
pub(crate) fn read_file_prefix(path: &Path, len: usize) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let directory = GuardedDir::open_trusted(path.parent()?).ok()?;
    let (file, _) = directory.open_file(path.file_name()?).ok()?;
    let mut bytes = Vec::new();
    file.take(u64::try_from(len).ok()?).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

pub(crate) fn read_header_file(location: &MailboxLocation) -> HeaderFileEvidence {
    let mut bytes = Vec::new();
    match read_file(&location.header, LARGEST_HEADER_FILE, &mut bytes) {
        Ok(_) => match HeaderFile::decode(&bytes) {
            Ok(value) => {
                HeaderFileEvidence::Sound { value: Box::new(value), crc: crc32fast::hash(&bytes) }
            }
            Err(error) => HeaderFileEvidence::Damaged(error.to_string()),
        },
        Err(ReadError::NotFound) => HeaderFileEvidence::Missing,
        Err(error) => HeaderFileEvidence::Unreadable(error.to_string()),
    }
}

/// Every UID with a record or a file, once; of several records for one the newest counts.
fn candidates<'a>(
    index: &'a IndexEvidence,
    spool: &ScannedPlace,
    archive: Option<&ScannedPlace>,
) -> Vec<Candidate<'a>> {
    let records = index.slots.iter().enumerate().filter_map(|(slot, content)| match content {
        Slot::Record(record) => {
            Some(Candidate { uid: record.uid, slot: Some(slot), record: Some(record) })
        }
        Slot::Destroyed => None,
    });
    let files = spool.files().iter().chain(archive.map_or(&[][..], ScannedPlace::files));
    let files = files.map(|file| Candidate { uid: file.uid, slot: None, record: None });
    let mut candidates: Vec<_> = records.chain(files).collect();
    candidates.sort_by_key(|candidate| {
        let modseq = candidate.record.map(|record| record.modseq);
        (candidate.uid, std::cmp::Reverse(modseq))
    });
    candidates.dedup_by_key(|candidate| candidate.uid);
    candidates
}

fn directory_evidence(
    location: &MailboxLocation,
    messages: &[MessageEvidence],
    spool: &ScannedPlace,
    archive: Option<&ScannedPlace>,
) -> DirectoryEvidence {
    let has_record = |name: &OsStr| {
        message_uid(name.as_encoded_bytes())
            .is_some_and(|uid| messages.binary_search_by_key(&uid, |message| message.uid).is_ok())
    };
    let MailboxLocation { index, cache, header, archive_cache, .. } = location;
    let of_server = |path: &Path| {
        [Some(index), Some(cache), Some(header), archive_cache.as_ref()]
            .into_iter()
            .flatten()
            .any(|own| own == path)
    };
    let directories = [Some(location.spool.as_path()), location.archive.as_deref()];
    let places = || [Some(spool), archive].into_iter().flatten();
    let odd = places()
        .zip(directories.into_iter().flatten())
        .flat_map(|(place, directory)| {
            let odd = place.odd().iter();
            odd.filter(move |entry| !of_server(&directory.join(&entry.name)))
        })
        // What stands in for a recorded message is told of with the message, as what stands in for
        // a file of the server is with that file.
        .filter(|entry| entry.kind == OddKind::BadName || !has_record(&entry.name))
        .cloned()
        .collect();
    let leftover = |name: &OsStr| {
        let name = name.to_string_lossy();
        (name == "cyrus.expunge" || name.ends_with(".NEW")).then(|| name.into_owned())
    };
    let leftovers = places().flat_map(ScannedPlace::meta_files).filter_map(|name| leftover(name));
    DirectoryEvidence { unavailable: None, odd, leftovers: leftovers.collect() }
}

/// The annotations of the mailbox and its messages; `None` where they cannot be read whole, and
/// so nothing can be said of their checksum.
fn annotations(context: &Context<'_>, target: &Target) -> Option<Vec<StoredAnnotation>> {
    let mut annotations = context.mailbox_annotations(target)?;
    let path = &target.location.annotations;
    if matches!(path.try_exists(), Ok(false)) {
        return Some(annotations);
    }
    let locked = lock::read_database(path, context.options.lock_timeout, &mut |_| {}).ok()?;
    let bytes = read_whole(locked.file()).ok()?;
    let contents = db::read(&bytes).ok()?;
    if !contents.damage.is_empty() {
        return None;
    }
    for entry in &contents.entries {
        let annotation = Annotation::decode_of_message(&entry.key, &entry.value).ok()?;
        if !annotation.is_deleted() {
            annotations.push(StoredAnnotation::of(&annotation, &target.owner));
        }
    }
    Some(annotations)
}

/// Reads a database that is locked, where it has a size that fits into memory.
pub(crate) fn read_whole(mut file: &File) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    if file.metadata()?.len() > LARGEST_DATABASE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
