//! The steps under the locks. Each only adds until the index is renamed; after that each only
//! cleans up.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mailstore::volume::message_file_name;
use serde::Serialize;

use super::stage::{Staged, cache_path};
use crate::error::Error;
use crate::evidence::Place;
use crate::journal::{JOURNAL, Renamed};
use crate::plan::{Rename, Rewrite};
use crate::target::Target;
use crate::workshop::Workshop;

/// The list of what a run kept of a mailbox.
const MANIFEST: &str = "manifest.jsonl";

/// So much of a file is copied at a time.
const COPIED_AT_ONCE: usize = 1 << 20;

/// A line of the manifest: a file, where it (or its second name) is kept, and why.
#[derive(Debug, Serialize)]
struct Kept<'a> {
    mailbox: &'a str,
    origin: PathBuf,
    now: PathBuf,
    reason: &'static str,
}

/// Puts the staged files into their places.
pub(super) fn commit(
    target: &Target,
    workshop: &Workshop,
    rewrite: &Rewrite,
    staged: &Staged,
) -> Result<(), Error> {
    let commit = Commit { target, workshop };
    let location = &target.location;
    let originals = commit.originals(staged)?;
    let orders = rewrite.set_aside.iter().map(|name| location.expunge.with_file_name(name));
    let orders = commit.quarantine(orders, "a delete order of old releases")?;
    let renamed =
        rewrite.file_steps.renames.iter().map(|rename| commit.entry(rename.place, &rename.from));
    let renamed = commit.quarantine(renamed, "the message has a new UID")?;

    commit.write_journal(rewrite)?;
    commit.write_manifest(&[&originals, &orders, &renamed])?;
    commit.link(&originals)?;
    commit.put_away(&orders)?;
    commit.link_new_names(&rewrite.file_steps.renames)?;
    if let Some(header_file) = &staged.header_file {
        commit.put_in_place(header_file, &location.header)?;
    }
    commit.put_in_place(&staged.index, &location.index)?;
    let caches = [(&staged.spool_cache, Place::Spool), (&staged.archive_cache, Place::Archive)];
    for (staged, place) in caches {
        if let Some(staged) = staged {
            commit.put_in_place(&staged.path, cache_path(target, place))?;
        }
    }
    commit.put_away(&renamed)
}

struct Commit<'a> {
    target: &'a Target,
    workshop: &'a Workshop,
}

