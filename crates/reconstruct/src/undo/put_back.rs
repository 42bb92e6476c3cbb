//! Giving names back to what had them. Nothing is lost: what stands there now changes places with
//! it, or goes to the run's folder.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::Path;

use mailstore_format::Timestamp;

use crate::error::Error;
use crate::finding::{Code, Finding, Remedy};
use crate::journal::JOURNAL;
use crate::manifest::{Change, How, inode_at};
use crate::target::Target;
use crate::workshop::Workshop;

/// Whether the run did this, and it was not undone.
pub(super) fn is_done(change: &Change) -> bool {
    let found = inode_at(change.origin());
    let moved = change.how == How::Moved && found.is_none();
    change.how != How::Directory && found != change.before && (moved || found == change.after)
}

/// A mailbox on its way back.
pub(super) struct PutBack<'a> {
    target: &'a Target,
    workshop: &'a Workshop,
    restored: usize,
    left: Vec<String>,
}

impl<'a> PutBack<'a> {
    /// `workshop` is that of the run that is undone.
    pub(super) fn new(target: &'a Target, workshop: &'a Workshop) -> Self {
        Self { target, workshop, restored: 0, left: Vec::new() }
    }

    /// Adds a line to the run's journal.
    pub(super) fn note(&self, line: serde_json::Result<String>) -> Result<(), Error> {
        let index = &self.target.location.index;
        let line = line.map_err(|error| Error::io("describe", index, error.into()))?;
        let folder = self.target.folder(self.workshop, index);
        Ok(self.workshop.append_line(&folder, JOURNAL, &line)?)
    }

    /// Undoes `changes`, the last first: the index before all else, so that the mailbox is that of
    /// before from there on; then the other files of the server; then the messages; at the end the
    /// times of the directories.
    pub(super) fn all(&mut self, changes: &[Change]) -> Result<(), Error> {
        let location = &self.target.location;
        let mut of_server = vec![location.header.as_path(), &location.cache];
        of_server.extend(location.archive_cache.as_deref());
        let is_index = |change: &Change| change.origin() == location.index;
        let is_of_server = |change: &Change| of_server.contains(&change.origin());
        let names = || changes.iter().rev().filter(|change| change.how != How::Directory);
        self.each(names().filter(|change| is_index(change)))?;
        self.each(names().filter(|change| is_of_server(change)))?;
        self.each(names().filter(|change| !is_index(change) && !is_of_server(change)))?;
        self.restore_times(changes)
    }

    /// What was done, for the report.
    pub(super) fn findings(self) -> Vec<Finding> {
        let detail = format!("{} names belong again to what had them", self.restored);
        let left = self.left.into_iter();
        let left = left.map(|detail| Finding::new(Code::UndoLeft, Remedy::Left, detail));
        [Finding::new(Code::Undone, Remedy::Repair, detail)].into_iter().chain(left).collect()
    }

    fn each<'c>(&mut self, changes: impl Iterator<Item = &'c Change>) -> Result<(), Error> {
        let mut touched = BTreeSet::new();
        for change in changes {
            if self.one(change)? {
                self.restored = self.restored.saturating_add(1);
                let paths = [Some(change.origin()), change.now()];
                touched.extend(paths.into_iter().flatten().filter_map(Path::parent));
            }
        }
        for directory in touched.into_iter().filter(|directory| directory.is_dir()) {
            self.workshop.ops().sync_dir(directory)?;
        }
        Ok(())
    }

    /// Tells whether there was anything to do.
    fn one(&mut self, change: &Change) -> Result<bool, Error> {
        let origin = change.origin();
        let found = inode_at(origin);
        if found == change.before {
            return Ok(false);
        }
        let name = origin.file_name().unwrap_or_default().display();
        let Some(now) = change.now().filter(|_| change.before.is_some()) else {
            return self.take_away(change, found);
        };
        let kept = inode_at(now);
        if change.how == How::Replaced && kept.is_some() && kept == change.after {
            return Ok(false);
        }
        // Where the kernel gave no second name, a copy was kept.
        let is_kept = kept.is_some() && (kept == change.before || change.how == How::Replaced);
        if !is_kept || found.is_some() && found != change.after {
            let now = now.display();
            self.left.push(if is_kept {
                format!("{name} is another entry now, which stays; its own is {now}")
            } else {
                format!("what was {name} is not {now} any more")
            });
            return Ok(false);
        }
        if found.is_none() {
            self.workshop.ops().move_to_free(now, origin)?;
        } else {
            self.change_places(now, origin)?;
        }
        Ok(true)
    }

    /// Takes away what the run made where nothing was.
    fn take_away(&mut self, change: &Change, found: Option<u64>) -> Result<bool, Error> {
        let origin = change.origin();
        if origin.is_dir() && self.target.directories().iter().any(|at| at.starts_with(origin)) {
            // Only an empty one goes, and nothing is lost with it.
            let is_empty = origin.read_dir().is_ok_and(|mut entries| entries.next().is_none());
            if is_empty {
                self.workshop.ops().remove_dir(origin)?;
            }
            return Ok(is_empty);
        }
        if found != change.after {
            return Ok(false);
        }
        let folder = self.target.folder(self.workshop, origin);
        let name = origin.file_name().unwrap_or_default();
        let aside = self.workshop.keep_path(&folder, "undone", name, |_| false)?;
        self.workshop.ops().move_to_free(origin, &aside)?;
        Ok(true)
    }

    fn change_places(&self, now: &Path, origin: &Path) -> Result<(), Error> {
        let ops = self.workshop.ops();
        match ops.exchange(now, origin) {
            Err(error) if error.is_unsupported() => {}
            exchanged => return Ok(exchanged?),
        }
        let folder = self.target.folder(self.workshop, origin);
        let name = origin.file_name().unwrap_or_default();
        let aside = self.workshop.keep_path(&folder, "undone", name, |_| false)?;
        let is_directory = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if !is_directory(now) && !is_directory(origin) {
            match ops.link(origin, &aside) {
                Err(error) if error.source.kind() == ErrorKind::PermissionDenied => {}
                linked => {
                    linked?;
                    return Ok(ops.rename(now, origin)?);
                }
            }
        }
        ops.move_to_free(origin, &aside)?;
        Ok(ops.move_to_free(now, origin)?)
    }

    /// Gives the directories the times that they had before the run first changed a name in them.
    fn restore_times(&self, changes: &[Change]) -> Result<(), Error> {
        let mut restored = HashSet::new();
        for change in changes.iter().filter(|change| change.how == How::Directory) {
            let (origin, Some(modified)) = (change.origin(), change.mtime_ns) else { continue };
            if restored.insert(origin) && inode_at(origin) == change.before {
                self.workshop.ops().set_modified(origin, Timestamp(modified))?;
                self.workshop.ops().sync_dir(origin)?;
            }
        }
        Ok(())
    }
}
