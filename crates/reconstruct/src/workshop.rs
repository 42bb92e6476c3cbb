//! The right to change mailboxes, and the places where new files are made and old ones are kept.
//!
//! Everything lies under `.mailstore-recovery/<run>/<mailbox>/` at the root of the partition of the
//! files concerned, so that nothing is ever copied between file systems and nothing of ours lies in
//! a mailbox directory:
//!
//! | path | content |
//! |---|---|
//! | `manifest.jsonl` | what was to be done, written before anything was |
//! | `new/` | files on their way to their places |
//! | `before/` | the files that were replaced, as they were |
//! | `quarantine/` | what was moved out of the mailbox |
//! | `undone/` | what the run had made where nothing was, after an undo |
//! | `report.json` | what the run found in the mailbox and did |
//! | `../run.json` | how the run began |
//! | `journal.jsonl` | for later runs: the records of wanted messages, whole, and messages renamed |

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use mailstore::replace::{FileOps, WriteError};

/// The directory at a partition's root under which every run keeps what it sets aside.
pub const RECOVERY_DIRECTORY: &str = ".mailstore-recovery";

/// What a dry run is never handed: the means to write.
#[derive(Debug)]
pub struct Workshop {
    ops: FileOps,
    run: String,
    umask: u32,
    attempts: AtomicU32,
}

/// A mailbox's folder of one run at one partition's root. Nothing of it exists until it is used.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Where it lies, or will.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Workshop {
    /// The workshop of the run named `run`; new files of the server get 0666 less `umask`.
    #[must_use]
    pub fn new(ops: FileOps, run: impl Into<String>, umask: u32) -> Self {
        Self { ops, run: run.into(), umask, attempts: AtomicU32::new(0) }
    }

    /// The same right to write, in the folders of an earlier run.
    pub(crate) fn of_run(&self, run: &str) -> Self {
        Self::new(self.ops.clone(), run, self.umask)
    }

    /// The run's name.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    pub(crate) fn ops(&self) -> &FileOps {
        &self.ops
    }

    pub(crate) fn umask(&self) -> u32 {
        self.umask
    }

    /// The folder at `root` for the mailbox with this key.
    pub(crate) fn folder(&self, root: &Path, key: &str) -> Folder {
        Folder { path: self.run_folder(root).path.join(key) }
    }

    /// The folder at `root` of the run itself.
    pub(crate) fn run_folder(&self, root: &Path) -> Folder {
        Folder { path: root.join(RECOVERY_DIRECTORY).join(&self.run) }
    }

    /// A path for a new file in `folder` that no other has.
    pub(crate) fn new_path(&self, folder: &Folder, name: &str) -> Result<PathBuf, WriteError> {
        let directory = folder.path.join("new");
        self.ops.create_dirs(&directory, 0o700)?;
        loop {
            let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{name}.{attempt}"));
            // A run of this name that was killed may have left some.
            if path.symlink_metadata().is_err() {
                return Ok(path);
            }
        }
    }

    /// Takes away what was staged for a mailbox and did not come to its place. Of no use to anybody:
    /// a failure is passed over.
    pub(crate) fn sweep(&self, folder: &Folder) {
        let directory = folder.path.join("new");
        let Ok(entries) = std::fs::read_dir(&directory) else { return };
        for entry in entries.flatten() {
            let _: Result<(), _> = self.ops.remove(&entry.path());
        }
        // The folders too, where nothing was kept in them.
        let folders = directory.ancestors().take(3);
        let _: Result<(), _> = folders.into_iter().try_for_each(std::fs::remove_dir);
    }

    /// A path in the folder's part `part` under which nothing lies yet and that is not `taken`.
    pub(crate) fn keep_path(
        &self,
        folder: &Folder,
        part: &str,
        name: &OsStr,
        taken: impl Fn(&Path) -> bool,
    ) -> Result<PathBuf, WriteError> {
        let directory = folder.path.join(part);
        self.ops.create_dirs(&directory, 0o700)?;
        let mut path = directory.join(name);
        let mut copy = 1_u32;
        while taken(&path) || path.symlink_metadata().is_ok() {
            copy = copy.saturating_add(1);
            let mut numbered = name.to_owned();
            numbered.push(format!("~{copy}"));
            path = directory.join(numbered);
        }
        Ok(path)
    }

    /// Appends a line to the file `name` of the folder and makes it durable.
    pub(crate) fn append_line(
        &self,
        folder: &Folder,
        name: &str,
        line: &str,
    ) -> Result<(), WriteError> {
        self.ops.create_dirs(folder.path(), 0o700)?;
        let path = folder.path().join(name);
        let is_cut = ends_within_a_line(&path);
        let mut file =
            if path.exists() { self.ops.append(&path)? } else { self.ops.create(&path)? };
        let before = if is_cut { "\n" } else { "" };
        file.write(format!("{before}{line}\n").as_bytes())?;
        file.sync()?;
        self.ops.sync_dir(folder.path())
    }

    /// Makes the file `name` of the folder, or replaces it.
    pub(crate) fn put_file(
        &self,
        folder: &Folder,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), WriteError> {
        let new = self.new_path(folder, name)?;
        let mut file = self.ops.create(&new)?;
        file.write(bytes)?;
        file.sync()?;
        self.ops.rename(&new, &folder.path().join(name))?;
        self.sweep(folder);
        self.ops.sync_dir(folder.path())
    }

    /// Makes the file `name` of the run's folder at `root`, where there is none yet: every mailbox
    /// comes with the same bytes. It is staged in the mailbox's `folder`, where nobody else sweeps.
    pub(crate) fn put_run_file(
        &self,
        root: &Path,
        folder: &Folder,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), WriteError> {
        let run = self.run_folder(root);
        let path = run.path().join(name);
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        let new = self.new_path(folder, name)?;
        let mut file = self.ops.create(&new)?;
        file.write(bytes)?;
        file.sync()?;
        self.ops.rename(&new, &path)?;
        self.ops.sync_dir(run.path())
    }

    /// A file without a name on the file system of `root`.
    pub(crate) fn scratch(&self, root: &Path) -> Result<File, WriteError> {
        self.ops.scratch(root)
    }
}

