//! Messages whose line ends were changed: written anew with the right ones, beside the mailbox, and
//! proved to be the message of their record.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::PathBuf;

use mailstore::volume::{GuardedDir, ReadError, message_file_name};
use mailstore_format::line_ends::LineEnds;
use mailstore_format::{Guid, GuidHasher, Uid};

use super::stage::ownership;
use crate::error::Error;
use crate::evidence::{FileIdentity, Place};
use crate::examine::identity_of;
use crate::manifest::inode_at;
use crate::plan::{MessageContent, Rewrite};
use crate::target::Target;
use crate::workshop::Workshop;

/// So much of a file is converted at a time.
const CHUNK: usize = 1 << 20;

/// A message with its line ends put right, in the run's folder.
pub(super) struct Converted {
    pub(super) uid: Uid,
    place: Place,
    /// The file that it was made of.
    source: FileIdentity,
    pub(super) path: PathBuf,
    pub(super) ino: u64,
}

/// Writes every message of `rewrite` that is put with other line ends; what was `converted` before
/// from the same file serves again.
pub(super) fn convert(
    target: &Target,
    workshop: &Workshop,
    rewrite: &Rewrite,
    mut converted: Vec<Converted>,
) -> Result<Vec<Converted>, Error> {
    let mut needed = Vec::new();
    for put in &rewrite.file_steps.puts {
        let MessageContent { name, identity, with_crlf: true } = &put.content else { continue };
        let is_it = |known: &Converted| {
            (known.uid, known.place, known.source) == (put.uid, put.place, *identity)
        };
        needed.push(match converted.iter().position(is_it) {
            Some(at) => converted.swap_remove(at),
            None => write(target, workshop, rewrite, (put.place, put.uid), (name, *identity))?,
        });
    }
    Ok(needed)
}

/// How many bytes the converted messages of each place take, at most: every byte may be a LF.
pub(super) fn room_for(rewrite: &Rewrite) -> impl Iterator<Item = (Place, u64)> {
    let made = rewrite.file_steps.puts.iter().filter(|put| put.content.with_crlf);
    made.map(|put| (put.place, put.content.identity.size.saturating_mul(2)))
}

fn write(
    target: &Target,
    workshop: &Workshop,
    rewrite: &Rewrite,
    (place, uid): (Place, Uid),
    (name, source): (&OsStr, FileIdentity),
) -> Result<Converted, Error> {
    let directory = target.directory(place);
    let original = directory.join(name);
    let read_error = |error: ReadError| match error {
        ReadError::NotFound | ReadError::NotRegular(_) => Error::KeepsChanging,
        error => Error::io("read", &original, std::io::Error::other(error.to_string())),
    };
    let opened = GuardedDir::open_trusted(directory).and_then(|at| at.open_file(name));
    let (mut file, meta) = opened.map_err(read_error)?;
    if identity_of(&meta) != source {
        return Err(Error::KeepsChanging);
    }
    let folder = target.folder(workshop, &original);
    let path = workshop.new_path(&folder, &message_file_name(uid))?;
    let mut to = workshop.ops().create(&path)?;
    let (mut ends, mut hasher) = (LineEnds::default(), GuidHasher::default());
    let (mut piece, mut converted) = (vec![0; CHUNK], Vec::with_capacity(CHUNK));
    loop {
        let read = file.read(&mut piece);
        let len = read.map_err(|source| Error::io("read", &original, source))?;
        let Some(piece) = piece.get(..len).filter(|piece| !piece.is_empty()) else { break };
        ends.convert(piece, &mut converted);
        hasher.update(&converted);
        to.write(&converted)?;
    }
    to.finish_as_of(ownership(workshop, &original)?, source.mtime)?;
    if guid_of(rewrite, uid) != Some(hasher.finish()) {
        let what = "with CRLF it is not the message of its record";
        return Err(Error::NotAsWritten { path, what });
    }
    let ino =
        inode_at(&path).ok_or(Error::NotAsWritten { path: path.clone(), what: "it is gone" })?;
    Ok(Converted { uid, place, source, path, ino })
}

/// The GUID of the planned record of `uid`.
pub(super) fn guid_of(rewrite: &Rewrite, uid: Uid) -> Option<Guid> {
    let at = rewrite.records.binary_search_by_key(&uid, |planned| planned.record.uid).ok()?;
    rewrite.records.get(at).map(|planned| planned.record.guid)
}
