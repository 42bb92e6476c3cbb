//! Second names for files, or copies where there can be none.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use mailstore::replace::Ownership;
use mailstore_format::Timestamp;

use crate::error::Error;
use crate::workshop::Workshop;

/// So much of a file is copied at a time.
const COPIED_AT_ONCE: usize = 1 << 20;

/// Gives the file `original` the second name `kept`, or makes a copy of that name, with its times,
/// where the kernel gives nobody a second name of another's file (`fs.protected_hardlinks`). Tells
/// whether it is a copy.
pub(super) fn link_or_copy(
    workshop: &Workshop,
    original: &Path,
    kept: &Path,
) -> Result<bool, Error> {
    match workshop.ops().link(original, kept) {
        Err(error) if error.source.kind() == ErrorKind::PermissionDenied => {
            copy(workshop, original, kept)?;
            Ok(true)
        }
        linked => Ok(linked.map(|()| false)?),
    }
}

fn copy(workshop: &Workshop, original: &Path, kept: &Path) -> Result<(), Error> {
    let read_error = |source| Error::io("read", original, source);
    let mut from = File::open(original).map_err(read_error)?;
    let meta = from.metadata().map_err(read_error)?;
    let mut to = workshop.ops().create(kept)?;
    let mut chunk = vec![0; COPIED_AT_ONCE];
    loop {
        let len = from.read(&mut chunk).map_err(read_error)?;
        match chunk.get(..len) {
            Some(read) if !read.is_empty() => to.write(read)?,
            _ => break,
        }
    }
    let ownership = Ownership { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o7777 };
    let nanoseconds = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
    Ok(to.finish_as_of(ownership, Timestamp(nanoseconds))?)
}