/// Whether an interrupted run of this name left its last line without an end.
fn ends_within_a_line(path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    last().is_ok_and(|byte| byte != b'\n')
}

/// The runs that kept something under `root`, oldest first.
pub(crate) fn earlier_runs(root: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(root.join(RECOVERY_DIRECTORY)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut runs = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    runs.sort();
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_behind_one_that_was_cut_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let workshop = Workshop::new(FileOps::new(), "run", 0o077);
        let folder = workshop.folder(root.path(), "key");
        workshop.append_line(&folder, "journal.jsonl", "first").unwrap();
        let path = folder.path().join("journal.jsonl");
        std::fs::write(&path, b"first\nseco").unwrap();
        workshop.append_line(&folder, "journal.jsonl", "third").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first\nseco\nthird\n");
    }

    #[test]
    fn what_was_staged_and_not_used_is_swept_with_its_empty_folders() {
        let root = tempfile::tempdir().unwrap();
        let workshop = Workshop::new(FileOps::new(), "run", 0o077);
        let (used, given_up) =
            (workshop.folder(root.path(), "used"), workshop.folder(root.path(), "given-up"));
        for folder in [&used, &given_up] {
            let staged = workshop.new_path(folder, "cyrus.index").unwrap();
            std::fs::write(staged, b"index").unwrap();
        }
        workshop.append_line(&used, "manifest.jsonl", "{}").unwrap();
        workshop.sweep(&used);
        workshop.sweep(&given_up);
        let run = root.path().join(RECOVERY_DIRECTORY).join("run");
        assert!(!run.join("given-up").exists());
        let kept: Vec<_> = std::fs::read_dir(run.join("used")).unwrap().flatten().collect();
        assert_eq!(kept.len(), 1, "the manifest stays");
    }
}
