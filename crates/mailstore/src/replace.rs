//! Changing files so that a crash at any instant leaves the old or the new.
//!
//! [`FileOps`] is the only door through which this toolkit writes: each of its methods is one step
//! that is whole or not begun, and before each step a hook is asked. Tests stop the process, fail
//! the step or do something behind its back there, at every step in turn.
//!
//! To replace a file: [`FileOps::create`] a new one beside its place (same file system), write,
//! [`NewFile::finish`] (owner, mode, fsync), [`FileOps::link`] the original aside,
//! [`FileOps::sync_dir`], [`FileOps::rename`] over the original (the commit), `sync_dir` again.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use mailstore_format::Timestamp;
use rustix::fs::{AtFlags, CWD, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use thiserror::Error;

use crate::volume::FileMeta;

/// One change of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A directory is made.
    CreateDir(PathBuf),
    /// A new, empty file is made. An existing one is never opened.
    Create(PathBuf),
    /// A file without a name is made on the file system of a directory.
    Scratch(PathBuf),
    /// A file is opened to be appended to.
    OpenToAppend(PathBuf),
    /// Bytes are written.
    Write {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// How many.
        len: usize,
    },
    /// A file gets its owner and mode.
    SetOwnership(PathBuf),
    /// A file's content reaches the disk.
    Sync(PathBuf),
    /// A directory's entries reach the disk.
    SyncDir(PathBuf),
    /// A file gets a second name. An existing one is never replaced.
    Link {
        /// The name it has.
        from: PathBuf,
        /// The name it gets.
        to: PathBuf,
    },
    /// A file takes another's name and place.
    Rename {
        /// Its old name.
        from: PathBuf,
        /// Its new name.
        to: PathBuf,
    },
    /// A file moves to a name that is free.
    Move {
        /// Its old name.
        from: PathBuf,
        /// Its new name.
        to: PathBuf,
    },
    /// Two entries of any kind take each other's name.
    Exchange {
        /// The one.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A file or directory gets a time of modification.
    SetModified(PathBuf),
    /// A name is taken away.
    Remove(PathBuf),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDir(path) => write!(f, "make directory {}", path.display()),
            Self::Create(path) => write!(f, "make {}", path.display()),
            Self::Scratch(path) => write!(f, "make a file without a name in {}", path.display()),
            Self::OpenToAppend(path) => write!(f, "open {} to append", path.display()),
            Self::Write { path, offset, len } => {
                write!(f, "write {len} bytes at {offset} of {}", path.display())
            }
            Self::SetOwnership(path) => write!(f, "set owner and mode of {}", path.display()),
            Self::Sync(path) | Self::SyncDir(path) => write!(f, "fsync {}", path.display()),
            Self::Link { from, to } => write!(f, "link {} to {}", from.display(), to.display()),
            Self::Rename { from, to } => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::Move { from, to } => write!(f, "move {} to {}", from.display(), to.display()),
            Self::Exchange { one, other } => {
                write!(f, "exchange {} and {}", one.display(), other.display())
            }
            Self::SetModified(path) => write!(f, "set the time of {}", path.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
        }
    }
}

/// A step that failed. Nothing of it was done, but for a write that may be partial.
#[derive(Debug, Error)]
#[error("cannot {step}: {source}")]
pub struct WriteError {
    /// The step.
    pub step: Step,
    /// What the system said.
    pub source: io::Error,
}

impl WriteError {
    /// Whether the disk is full, or a quota reached.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether the file system, or the kernel, does not know how to do such a thing.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        let unsupported = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
        Errno::from_io_error(&self.source).is_some_and(|errno| unsupported.contains(&errno))
    }
}

/// What is asked before each step. Its error becomes the step's.
pub type StepHook = dyn Fn(&Step) -> io::Result<()> + Send + Sync;

/// The right to change the disk. What is never handed one is read-only.
#[derive(Clone, Default)]
pub struct FileOps {
    hook: Option<Arc<StepHook>>,
}

impl fmt::Debug for FileOps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOps").field("hooked", &self.hook.is_some()).finish()
    }
}

