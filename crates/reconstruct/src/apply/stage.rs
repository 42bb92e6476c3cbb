//! Writing the new files beside the mailbox, and reading them back.

use std::io;
use std::path::{Path, PathBuf};

use mailstore::replace::{NewFile, Ownership, WriteError};
use mailstore::volume::{GuardedDir, Kind};
use mailstore_format::cache;

use crate::cache_file::{CacheFile, stores_cache_crc};
use crate::error::Error;
use crate::evidence::{CacheItem, Place};
use crate::examine::identity_of;
use crate::gather::read_file;
use crate::index_reader::read_index;
use crate::plan::{CacheSource, PlannedRecord, Rewrite};
use crate::staging::LazyStaging;
use crate::target::Target;
use crate::window::Window;
use crate::workshop::Workshop;

use super::line_ends::{self, Converted};
use super::space::require_space;

/// So much is gathered before it is written.
const CHUNK: usize = 1 << 20;

/// The new files of a mailbox, durable, under names of the run's folder.
pub(super) struct Staged {
    pub(super) index: PathBuf,
    /// CRC-32 of all records of the index, by which a later change of any is noticed.
    pub(super) records_crc: u32,
    pub(super) header_file: Option<PathBuf>,
    pub(super) converted: Vec<Converted>,
    pub(super) spool_cache: Option<StagedCacheFile>,
    pub(super) archive_cache: Option<StagedCacheFile>,
}

/// A new cache file and what was put into it, to be continued where more messages came.
pub(super) struct StagedCacheFile {
    pub(super) path: PathBuf,
    generation: u32,
    items: Vec<CacheSource>,
}

impl Staged {
    /// Writes the files of `rewrite`; a cache of an `earlier` staging is continued where it fits.
    pub(super) fn write(
        target: &Target,
        workshop: &Workshop,
        rewrite: &Rewrite,
        staging: &LazyStaging<'_>,
        earlier: Option<Self>,
    ) -> Result<Self, Error> {
        require_space(target, rewrite)?;
        let (spool_before, archive_before, converted_before) = match earlier {
            Some(earlier) => (earlier.spool_cache, earlier.archive_cache, earlier.converted),
            None => (None, None, Vec::new()),
        };
        let cache = |place, replace: bool, before| {
            replace
                .then(|| StagedCacheFile::write(target, workshop, rewrite, staging, place, before))
                .transpose()
        };
        let spool_cache = cache(Place::Spool, rewrite.replace_spool_cache, spool_before)?;
        let archive_cache = cache(Place::Archive, rewrite.replace_archive_cache, archive_before)?;
        let header_file = match &rewrite.header_file {
            Some(header) => {
                Some(write_small(target, workshop, &target.location.header, &header.encode())?)
            }
            None => None,
        };
        let converted = line_ends::convert(target, workshop, rewrite, converted_before)?;
        let (index, records_crc) = write_index(target, workshop, rewrite)?;
        Ok(Self { index, records_crc, header_file, converted, spool_cache, archive_cache })
    }

    /// Reads the staged files back as the server would.
    pub(super) fn verify(&self, rewrite: &Rewrite) -> Result<(), Error> {
        self.verify_index(rewrite)?;
        for (place, staged) in
            [(Place::Spool, &self.spool_cache), (Place::Archive, &self.archive_cache)]
        {
            let Some(staged) = staged else { continue };
            let cache = CacheFile::open(&staged.path);
            let (mut window, mut item) = (Window::default(), Vec::new());
            for planned in in_place(rewrite, place) {
                let layout = Some(rewrite.layout);
                let found = cache.check(layout, &planned.record, &mut window, &mut item);
                let sound = matches!(found, CacheItem::Sound(_));
                if planned.cache != CacheSource::None && !sound {
                    let what = "a cache record fails its CRC";
                    return Err(Error::NotAsWritten { path: staged.path.clone(), what });
                }
            }
        }
        Ok(())
    }

    /// Reads the staged index back.
    pub(super) fn verify_index(&self, rewrite: &Rewrite) -> Result<(), Error> {
        let not_as_written = |what| Error::NotAsWritten { path: self.index.clone(), what };
        let mut bytes = Vec::new();
        let meta = read_file(&self.index, u64::MAX, &mut bytes)
            .map_err(|_| not_as_written("it cannot be read"))?;
        let mut rest = bytes.as_slice();
        let mut next = |expected: &[u8], what| match rest.strip_prefix(expected) {
            Some(after) => {
                rest = after;
                Ok(())
            }
            None => Err(not_as_written(what)),
        };
        next(&rewrite.header.encode(rewrite.layout), "its header differs")?;
        let mut record = Vec::new();
        for planned in &rewrite.records {
            record.clear();
            planned.record.encode_into(rewrite.layout, &mut record);
            next(&record, "a record differs")?;
        }
        let read = read_index(&bytes, identity_of(&meta), None);
        if !read.header_proven || read.slots.len() != rewrite.records.len() {
            return Err(not_as_written("it is not sound"));
        }
        Ok(())
    }
}

