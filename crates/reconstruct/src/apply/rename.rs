//! New names for messages that get a new UID. The old names go when the index is in place.

use std::path::PathBuf;

use mailstore::volume::message_file_name;

use super::commit::Commit;
use super::keep::link_or_copy;
use super::put::must_be;
use crate::error::Error;
use crate::manifest::{Change, How, inode_at};
use crate::plan::Rename;

/// A second name that a message gets.
pub(super) struct NewName<'a> {
    rename: &'a Rename,
    from: PathBuf,
    pub(super) change: Change,
}

/// What is to be done for `rename`; nothing where a run that was interrupted did it already.
pub(super) fn list<'a>(
    commit: &Commit<'_>,
    rename: &'a Rename,
) -> Result<Option<NewName<'a>>, Error> {
    let from = commit.entry(rename.place, &rename.from);
    let to = commit.entry(rename.place, message_file_name(rename.to));
    must_be(&from, rename.identity)?;
    if inode_at(&to) == Some(rename.identity.ino) {
        return Ok(None);
    }
    let change = commit.change(&to, How::Created, "a message gets a new UID");
    let change = Change { after: Some(rename.identity.ino), ..change };
    Ok(Some(NewName { rename, from, change }))
}

/// Gives messages their new names beside the old. Any other entry of such a name is an error.
pub(super) fn link_new_names(commit: &Commit<'_>, names: &[NewName<'_>]) -> Result<(), Error> {
    for NewName { rename, from, change } in names {
        let to = change.origin();
        if link_or_copy(commit.workshop, from, to)? {
            note_copy(commit, change)?;
        } else {
            must_be(to, rename.identity)?;
        }
    }
    commit.sync_parents(names.iter().map(|name| name.change.origin()))
}

/// Adds to the manifest that a copy stands where a second name should.
pub(super) fn note_copy(commit: &Commit<'_>, change: &Change) -> Result<(), Error> {
    let copy = change.now().unwrap_or(change.origin());
    commit.write_manifest(&[&Change { after: inode_at(copy), ..change.clone() }])
}