impl FileOps {
    /// The real thing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The real thing, with a question before each step.
    #[must_use]
    pub fn with_hook(hook: impl Fn(&Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)) }
    }

    fn run<T>(&self, step: Step, action: impl FnOnce() -> io::Result<T>) -> Result<T, WriteError> {
        let asked = self.hook.as_ref().map_or(Ok(()), |hook| hook(&step));
        asked.and_then(|()| action()).map_err(|source| WriteError { step, source })
    }

    /// Makes the directories of `path` that are missing below the existing ones, each with the
    /// owner and group of its parent and permission `mode`, and makes them durable.
    pub fn create_dirs(&self, path: &Path, mode: u32) -> Result<(), WriteError> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        self.create_dirs(parent, mode)?;
        self.run(Step::CreateDir(path.into()), || {
            match DirBuilder::new().mode(mode).create(path) {
                // Another thread was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
                    Ok(())
                }
                Err(error) => Err(error),
                Ok(()) => {
                    let above = std::fs::metadata(parent)?;
                    let ownership = Ownership { uid: above.uid(), gid: above.gid(), mode };
                    ownership.apply(&File::open(path)?)
                }
            }
        })?;
        self.sync_dir(parent)
    }

    /// Makes a new file. An existing one is an error; so is a link, wherever it leads.
    pub fn create(&self, path: &Path) -> Result<NewFile<'_>, WriteError> {
        let file = self.run(Step::Create(path.into()), || {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
        })?;
        Ok(NewFile { ops: self, file, path: path.into(), offset: 0 })
    }

    /// Makes a file without a name on the file system of `directory`, for reading and writing. It
    /// vanishes when it is closed.
    pub fn scratch(&self, directory: &Path) -> Result<File, WriteError> {
        self.run(Step::Scratch(directory.into()), || {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            match rustix::fs::openat(CWD, directory, flags, mode) {
                // A file system that knows no files without a name.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => nameless(directory),
                opened => Ok(File::from(opened?)),
            }
        })
    }

    /// Opens an existing file to write behind its end.
    pub fn append(&self, path: &Path) -> Result<NewFile<'_>, WriteError> {
        let nofollow = nix::libc::O_NOFOLLOW;
        let (file, offset) = self.run(Step::OpenToAppend(path.into()), || {
            let file = OpenOptions::new().append(true).custom_flags(nofollow).open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        })?;
        Ok(NewFile { ops: self, file, path: path.into(), offset })
    }

    /// Gives a file a second name, which must be free, on the same file system.
    pub fn link(&self, from: &Path, to: &Path) -> Result<(), WriteError> {
        let step = Step::Link { from: from.into(), to: to.into() };
        self.run(step, || std::fs::hard_link(from, to))
    }

    /// Gives a file another's name, in one instant: whoever opens `to` finds the old or the new.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), WriteError> {
        let step = Step::Rename { from: from.into(), to: to.into() };
        self.run(step, || std::fs::rename(from, to))
    }

    /// Gives a file a name that must be free: for what must not overwrite anything.
    pub fn move_to_free(&self, from: &Path, to: &Path) -> Result<(), WriteError> {
        let step = Step::Move { from: from.into(), to: to.into() };
        self.run(step, || {
            let flags = RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(CWD, from, CWD, to, flags) {
                // A file system without the flag: a link never overwrites either.
                Err(Errno::INVAL) if !from.symlink_metadata()?.is_dir() => {
                    std::fs::hard_link(from, to)?;
                    std::fs::remove_file(from)
                }
                // A directory has one name only, and takes no place but that of an empty directory.
                Err(Errno::INVAL) if to.symlink_metadata().is_err() => std::fs::rename(from, to),
                other => Ok(other?),
            }
        })
    }

    /// Lets two entries of any kind, in one file system, take each other's name in one instant. Where
    /// the system cannot, the error [is unsupported](WriteError::is_unsupported).
    pub fn exchange(&self, one: &Path, other: &Path) -> Result<(), WriteError> {
        let step = Step::Exchange { one: one.into(), other: other.into() };
        self.run(step, || {
            Ok(rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
        })
    }

    /// Sets when a file or directory was last modified; a link is not followed. When it was last
    /// read stays.
    pub fn set_modified(&self, path: &Path, modified: Timestamp) -> Result<(), WriteError> {
        self.run(Step::SetModified(path.into()), || {
            let times = modified_at(modified);
            Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
        })
    }

    /// Takes a name away.
    pub fn remove(&self, path: &Path) -> Result<(), WriteError> {
        self.run(Step::Remove(path.into()), || std::fs::remove_file(path))
    }

    /// Takes an empty directory away.
    pub fn remove_dir(&self, path: &Path) -> Result<(), WriteError> {
        self.run(Step::Remove(path.into()), || std::fs::remove_dir(path))
    }

    /// Makes a directory's entries durable.
    pub fn sync_dir(&self, path: &Path) -> Result<(), WriteError> {
        self.run(Step::SyncDir(path.into()), || File::open(path)?.sync_all())
    }
}

