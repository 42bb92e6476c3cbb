//! A directory that is held open: its files are replaced as a whole, and no link is followed.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::DirectoryError;
use crate::pages::layout::GENERATOR;

/// What the names of files begin with that do not have their own yet, before the process's number.
const UNFINISHED: &str = ".rebuildq-";

/// How long such a file may be somebody's who is still writing.
const ABANDONED: Duration = Duration::from_mins(10);

/// Within how many bytes from its beginning a page says that it is ours.
const BEGINNING: u64 = 1024;

/// A directory.
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a directory, and makes it where it is missing.
    pub(super) fn open(path: &Path, mode: u32) -> Result<Self, DirectoryError> {
        Self::open_at(CWD, path, path, mode)
    }

    /// One in this one.
    pub(super) fn folder(&self, name: &str, mode: u32) -> Result<Self, DirectoryError> {
        Self::open_at(&self.fd, Path::new(name), &self.path.join(name), mode)
    }

    fn open_at(
        parent: impl std::os::fd::AsFd,
        name: &Path,
        path: &Path,
        mode: u32,
    ) -> Result<Self, DirectoryError> {
        let is_new = match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => false,
            result => result.map(|()| true).map_err(|errno| failed("make", path, errno.into()))?,
        };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, name, flags, Mode::empty());
        let fd = fd.map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => DirectoryError::NoDirectory { path: path.to_owned() },
            errno => failed("open", path, errno.into()),
        })?;
        if is_new {
            // Whatever the umask is: web servers run as somebody else.
            rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))
                .map_err(|errno| failed("set the mode of", path, errno.into()))?;
        }
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Whether `page` in it is one of ours, or nothing is in it but what we make before that: the
    /// directory `below`, and what is unfinished.
    pub(super) fn is_ours(&self, page: &str, below: &str) -> Result<bool, DirectoryError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, page, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                let is_early = |name: &String| name == below || name.starts_with(UNFINISHED);
                Ok(self.entries()?.iter().all(is_early))
            }
            Err(Errno::LOOP) => Ok(false),
            Err(errno) => Err(self.failed("open", page, errno)),
            Ok(fd) => {
                let mut beginning = Vec::new();
                let read = File::from(fd).take(BEGINNING).read_to_end(&mut beginning);
                read.map_err(|error| failed("read", &self.path.join(page), error))?;
                Ok(String::from_utf8_lossy(&beginning).contains(GENERATOR))
            }
        }
    }

    /// The names of all regular files in it.
    pub(super) fn names(&self) -> Result<BTreeSet<String>, DirectoryError> {
        let entries = self.entries()?;
        Ok(entries.into_iter().filter(|name| self.is_file(name)).collect())
    }

    /// Writes a file and gives it its name, which until then is that of the old one.
    pub(super) fn replace(&self, name: &str, text: &str) -> Result<(), DirectoryError> {
        let unfinished = format!("{UNFINISHED}{}-{name}", std::process::id());
        let written = self.write_new(&unfinished, text).and_then(|()| {
            rustix::fs::renameat(&self.fd, &unfinished, &self.fd, name).map_err(io::Error::from)
        });
        written.map_err(|error| {
            // It may not even be there.
            let _ = rustix::fs::unlinkat(&self.fd, &unfinished, AtFlags::empty());
            failed("write", &self.path.join(name), error)
        })
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), DirectoryError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("remove", name, errno)),
        }
    }

    /// Has its entries reach the disk.
    pub(super) fn sync(&self) -> Result<(), DirectoryError> {
        rustix::fs::fsync(&self.fd).map_err(|errno| failed("fsync", &self.path, errno.into()))
    }

    fn write_new(&self, name: &str, text: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let create = || rustix::fs::openat(&self.fd, name, flags, mode);
        let fd = create().or_else(|errno| {
            // Of a process that was killed and had our number.
            if errno != Errno::EXIST {
                return Err(errno);
            }
            rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?;
            create()
        })?;
        rustix::fs::fchmod(&fd, mode)?;
        let mut file = File::from(fd);
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }

    /// Removes what killed processes left unfinished.
    pub(super) fn sweep(&self) -> Result<(), DirectoryError> {
        let abandoned = SystemTime::now().checked_sub(ABANDONED);
        for name in self.entries()?.iter().filter(|name| name.starts_with(UNFINISHED)) {
            let modified = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
            let modified = modified.ok().and_then(|stat| u64::try_from(stat.st_mtime).ok());
            let modified =
                modified.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            if modified < abandoned {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    fn is_file(&self, name: &str) -> bool {
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    fn entries(&self) -> Result<Vec<String>, DirectoryError> {
        let list = || {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.fd)? {
                // Ours are all UTF-8.
                let entry = entry?;
                let name = CStr::to_string_lossy(entry.file_name()).into_owned();
                if name != "." && name != ".." {
                    names.push(name);
                }
            }
            Ok(names)
        };
        list().map_err(|errno: Errno| failed("list", &self.path, errno.into()))
    }

    fn failed(&self, action: &'static str, name: &str, errno: Errno) -> DirectoryError {
        failed(action, &self.path.join(name), errno.into())
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_has_its_old_content_or_its_new_and_can_be_read_by_all() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path(), 0o755).unwrap();
        let target = directory.path().join("target");
        fs::write(&target, "not ours").unwrap();
        symlink(&target, directory.path().join("page.html")).unwrap();
        folder.replace("page.html", "first").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "not ours");

        let page = directory.path().join("page.html");
        let old = File::open(&page).unwrap();
        folder.replace("page.html", "second").unwrap();
        // Whoever has the old one open reads it to its end: it was not written over.
        assert_eq!(io::read_to_string(old).unwrap(), "first");
        assert_eq!(fs::read_to_string(&page).unwrap(), "second");
        let mode = fs::symlink_metadata(&page).unwrap().permissions().mode();
        assert_eq!(mode, 0o100_644);
        assert_eq!(folder.entries().unwrap().len(), 2);
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("page.html")).unwrap();
        let folder = Folder::open(directory.path(), 0o755).unwrap();
        let error = folder.replace("page.html", "text").unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("page.html"), "{error}");
        assert_eq!(folder.entries().unwrap(), ["page.html"]);
    }

    #[test]
    fn what_a_killed_process_left_is_replaced_or_swept_and_what_is_being_written_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path(), 0o755).unwrap();
        let ours = format!("{UNFINISHED}{}-page.html", std::process::id());
        fs::write(directory.path().join(ours), "half a pa").unwrap();
        folder.replace("page.html", "whole").unwrap();

        let (old, new) = (format!("{UNFINISHED}1-a.html"), format!("{UNFINISHED}2-a.html"));
        for name in [&old, &new] {
            fs::write(directory.path().join(name), "half").unwrap();
        }
        let hour_ago = SystemTime::now() - Duration::from_hours(1);
        let file = File::options().write(true).open(directory.path().join(&old)).unwrap();
        file.set_modified(hour_ago).unwrap();
        folder.sweep().unwrap();
        let names = folder.names().unwrap();
        assert!(names.contains(&new) && names.contains("page.html") && !names.contains(&old));
    }
}
