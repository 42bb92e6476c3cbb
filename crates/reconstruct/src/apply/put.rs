//! Messages that are put under the name of the record whose they are.
//!
//! The message first gets a second name, the one in the quarantine that is meant for what stands in
//! its way; then the two are exchanged, in one instant, whatever kind of entry that was. All second
//! names are given before the first exchange, and a message that stands in the way of another is put
//! into its own place before: so each has a name in the mailbox at every instant. Where messages
//! stand in each other's way, two are exchanged for one another; of a longer circle one message is in
//! the quarantine only between the first exchange and the last, and a run that follows an
//! interrupted one [finishes](finish_interrupted) them.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use mailstore::volume::{GuardedDir, Kind, message_file_name};

use super::commit::Commit;
use super::keep::link_or_copy;
use super::rename::note_copy;
use super::stage::Staged;
use crate::error::Error;
use crate::evidence::FileIdentity;
use crate::examine::identity_of;
use crate::manifest::{Change, How, inode_at};
use crate::plan::{MessageContent, Put};

/// A message to put into its place.
pub(super) struct PlannedPut<'a> {
    content: Content<'a>,
    pub(super) change: Change,
    /// Whether the next one is put where this one stood, and the other way round.
    changes_places_with_next: bool,
}

enum Content<'a> {
    /// An entry of the mailbox, which keeps its name for the time being.
    Entry(PathBuf, FileIdentity),
    /// A file that was staged.
    Staged(&'a Path),
}

/// What is to be done for `put`.
pub(super) fn list<'a>(
    commit: &mut Commit<'_>,
    put: &Put,
    staged: &'a Staged,
) -> Result<PlannedPut<'a>, Error> {
    let origin = commit.entry(put.place, message_file_name(put.uid));
    let MessageContent { name, identity, with_crlf } = &put.content;
    let from = commit.entry(put.place, name);
    must_be(&from, *identity)?;
    let (content, ino, reason) = if *with_crlf {
        let converted = staged.converted.iter();
        let converted = converted.rev().find(|file| file.uid == put.uid);
        let converted = converted.ok_or(Error::KeepsChanging)?;
        let reason = "with its line ends put right it is the record's message";
        (Content::Staged(&converted.path), converted.ino, reason)
    } else {
        (Content::Entry(from, *identity), identity.ino, "another file is the record's message")
    };
    let change = commit.replaced(&origin, Some(ino), "quarantine", How::Exchanged, reason)?;
    Ok(PlannedPut { content, change, changes_places_with_next: false })
}

/// Brings `puts` into an order in which a message is put into its place before another takes the one
/// in which it stood.
pub(super) fn arrange(puts: Vec<PlannedPut<'_>>) -> Vec<PlannedPut<'_>> {
    let by_origin: HashMap<PathBuf, usize> =
        puts.iter().enumerate().map(|(at, put)| (put.change.origin().to_owned(), at)).collect();
    // The put that takes the place in which the message of this one stands.
    let next: Vec<Option<usize>> =
        puts.iter().map(|put| by_origin.get(put.stands_at()?).copied()).collect();
    let mut waits_for = vec![0_usize; puts.len()];
    for &at in next.iter().flatten() {
        if let Some(count) = waits_for.get_mut(at) {
            *count += 1;
        }
    }
    let mut puts: Vec<Option<PlannedPut<'_>>> = puts.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(puts.len());
    let starts = (0..puts.len()).filter(|&at| waits_for.get(at) == Some(&0)).collect::<Vec<_>>();
    for start in starts {
        let mut here = Some(start);
        while let Some(at) = here {
            ordered.extend(puts.get_mut(at).and_then(Option::take));
            here = next.get(at).copied().flatten().filter(|&at| {
                waits_for.get_mut(at).is_some_and(|count| {
                    *count = count.saturating_sub(1);
                    *count == 0
                })
            });
        }
    }
    // What is left are circles.
    for start in 0..puts.len() {
        let first = ordered.len();
        let mut here = Some(start);
        while let Some(put) = here.and_then(|at| puts.get_mut(at)).and_then(Option::take) {
            ordered.push(put);
            here = here.and_then(|at| next.get(at).copied().flatten());
        }
        if let Some([one, _]) = ordered.get_mut(first..) {
            one.changes_places_with_next = true;
        }
    }
    ordered
}

impl PlannedPut<'_> {
    fn stands_at(&self) -> Option<&Path> {
        match &self.content {
            Content::Entry(from, _) => Some(from),
            Content::Staged(_) => None,
        }
    }
}

