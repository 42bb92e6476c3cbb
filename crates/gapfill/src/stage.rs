//! Verified copies of what is to be restored, so that a sick volume is read once.
//!
//! A copy is named by its GUID: `DIR/ab/abcd…`. What lies there under its name is whole: it was
//! written under another name first.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mailstore::volume::GuardedDir;
use mailstore_format::{Guid, Timestamp};

use crate::error::Error;
use crate::hash::LARGEST_MESSAGE;

/// A directory of verified copies.
#[derive(Debug)]
pub struct Stage {
    directory: PathBuf,
    /// Tells the temporary files of this process's threads apart.
    next: AtomicU64,
    /// Directories with names that are not durable yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl Stage {
    /// The directory at `path`, made where it is missing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        make_directory(path)?;
        let directory =
            path.canonicalize().map_err(|e| failed("find the real path of", path, e))?;
        Ok(Self { directory, next: AtomicU64::new(0), unsynced: Mutex::default() })
    }

    /// The message with this GUID and where it lies, if it is there and whole.
    #[must_use]
    pub fn get(&self, guid: &Guid) -> Option<(PathBuf, Vec<u8>)> {
        let (folder, name) = self.place_of(guid);
        let directory = GuardedDir::open_trusted(&folder).ok()?;
        let mut message = Vec::new();
        directory.read_into(OsStr::new(&name), LARGEST_MESSAGE, &mut message).ok()?;
        (Guid::of(&message) == *guid).then(|| (folder.join(name), message))
    }

    /// Puts a message there, in the place of what is there of it. `received` becomes its modification
    /// time, unless it is 0.
    pub fn put(&self, guid: &Guid, message: &[u8], received: Timestamp) -> Result<PathBuf, Error> {
        let (folder, name) = self.place_of(guid);
        let path = folder.join(name);
        make_directory(&folder)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{}-{number}", std::process::id()));
        let written = write(&temporary, message, received);
        let placed = written.and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = placed {
            // What is left of it would be in nobody's way, but for its room.
            let _ = fs::remove_file(&temporary);
            return Err(failed("write", &path, error));
        }
        self.unsynced().extend([folder, self.directory.clone()]);
        Ok(path)
    }

    fn place_of(&self, guid: &Guid) -> (PathBuf, String) {
        let name = guid.to_string();
        (self.directory.join(name.get(..2).unwrap_or_default()), name)
    }

    /// Makes all names durable that were made so far. Whoever tells others of a copy does this first.
    pub fn sync(&self) -> Result<(), Error> {
        // Held meanwhile: nobody may take for durable what somebody else is just making so.
        let mut unsynced = self.unsynced();
        while let Some(path) = unsynced.pop_last() {
            let synced = File::open(&path).and_then(|directory| directory.sync_all());
            synced.map_err(|error| failed("sync", &path, error))?;
        }
        Ok(())
    }

    fn unsynced(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_directory(path: &Path) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|error| failed("make", path, error)),
    }
}

fn write(path: &Path, message: &[u8], received: Timestamp) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(message)?;
    if let Ok(nanos) = u64::try_from(received.0)
        && nanos > 0
    {
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos))?;
    }
    file.sync_all()
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Stage { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_staged_under_its_guid_with_its_date_and_had_back_whole_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let stage = Stage::open(&temp.path().join("stage")).unwrap();
        let (guid, received) = (Guid::of(b"abc"), Timestamp::from_seconds(1_700_000_000));
        let path = stage.put(&guid, b"abc", received).unwrap();
        assert!(path.ends_with("a9/a9993e364706816aba3e25717850c26c9cd0d89d"));
        let meta = fs::metadata(&path).unwrap();
        let modified = meta.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(modified.as_secs(), 1_700_000_000);
        assert_eq!(stage.get(&guid), Some((path.clone(), b"abc".to_vec())));
        assert_eq!(stage.get(&Guid::of(b"other")), None);
        fs::write(&path, b"abd").unwrap();
        assert_eq!(stage.get(&guid), None);
        assert_eq!(stage.put(&guid, b"abc", received).unwrap(), path);
        assert!(stage.get(&guid).is_some());
        assert_eq!(stage.unsynced().len(), 2);
        stage.sync().unwrap();
        assert!(stage.unsynced().is_empty());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