fn modified_at(modified: Timestamp) -> Timestamps {
    let second = 1_000_000_000;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: modified.0.div_euclid(second),
            tv_nsec: modified.0.rem_euclid(second),
        },
    }
}

/// A new file in `directory` whose name is taken away at once.
fn nameless(directory: &Path) -> io::Result<File> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let name = format!(".scratch-{}-{}-{number}", std::process::id(), now.as_nanos());
    let path = directory.join(name);
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// A file being written. Dropped without [`Self::finish`], what was written stays under its name.
#[derive(Debug)]
pub struct NewFile<'a> {
    ops: &'a FileOps,
    file: File,
    path: PathBuf,
    offset: u64,
}

impl NewFile<'_> {
    /// Writes all of `bytes` behind what is there, as one step.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let (path, offset, len) = (self.path.clone(), self.offset, bytes.len());
        let file = &mut self.file;
        self.ops.run(Step::Write { path, offset, len }, || file.write_all(bytes))?;
        self.offset = offset.saturating_add(len as u64);
        Ok(())
    }

    /// Where the next byte goes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Gives the file its owner and mode, and makes its content durable. Its name is not yet: that
    /// takes [`FileOps::sync_dir`].
    pub fn finish(self, ownership: Ownership) -> Result<(), WriteError> {
        self.ops.run(Step::SetOwnership(self.path.clone()), || ownership.apply(&self.file))?;
        self.sync()
    }

    /// [`Self::finish`], as of a file that was last modified at that time.
    pub fn finish_as_of(self, ownership: Ownership, modified: Timestamp) -> Result<(), WriteError> {
        self.ops.run(Step::SetModified(self.path.clone()), || {
            Ok(rustix::fs::futimens(&self.file, &modified_at(modified))?)
        })?;
        self.finish(ownership)
    }

    /// Makes the content durable and leaves owner and mode.
    pub fn sync(self) -> Result<(), WriteError> {
        self.ops.run(Step::Sync(self.path.clone()), || self.file.sync_all())
    }
}

/// Whose a file is and who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl From<&FileMeta> for Ownership {
    /// As the file that is replaced.
    fn from(meta: &FileMeta) -> Self {
        Self { uid: meta.uid, gid: meta.gid, mode: meta.mode }
    }
}

impl Ownership {
    /// For a file that has no predecessor: owner and group of the directory it is made in, and
    /// 0666 less `umask`, as the server makes its files.
    #[must_use]
    pub fn within(directory: &FileMeta, umask: u32) -> Self {
        Self { uid: directory.uid, gid: directory.gid, mode: 0o666 & !umask }
    }

    fn apply(self, file: &File) -> io::Result<()> {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (self.uid, self.gid) {
            match fchown(file, Some(self.uid), Some(self.gid)) {
                // Only root gives files away; for everybody else what they make is theirs.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                changed => changed?,
            }
        }
        if now.mode() & 0o7777 != self.mode {
            file.set_permissions(std::fs::Permissions::from_mode(self.mode))?;
        }
        Ok(())
    }
}

/// Room on a file system, for an account that is not root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes.
    pub bytes: u64,
    /// Inodes; none where the file system does not count them.
    pub inodes: Option<u64>,
}

/// There is not enough room.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} has room for {} bytes and {} files, of {bytes} and {inodes} needed", path.display(), free.bytes, free.inodes.map_or("any number of".to_owned(), |inodes| inodes.to_string()))]
pub struct NoSpace {
    /// The directory that was asked for.
    pub path: PathBuf,
    /// Bytes needed.
    pub bytes: u64,
    /// Files needed.
    pub inodes: u64,
    /// What there is.
    pub free: FreeSpace,
}

impl FreeSpace {
    /// Room on the file system that holds `path`.
    pub fn at(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Self {
            bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            inodes: (stat.f_files > 0).then_some(stat.f_favail),
        })
    }

    /// Whether `bytes` in `inodes` files fit; `path` is named where they do not.
    pub fn require(&self, path: &Path, bytes: u64, inodes: u64) -> Result<(), NoSpace> {
        if self.bytes >= bytes && self.inodes.is_none_or(|free| free >= inodes) {
            return Ok(());
        }
        Err(NoSpace { path: path.into(), bytes, inodes, free: *self })
    }
}

#[cfg(test)]
mod tests;