/// Gives every message its second name; where nothing stands in its way, that is its own.
pub(super) fn link_contents(commit: &Commit<'_>, puts: &mut [PlannedPut<'_>]) -> Result<(), Error> {
    let mut rest = puts.iter_mut();
    while let Some(put) = rest.next() {
        if put.changes_places_with_next
            && let Some(other) = rest.next()
        {
            if keep_pair(commit, put, other)? {
                continue;
            }
            put.changes_places_with_next = false;
            link_content(commit, other)?;
        }
        link_content(commit, put)?;
    }
    let names = puts.iter().map(|put| put.change.now().unwrap_or(put.change.origin()));
    commit.sync_parents(names)
}

fn link_content(commit: &Commit<'_>, put: &PlannedPut<'_>) -> Result<(), Error> {
    let PlannedPut { content, change, .. } = put;
    let to = change.now().unwrap_or(change.origin());
    match content {
        Content::Entry(from, identity) => {
            if link_or_copy(commit.workshop, from, to)? {
                note_copy(commit, change)?;
            } else {
                must_be(to, *identity)?;
            }
        }
        Content::Staged(from) => commit.workshop.ops().move_to_free(from, to)?,
    }
    Ok(())
}

/// Gives two messages that change places the second names that they will have in the quarantine;
/// `false` where the kernel gives none.
fn keep_pair(
    commit: &Commit<'_>,
    one: &PlannedPut<'_>,
    other: &PlannedPut<'_>,
) -> Result<bool, Error> {
    let ops = commit.workshop.ops();
    let (Some(now), Some(other_now)) = (one.change.now(), other.change.now()) else {
        return Ok(false);
    };
    let link = |change: &Change, now: &Path| match ops.link(change.origin(), now) {
        Err(error) if error.source.kind() == ErrorKind::PermissionDenied => Ok(false),
        linked => linked.map(|()| true),
    };
    if !link(&one.change, now)? {
        return Ok(false);
    }
    let both = link(&other.change, other_now)?;
    if !both {
        ops.remove(now)?;
    }
    Ok(both)
}

/// Exchanges every message with what stands in its way.
pub(super) fn exchange(commit: &Commit<'_>, puts: &[PlannedPut<'_>]) -> Result<(), Error> {
    let mut exchanged = Vec::new();
    let mut rest = puts.iter();
    while let Some(PlannedPut { change, changes_places_with_next, .. }) = rest.next() {
        let (origin, Some(now)) = (change.origin(), change.now()) else { continue };
        let other = changes_places_with_next.then(|| rest.next()).flatten();
        match other.map(|other| (other.change.origin(), other.change.now())) {
            Some((partner, Some(kept))) => {
                change_places(commit, (origin, now), (partner, kept))?;
                exchanged.push(partner);
            }
            _ => exchange_or_replace(commit, now, origin)?,
        }
        exchanged.extend([now, origin]);
    }
    commit.sync_parents(exchanged.into_iter())
}

/// Lets two messages change places of which each has a second name.
fn change_places(
    commit: &Commit<'_>,
    (one, one_kept): (&Path, &Path),
    (other, other_kept): (&Path, &Path),
) -> Result<(), Error> {
    match commit.workshop.ops().exchange(other, one) {
        Err(error) if error.is_unsupported() => {
            link_over(commit, other_kept, one)?;
            link_over(commit, one_kept, other)
        }
        exchanged => Ok(exchanged?),
    }
}

