//! What a run changes in the directories of a mailbox, name by name, with what stood there before
//! and what stands there after: enough to put everything back, whatever the run came to.
//!
//! A manifest lies in the mailbox's folder of the run, one for each file system, and is written
//! before anything it tells of is done.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::path_text::PathText;
use crate::target::Target;
use crate::workshop::RECOVERY_DIRECTORY;

/// The manifest in a mailbox's folder, one JSON object a line.
pub(crate) const MANIFEST: &str = "manifest.jsonl";

/// What a run does to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// A new file takes the place of the old, which has a second name in the run's folder.
    Replaced,
    /// There was nothing of this name.
    Created,
    /// What has the name, of whatever kind, is exchanged for a message.
    Exchanged,
    /// It is moved to the run's folder.
    Moved,
    /// A directory in which any of this happens.
    Directory,
}

/// A line of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The mailbox, as operators write it.
    pub(crate) mailbox: String,
    /// The name of its folder.
    pub(crate) key: String,
    pub(crate) how: How,
    /// The path that changes.
    pub(crate) origin: PathText,
    /// Where what stood there is afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) now: Option<PathText>,
    /// Why, for people.
    pub(crate) reason: String,
    /// The inode of what stood there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<u64>,
    /// The inode of what stands there afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
    /// The GUID of a message that is moved, where the run knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) guid: Option<String>,
    /// Of a directory: when it was last modified before, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mtime_ns: Option<i64>,
}

impl Change {
    pub(crate) fn origin(&self) -> &Path {
        self.origin.as_path()
    }

    pub(crate) fn now(&self) -> Option<&Path> {
        self.now.as_ref().map(PathText::as_path)
    }
}

/// The inode of the entry, of whatever kind; `None` where there is none.
pub(crate) fn inode_at(path: &Path) -> Option<u64> {
    path.symlink_metadata().ok().map(|meta| meta.ino())
}

/// Reads the manifests that the run of this name left about a mailbox, in the order of writing. A
/// line that a crash cut is passed over: what it tells of was not done. So is one that would lead out
/// of the mailbox's directories or the run's folder.
pub(crate) fn of_run(target: &Target, run: &OsStr) -> Vec<Change> {
    let mut changes = Vec::new();
    for root in target.recovery_roots() {
        let folder = root.join(RECOVERY_DIRECTORY).join(run).join(&target.key);
        let lines = read_manifest(&folder);
        changes.extend(lines.into_iter().filter(|change| is_harmless(change, target, &folder)));
    }
    changes
}

fn is_harmless(change: &Change, target: &Target, folder: &Path) -> bool {
    let is_plain = |path: &Path| path.components().all(|part| part != Component::ParentDir);
    let directories = target.directories();
    let origin = change.origin();
    let is_in_mailbox = match change.how {
        How::Directory | How::Created if directories.iter().any(|at| at.starts_with(origin)) => {
            true
        }
        _ => origin.parent().is_some_and(|parent| directories.contains(&parent)),
    };
    let is_kept = |now: &Path| is_plain(now) && now.starts_with(folder);
    is_plain(origin) && is_in_mailbox && change.now().is_none_or(is_kept)
}

fn read_manifest(folder: &Path) -> Vec<Change> {
    let Ok(file) = File::open(folder.join(MANIFEST)) else { return Vec::new() };
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| serde_json::from_slice(&line).ok()).collect()
}
