//! The steps under the locks. Each only adds, or puts a message under its own record, until the
//! index is renamed; after that each only cleans up.

use std::collections::{BTreeSet, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use incident::RunStart;
use incident::journal::{RUN_FILE, RunLine};
use mailstore_format::Timestamp;

use super::keep::link_or_copy;
use super::line_ends::guid_of;
use super::put::PlannedPut;
use super::stage::{Staged, cache_path};
use super::{put, rename};
use crate::error::Error;
use crate::evidence::Place;
use crate::journal::{self, Committing, JOURNAL, Renamed};
use crate::manifest::{self, Change, How, MANIFEST, inode_at};
use crate::path_text::PathText;
use crate::plan::Rewrite;
use crate::run::Context;
use crate::target::{Target, names_above};
use crate::workshop::{Folder, Workshop, earlier_runs};

/// Puts the staged files into their places; `now` is noted as the time of it.
pub(super) fn commit(
    context: &Context<'_>,
    target: &Target,
    workshop: &Workshop,
    rewrite: &Rewrite,
    staged: &Staged,
    now: Timestamp,
) -> Result<(), Error> {
    let location = &target.location;
    let mut commit = Commit { target, workshop, taken: HashSet::new() };
    let mut work = commit.list(rewrite, staged)?;
    let caches = [(&staged.spool_cache, Place::Spool), (&staged.archive_cache, Place::Archive)];

    commit.note_start(context.start)?;
    commit.write_journal(rewrite, staged)?;
    commit.write_manifest(&work.all())?;
    commit.keep(&work.originals)?;
    commit.put_away(&work.orders)?;
    put::link_contents(&commit, &mut work.puts)?;
    rename::link_new_names(&commit, &work.new_names)?;
    put::exchange(&commit, &work.puts)?;
    if let Some(header_file) = &staged.header_file {
        commit.put_in_place(header_file, &location.header)?;
    }
    commit.put_in_place(&staged.index, &location.index)?;
    commit.note(Committing::done(now))?;
    for (staged, place) in caches {
        if let Some(staged) = staged {
            commit.put_in_place(&staged.path, cache_path(target, place))?;
        }
    }
    commit.put_away(&work.old_names)?;
    commit.note(Committing::all_done())
}

/// Finishes what earlier runs began and were interrupted in before their commit, where a message may
/// have no name in the mailbox until that is done. Under the mailbox's locks.
pub(super) fn finish_interrupted(target: &Target, workshop: &Workshop) -> Result<(), Error> {
    let commit = Commit { target, workshop, taken: HashSet::new() };
    interrupted_runs(target).iter().try_for_each(|run| put::finish_interrupted(&commit, run))
}

/// Whether there is anything for [`finish_interrupted`] to do.
pub(super) fn is_interrupted(target: &Target) -> bool {
    interrupted_runs(target)
        .iter()
        .flatten()
        .any(|change| change.how == How::Exchanged && inode_at(change.origin()) == change.before)
}

/// Whether the index is one that a run put into its place and that run was cut short right behind: the
/// caches beside it may be those of before.
pub(super) fn is_cut_short_behind_its_index(target: &Target) -> bool {
    let Some(found) = inode_at(&target.location.index) else { return false };
    let root = target.recovery_root(&target.location.index);
    let runs = earlier_runs(root).unwrap_or_default().into_iter();
    let mut courses = runs.map(|run| journal::course_of(&run.join(&target.key)));
    courses.any(|course| {
        let committed = course.committing.map(|committing| committing.ino);
        course.is_interrupted() && committed == Some(found)
    })
}

/// What runs that were interrupted were about to change, as far as it lies in the mailbox and in
/// their own folders.
fn interrupted_runs(target: &Target) -> Vec<Vec<Change>> {
    let root = target.recovery_root(&target.location.index);
    let runs = earlier_runs(root).unwrap_or_default().into_iter();
    let names = runs.filter(|run| journal::course_of(&run.join(&target.key)).is_interrupted());
    let names = names.filter_map(|run| Some(run.file_name()?.to_owned()));
    names.map(|run| manifest::of_run(target, &run)).collect()
}

/// What the run changes, in the order in which it does.
#[derive(Default)]
struct Work<'a> {
    /// Directories in which names change, and those that have to be made.
    directories: Vec<Change>,
    /// The files of the server that are replaced or made.
    originals: Vec<Change>,
    /// Orders to delete messages.
    orders: Vec<Change>,
    puts: Vec<PlannedPut<'a>>,
    new_names: Vec<rename::NewName>,
    /// Entries that leave the mailbox.
    old_names: Vec<Change>,
}

