//! What lies in a mailbox's directory.
//!
//! One pass over the names, with inode and kind as the directory itself has them: 100,000 messages
//! cost some 15 ms and 16 bytes each.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mailstore_format::Uid;
use rustix::fs::{Mode, OFlags, RawDir};

use crate::volume::{FileMeta, GuardedDir, Kind, ReadError};

/// Room for some 2,000 entries a system call.
const BUFFER: usize = 64 * 1024;

/// A message's file: regular, and named by its UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpoolFile {
    /// The UID it is named by.
    pub uid: Uid,
    /// Its inode. Reading in this order is reading in the order of most disks.
    pub ino: u64,
}

/// An entry that is no message, no file of the server, and no mailbox below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OddEntry {
    /// Its name.
    pub name: OsString,
    /// What is odd about it.
    pub kind: OddKind,
    /// Its inode, as the directory has it.
    pub ino: u64,
    /// Whether we may move it elsewhere: a directory, only who may write to it.
    pub movable: bool,
}

/// Why an entry is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OddKind {
    /// A regular file whose name is no message's and none of the server's (`5`, `05.`, `core`).
    BadName,
    /// What has a message's or a server file's name and is no regular file, or is neither a file
    /// nor a directory at all. The server dies on a directory `5.` and follows a link `5.`.
    NotAFile(Kind),
    /// Its kind could not be learnt: the error number.
    Unreadable(i32),
}

/// What one directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolScan {
    /// Message files, by UID.
    pub messages: Vec<SpoolFile>,
    /// What does not belong there, by name.
    pub odd: Vec<OddEntry>,
    /// Regular files whose names begin with `cyrus.`, by name.
    pub meta_files: Vec<OsString>,
    /// Directories that are no odd entries, by name: mailboxes below, in the layout by name.
    pub subdirectories: Vec<OsString>,
    /// The directory itself: its device and inode.
    pub directory: FileMeta,
}

impl SpoolScan {
    /// Scans `directory`. An error is of the directory; those of entries are in the result.
    pub fn of(directory: &GuardedDir) -> Result<Self, ReadError> {
        // A descriptor of its own: the one of `directory` may be read by several threads, and has
        // one position.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(directory, ".", flags, Mode::empty())
            .map_err(ReadError::from_errno)?;
        let mut scan = Self {
            messages: Vec::new(),
            odd: Vec::new(),
            meta_files: Vec::new(),
            subdirectories: Vec::new(),
            directory: *directory.meta(),
        };
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(ReadError::from_errno)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                let kind = match Kind::from(entry.file_type()) {
                    // Some file systems keep no kinds in directories.
                    Kind::Unknown => directory.stat(name).map(|meta| meta.kind),
                    known => Ok(known),
                };
                scan.add(directory, name, &kind, entry.ino());
            }
        }
        scan.messages.sort_unstable();
        scan.odd.sort_unstable();
        scan.meta_files.sort_unstable();
        scan.subdirectories.sort_unstable();
        Ok(scan)
    }

    fn add(
        &mut self,
        directory: &GuardedDir,
        name: &OsStr,
        kind: &Result<Kind, ReadError>,
        ino: u64,
    ) {
        let uid = message_uid(name.as_bytes());
        let is_meta = name.as_bytes().starts_with(b"cyrus.");
        let odd = match kind {
            Ok(Kind::Regular) => match uid {
                Some(uid) => return self.messages.push(SpoolFile { uid, ino }),
                None if is_meta => return self.meta_files.push(name.to_owned()),
                None => OddKind::BadName,
            },
            Ok(Kind::Directory) if uid.is_none() && !is_meta => {
                return self.subdirectories.push(name.to_owned());
            }
            Ok(kind) => OddKind::NotAFile(*kind),
            // Gone since it was listed.
            Err(ReadError::NotFound) => return,
            Err(ReadError::Io { errno, .. }) => OddKind::Unreadable(*errno),
            Err(_) => OddKind::Unreadable(0),
        };
        let movable = !matches!(kind, Ok(Kind::Directory)) || directory.may_write_to(name);
        self.odd.push(OddEntry { name: name.to_owned(), kind: odd, ino, movable });
    }

    /// Whether there is nothing at all in the directory: as under a mount point whose disk is
    /// not mounted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.odd.is_empty()
            && self.meta_files.is_empty()
            && self.subdirectories.is_empty()
    }

    /// The message with this UID.
    #[must_use]
    pub fn message(&self, uid: Uid) -> Option<SpoolFile> {
        let found = self.messages.binary_search_by_key(&uid, |file| file.uid).ok()?;
        self.messages.get(found).copied()
    }
}

/// The UID that a file name stands for: its digits, without a leading zero, and a dot
/// (`imap/mailbox.c`, `mailbox_reconstruct`, names them so; `mailbox_record_fname` writes them).
#[must_use]
pub fn message_uid(name: &[u8]) -> Option<Uid> {
    let digits = name.strip_suffix(b".")?;
    if digits.first().is_none_or(|&first| first == b'0') {
        return None;
    }
    let appended = |number: u32, byte: &u8| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    digits.iter().try_fold(0, appended).map(Uid)
}

