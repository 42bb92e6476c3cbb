//! The steps under the locks. Each only adds until the index is renamed; after that each only
//! cleans up.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use mailstore::volume::message_file_name;
use serde::Serialize;

use super::stage::{Staged, cache_path};
use crate::error::Error;
use crate::evidence::Place;
use crate::plan::{Rename, Rewrite};
use crate::target::Target;
use crate::workshop::Workshop;

const COPIED_AT_ONCE: usize = 1 << 20;

/// A line of the manifest: a file, where it (or its second name) is now, and why.
#[derive(Debug, Serialize)]
struct Kept<'a> {
    mailbox: &'a str,
    origin: &'a Path,
    moved_to: &'a Path,
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
    commit.journal_pruned(rewrite)?;
    let caches = [(&staged.spool_cache, Place::Spool), (&staged.archive_cache, Place::Archive)];
    for (_, place) in caches.iter().filter(|(staged, _)| staged.is_some()) {
        commit.keep_original(cache_path(target, *place))?;
    }
    commit.keep_original(&location.index)?;
    if staged.header_file.is_some() {
        commit.keep_original(&location.header)?;
    }
    for name in &rewrite.set_aside {
        commit
            .quarantine(&location.expunge.with_file_name(name), "a delete order of old releases")?;
    }
    commit.link_new_names(&rewrite.renames)?;
    if let Some(header_file) = &staged.header_file {
        commit.put_in_place(header_file, &location.header)?;
    }
    commit.put_in_place(&staged.index, &location.index)?;
    for (staged, place) in caches {
        if let Some(staged) = staged {
            commit.put_in_place(&staged.path, cache_path(target, place))?;
        }
    }
    for rename in &rewrite.renames {
        let old_name = commit.message_path(rename.place, rename.from);
        commit.quarantine(&old_name, "the message has a new UID")?;
    }
    Ok(())
}

struct Commit<'a> {
    target: &'a Target,
    workshop: &'a Workshop,
}

impl Commit<'_> {
    fn journal_pruned(&self, rewrite: &Rewrite) -> Result<(), Error> {
        let folder = self.target.folder(self.workshop, &self.target.location.spool);
        for pruned in &rewrite.pruned {
            let line =
                pruned.to_json().map_err(|e| undescribed(&self.target.location.spool, &e))?;
            self.workshop.append_line(&folder, crate::pruned::JOURNAL, &line)?;
        }
        Ok(())
    }

    /// Gives a file that is about to be replaced a second name in the run's folder.
    fn keep_original(&self, original: &Path) -> Result<(), Error> {
        let Ok(metadata) = original.symlink_metadata() else { return Ok(()) };
        if !metadata.is_file() {
            // The server cannot have used it, and no file can be renamed over a directory.
            return self.quarantine(original, "no file, in the place of one");
        }
        let kept = self.tell(original, "before", "replaced")?;
        match self.workshop.ops().link(original, &kept) {
            // The kernel gives nobody a second name of another's file (fs.protected_hardlinks).
            Err(error) if error.source.kind() == ErrorKind::PermissionDenied => {
                self.copy(original, &kept)?;
            }
            linked => linked?,
        }
        self.workshop.ops().sync_dir(parent(&kept))?;
        Ok(())
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

    /// Moves a file out of the mailbox into the quarantine.
    fn quarantine(&self, path: &Path, reason: &'static str) -> Result<(), Error> {
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        let kept = self.tell(path, "quarantine", reason)?;
        self.workshop.ops().move_to_free(path, &kept)?;
        self.workshop.ops().sync_dir(parent(&kept))?;
        self.workshop.ops().sync_dir(parent(path))?;
        Ok(())
    }

    /// Writes into the manifest what is to be kept where.
    fn tell(&self, origin: &Path, part: &str, reason: &'static str) -> Result<PathBuf, Error> {
        let folder = self.target.folder(self.workshop, origin);
        let name = origin.file_name().unwrap_or_default().to_string_lossy();
        let kept = self.workshop.keep_path(&folder, part, &name)?;
        let line = Kept { mailbox: &self.target.name, origin, moved_to: &kept, reason };
        let line = serde_json::to_string(&line).map_err(|error| undescribed(origin, &error))?;
        self.workshop.append_line(&folder, "manifest.jsonl", &line)?;
        Ok(kept)
    }

    /// Gives messages their new names beside the old. One that has its new name already was linked
    /// by a run that was interrupted.
    fn link_new_names(&self, renames: &[Rename]) -> Result<(), Error> {
        let mut directories = Vec::new();
        for rename in renames {
            let to = self.message_path(rename.place, rename.to);
            if to.symlink_metadata().is_err() {
                let from = self.message_path(rename.place, rename.from);
                self.workshop.ops().link(&from, &to)?;
            }
            directories.push(parent(&to).to_owned());
        }
        directories.dedup();
        for directory in directories {
            self.workshop.ops().sync_dir(&directory)?;
        }
        Ok(())
    }

    fn put_in_place(&self, staged: &Path, place: &Path) -> Result<(), Error> {
        self.workshop.ops().rename(staged, place)?;
        self.workshop.ops().sync_dir(parent(place))?;
        Ok(())
    }

    fn message_path(&self, place: Place, uid: mailstore_format::Uid) -> PathBuf {
        let location = &self.target.location;
        let directory = match (place, &location.archive) {
            (Place::Archive, Some(archive)) => archive,
            _ => &location.spool,
        };
        directory.join(message_file_name(uid))
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn undescribed(path: &Path, error: &serde_json::Error) -> Error {
    Error::io("describe", path, std::io::Error::other(error.to_string()))
}
