//! Names that are given before the commit: new ones to messages that get a new UID, whose old names
//! go when the index is in place; old ones to files that lie in the quarantine of a run that is
//! undone; to messages that come from outside.

use std::path::{Path, PathBuf};

use mailstore::volume::message_file_name;

use super::commit::Commit;
use super::keep::link_or_copy;
use super::put::must_be;
use crate::error::Error;
use crate::evidence::FileIdentity;
use crate::manifest::{Change, How, inode_at};
use crate::plan::{Arrive, Rename, Return};

/// A second name that a message gets.
pub(super) struct NewName {
    identity: FileIdentity,
    from: PathBuf,
    pub(super) change: Change,
}

/// What is to be done for `rename`; nothing where a run that was interrupted did it already.
pub(super) fn list(commit: &Commit<'_>, rename: &Rename) -> Result<Option<NewName>, Error> {
    let from = commit.entry(rename.place, &rename.from);
    let to = commit.entry(rename.place, message_file_name(rename.to));
    must_be(&from, rename.identity)?;
    if inode_at(&to) == Some(rename.identity.ino) {
        return Ok(None);
    }
    let reason = "a message gets a new UID";
    Ok(Some(new_name(commit, from, &to, rename.identity, reason)))
}

/// What is to be done for `back`.
pub(super) fn list_return(commit: &Commit<'_>, back: &Return) -> Result<NewName, Error> {
    let to = commit.entry(back.place, &back.name);
    must_be(&back.kept, back.identity)?;
    let reason = "it had this name before the run that is undone";
    Ok(new_name(commit, back.kept.clone(), &to, back.identity, reason))
}

/// What is to be done for `arrive`.
pub(super) fn list_arrival(commit: &Commit<'_>, arrive: &Arrive) -> Result<NewName, Error> {
    let to = commit.entry(arrive.place, message_file_name(arrive.noted.to));
    must_be(&arrive.ready, arrive.identity)?;
    let reason = "a message comes from outside";
    let name = new_name(commit, arrive.ready.clone(), &to, arrive.identity, reason);
    let guid = Some(arrive.noted.guid.to_string());
    Ok(NewName { change: Change { guid, ..name.change }, ..name })
}

fn new_name(
    commit: &Commit<'_>,
    from: PathBuf,
    to: &Path,
    identity: FileIdentity,
    reason: &str,
) -> NewName {
    let change = commit.change(to, How::Created, reason);
    NewName { identity, from, change: Change { after: Some(identity.ino), ..change } }
}

/// Gives messages their new names beside the old. Any other entry of such a name is an error.
pub(super) fn link_new_names(commit: &Commit<'_>, names: &[NewName]) -> Result<(), Error> {
    for NewName { identity, from, change } in names {
        let to = change.origin();
        if link_or_copy(commit.workshop, from, to)? {
            note_copy(commit, change)?;
        } else {
            must_be(to, *identity)?;
        }
    }
    commit.sync_parents(names.iter().map(|name| name.change.origin()))
}

/// Adds to the manifest that a copy stands where a second name should.
pub(super) fn note_copy(commit: &Commit<'_>, change: &Change) -> Result<(), Error> {
    let copy = change.now().unwrap_or(change.origin());
    commit.write_manifest(&[&Change { after: inode_at(copy), ..change.clone() }])
}