impl<'a> Commit<'a> {
    /// The files that will be replaced, and where each gets a second name.
    fn originals(&self, staged: &Staged) -> Result<Vec<Kept<'a>>, Error> {
        let location = &self.target.location;
        let replaced = [
            (true, location.index.as_path()),
            (staged.header_file.is_some(), &location.header),
            (staged.spool_cache.is_some(), cache_path(self.target, Place::Spool)),
            (staged.archive_cache.is_some(), cache_path(self.target, Place::Archive)),
        ];
        let originals = replaced.into_iter().filter(|(is, _)| *is).map(|(_, path)| path.to_owned());
        self.kept(originals, "before", "replaced")
    }

    fn quarantine(
        &self,
        files: impl Iterator<Item = PathBuf>,
        reason: &'static str,
    ) -> Result<Vec<Kept<'a>>, Error> {
        self.kept(files, "quarantine", reason)
    }

    /// Finds a free name in the run's folder for each of `files` that is there.
    fn kept(
        &self,
        files: impl Iterator<Item = PathBuf>,
        part: &str,
        reason: &'static str,
    ) -> Result<Vec<Kept<'a>>, Error> {
        let mut kept = Vec::<Kept<'_>>::new();
        for origin in files.filter(|path| path.symlink_metadata().is_ok()) {
            let folder = self.target.folder(self.workshop, &origin);
            let name = origin.file_name().unwrap_or_default().to_string_lossy();
            let taken = |path: &Path| kept.iter().any(|other| other.now == path);
            let now = self.workshop.keep_path(&folder, part, &name, taken)?;
            kept.push(Kept { mailbox: &self.target.name, origin, now, reason });
        }
        Ok(kept)
    }

    /// Notes for later runs what this one is about to do to records and names.
    fn write_journal(&self, rewrite: &Rewrite) -> Result<(), Error> {
        let index = &self.target.location.index;
        let wanted = rewrite.wanted.iter().map(crate::journal::Wanted::to_json);
        let renamed = rewrite.file_steps.renames.iter().map(|rename| {
            let Rename { place, from, to, identity } = rename;
            Renamed { place: *place, from: from.clone(), to: *to, ino: identity.ino }.to_json()
        });
        self.append_lines(index, JOURNAL, wanted.chain(renamed))
    }

    /// Notes what is kept where, in a manifest on the file system of each file.
    fn write_manifest(&self, kept: &[&[Kept<'a>]]) -> Result<(), Error> {
        let root = |kept: &Kept<'_>| self.target.recovery_root(&kept.origin).to_owned();
        let all = || kept.iter().copied().flatten();
        let roots: BTreeSet<PathBuf> = all().map(root).collect();
        for at in roots {
            let here = || all().filter(|kept| root(kept) == at);
            let Some(any) = here().next() else { continue };
            self.append_lines(&any.origin, MANIFEST, here().map(serde_json::to_string))?;
        }
        Ok(())
    }

    fn append_lines(
        &self,
        concerning: &Path,
        name: &str,
        lines: impl Iterator<Item = serde_json::Result<String>>,
    ) -> Result<(), Error> {
        let lines = lines.collect::<serde_json::Result<Vec<_>>>().map_err(|error| {
            Error::io("describe", concerning, std::io::Error::other(error.to_string()))
        })?;
        if !lines.is_empty() {
            let folder = self.target.folder(self.workshop, concerning);
            self.workshop.append_line(&folder, name, &lines.join("\n"))?;
        }
        Ok(())
    }

    /// Gives files a second name in the run's folder. What is no file is moved there: the server
    /// cannot have used it, and no file can be renamed over a directory.
    fn link(&self, files: &[Kept<'_>]) -> Result<(), Error> {
        for file in files {
            if !file.origin.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
                self.workshop.ops().move_to_free(&file.origin, &file.now)?;
                continue;
            }
            match self.workshop.ops().link(&file.origin, &file.now) {
                // The kernel gives nobody a second name of another's file (fs.protected_hardlinks).
                Err(error) if error.source.kind() == ErrorKind::PermissionDenied => {
                    self.copy(&file.origin, &file.now)?;
                }
                linked => linked?,
            }
        }
        self.sync_parents(files.iter().map(|file| file.now.as_path()))
    }

    fn copy(&self, original: &Path, kept: &Path) -> Result<(), Error> {
        let read_error = |source| Error::io("read", original, source);
        let mut from = File::open(original).map_err(read_error)?;
        let mut to = self.workshop.ops().create(kept)?;
        let mut chunk = vec![0; COPIED_AT_ONCE];
        loop {
            let len = from.read(&mut chunk).map_err(read_error)?;
            match chunk.get(..len) {
                Some(read) if !read.is_empty() => to.write(read)?,
                _ => return Ok(to.sync()?),
            }
        }
    }

    /// Moves files into the quarantine.
    fn put_away(&self, files: &[Kept<'_>]) -> Result<(), Error> {
        for file in files {
            self.workshop.ops().move_to_free(&file.origin, &file.now)?;
        }
        let both = files.iter().flat_map(|file| [file.now.as_path(), &file.origin]);
        self.sync_parents(both)
    }

    /// Gives messages their new names beside the old. One that has its new name already was linked
    /// by a run that was interrupted; any other file of that name is an error.
    fn link_new_names(&self, renames: &[Rename]) -> Result<(), Error> {
        let mut linked = Vec::new();
        for rename in renames {
            let from = self.entry(rename.place, &rename.from);
            let to = self.entry(rename.place, message_file_name(rename.to).as_ref());
            if !is_same_file(&from, &to) {
                self.workshop.ops().link(&from, &to)?;
            }
            linked.push(to);
        }
        self.sync_parents(linked.iter().map(PathBuf::as_path))
    }

    fn put_in_place(&self, staged: &Path, place: &Path) -> Result<(), Error> {
        self.workshop.ops().create_dirs(parent(place), 0o777 & !self.workshop.umask())?;
        self.workshop.ops().rename(staged, place)?;
        self.sync_parents([place].into_iter())
    }

    fn sync_parents<'p>(&self, paths: impl Iterator<Item = &'p Path>) -> Result<(), Error> {
        let directories: BTreeSet<&Path> = paths.map(parent).collect();
        for directory in directories {
            self.workshop.ops().sync_dir(directory)?;
        }
        Ok(())
    }

    fn entry(&self, place: Place, name: &OsStr) -> PathBuf {
        let location = &self.target.location;
        let directory = match (place, &location.archive) {
            (Place::Archive, Some(archive)) => archive,
            _ => &location.spool,
        };
        directory.join(name)
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| path.symlink_metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    id(one).is_some_and(|one| Some(one) == id(other))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
