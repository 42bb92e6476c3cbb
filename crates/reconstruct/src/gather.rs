//! Collecting the evidence about a mailbox. Reads only, and survives whatever it meets.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use mailstore::location::MailboxLocation;
use mailstore::lock::{self, LockMode, MailboxLocks};
use mailstore::spool::OddEntry;
use mailstore::volume::{GuardedDir, ReadError};
use mailstore_format::annotations::Annotation;
use mailstore_format::header_file::HeaderFile;
use mailstore_format::{Uid, db};

use crate::dialect;
use crate::error::Error;
use crate::evidence::{
    ChosenDialect, DirectoryEvidence, Evidence, HeaderFileEvidence, IndexEvidence, IndexTrust,
    Leftover, MessageEvidence, OddInPlace, Slot, StoredAnnotation, Stray, Witnesses,
};
use crate::examine::{Candidate, Examiner, identity_of};
use crate::index_reader::{looks_newer, read_index, read_index_at};
use crate::journal::{self, Journal};
use crate::observer::tell_wait;
use crate::places::{Closed, Places, ScannedPlace};
use crate::plan::{index_trust, layout_to_write};
use crate::run::Context;
use crate::staging::CacheSink;
use crate::target::Target;
use crate::witnesses::{self, Gathered, HURRY};

/// A larger index would hold more messages than a mailbox can have.
pub(crate) const LARGEST_INDEX: u64 = 1 << 31;
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
    // The directories were listed before the index is read: a message that arrives in between has
    // a record without a listed file, which is then asked for by name, not a file without record.
    let listed = Places::list(location).opened()?;
    let index = read_index_file(context, target, held)?;
    let places = match listed.judged_by(&index, location) {
        Ok(places) => places,
        Err(Closed::Mailbox(why)) => return Ok(unavailable(why)),
        Err(closed) => return Err(closed.into()),
    };
    let header_file = read_header_file(location);
    let nothing_left = places.spool.is_empty()
        && index.identity.is_none()
        && matches!(header_file, HeaderFileEvidence::Missing);
    if nothing_left {
        let directory = location.spool.display();
        return Ok(unavailable(format!("{directory} is empty: nothing of the mailbox is left")));
    }
    let journal = journal::of_earlier_runs(target.recovery_root(&location.index), &target.key);
    let mut look = Look { context, target, held: held.is_some(), previous, places: &places, sink };
    let mut evidence = look.at_messages(index, header_file, journal)?;
    match index_trust::judge(&evidence) {
        IndexTrust::Current => {}
        _ if held.is_none() && has_changed(target, &evidence.index) => {}
        IndexTrust::Foreign { why, .. } => evidence = look.without_foreign_index(evidence, why)?,
        older @ IndexTrust::Older(_) => evidence.index_trust = older,
    }
    Ok(evidence)
}

/// Whether the index was written to since it was read: what was read later may be newer than it.
fn has_changed(target: &Target, index: &IndexEvidence) -> bool {
    let now = read_file_prefix(&target.location.index, index.header_bytes.len());
    now.as_ref() != Some(&index.header_bytes)
}

/// A mailbox whose directories and index are open, on the way to its messages.
struct Look<'a> {
    context: &'a Context<'a>,
    target: &'a Target,
    held: bool,
    previous: Option<&'a Evidence>,
    places: &'a Places,
    sink: &'a mut dyn CacheSink,
}