/// Finishes the exchanges of a run that was interrupted among them, of which one message may have
/// no name in the mailbox yet. `changes` are those of that run.
pub(super) fn finish_interrupted(commit: &Commit<'_>, changes: &[Change]) -> Result<(), Error> {
    // What was noted last of a name counts: an interrupted run can have been resumed.
    let exchanges = changes.iter().filter(|change| change.how == How::Exchanged);
    let exchanges: HashMap<&Path, &Change> =
        exchanges.map(|change| (change.origin(), change)).collect();
    let kept = kept_inodes(exchanges.values().copied());
    let pending =
        exchanges.into_values().filter(|change| inode_at(change.origin()) == change.before);
    let pending: Vec<_> = pending.collect();
    let message_of = |change: &Change| change.after.and_then(|after| kept.get(&after));
    // Not all have their second names: none was exchanged yet.
    if !pending.iter().all(|change| message_of(change).is_some()) {
        return Ok(());
    }
    let mut finished = Vec::new();
    for change in pending {
        let (origin, Some(now)) = (change.origin(), change.now()) else { continue };
        let Some(message) = message_of(change) else { continue };
        if message == now {
            exchange_or_replace(commit, now, origin)?;
        } else {
            if inode_at(now).is_none() {
                commit.workshop.ops().link(origin, now)?;
            }
            link_over(commit, message, origin)?;
        }
        finished.extend([now, origin]);
    }
    commit.sync_parents(finished.into_iter())
}

fn exchange_or_replace(commit: &Commit<'_>, now: &Path, origin: &Path) -> Result<(), Error> {
    match commit.workshop.ops().exchange(now, origin) {
        Err(error) if error.is_unsupported() => replace(commit, now, origin),
        exchanged => Ok(exchanged?),
    }
}

/// What lies in the quarantine of an interrupted run, by inode.
fn kept_inodes<'c>(changes: impl Iterator<Item = &'c Change>) -> HashMap<u64, PathBuf> {
    let directories: HashSet<&Path> = changes.filter_map(|change| change.now()?.parent()).collect();
    let entries = directories.into_iter().filter_map(|directory| directory.read_dir().ok());
    entries.flatten().flatten().map(|entry| (entry.ino(), entry.path())).collect()
}

/// Puts a second name of `message` in the place of `origin`, of which there is another name.
fn link_over(commit: &Commit<'_>, message: &Path, origin: &Path) -> Result<(), Error> {
    let ops = commit.workshop.ops();
    let folder = commit.target.folder(commit.workshop, origin);
    let name = origin.file_name().unwrap_or_default().to_string_lossy();
    let between = commit.workshop.new_path(&folder, &name)?;
    ops.link(message, &between)?;
    Ok(ops.rename(&between, origin)?)
}

/// The same on a file system that exchanges nothing: what stands in the way gets its name in the
/// quarantine, and the message then takes its place. Between the two a directory's name belongs to
/// nothing, any other entry's to the old or the new.
fn replace(commit: &Commit<'_>, now: &Path, origin: &Path) -> Result<(), Error> {
    let ops = commit.workshop.ops();
    let folder = commit.target.folder(commit.workshop, origin);
    let name = origin.file_name().unwrap_or_default();
    // Not among what is swept: it may be the only name that the message has.
    let between = commit.workshop.keep_path(&folder, "quarantine", name, |_| false)?;
    ops.move_to_free(now, &between)?;
    let is_directory = origin.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    match ops.link(origin, now) {
        Err(error) if is_directory || error.source.kind() == ErrorKind::PermissionDenied => {
            ops.move_to_free(origin, now)?;
        }
        linked => linked?,
    }
    commit.sync_parents([now].into_iter())?;
    Ok(ops.rename(&between, origin)?)
}

/// Fails where the entry is not the file that the plan saw.
pub(super) fn must_be(path: &Path, identity: FileIdentity) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let meta = GuardedDir::open_trusted(parent)
        .and_then(|directory| directory.stat(path.file_name().unwrap_or_default()));
    let is_it = meta.is_ok_and(|meta| meta.kind == Kind::Regular && identity_of(&meta) == identity);
    if is_it { Ok(()) } else { Err(Error::KeepsChanging) }
}
