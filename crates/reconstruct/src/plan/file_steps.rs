//! What a plan does with the entries of a mailbox's directories.
//!
//! The order in which these steps are carried out is that of [`FileSteps`]' fields, around the
//! commit: first what only adds or puts right, last what only takes away.

use std::ffi::OsString;
use std::path::PathBuf;

use mailstore_format::Uid;

use crate::evidence::{FileIdentity, Place};
use crate::journal::Arriving;

/// The steps of one plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSteps {
    /// Messages that are put under the name of the record whose they are. Before the commit: each
    /// is one exchange, after which the record has its own message.
    pub puts: Vec<Put>,
    /// Messages that get a new UID. The new name is linked before the commit, the old one is put
    /// into the quarantine after it.
    pub renames: Vec<Rename>,
    /// Files that get the name back that they had before a run that is undone, before the commit.
    pub returns: Vec<Return>,
    /// Messages that come in from outside, before the commit.
    pub arrivals: Vec<Arrive>,
    /// Entries that are moved to the quarantine after the commit.
    pub set_aside: Vec<SetAside>,
}

/// A message that gets the name of a new UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// Where it lies.
    pub place: Place,
    /// Its name, as `7.` or, badly, `007.`.
    pub from: OsString,
    /// Its new UID.
    pub to: Uid,
    /// Which file it was when it was looked at.
    pub identity: FileIdentity,
}

/// A message that is put under the name of the record whose it is. What has that name is exchanged
/// for it and ends in the quarantine; where it is itself the content of another [`Put`], it has
/// got its second name before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where the record's file belongs.
    pub place: Place,
    /// The UID of the record.
    pub uid: Uid,
    /// The message.
    pub content: MessageContent,
}

/// Where the bytes of a [`Put`] come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageContent {
    /// The name of an entry of the same place. Where that is not the record's own name, it is also
    /// another [`Put`]'s or among the entries set aside.
    pub name: OsString,
    /// Which file it was when it was looked at.
    pub identity: FileIdentity,
    /// Whether it is a new file made of that one, bare LFs made CRLFs, with its modification time.
    pub with_crlf: bool,
}

/// A file that lies in the quarantine of an earlier run and gets its name in the mailbox back, beside
/// the one in the quarantine. The name is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// Where it lay.
    pub place: Place,
    /// The name it had.
    pub name: OsString,
    /// Where it is.
    pub kept: PathBuf,
    /// Which file it is.
    pub identity: FileIdentity,
}

/// A message that lies ready outside of the mailbox and gets the name of a new UID, which is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrive {
    /// Where it is to lie.
    pub place: Place,
    /// What later runs have to know of it.
    pub noted: Arriving,
    /// Where it lies ready.
    pub ready: PathBuf,
    /// Which file it is.
    pub identity: FileIdentity,
}

/// An entry that is moved to the quarantine. It may be of any kind: what is no regular file is
/// moved by name and never opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it lies.
    pub place: Place,
    /// Its name.
    pub name: OsString,
    /// Its inode when it was looked at.
    pub ino: u64,
    /// Why, for the manifest and the report.
    pub reason: &'static str,
}

impl FileSteps {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        let Self { puts, renames, returns, arrivals, set_aside } = self;
        let steps = [puts.len(), renames.len(), returns.len(), arrivals.len(), set_aside.len()];
        steps.into_iter().fold(0, |all, some| {
            u64::try_from(some).map_or(u64::MAX, |some| some.saturating_add(all))
        })
    }
}