impl StagedCacheFile {
    fn write(
        target: &Target,
        workshop: &Workshop,
        rewrite: &Rewrite,
        staging: &LazyStaging<'_>,
        place: Place,
        before: Option<Self>,
    ) -> Result<Self, Error> {
        let items: Vec<_> = in_place(rewrite, place).map(|planned| planned.cache).collect();
        let generation = rewrite.header.generation_no;
        let continued = before
            .filter(|before| before.generation == generation && items.starts_with(&before.items));
        let original = cache_path(target, place);
        let done = continued.as_ref().map_or(0, |before| before.items.len());
        let (path, mut writer) = if let Some(before) = continued {
            let file = workshop.ops().append(&before.path)?;
            (before.path, Chunked::new(file))
        } else {
            let folder = target.folder(workshop, original);
            let path = workshop.new_path(&folder, "cyrus.cache")?;
            let mut writer = Chunked::new(workshop.ops().create(&path)?);
            writer.write(&cache::encode_generation(generation))?;
            (path, writer)
        };
        let old = CacheFile::open(original);
        let (mut in_old, mut in_staging) = (Window::default(), Window::default());
        let has_crc = stores_cache_crc(Some(rewrite.layout));
        for planned in in_place(rewrite, place).skip(done) {
            let read = match planned.cache {
                CacheSource::Old { offset, len } => old.read(offset, len, &mut in_old),
                CacheSource::Staged(staged) => staging.read(staged, &mut in_staging),
                CacheSource::None => continue,
            };
            let is_it =
                |item: &&[u8]| !has_crc || crc32fast::hash(item) == planned.record.cache_crc;
            match read {
                Ok(item) if is_it(&item) => writer.write(item)?,
                Err(source) if !is_gone(&source) => {
                    return Err(Error::io("read cache records from", original, source));
                }
                // The server, or another run, exchanged the file since it was looked at.
                _ => {
                    drop(writer);
                    workshop.ops().remove(&path)?;
                    return Err(Error::KeepsChanging);
                }
            }
        }
        writer.finish(ownership(workshop, original)?)?;
        Ok(Self { path, generation, items })
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}

/// The planned records whose cache items lie in the cache of `place`.
pub(super) fn in_place(rewrite: &Rewrite, place: Place) -> impl Iterator<Item = &PlannedRecord> {
    let of_cache = |planned: &PlannedRecord| Place::of_cache(&planned.record, rewrite.shares_cache);
    rewrite.records.iter().filter(move |planned| of_cache(planned) == place)
}

pub(super) fn cache_path(target: &Target, place: Place) -> &Path {
    match (place, &target.location.archive_cache) {
        (Place::Archive, Some(cache)) => cache,
        _ => &target.location.cache,
    }
}

fn write_index(
    target: &Target,
    workshop: &Workshop,
    rewrite: &Rewrite,
) -> Result<(PathBuf, u32), Error> {
    let original = &target.location.index;
    let path = workshop.new_path(&target.folder(workshop, original), "cyrus.index")?;
    let mut writer = Chunked::new(workshop.ops().create(&path)?);
    writer.write(&rewrite.header.encode(rewrite.layout))?;
    let (mut records_crc, mut bytes) = (crc32fast::Hasher::new(), Vec::new());
    for planned in &rewrite.records {
        bytes.clear();
        planned.record.encode_into(rewrite.layout, &mut bytes);
        records_crc.update(&bytes);
        writer.write(&bytes)?;
    }
    writer.finish(ownership(workshop, original)?)?;
    Ok((path, records_crc.finalize()))
}

fn write_small(
    target: &Target,
    workshop: &Workshop,
    original: &Path,
    bytes: &[u8],
) -> Result<PathBuf, Error> {
    let name = original.file_name().unwrap_or_default().to_string_lossy();
    let path = workshop.new_path(&target.folder(workshop, original), &name)?;
    let mut file = workshop.ops().create(&path)?;
    file.write(bytes)?;
    file.finish(ownership(workshop, original)?)?;
    Ok(path)
}

/// Owner and mode of the file that is replaced; where there is none, those the server would give.
///
/// A file that is somebody else's, such as one that root restored, passes to the owner of its
/// directory: only root could give it back, and the server could not write to it.
pub(super) fn ownership(workshop: &Workshop, original: &Path) -> Result<Ownership, Error> {
    let read = || -> Result<Ownership, mailstore::volume::ReadError> {
        let parent = GuardedDir::open_trusted(original.parent().unwrap_or(Path::new(".")))?;
        let fresh = Ownership::within(parent.meta(), workshop.umask());
        Ok(match parent.stat(original.file_name().unwrap_or_default()) {
            Ok(meta) if meta.kind == Kind::Regular && meta.uid == fresh.uid => {
                Ownership::from(&meta)
            }
            _ => fresh,
        })
    };
    read().map_err(|error| {
        Error::io("learn the owner of", original, io::Error::other(error.to_string()))
    })
}

/// A file being written in large steps.
struct Chunked<'a> {
    file: NewFile<'a>,
    buffer: Vec<u8>,
}

impl<'a> Chunked<'a> {
    fn new(file: NewFile<'a>) -> Self {
        Self { file, buffer: Vec::with_capacity(CHUNK) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.buffer.extend_from_slice(bytes);
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<(), WriteError> {
        if self.buffer.len() < CHUNK {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.file.write(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self, ownership: Ownership) -> Result<(), WriteError> {
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        self.file.finish(ownership)
    }
}
