//! How long a disk takes at the moment.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags};

/// What is written to see how long it takes: a page.
const PAGE: [u8; 4096] = [0; 4096];

/// How long it takes until a page is safe on the file system of `directory`. What is written has no
/// name, and is gone at once.
///
/// # Errors
/// Where it cannot be tried: the file system has no files without names, or is full.
pub fn of_disk(directory: &Path) -> io::Result<Duration> {
    let begun = Instant::now();
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::io::write(&file, &PAGE)?;
    rustix::fs::fsync(&file)?;
    Ok(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        assert!(of_disk(directory.path()).is_ok());
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
        assert!(of_disk(&directory.path().join("nothing")).is_err());
    }
}