impl Look<'_> {
    /// Looks at every message of the records and of the directories, and at the other witnesses.
    fn at_messages(
        &mut self,
        index: IndexEvidence,
        header_file: HeaderFileEvidence,
        journal: Journal,
    ) -> Result<Evidence, Error> {
        let Self { context, target, places, .. } = *self;
        let location = &target.location;
        let cache_dialect = dialect::choose(context.options.cache_dialect, &index, context.site);
        let (candidates, rivals) = candidates(&index, places);
        let examiner = Examiner {
            places,
            check: context.options.check,
            dialect: cache_dialect.dialect,
            index: &index,
            layout: layout_to_write(&index, context.site.index_version()),
            rivals: &rivals,
            pool: context.pool,
            observer: context.observer,
            previous: self.previous,
            wanted_back: &journal.pruned().map(|pruned| pruned.record.uid).collect(),
        };
        let (messages, strays) = look_at_files(&examiner, &candidates, self.sink)
            .map_err(|source| Error::io("stage cache records for", &location.spool, source))?;
        let (annotations, annotations_whole) = annotations(context, target, self.held);
        let mut evidence = Evidence {
            directory: directory_evidence(location, places),
            cache_dialect,
            header_file,
            spool_cache: places.spool.cache.evidence(),
            archive_cache: places.archive_cache(),
            shares_cache: places.shares_cache,
            witnesses: Witnesses::default(),
            annotations,
            annotations_whole,
            index,
            index_trust: IndexTrust::Current,
            messages,
            strays,
            leftover: leftover(location),
            journal,
            incoming: context.incoming.cloned(),
        };
        let Self { held, previous, .. } = *self;
        let gathered = Gathered { evidence: &evidence, held, previous };
        evidence.witnesses = witnesses::read(context, target, &gathered);
        Ok(evidence)
    }

    /// Looks at the mailbox anew as if it had no index: which of the foreign records can be used,
    /// only the messages can tell.
    fn without_foreign_index(
        &mut self,
        evidence: Evidence,
        why: String,
    ) -> Result<Evidence, Error> {
        let Evidence { index: as_read, header_file, journal, .. } = evidence;
        let nothing = index_trust::believable_part(&as_read, &mut []);
        let mut evidence = self.at_messages(nothing, header_file, journal)?;
        evidence.index = index_trust::believable_part(&as_read, &mut evidence.messages);
        evidence.index_trust = IndexTrust::Foreign { why, as_read: Box::new(as_read) };
        Ok(evidence)
    }
}

/// The evidence of a mailbox that must be left alone.
fn unavailable(why: String) -> Evidence {
    Evidence {
        directory: DirectoryEvidence { unavailable: Some(why), ..DirectoryEvidence::default() },
        cache_dialect: ChosenDialect::default(),
        index: IndexEvidence::default(),
        index_trust: IndexTrust::Current,
        header_file: HeaderFileEvidence::Missing,
        spool_cache: crate::evidence::CacheFileEvidence::default(),
        archive_cache: None,
        shares_cache: false,
        messages: Vec::new(),
        strays: Vec::new(),
        leftover: Leftover::default(),
        witnesses: crate::evidence::Witnesses::default(),
        annotations: Vec::new(),
        annotations_whole: false,
        journal: Journal::default(),
        incoming: None,
    }
}

/// Reads the index; under a shared lock of its own, unless the caller holds the locks.
pub(crate) fn read_index_file(
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
                &mut |wait| tell_wait(observer, name, wait),
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
    let index = read_index_at(context.site, &bytes, identity_of(&meta));
    match looks_newer(&bytes) {
        Some(version) if index.unreadable.is_some() => {
            Err(Error::UnknownVersion { path: path.clone(), version })
        }
        _ => Ok(index),
    }
}

