//! The live stores: what they have, read under the server's own locks, and never written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailstore::config::ImapdConf;
use mailstore::location::MailboxLocation;
use mailstore::lock::{self, LockMode, LockWait, MailboxLocks};
use mailstore::name::InternalName;
use mailstore::store::Store;
use mailstore_format::conversations::MessageRows;
use mailstore_format::db;
use mailstore_format::mboxlist::Listed;

use crate::contents::{Contents, IndexState};
use crate::error::Error;
use crate::hash;
use crate::place::Place;

/// A larger database is not read into memory.
const LARGEST_DATABASE: u64 = 1 << 30;

/// A store that users live on.
#[derive(Debug)]
pub struct LiveStore {
    store: Store,
    timeout: Duration,
    mailboxes: Vec<LiveMailbox>,
    by_id: HashMap<Vec<u8>, usize>,
    by_name: HashMap<InternalName, usize>,
    roots: HashMap<PathBuf, Place>,
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

impl LiveStore {
    /// Opens the store of a server's configuration. A lock that is held by others for longer than
    /// `timeout` is an error.
    pub fn open(
        conf: ImapdConf,
        timeout: Duration,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<Self, Error> {
        let store = Store::open_with(conf, timeout, on_wait)?;
        let namespace = store.namespace();
        let entries = store.mailboxes().iter();
        let mailboxes: Vec<_> = entries
            .map(|entry| LiveMailbox {
                uniqueid: entry.uniqueid.clone(),
                display: namespace.display(&entry.name),
                owner: namespace.owner(&entry.name),
                deleted: namespace.parts(&entry.name).deleted.is_some(),
                dav: entry.record.mbtype.is_dav(),
                listed_at: entry.record.mtime.map(mailstore_format::Timestamp::seconds),
                name: entry.name.clone(),
            })
            .collect();
        let numbered = || mailboxes.iter().enumerate();
        let with_id = numbered().filter(|(_, mailbox)| !mailbox.uniqueid.is_empty());
        let by_id = with_id.map(|(at, mailbox)| (mailbox.uniqueid.clone(), at)).collect();
        let by_name = numbered().map(|(at, mailbox)| (mailbox.name.clone(), at)).collect();
        let roots = roots(store.conf());
        Ok(Self { store, timeout, mailboxes, by_id, by_name, roots })
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
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

    /// Whether the list of mailboxes says that a mailbox was deleted: it has a tombstone of this
    /// name, and of no other unique id.
    #[must_use]
    pub fn has_tombstone(&self, name: &InternalName, uniqueid: &[u8]) -> bool {
        let listed = self.store.list().by_name.get(name.as_bytes());
        listed.is_some_and(|Listed { entry, .. }| {
            let same = entry.uniqueid.as_deref().is_none_or(|id| id == uniqueid);
            entry.mbtype.is_deleted() && same
        })
    }

    /// Reads what a mailbox holds.
    pub fn read(
        &self,
        mailbox: usize,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<Contents, Error> {
        let Some(entry) = self.store.mailboxes().get(mailbox) else {
            return Ok(Contents::default());
        };
        let name = self.store.namespace().display(&entry.name);
        let unreadable = |why| Error::Live { mailbox: name.clone(), why };
        let places = self.places(&self.store.location(entry)?).map_err(unreadable)?;
        let plan = self.store.lock_plan(entry)?;
        let mode = LockMode::SharedIfPresent;
        let space = self.store.lock_space();
        let locks = MailboxLocks::acquire(space, &plan, mode, self.timeout, on_wait)
            .map_err(|source| Error::Lock { mailbox: name.clone(), source })?;
        let mut contents = Contents::read(places);
        drop(locks);
        contents.look_again();
        judge(&contents).map_err(unreadable)?;
        if contents.index != IndexState::Whole {
            contents.add_orphans();
            hash::hash(&mut contents, false);
        }
        Ok(contents)
    }

    /// What the conversations of the owner of a mailbox know; none where there are none, or where
    /// they cannot be read.
    #[must_use]
    pub fn conversations(&self, mailbox: usize) -> Option<MessageRows> {
        use std::io::Read as _;
        let entry = self.store.mailboxes().get(mailbox)?;
        let path = self.store.conversations_file(entry).ok()??;
        let locked = lock::read_database(&path, self.timeout, &mut |_| {}).ok()?;
        let mut bytes = Vec::new();
        locked.file().take(LARGEST_DATABASE).read_to_end(&mut bytes).ok()?;
        drop(locked);
        MessageRows::of(&db::read(&bytes).ok()?)
    }

    /// The directories of a mailbox, below the roots that are held open.
    fn places(&self, location: &MailboxLocation) -> Result<Vec<Place>, String> {
        let files = [&location.index, &location.header];
        let parents = files.into_iter().filter_map(|file| file.parent());
        let mut directories: Vec<&Path> = vec![&location.spool];
        directories.extend(location.archive.as_deref());
        directories.extend(parents);
        let mut places: Vec<Place> = Vec::new();
        for (at, directory) in directories.iter().enumerate() {
            if directories.iter().take(at).any(|before| before == directory) {
                continue;
            }
            let root = directory.ancestors().find_map(|above| {
                Some((self.roots.get(above)?, directory.strip_prefix(above).ok()?))
            });
            let Some((root, below)) = root else {
                return Err(format!(
                    "{} is on no partition that can be opened: is it mounted?",
                    directory.display()
                ));
            };
            places.push(root.join(below));
        }
        Ok(places)
    }
}

/// A mailbox of which no file is left looks as one whose disk is not mounted: nothing can be said of
/// what it lacks.
fn judge(contents: &Contents) -> Result<(), String> {
    if let Some(skipped) = contents.skipped.iter().find(|skipped| skipped.hides_mail()) {
        return Err(skipped.to_string());
    }
    let live = contents.messages.iter().filter(|message| !message.expunged).count();
    if live > 0 && contents.files.is_empty() {
        return Err(format!("{live} records and no message file: is the partition mounted?"));
    }
    Ok(())
}

/// The roots of all partitions that can be opened.
fn roots(conf: &ImapdConf) -> HashMap<PathBuf, Place> {
    use mailstore::config::MetaFile;
    let mut paths = Vec::new();
    for partition in conf.partitions() {
        paths.push(conf.meta_root(&partition, MetaFile::Index));
        paths.push(conf.meta_root(&partition, MetaFile::Header));
        paths.extend(partition.meta);
        paths.extend(partition.archive);
        paths.push(partition.data);
    }
    let opened =
        paths.into_iter().filter_map(|path| Some((path.clone(), Place::root(&path).ok()?)));
    opened.collect()
}
