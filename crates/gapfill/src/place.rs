//! A directory of a tree that nobody vouches for, and what of such a tree was passed over.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailstore::volume::{GuardedDir, Kind, ReadError};

/// A directory below a root that is held open. It is opened anew each time it is needed, without
/// following any link, so that a million of them cost no descriptor.
#[derive(Debug, Clone)]
pub struct Place {
    root: Arc<GuardedDir>,
    below: PathBuf,
}

impl Place {
    /// The root of a tree, at a path that is trusted: links on the way to it are followed.
    pub fn root(path: &Path) -> Result<Self, ReadError> {
        let root = Arc::new(GuardedDir::open_trusted(path)?);
        Ok(Self { root, below: PathBuf::new() })
    }

    /// The directory `below` this one.
    #[must_use]
    pub fn join(&self, below: impl AsRef<Path>) -> Self {
        Self { root: Arc::clone(&self.root), below: self.below.join(below) }
    }

    /// Opens it.
    pub fn open(&self) -> Result<Arc<GuardedDir>, ReadError> {
        if self.below.as_os_str().is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        self.root.open_below(&self.below).map(Arc::new)
    }

    /// Its path below the root.
    #[must_use]
    pub fn below(&self) -> &Path {
        &self.below
    }

    /// Its whole path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        if self.below.as_os_str().is_empty() {
            return self.root.path().to_owned();
        }
        self.root.path().join(&self.below)
    }

    /// The path of an entry of it.
    #[must_use]
    pub fn entry(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path().join(name.as_ref())
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
        assert_eq!(place.open().unwrap().path(), temp.path().join("a/b"));
        assert_eq!(place.entry("1."), temp.path().join("a/b/1."));
        let error = root.join("link/b").open().unwrap_err();
        assert!(!Skipped::of(temp.path().join("link"), error).hides_mail());
    }
}
