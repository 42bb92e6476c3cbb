//! A directory of a tree that nobody vouches for, and what of such a tree was passed over.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailstore::spool::SpoolScan;
use mailstore::volume::{FileMeta, GuardedDir, Kind, ReadError};

use crate::pace::{Devices, Gate};

/// A directory below a root that is held open. It is opened anew each time it is needed, without
/// following any link, so that a million of them cost no descriptor.
#[derive(Debug, Clone)]
pub struct Place {
    root: Arc<Root>,
    below: PathBuf,
}

#[derive(Debug)]
struct Root {
    directory: GuardedDir,
    /// What readers of a source pass; none before the live store.
    gate: Option<Arc<Gate>>,
}

impl Place {
    /// The root of a tree, at a path that is trusted: links on the way to it are followed.
    pub fn root(path: &Path) -> Result<Self, ReadError> {
        let directory = GuardedDir::open_trusted(path)?;
        Ok(Self { root: Arc::new(Root { directory, gate: None }), below: PathBuf::new() })
    }

    /// The same, read no faster than its device may be.
    pub(crate) fn root_on(path: &Path, devices: &Devices) -> Result<Self, ReadError> {
        let directory = GuardedDir::open_trusted(path)?;
        let gate = Some(devices.gate(directory.meta().dev));
        Ok(Self { root: Arc::new(Root { directory, gate }), below: PathBuf::new() })
    }

    /// The directory `below` this one.
    #[must_use]
    pub fn join(&self, below: impl AsRef<Path>) -> Self {
        Self { root: Arc::clone(&self.root), below: self.below.join(below) }
    }

    /// Opens it.
    pub fn open(&self) -> Result<OpenPlace, ReadError> {
        let below = if self.below.as_os_str().is_empty() {
            None
        } else {
            Some(self.root.directory.open_below(&self.below)?)
        };
        Ok(OpenPlace { root: Arc::clone(&self.root), below })
    }

    /// Its path below the root.
    #[must_use]
    pub fn below(&self) -> &Path {
        &self.below
    }

    /// Its whole path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let root = self.root.directory.path();
        if self.below.as_os_str().is_empty() { root.to_owned() } else { root.join(&self.below) }
    }

    /// The path of an entry of it.
    #[must_use]
    pub fn entry(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path().join(name.as_ref())
    }
}

/// A directory that is open, read at the pace of its device.
#[derive(Debug)]
pub struct OpenPlace {
    root: Arc<Root>,
    /// The directory, unless it is the root.
    below: Option<GuardedDir>,
}

impl OpenPlace {
    fn directory(&self) -> &GuardedDir {
        self.below.as_ref().unwrap_or(&self.root.directory)
    }

    /// What its inode says.
    #[must_use]
    pub fn meta(&self) -> &FileMeta {
        self.directory().meta()
    }

    /// What the entry `name` is, without opening or following it.
    pub fn stat(&self, name: &OsStr) -> Result<FileMeta, ReadError> {
        self.directory().stat(name)
    }

    /// What it holds.
    pub fn scan(&self) -> Result<SpoolScan, ReadError> {
        let _reader = self.root.gate.as_ref().map(|gate| gate.enter());
        SpoolScan::of(self.directory())
    }

    /// Reads a regular file, as [`GuardedDir::read_into`] does.
    pub fn read_into(
        &self,
        name: &OsStr,
        max: u64,
        content: &mut Vec<u8>,
    ) -> Result<FileMeta, ReadError> {
        let Some(gate) = &self.root.gate else {
            return self.directory().read_into(name, max, content);
        };
        gate.enter().read(|| {
            let read = self.directory().read_into(name, max, content);
            (read, u64::try_from(content.len()).unwrap_or(u64::MAX))
        })
    }
}

/// An entry that was not looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which.
    pub path: PathBuf,
    /// Why not.
    pub why: Why,
}

/// Why an entry was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is neither a directory nor a regular file. Links are never followed.
    Kind(Kind),
    /// The disk or the system refused: what is there is not known.
    Unreadable(ReadError),
    /// It was reached before by another way.
    SeenBefore,
}

impl Skipped {
    /// What could not be had of `path`: something of another kind, or something unreadable.
    #[must_use]
    pub fn of(path: PathBuf, error: ReadError) -> Self {
        let why = match error {
            ReadError::NotRegular(kind) => Why::Kind(kind),
            other => Why::Unreadable(other),
        };
        Self { path, why }
    }

    /// Whether mail may be there that was not seen.
    #[must_use]
    pub fn hides_mail(&self) -> bool {
        matches!(self.why, Why::Unreadable(_))
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_os_str().as_encoded_bytes().escape_ascii();
        match &self.why {
            Why::Kind(kind) => write!(f, "{path}: is {kind}"),
            Why::Unreadable(error) => write!(f, "{path}: {error}"),
            Why::SeenBefore => write!(f, "{path}: the same directory as one seen before"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_opened_below_its_root_and_never_through_a_link() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", temp.path().join("link")).unwrap();
        let root = Place::root(temp.path()).unwrap();
        assert_eq!(root.path(), temp.path());
        assert!(root.open().is_ok());
        let place = root.join("a").join("b");
        assert_eq!(place.path(), temp.path().join("a/b"));
        let inode = std::fs::metadata(place.path()).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&inode);
        assert_eq!(place.open().unwrap().meta().ino, inode);
        assert_eq!(place.entry("1."), temp.path().join("a/b/1."));
        let error = root.join("link/b").open().unwrap_err();
        assert!(!Skipped::of(temp.path().join("link"), error).hides_mail());
    }
}