impl Work<'_> {
    /// Every line of the manifest: a later line of the same name tells of what is done later.
    fn all(&self) -> Vec<&Change> {
        let lists = [&self.directories, &self.originals, &self.orders];
        let puts = self.puts.iter().map(|put| &put.change);
        let names = self.new_names.iter().map(|name| &name.change);
        let first = lists.into_iter().flatten().chain(puts);
        first.chain(names).chain(&self.old_names).collect()
    }
}

/// One mailbox under its locks.
pub(super) struct Commit<'a> {
    pub(super) target: &'a Target,
    pub(super) workshop: &'a Workshop,
    /// Names in the run's folder that are promised.
    taken: HashSet<PathBuf>,
}

impl Commit<'_> {
    /// Lists what is to be done to names. What is not what the plan saw is an error, or, where it
    /// would only have been cleaned up, is left alone.
    fn list<'s>(&mut self, rewrite: &Rewrite, staged: &'s Staged) -> Result<Work<'s>, Error> {
        let location = &self.target.location;
        let steps = &rewrite.file_steps;
        let mut work = Work { originals: self.originals(staged)?, ..Work::default() };
        for name in &rewrite.set_aside {
            let order = location.expunge.with_file_name(name);
            work.orders.extend(self.moved(&order, None, "a delete order of old releases")?);
        }
        for put in &steps.puts {
            work.puts.push(put::list(self, put, staged)?);
        }
        work.puts = put::arrange(work.puts);
        for renamed in &steps.renames {
            work.new_names.extend(rename::list(self, renamed)?);
        }
        for back in &steps.returns {
            work.new_names.push(rename::list_return(self, back)?);
        }
        for arrive in &steps.arrivals {
            work.new_names.push(rename::list_arrival(self, arrive)?);
        }
        let put: HashSet<&Path> = work.puts.iter().map(|put| put.change.origin()).collect();
        let renamed = steps.renames.iter().map(|renamed| {
            let (reason, guid) = ("the message has a new UID", guid_of(rewrite, renamed.to));
            (renamed.place, Path::new(&renamed.from), renamed.identity.ino, reason, guid)
        });
        let aside = steps.set_aside.iter();
        let aside =
            aside.map(|step| (step.place, Path::new(&step.name), step.ino, step.reason, None));
        let mut old_names = Vec::new();
        for (place, name, ino, reason, guid) in renamed.chain(aside) {
            let origin = self.entry(place, name);
            // Where a message is put, what stood there is in the quarantine by that.
            if !put.contains(origin.as_path()) {
                let moved = self.moved(&origin, Some(ino), reason)?;
                let guid = guid.map(|guid| guid.to_string());
                old_names.extend(moved.map(|change| Change { guid, ..change }));
            }
        }
        work.old_names = old_names;
        work.directories = self.directories(&work.all());
        Ok(work)
    }

    /// The files of the server that get new content.
    fn originals(&mut self, staged: &Staged) -> Result<Vec<Change>, Error> {
        let location = &self.target.location;
        let cache = |place| cache_path(self.target, place);
        let replaced = [
            (Some(&staged.index), location.index.as_path()),
            (staged.header_file.as_ref(), &location.header),
            (staged.spool_cache.as_ref().map(|file| &file.path), cache(Place::Spool)),
            (staged.archive_cache.as_ref().map(|file| &file.path), cache(Place::Archive)),
        ];
        let mut originals = Vec::new();
        for (staged, place) in replaced {
            let Some(staged) = staged else { continue };
            let after = inode_at(staged);
            originals.push(self.replaced(place, after, "before", How::Replaced, "replaced")?);
        }
        Ok(originals)
    }

    /// A change by which something new stands at `origin`, and what stood there, if anything did,
    /// is kept in the run's `part`.
    pub(super) fn replaced(
        &mut self,
        origin: &Path,
        after: Option<u64>,
        part: &str,
        how: How,
        reason: &str,
    ) -> Result<Change, Error> {
        let before = inode_at(origin);
        let how = if before.is_some() { how } else { How::Created };
        let now = before.map(|_| self.free_name(origin, part)).transpose()?;
        Ok(Change {
            now: now.map(PathText::from),
            after,
            before,
            ..self.change(origin, how, reason)
        })
    }

    /// The move of an entry to the quarantine; `None` where it is not there, or not the one that
    /// has this inode.
    fn moved(
        &mut self,
        origin: &Path,
        ino: Option<u64>,
        reason: &str,
    ) -> Result<Option<Change>, Error> {
        let Some(found) = inode_at(origin).filter(|found| ino.is_none_or(|ino| ino == *found))
        else {
            return Ok(None);
        };
        let now = Some(self.free_name(origin, "quarantine")?.into());
        let change = self.change(origin, How::Moved, reason);
        Ok(Some(Change { now, before: Some(found), ..change }))
    }

    pub(super) fn change(&self, origin: &Path, how: How, reason: &str) -> Change {
        Change {
            mailbox: self.target.name.clone(),
            key: self.target.key.clone(),
            how,
            origin: origin.as_os_str().into(),
            now: None,
            reason: reason.to_owned(),
            before: None,
            after: None,
            guid: None,
            mtime_ns: None,
        }
    }

    /// The directories in which names change, as they are, and those that are yet to be made.
    fn directories(&self, changes: &[&Change]) -> Vec<Change> {
        let mut listed = BTreeSet::new();
        let mut lines = Vec::new();
        for directory in changes.iter().filter_map(|change| change.origin().parent()) {
            for directory in directory.ancestors() {
                if !listed.insert(directory) {
                    break;
                }
                let Ok(meta) = directory.metadata() else {
                    lines.push(self.change(directory, How::Created, "for a file of the server"));
                    continue;
                };
                let before = Some(meta.ino());
                let line = self.change(directory, How::Directory, "names in it change");
                lines.push(Change { before, mtime_ns: Some(modified(&meta)), ..line });
                break;
            }
        }
        lines
    }

    /// A name in the run's `part` for what stands at `origin`, on the same file system.
    fn free_name(&mut self, origin: &Path, part: &str) -> Result<PathBuf, Error> {
        let folder = self.target.folder(self.workshop, origin);
        let name = origin.file_name().unwrap_or_default();
        let taken = |path: &Path| self.taken.contains(path);
        let path = self.workshop.keep_path(&folder, part, name, taken)?;
        self.taken.insert(path.clone());
        Ok(path)
    }

    /// Notes how the run began: whoever finds its journal can tell what it was.
    fn note_start(&self, start: Option<&RunStart>) -> Result<(), Error> {
        let Some(start) = start else { return Ok(()) };
        let index = &self.target.location.index;
        let line = serde_json::to_vec(&RunLine::from(start))
            .map_err(|error| Error::io("describe", index, error.into()))?;
        let root = self.target.recovery_root(index);
        let folder = self.target.folder(self.workshop, index);
        Ok(self.workshop.put_run_file(root, &folder, RUN_FILE, &line)?)
    }

    /// Notes for later runs what this one is about to do to records and names, and what the index
    /// will be by which an undo knows that nobody changed the mailbox since.
    fn write_journal(&self, rewrite: &Rewrite, staged: &Staged) -> Result<(), Error> {
        let index = &self.target.location.index;
        let wanted = rewrite.wanted.iter().map(crate::journal::Wanted::to_json);
        let renamed = rewrite.file_steps.renames.iter().map(|rename| {
            let (place, from, ino) = (rename.place, rename.from.clone(), rename.identity.ino);
            Renamed { place, from, to: rename.to, ino }.to_json()
        });
        let arriving = rewrite.file_steps.arrivals.iter().map(|arrive| arrive.noted.to_json());
        let header = &rewrite.header;
        let committing = Committing {
            ino: inode_at(&staged.index).unwrap_or_default(),
            generation: header.generation_no,
            uidvalidity: header.uidvalidity.0,
            last_uid: header.last_uid.0,
            highestmodseq: header.highestmodseq.0,
            records_crc: staged.records_crc,
            header_file_crc: header.header_file_crc,
            names_above: names_above(self.target, header.last_uid),
        };
        let committing = std::iter::once_with(|| committing.to_json());
        let lines = wanted.chain(renamed).chain(arriving).chain(committing);
        self.append_lines(index, JOURNAL, lines)
    }

    fn note(&self, line: serde_json::Result<String>) -> Result<(), Error> {
        self.append_lines(&self.target.location.index, JOURNAL, std::iter::once(line))
    }

    /// Notes what changes, in a manifest on the file system of each change.
    pub(super) fn write_manifest(&self, changes: &[&Change]) -> Result<(), Error> {
        let root = |change: &Change| match change.how {
            How::Directory => self.target.root_of_directory(change.origin()).to_owned(),
            _ => self.target.recovery_root(change.origin()).to_owned(),
        };
        let roots: BTreeSet<PathBuf> = changes.iter().map(|change| root(change)).collect();
        for at in roots {
            let here = || changes.iter().filter(|change| root(change) == at);
            let folder = self.workshop.folder(&at, &self.target.key);
            self.append(&folder, MANIFEST, &at, here().map(serde_json::to_string))?;
        }
        Ok(())
    }

    fn append_lines(
        &self,
        concerning: &Path,
        name: &str,
        lines: impl Iterator<Item = serde_json::Result<String>>,
    ) -> Result<(), Error> {
        let folder = self.target.folder(self.workshop, concerning);
        self.append(&folder, name, concerning, lines)
    }

    fn append(
        &self,
        folder: &Folder,
        name: &str,
        concerning: &Path,
        lines: impl Iterator<Item = serde_json::Result<String>>,
    ) -> Result<(), Error> {
        let lines = lines.collect::<serde_json::Result<Vec<_>>>().map_err(|error| {
            Error::io("describe", concerning, std::io::Error::other(error.to_string()))
        })?;
        if !lines.is_empty() {
            self.workshop.append_line(folder, name, &lines.join("\n"))?;
        }
        Ok(())
    }

    /// Gives files that will be replaced a second name in the run's folder. What is no file is moved
    /// there: the server cannot have used it, and no file can be renamed over a directory.
    fn keep(&self, originals: &[Change]) -> Result<(), Error> {
        let kept = || originals.iter().filter_map(|change| Some((change.origin(), change.now()?)));
        for (origin, now) in kept() {
            if origin.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
                link_or_copy(self.workshop, origin, now)?;
            } else {
                self.workshop.ops().move_to_free(origin, now)?;
            }
        }
        self.sync_parents(kept().map(|(_, now)| now))
    }

    /// Moves entries into the quarantine. One that is no longer what was found stays.
    fn put_away(&self, entries: &[Change]) -> Result<(), Error> {
        let mut moved = Vec::new();
        for change in entries {
            let Some(now) = change.now() else { continue };
            if inode_at(change.origin()) == change.before {
                self.workshop.ops().move_to_free(change.origin(), now)?;
                moved.extend([now, change.origin()]);
            }
        }
        self.sync_parents(moved.into_iter())
    }

    fn put_in_place(&self, staged: &Path, place: &Path) -> Result<(), Error> {
        self.workshop.ops().create_dirs(parent(place), 0o777 & !self.workshop.umask())?;
        self.workshop.ops().rename(staged, place)?;
        self.sync_parents([place].into_iter())
    }

    pub(super) fn sync_parents<'p>(
        &self,
        paths: impl Iterator<Item = &'p Path>,
    ) -> Result<(), Error> {
        let directories: BTreeSet<&Path> = paths.map(parent).collect();
        for directory in directories {
            self.workshop.ops().sync_dir(directory)?;
        }
        Ok(())
    }

    pub(super) fn entry(&self, place: Place, name: impl AsRef<Path>) -> PathBuf {
        self.target.directory(place).join(name)
    }
}

fn modified(meta: &std::fs::Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
