//! Reading files from a volume that nobody vouches for.
//!
//! After a crash a directory can hold anything under a message's name: a link out of the spool, a
//! FIFO on which an open would wait for ever, a device, a directory, a file on a sector that no
//! longer reads. Here everything is opened relative to a directory that is held open, no link
//! is followed, nothing blocks, only regular files are read, and a failing disk is a value.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mailstore_format::{Timestamp, Uid};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use thiserror::Error;

/// Why a file or directory was not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is nothing of this name (`ENOENT`). Only this, in directories that are themselves
    /// accounted for, proves an absence.
    #[error("no such file")]
    NotFound,
    /// Something other than a regular file (or, where a directory is wanted, a directory).
    #[error("it is {0}, which is never read")]
    NotRegular(Kind),
    /// The system refused or the disk failed (`EACCES`, `EIO`, `ESTALE`, …).
    #[error("{}{}", std::io::Error::from_raw_os_error(*errno), if *read > 0 { format!(" after {read} bytes") } else { String::new() })]
    Io {
        /// The error number.
        errno: i32,
        /// How many bytes were read before it.
        read: u64,
    },
    /// The file is larger than the caller can accept.
    #[error("it has {size} bytes, of which at most {max} are accepted")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// Its size changed while it was read.
    #[error("it had {expected} bytes when it was opened, and {read} were read")]
    Changed {
        /// The size at the opening.
        expected: u64,
        /// What was read: less, or at least one more.
        read: u64,
    },
}

impl ReadError {
    pub(crate) fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NotFound,
            _ => Self::Io { errno: errno.raw_os_error(), read: 0 },
        }
    }
}

/// What kind of thing a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link, wherever it leads.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
    /// Anything else.
    Unknown,
}

impl From<FileType> for Kind {
    fn from(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::Regular,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Self::Device,
            FileType::Unknown => Self::Unknown,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Regular => "a regular file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Unknown => "of an unknown kind",
        })
    }
}

/// What a file's inode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMeta {
    /// What it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// When its content last changed. Of a message file: its internaldate.
    pub mtime: Timestamp,
    /// Its inode.
    pub ino: u64,
    /// Its device.
    pub dev: u64,
    /// How many names it has.
    pub nlink: u64,
    /// Permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl FileMeta {
    fn of(stat: &Stat) -> Self {
        let nanos = Timestamp::from_seconds(stat.st_mtime).0;
        let subsecond = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Self {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: Timestamp(nanos.saturating_add(subsecond)),
            ino: stat.st_ino,
            dev: stat.st_dev,
            #[allow(clippy::useless_conversion, reason = "narrower on some architectures")]
            nlink: stat.st_nlink.into(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        }
    }
}

/// Not every owner may leave access times alone; once refused it is not asked for again.
static NO_ATIME_REFUSED: AtomicBool = AtomicBool::new(false);

/// A directory held open, through which its files are read.
#[derive(Debug)]
pub struct GuardedDir {
    fd: OwnedFd,
    path: PathBuf,
    meta: FileMeta,
}

impl GuardedDir {
    /// Opens a directory whose path is trusted: a partition's root, or one named by the operator.
    /// Links on the way to it are followed.
    pub fn open_trusted(path: &Path) -> Result<Self, ReadError> {
        Self::from_open(rustix::fs::openat(CWD, path, directory_flags(), Mode::empty()), path)
    }