/// What can be said of a directory without listing it whole: of a partition's root above all, of
/// which an unmounted disk leaves an empty directory, none, or one on another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryFacts {
    /// It is there.
    Present {
        /// Its device.
        dev: u64,
        /// Its inode.
        ino: u64,
        /// Whether it holds nothing.
        empty: bool,
        /// Whether another file system is mounted on it: its device is not its parent's.
        mount_point: bool,
    },
    /// There is nothing of the name, or no way there.
    Missing,
    /// It is something else than a directory.
    NotADirectory(Kind),
    /// It cannot be read: the error number.
    Unreadable(i32),
}

impl DirectoryFacts {
    /// Looks at `path`; links to it are followed.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self::gather(path).unwrap_or_else(|error| match error {
            ReadError::NotFound => Self::Missing,
            ReadError::NotRegular(kind) => Self::NotADirectory(kind),
            ReadError::Io { errno, .. } => Self::Unreadable(errno),
            _ => Self::Unreadable(0),
        })
    }

    fn gather(path: &Path) -> Result<Self, ReadError> {
        let directory = GuardedDir::open_trusted(path)?;
        let meta = directory.meta();
        let parent = directory.stat(OsStr::new(".."))?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut entries = RawDir::new(&directory, &mut buffer);
        let mut empty = true;
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(ReadError::from_errno)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                empty = false;
                break;
            }
        }
        // The root of the whole tree is its own parent, and mounted.
        let mount_point = parent.dev != meta.dev || parent.ino == meta.ino;
        Ok(Self::Present { dev: meta.dev, ino: meta.ino, empty, mount_point })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn scan(path: &Path) -> SpoolScan {
        SpoolScan::of(&GuardedDir::open_trusted(path).unwrap()).unwrap()
    }

    #[test]
    fn a_message_is_named_by_its_uid_and_a_dot() {
        assert_eq!(message_uid(b"1."), Some(Uid(1)));
        assert_eq!(message_uid(b"4294967295."), Some(Uid(u32::MAX)));
        for other in ["0.", "01.", "4294967296.", "5", ".", "", "5..", "+5.", "5.bak", " 5.", "5x."]
        {
            assert_eq!(message_uid(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn every_entry_is_sorted_into_what_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path();
        for name in ["10.", "9.", "cyrus.index", "cyrus.cache.NEW", "core", "07."] {
            fs::write(path.join(name), b"").unwrap();
        }
        for name in ["Sent", "5.", "cyrus.header"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", path.join("6.")).unwrap();
        std::os::unix::fs::symlink("/etc", path.join("link")).unwrap();
        let scan = scan(path);
        let uids: Vec<u32> = scan.messages.iter().map(|file| file.uid.0).collect();
        assert_eq!(uids, [9, 10]);
        assert_eq!(scan.meta_files, ["cyrus.cache.NEW", "cyrus.index"]);
        assert_eq!(scan.subdirectories, ["Sent"]);
        let odd: Vec<_> =
            scan.odd.iter().map(|odd| (odd.name.to_str().unwrap(), odd.kind)).collect();
        let expected = [
            ("07.", OddKind::BadName),
            ("5.", OddKind::NotAFile(Kind::Directory)),
            ("6.", OddKind::NotAFile(Kind::Symlink)),
            ("core", OddKind::BadName),
            ("cyrus.header", OddKind::NotAFile(Kind::Directory)),
            ("link", OddKind::NotAFile(Kind::Symlink)),
        ];
        assert_eq!(odd, expected);
        let ino = std::os::unix::fs::MetadataExt::ino(&fs::metadata(path.join("9.")).unwrap());
        assert_eq!(scan.message(Uid(9)), Some(SpoolFile { uid: Uid(9), ino }));
        assert_eq!(scan.message(Uid(11)), None);
        assert!(!scan.is_empty());
    }

    #[test]
    fn many_entries_are_listed_once_each_by_several_scans_of_one_directory() {
        let temp = tempfile::tempdir().unwrap();
        for uid in 1..=5000 {
            fs::write(temp.path().join(format!("{uid}.")), b"").unwrap();
        }
        let guarded = GuardedDir::open_trusted(temp.path()).unwrap();
        for _ in 0..2 {
            let scan = SpoolScan::of(&guarded).unwrap();
            assert!(scan.messages.iter().map(|file| file.uid.0).eq(1..=5000));
        }
    }

    #[test]
    fn an_empty_a_missing_and_a_mounted_directory_are_told_apart() {
        let temp = tempfile::tempdir().unwrap();
        assert!(scan(temp.path()).is_empty());
        let facts = DirectoryFacts::of(temp.path());
        assert!(matches!(facts, DirectoryFacts::Present { empty: true, mount_point: false, .. }));
        fs::write(temp.path().join("file"), b"").unwrap();
        let facts = DirectoryFacts::of(temp.path());
        assert!(matches!(facts, DirectoryFacts::Present { empty: false, .. }));
        assert_eq!(DirectoryFacts::of(&temp.path().join("none")), DirectoryFacts::Missing);
        assert_eq!(
            DirectoryFacts::of(&temp.path().join("file")),
            DirectoryFacts::NotADirectory(Kind::Regular)
        );
        let mounted = DirectoryFacts::of(Path::new("/proc"));
        assert!(matches!(mounted, DirectoryFacts::Present { mount_point: true, .. }));
    }
}
