//! A source: a tree that may hold mail, and what it was recognised as.

mod identity;
mod loose;
mod mailbox_lists;
mod special_uses;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mailstore::name::InternalName;
use mailstore::volume::ReadError;

use crate::listing::Listing;
use crate::pace::Devices;
use crate::place::{Place, Skipped};
use identity::Identity;
use mailbox_lists::MailboxLists;
use special_uses::SpecialUses;
use walk::{Directory, Walked};

pub(crate) use loose::{DELIVERY_FIELDS, LooseAt, LooseFile, Recipient, read_loose};

/// What a source was recognised as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A Cyrus spool, or a whole server's tree.
    Cyrus,
    /// One mailbox's directory.
    Mailbox,
    /// The `lost+found` of a file system.
    LostAndFound,
    /// A Maildir, or several.
    Maildir,
    /// Any other tree of files.
    Files,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cyrus => "a Cyrus store",
            Self::Mailbox => "a mailbox directory",
            Self::LostAndFound => "a lost+found",
            Self::Maildir => "a Maildir",
            Self::Files => "a tree of files",
        })
    }
}

/// A tree of the operator's, walked once. It is only ever read.
#[derive(Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What it was recognised as.
    pub kind: SourceKind,
    /// Its mailboxes.
    pub mailboxes: Vec<SourceMailbox>,
    /// The conversations of its users.
    pub conversations: Vec<UserFileAt>,
    /// What its users have seen.
    pub seen: Vec<UserFileAt>,
    /// Files that may be messages and are in no mailbox.
    pub(crate) loose: Vec<LooseAt>,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
    /// Whether it has a list of mailboxes.
    pub has_list: bool,
    /// Where the server's annotations of mailboxes are.
    annotations: Vec<Place>,
    /// What these say mailboxes are for, read when it is first asked for.
    special_uses: OnceLock<SpecialUses>,
}

/// A mailbox of a source.
#[derive(Debug, Clone)]
pub struct SourceMailbox {
    /// Its unique id; empty where nothing tells it.
    pub uniqueid: Vec<u8>,
    /// Its internal name, where anything tells it.
    pub name: Option<InternalName>,
    /// Whether it is a calendar, an address book or the like.
    pub dav: bool,
    /// When its record in the source's list was written: seconds since 1970.
    pub listed_at: Option<i64>,
    /// The directories that are its.
    pub places: Vec<Place>,
    /// What was found in each of these, as far as it was kept.
    pub(crate) listings: Vec<Option<Listing>>,
    /// How many message files lie in them.
    pub files: usize,
}

/// A file that the server keeps about a user, in a source.
#[derive(Debug, Clone)]
pub struct UserFileAt {
    /// Whose it is.
    pub of: UserFileOf,
    /// The directory.
    pub place: Place,
    /// The file in it.
    pub name: OsString,
}

/// How a file about a user says about whom it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserFileOf {
    /// By the unique id of the INBOX.
    Inbox(Vec<u8>),
    /// By the userid's local part.
    User(Vec<u8>),
}

impl Source {
    /// Walks the tree at `path`, in the thread pool of the caller. `deleted_prefix` is what the first level of deleted mailboxes is
    /// called (`imapd.conf`, `deletedprefix`). All reading of the source, now and later, is at the pace
    /// that `devices` give the device of `path`.
    ///
    /// # Errors
    /// Where the path itself is no directory that can be read. All else is in [`Source::skipped`].
    pub fn open(path: &Path, deleted_prefix: &[u8], devices: &Devices) -> Result<Self, ReadError> {
        let root = Place::root_on(path, devices)?;
        let Walked { directories, mut skipped } = walk::walk(root);
        let lists = MailboxLists::read(&directories, &mut skipped);
        let annotations = special_uses::places(&directories);
        let kind = kind_of(path, &directories, !lists.is_empty());
        let mut mailboxes = Gathering::default();
        let (mut conversations, mut seen, mut loose) = (Vec::new(), Vec::new(), Vec::new());
        for mut directory in directories {
            let identity = identity::of(&directory, path, deleted_prefix);
            let in_mailbox = identity.is_some();
            conversations.extend(identity::user_files_in(&directory, "conversations"));
            seen.extend(identity::user_files_in(&directory, "seen"));
            loose.extend(loose::in_directory(&mut directory, kind, in_mailbox));
            if let Some(identity) = identity {
                mailboxes.add(identity, directory, &lists);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            kind,
            mailboxes: mailboxes.found,
            conversations,
            seen,
            loose,
            skipped,
            has_list: !lists.is_empty(),
            annotations,
            special_uses: OnceLock::new(),
        })
    }