/// What a `cyrus.index.NEW` beside the index tells.
fn leftover(location: &MailboxLocation) -> Leftover {
    let path = location.index.with_file_name("cyrus.index.NEW");
    let mut bytes = Vec::new();
    let Ok(meta) = read_file(&path, LARGEST_INDEX, &mut bytes) else { return Leftover::default() };
    let index = read_index(&bytes, identity_of(&meta), None);
    let records = (0..index.slots.len()).filter_map(|slot| index.record(slot)).copied();
    let header = index.header.as_ref().filter(|_| index.header_proven);
    let header_file_crc = header.map(|header| header.header_file_crc);
    Leftover { records: records.collect(), header_file_crc }
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

/// Every UID with a record or a file, once, with its newest record; and the slots of those that have
/// several, newest first.
fn candidates<'a>(
    index: &'a IndexEvidence,
    places: &Places,
) -> (Vec<Candidate<'a>>, HashMap<Uid, Vec<usize>>) {
    let records = index.slots.iter().enumerate().filter_map(|(slot, content)| match content {
        Slot::Record(record) => {
            Some(Candidate { uid: record.uid, slot: Some(slot), record: Some(record) })
        }
        Slot::Doubtful(_) | Slot::Destroyed => None,
    });
    let files = places.all().flat_map(ScannedPlace::files);
    let files = files.map(|file| Candidate { uid: file.uid, slot: None, record: None });
    let mut candidates: Vec<_> = records.chain(files).collect();
    candidates.sort_by_key(|candidate| {
        let modseq = candidate.record.map(|record| record.modseq);
        (candidate.uid, std::cmp::Reverse(modseq))
    });
    let mut rivals = HashMap::new();
    candidates.dedup_by(|later, first| {
        let same = later.uid == first.uid;
        if let (true, Some(newest), Some(slot)) = (same, first.slot, later.slot) {
            rivals.entry(first.uid).or_insert_with(|| vec![newest]).push(slot);
        }
        same
    });
    (candidates, rivals)
}

/// Looks at every candidate, then for those that are not where they should be.
fn look_at_files(
    examiner: &Examiner<'_>,
    candidates: &[Candidate<'_>],
    sink: &mut dyn CacheSink,
) -> io::Result<(Vec<MessageEvidence>, Vec<Stray>)> {
    let mut messages = examiner.examine(candidates, sink)?;
    let mut strays = examiner.strays(sink)?;
    examiner.search(&mut messages, &mut strays, sink)?;
    Ok((messages, strays))
}

pub(crate) fn directory_evidence(location: &MailboxLocation, places: &Places) -> DirectoryEvidence {
    let MailboxLocation { index, cache, header, archive_cache, .. } = location;
    let of_server = [Some(index), Some(cache), Some(header), archive_cache.as_ref()];
    let is_of_server = |place: &ScannedPlace, entry: &OddEntry| {
        let path = place.directory().map(|directory| directory.path().join(&entry.name));
        path.is_ok_and(|path| of_server.contains(&Some(&path)))
    };
    let odd = places
        .each()
        .flat_map(|(place, scanned)| {
            // What stands in for a file of the server is told of with that file.
            let odd = scanned.odd().iter().filter(move |entry| !is_of_server(scanned, entry));
            odd.map(move |entry| OddInPlace { place, entry: entry.clone() })
        })
        .collect();
    let leftover = |name: &OsStr| {
        let name = name.to_string_lossy();
        (name == "cyrus.expunge" || name.ends_with(".NEW")).then(|| name.into_owned())
    };
    let leftovers =
        places.all().flat_map(ScannedPlace::meta_files).filter_map(|name| leftover(name));
    DirectoryEvidence {
        unavailable: None,
        unverified: places.unverified.clone(),
        odd,
        leftovers: leftovers.collect(),
    }
}

/// The annotations of the mailbox and its messages, and whether these are all.
fn annotations(
    context: &Context<'_>,
    target: &Target,
    hurry: bool,
) -> (Vec<StoredAnnotation>, bool) {
    let of_mailbox = context.mailbox_annotations(target);
    let of_messages = message_annotations(context, target, hurry);
    let whole = of_mailbox.is_some() && of_messages.is_some();
    (of_mailbox.into_iter().chain(of_messages).flatten().collect(), whole)
}

/// The annotations of messages; `None` where they cannot be read whole.
fn message_annotations(
    context: &Context<'_>,
    target: &Target,
    hurry: bool,
) -> Option<Vec<StoredAnnotation>> {
    let path = &target.location.annotations;
    if matches!(path.try_exists(), Ok(false)) {
        return Some(Vec::new());
    }
    // Under the mailbox's locks nothing is waited for.
    let patience = if hurry { HURRY } else { context.options.lock_timeout };
    let locked = lock::read_database(path, patience, &mut |_| {}).ok()?;
    let bytes = read_whole(locked.file()).ok()?;
    let contents = db::read(&bytes).ok()?;
    if !contents.damage.is_empty() {
        return None;
    }
    let mut annotations = Vec::new();
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
