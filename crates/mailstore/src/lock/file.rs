//! One lock: an open-file-description lock on a whole file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::{Deadline, LockError, LockKind, LockMode, LockWait, holders};

/// How often a wait is reported.
const REPORT_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Shared,
    Exclusive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// A file that does not exist is made, with its directories.
    Create,
    /// A file that does not exist is not locked.
    Optional,
}

/// A lock that is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'p> {
    pub(super) path: &'p Path,
    pub(super) kind: LockKind,
    pub(super) access: Access,
    pub(super) presence: Presence,
}

impl<'p> Request<'p> {
    /// What `mode` asks of a lock of this kind, if anything.
    pub(super) fn of(mode: LockMode, kind: LockKind, path: &'p Path) -> Option<Self> {
        let (access, presence) = match (mode, kind) {
            (LockMode::SharedIfPresent, LockKind::Global) => return None,
            (LockMode::SharedIfPresent, _) => (Access::Shared, Presence::Optional),
            (LockMode::Exclusive, LockKind::Global) => (Access::Shared, Presence::Create),
            (LockMode::Exclusive, LockKind::Index) => (Access::Exclusive, Presence::Optional),
            (LockMode::Exclusive, _) => (Access::Exclusive, Presence::Create),
        };
        Some(Self { path, kind, access, presence })
    }
}

/// An open file with a lock on it, released when this is dropped. The file stays.
#[derive(Debug)]
pub struct LockedFile {
    file: File,
    path: PathBuf,
}

impl LockedFile {
    /// The file that is locked, open for reading at least.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing would do, were it not for a child that was forked in between and holds a copy
        // of the descriptor until it executes. An error leaves the lock to the close.
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)));
    }
}

/// Locks what the path names at the moment of locking: a file that was replaced while it was waited
/// for is let go, and its successor taken. Nothing where it does not exist and may not be made.
pub(super) fn acquire(
    request: Request<'_>,
    deadline: Deadline,
    on_wait: &mut dyn FnMut(&LockWait),
) -> Result<Option<LockedFile>, LockError> {
    let Request { path, access, presence, .. } = request;
    let io_error = |source| LockError::Io { path: path.into(), source };
    loop {
        let Some(file) = open(path, access, presence).map_err(io_error)? else { return Ok(None) };
        let locked = lock(file, request, deadline, on_wait)?;
        let own = locked.file.metadata().map_err(io_error)?;
        match std::fs::metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (own.dev(), own.ino()) => return Ok(Some(locked)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(error)),
        }
    }
}

fn open(path: &Path, access: Access, presence: Presence) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    // As the server: 0666 less the umask. A shared lock needs no right to write.
    options.read(true).write(access == Access::Exclusive).mode(0o666);
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    if presence == Presence::Create {
        options.write(true).create(true);
    }
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) if presence == Presence::Optional => Ok(None),
        Err(_) => {
            let directory = path.parent().unwrap_or(Path::new("/"));
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
            options.open(path).map(Some)
        }
    }
}

fn lock(
    file: File,
    request: Request<'_>,
    deadline: Deadline,
    on_wait: &mut dyn FnMut(&LockWait),
) -> Result<LockedFile, LockError> {
    let Request { path, kind, access, .. } = request;
    let io_error = |errno: Errno| LockError::Io { path: path.into(), source: errno.into() };
    let request = match access {
        Access::Shared => whole_file(libc::F_RDLCK),
        Access::Exclusive => whole_file(libc::F_WRLCK),
    };
    let locked = |file| LockedFile { file, path: path.into() };
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&request)) {
        Ok(_) => return Ok(locked(file)),
        Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => {}
        Err(errno) => return Err(io_error(errno)),
    }
    // Trying again and again starves behind those that wait in the kernel, so a thread waits there.
    // It cannot be called back: where the time is over the descriptor comes to nobody, is closed,
    // and with it whatever lock it got late. The second descriptor, of the same description,
    // serves to name the holders.
    let observed =
        file.try_clone().map_err(|source| LockError::Io { path: path.into(), source })?;
    let (sender, receiver) = mpsc::sync_channel(0);
    let wait_in_kernel = move || {
        let outcome = loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLKW(&request)) {
                Err(Errno::EINTR) => {}
                other => break other,
            }
        };
        let handed_over = sender.send(outcome.map(|_| file));
        drop(handed_over);
    };
    std::thread::Builder::new()
        .name("lock-wait".to_owned())
        .spawn(wait_in_kernel)
        .map_err(|source| LockError::Io { path: path.into(), source })?;
    loop {
        let holders = || holders::of(&observed, &request);
        on_wait(&LockWait {
            path: path.into(),
            kind,
            waited: deadline.waited(),
            holders: holders(),
        });
        let Some(patience) = deadline.left(REPORT_EVERY) else {
            let (path, waited) = (path.into(), deadline.waited());
            return Err(LockError::Timeout { path, kind, holders: holders(), waited });
        };
        match receiver.recv_timeout(patience) {
            Ok(Ok(file)) => return Ok(locked(file)),
            Ok(Err(errno)) => return Err(io_error(errno)),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(io_error(Errno::EIO)),
        }
    }
}

/// The request for a lock over the whole file, however long it grows.
pub(super) fn whole_file(lock_type: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(lock_type).expect("lock types are 0, 1 and 2"),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