    /// Opens a directory below this one. No component of `below` may be a link or lead upwards;
    /// other file systems mounted on the way are entered.
    pub fn open_below(&self, below: &Path) -> Result<Self, ReadError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = directory_flags() | OFlags::NOFOLLOW;
        let opened = match rustix::fs::openat2(&self.fd, below, flags, Mode::empty(), resolve) {
            // An old kernel, or a sandbox that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => self.step_down(below),
            other => other,
        };
        Self::from_open(opened, &self.path.join(below))
    }

    /// What is below `root` and named by `path`, which must lie there (a mailbox's directory under
    /// its partition).
    pub fn open_under(root: &Path, path: &Path) -> Result<Self, ReadError> {
        let below = path.strip_prefix(root).unwrap_or(path);
        let opened = Self::open_trusted(root)?;
        if below.as_os_str().is_empty() { Ok(opened) } else { opened.open_below(below) }
    }

    fn step_down(&self, below: &Path) -> Result<OwnedFd, Errno> {
        let mut fd = rustix::io::dup(&self.fd)?;
        for component in below.components() {
            let Component::Normal(name) = component else { return Err(Errno::XDEV) };
            let flags = directory_flags() | OFlags::NOFOLLOW;
            fd = rustix::fs::openat(&fd, name, flags, Mode::empty())?;
        }
        Ok(fd)
    }

    fn from_open(opened: Result<OwnedFd, Errno>, path: &Path) -> Result<Self, ReadError> {
        let fd = opened.map_err(|errno| match errno {
            Errno::LOOP => ReadError::NotRegular(Kind::Symlink),
            Errno::NOTDIR => match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => ReadError::NotRegular(FileMeta::of(&stat).kind),
                Err(_) => ReadError::from_errno(errno),
            },
            _ => ReadError::from_errno(errno),
        })?;
        let stat = rustix::fs::fstat(&fd).map_err(ReadError::from_errno)?;
        Ok(Self { fd, path: path.into(), meta: FileMeta::of(&stat) })
    }

    /// Its path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its inode says.
    #[must_use]
    pub fn meta(&self) -> &FileMeta {
        &self.meta
    }

    /// What the entry `name` is, without opening or following it.
    pub fn stat(&self, name: &OsStr) -> Result<FileMeta, ReadError> {
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.map(|stat| FileMeta::of(&stat)).map_err(ReadError::from_errno)
    }

    /// Whether the system lets us write to the entry `name`. It may refuse later all the same.
    pub(crate) fn may_write_to(&self, name: &OsStr) -> bool {
        let ask = |flags| rustix::fs::accessat(&self.fd, name, Access::WRITE_OK, flags);
        match ask(AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW) {
            // An old kernel: asked for the real user then, who is the same one.
            Err(Errno::NOSYS | Errno::INVAL) => ask(AtFlags::empty()).is_ok(),
            allowed => allowed.is_ok(),
        }
    }

    /// Opens the regular file `name` for reading.
    pub fn open_file(&self, name: &OsStr) -> Result<(File, FileMeta), ReadError> {
        let fd = self.open_regular(name)?;
        let meta = FileMeta::of(&rustix::fs::fstat(&fd).map_err(ReadError::from_errno)?);
        if meta.kind != Kind::Regular {
            return Err(ReadError::NotRegular(meta.kind));
        }
        Ok((File::from(fd), meta))
    }

    /// Reads the regular file `name` whole into `content`, which is emptied first and keeps its
    /// capacity. At most `max` bytes are accepted. After an error `content` holds what was read
    /// up to there.
    pub fn read_into(
        &self,
        name: &OsStr,
        max: u64,
        content: &mut Vec<u8>,
    ) -> Result<FileMeta, ReadError> {
        content.clear();
        let (fd, meta) = self.open_file(name)?;
        let too_large = ReadError::TooLarge { size: meta.size, max };
        let size = usize::try_from(meta.size).ok().filter(|_| meta.size <= max).ok_or(too_large)?;
        // One byte more than is expected, so that the end is seen where it should be.
        let too_much = ReadError::TooLarge { size: meta.size, max };
        content.try_reserve(size.saturating_add(1)).map_err(|_| too_much)?;
        while content.len() <= size {
            let room = content.capacity().saturating_sub(content.len());
            match rustix::io::read(&fd, rustix::buffer::spare_capacity(content)) {
                Ok(0) => break,
                // There would have been room for more of what is not there.
                Ok(read) if read < room && content.len() == size => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    let read = content.len() as u64;
                    return Err(ReadError::Io { errno: errno.raw_os_error(), read });
                }
            }
        }
        if content.len() == size {
            Ok(meta)
        } else {
            Err(ReadError::Changed { expected: meta.size, read: content.len() as u64 })
        }
    }

    /// Reads the message file `<uid>.`; see [`Self::read_into`].
    pub fn read_message(
        &self,
        uid: Uid,
        max: u64,
        content: &mut Vec<u8>,
    ) -> Result<FileMeta, ReadError> {
        self.read_into(OsStr::new(&message_file_name(uid)), max, content)
    }

    fn open_regular(&self, name: &OsStr) -> Result<OwnedFd, ReadError> {
        if name.is_empty() || name.as_bytes().contains(&b'/') || name == ".." {
            return Err(ReadError::NotFound);
        }
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = |flags| rustix::fs::openat(&self.fd, name, flags, Mode::empty());
        let opened = if NO_ATIME_REFUSED.load(Ordering::Relaxed) {
            open(flags)
        } else {
            open(flags | OFlags::NOATIME).or_else(|errno| {
                if errno == Errno::PERM {
                    NO_ATIME_REFUSED.store(true, Ordering::Relaxed);
                    return open(flags);
                }
                Err(errno)
            })
        };
        opened.map_err(|errno| match errno {
            Errno::LOOP => ReadError::NotRegular(Kind::Symlink),
            // Opening a socket, or a device without a driver.
            Errno::NXIO | Errno::NODEV => match self.stat(name) {
                Ok(meta) => ReadError::NotRegular(meta.kind),
                Err(error) => error,
            },
            _ => ReadError::from_errno(errno),
        })
    }
}

