//! The live stores: what they have, read under the server's own locks, and never written.

mod here;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use incident::StoreBinding;
use mailstore::config::ImapdConf;
use mailstore::lock::LockWait;
use mailstore::name::InternalName;
use mailstore::namespace::Namespace;
use mailstore_format::conversations::MessageRows;

use crate::contents::Contents;
use crate::error::Error;
use crate::snapshot::{self, Snapshot};
use here::Here;

/// A store that users live on.
#[derive(Debug)]
pub struct LiveStore {
    held: Held,
    namespace: Namespace,
    mailboxes: Vec<LiveMailbox>,
    by_id: HashMap<Vec<u8>, usize>,
    by_name: HashMap<InternalName, usize>,
    /// Names that the list has as deleted, with the unique id of what was deleted.
    tombstones: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

/// How its mailboxes are read.
#[derive(Debug)]
enum Held {
    /// From its own files.
    Here(Box<Here>),
    /// From what was written on the machine that it is on.
    Elsewhere(Snapshot),
}

/// A mailbox of a live store.
#[derive(Debug, Clone)]
pub struct LiveMailbox {
    /// Its unique id; empty where the list of mailboxes has none.
    pub uniqueid: Vec<u8>,
    /// Its internal name.
    pub name: InternalName,
    /// Its name as operators write it.
    pub display: String,
    /// The user it belongs to; none for a shared one.
    pub owner: Option<Vec<u8>>,
    /// Whether its owner deleted it: it waits for its removal under another name.
    pub deleted: bool,
    /// Whether it is a calendar, an address book or the like.
    pub dav: bool,
    /// When its record in the list of mailboxes was written: seconds since 1970.
    pub listed_at: Option<i64>,
}

impl LiveMailbox {
    /// A mailbox of this name and unique id; what the name tells is told by `namespace`.
    pub(crate) fn named(namespace: &Namespace, name: InternalName, uniqueid: Vec<u8>) -> Self {
        Self {
            display: namespace.display(&name),
            owner: namespace.owner(&name),
            deleted: namespace.parts(&name).deleted.is_some(),
            dav: false,
            listed_at: None,
            name,
            uniqueid,
        }
    }
}

impl LiveStore {
    /// Opens the store of a server's configuration. A lock that is held by others for longer than
    /// `timeout` is an error.
    pub fn open(
        conf: ImapdConf,
        timeout: Duration,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<Self, Error> {
        let here = Here::open(conf, timeout, on_wait)?;
        let (mailboxes, tombstones) = (here.mailboxes(), here.tombstones());
        let namespace = here.namespace().clone();
        Ok(Self::of(Held::Here(Box::new(here)), namespace, mailboxes, tombstones))
    }

    /// Opens a snapshot of a store on another machine.
    pub fn open_snapshot(path: &Path) -> Result<Self, Error> {
        let snapshot::Opened { snapshot, namespace, mailboxes, tombstones } = snapshot::open(path)?;
        Ok(Self::of(Held::Elsewhere(snapshot), namespace, mailboxes, tombstones))
    }

    /// Whether a file is a snapshot.
    #[must_use]
    pub fn is_snapshot(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| snapshot::begins_as_one(&file))
    }

    /// Writes a snapshot of the store, mailbox by mailbox.
    pub fn write_snapshot(
        &self,
        out: &mut dyn Write,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<(), Error> {
        snapshot::write(self, out, on_wait)
    }

    fn of(
        held: Held,
        namespace: Namespace,
        mailboxes: Vec<LiveMailbox>,
        tombstones: HashMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Self {
        let numbered = || mailboxes.iter().enumerate();
        let with_id = numbered().filter(|(_, mailbox)| !mailbox.uniqueid.is_empty());
        let by_id = with_id.map(|(at, mailbox)| (mailbox.uniqueid.clone(), at)).collect();
        let by_name = numbered().map(|(at, mailbox)| (mailbox.name.clone(), at)).collect();
        Self { held, namespace, mailboxes, by_id, by_name, tombstones }
    }

    /// The rules of its names.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What an incident knows it by.
    pub fn binding(&self) -> Result<StoreBinding, incident::Error> {
        match &self.held {
            Held::Here(here) => StoreBinding::of(here.conf()),
            Held::Elsewhere(snapshot) => Ok(snapshot.binding.clone()),
        }
    }

    /// Whether it lies on another machine.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(self.held, Held::Elsewhere(_))
    }

    /// Its mailboxes, deleted ones that still have their files included.
    #[must_use]
    pub fn mailboxes(&self) -> &[LiveMailbox] {
        &self.mailboxes
    }

    /// The mailbox with this unique id.
    #[must_use]
    pub fn with_id(&self, uniqueid: &[u8]) -> Option<usize> {
        self.by_id.get(uniqueid).copied()
    }

    /// The mailbox of this name.
    #[must_use]
    pub fn with_name(&self, name: &InternalName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Names that the list of mailboxes has as deleted, each with the unique id of what it was.
    pub(crate) fn tombstones(&self) -> &HashMap<Vec<u8>, Option<Vec<u8>>> {
        &self.tombstones
    }

    /// Whether the list of mailboxes says that a mailbox was deleted: it has a tombstone of this
    /// name, and of no other unique id.
    #[must_use]
    pub fn has_tombstone(&self, name: &InternalName, uniqueid: &[u8]) -> bool {
        let listed = self.tombstones.get(name.as_bytes());
        listed.is_some_and(|deleted| deleted.as_deref().is_none_or(|id| id == uniqueid))
    }

    /// Reads what a mailbox holds.
    pub fn read(
        &self,
        mailbox: usize,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<Contents, Error> {
        match &self.held {
            Held::Here(here) => here.read(mailbox, on_wait),
            Held::Elsewhere(snapshot) => snapshot.read(mailbox),
        }
    }

    /// What the conversations of the owner of a mailbox know; none where there are none, or where
    /// they cannot be read. A snapshot has their tombstones among its messages.
    #[must_use]
    pub fn conversations(&self, mailbox: usize) -> Option<MessageRows> {
        match &self.held {
            Held::Here(here) => here.conversations(mailbox),
            Held::Elsewhere(_) => None,
        }
    }
}