    /// What a mailbox is for, where the server's annotations say so: its attributes of RFC 6154.
    pub(crate) fn special_use_of(&self, mailbox: &SourceMailbox) -> Option<String> {
        let uses = self.special_uses.get_or_init(|| special_uses::read(&self.annotations));
        let name = || Some(mailbox.name.as_ref()?.to_string().into_bytes());
        let by_id = uses.get(&mailbox.uniqueid);
        by_id.or_else(|| uses.get(&name()?)).cloned()
    }

    /// How many loose files there are.
    #[must_use]
    pub fn loose_files(&self) -> usize {
        self.loose.len()
    }
}

/// Directories that say the same of themselves are one mailbox.
#[derive(Default)]
struct Gathering {
    found: Vec<SourceMailbox>,
    known: HashMap<Vec<u8>, usize>,
}

impl Gathering {
    fn add(&mut self, identity: Identity, directory: Directory, lists: &MailboxLists) {
        let Directory { place, listing, messages: files, .. } = directory;
        let Identity { uniqueid, name, dav } = identity;
        let listed = lists.of(&uniqueid, name.as_ref());
        let uniqueid = listed.as_ref().map_or(uniqueid, |listed| listed.uniqueid.clone());
        let name = listed.as_ref().map(|listed| listed.name.clone()).or(name);
        let key = match (&name, uniqueid.is_empty()) {
            (_, false) => [b"I", uniqueid.as_slice()].concat(),
            (Some(name), true) => [b"N", name.as_bytes()].concat(),
            (None, true) => [b"P", place.below().as_os_str().as_encoded_bytes()].concat(),
        };
        let dav = dav || listed.as_ref().is_some_and(|listed| listed.dav);
        let listed_at = listed.and_then(|listed| listed.written);
        if let Some(mailbox) = self.known.get(&key).and_then(|&at| self.found.get_mut(at)) {
            mailbox.places.push(place);
            mailbox.listings.push(listing);
            mailbox.files = mailbox.files.saturating_add(files);
            mailbox.dav |= dav;
            mailbox.name = mailbox.name.take().or(name);
            return;
        }
        self.known.insert(key, self.found.len());
        self.found.push(SourceMailbox {
            uniqueid,
            name,
            dav,
            listed_at,
            places: vec![place],
            listings: vec![listing],
            files,
        });
    }
}

fn kind_of(path: &Path, directories: &[Directory], has_list: bool) -> SourceKind {
    let root = directories.first();
    let numbered = |directory: &&Directory| directory.place.below().as_os_str().is_empty();
    let root_is_pieces =
        directories.iter().find(numbered).is_some_and(Directory::has_numbered_pieces);
    if path.file_name().is_some_and(|name| name == "lost+found") || root_is_pieces {
        return SourceKind::LostAndFound;
    }
    if directories.iter().any(|directory| directory.is_maildir) {
        return SourceKind::Maildir;
    }
    let mailboxes = directories.iter().filter(|directory| directory.has_server_files).count();
    match root {
        Some(root) if root.has_server_files && mailboxes == 1 && !has_list => SourceKind::Mailbox,
        _ if mailboxes > 0 || has_list => SourceKind::Cyrus,
        _ if directories.iter().any(|d| identity::of_path(d.place.below()).is_some()) => {
            SourceKind::Cyrus
        }
        _ => SourceKind::Files,
    }
}