impl AsFd for GuardedDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// The file name of a message: its UID and a dot.
#[must_use]
pub fn message_file_name(uid: Uid) -> String {
    format!("{uid}.")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn dir() -> (tempfile::TempDir, GuardedDir) {
        let temp = tempfile::tempdir().unwrap();
        let guarded = GuardedDir::open_trusted(temp.path()).unwrap();
        (temp, guarded)
    }

    fn read(dir: &GuardedDir, name: &str, max: u64) -> Result<Vec<u8>, ReadError> {
        let mut content = b"left from before".to_vec();
        dir.read_into(OsStr::new(name), max, &mut content).map(|_| content)
    }

    #[test]
    fn a_regular_file_is_read_whole_with_its_inode() {
        let (temp, dir) = dir();
        std::fs::write(temp.path().join("7."), b"message").unwrap();
        let mut content = Vec::new();
        let meta = dir.read_message(Uid(7), 100, &mut content).unwrap();
        assert_eq!((content.as_slice(), meta.size, meta.kind), (&b"message"[..], 7, Kind::Regular));
        let modified = std::fs::metadata(temp.path().join("7.")).unwrap().modified().unwrap();
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(meta.mtime.0, i64::try_from(since.as_nanos()).unwrap());
        assert_eq!(read(&dir, "8.", 100), Err(ReadError::NotFound));
        std::fs::write(temp.path().join("9."), b"").unwrap();
        assert_eq!(read(&dir, "9.", 0), Ok(Vec::new()));
    }

    #[test]
    fn a_file_above_the_limit_is_not_read() {
        let (temp, dir) = dir();
        let file = std::fs::File::create(temp.path().join("1.")).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(
            read(&dir, "1.", 1 << 20),
            Err(ReadError::TooLarge { size: 1 << 40, max: 1 << 20 })
        );
    }

    #[test]
    fn nothing_but_regular_files_is_read_and_nothing_blocks() {
        let (temp, dir) = dir();
        std::fs::write(temp.path().join("target"), b"secret").unwrap();
        symlink("target", temp.path().join("1.")).unwrap();
        symlink("nowhere", temp.path().join("2.")).unwrap();
        std::fs::create_dir(temp.path().join("3.")).unwrap();
        nix::unistd::mkfifo(&temp.path().join("4."), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(temp.path().join("5.")).unwrap();
        let kind = |name| match read(&dir, name, 100) {
            Err(ReadError::NotRegular(kind)) => kind,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(kind("1."), Kind::Symlink);
        assert_eq!(kind("2."), Kind::Symlink);
        assert_eq!(kind("3."), Kind::Directory);
        assert_eq!(kind("4."), Kind::Fifo);
        assert_eq!(kind("5."), Kind::Socket);
        assert_eq!(read(&dir, "../etc", 100), Err(ReadError::NotFound));
    }

    #[test]
    fn an_error_of_the_disk_is_a_value() {
        // Reading this one fails with EIO: nothing is mapped at the address 0.
        let dir = GuardedDir::open_trusted(Path::new("/proc/self")).unwrap();
        assert_eq!(read(&dir, "mem", 100), Err(ReadError::Io { errno: 5, read: 0 }));
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_noticed() {
        // Files of /proc claim no size and have content.
        let dir = GuardedDir::open_trusted(Path::new("/proc/self")).unwrap();
        assert!(matches!(
            read(&dir, "status", 100),
            Err(ReadError::Changed { expected: 0, read: 1.. })
        ));
    }

    #[test]
    fn no_link_leads_out_of_a_root() {
        let (temp, dir) = dir();
        std::fs::create_dir_all(temp.path().join("a/b")).unwrap();
        symlink("/etc", temp.path().join("out")).unwrap();
        symlink("a", temp.path().join("in")).unwrap();
        std::fs::write(temp.path().join("file"), b"").unwrap();
        assert!(dir.open_below(Path::new("a/b")).is_ok());
        assert!(dir.step_down(Path::new("a/b")).is_ok());
        for wrong in ["out", "in/b", "a/../..", "/etc", "../"] {
            assert!(dir.open_below(Path::new(wrong)).is_err(), "{wrong}");
            assert!(dir.step_down(Path::new(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(dir.open_below(Path::new("none")).unwrap_err(), ReadError::NotFound);
        let not_a_directory = dir.open_below(Path::new("file")).unwrap_err();
        assert_eq!(not_a_directory, ReadError::NotRegular(Kind::Regular));
        let under = GuardedDir::open_under(temp.path(), &temp.path().join("a/b")).unwrap();
        assert_eq!(under.path(), temp.path().join("a/b"));
    }
}
