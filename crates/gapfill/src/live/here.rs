//! A live store on this machine.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailstore::config::{ImapdConf, MetaFile};
use mailstore::location::MailboxLocation;
use mailstore::lock::{self, LockMode, LockWait, MailboxLocks};
use mailstore::namespace::Namespace;
use mailstore::store::Store;
use mailstore_format::conversations::MessageRows;
use mailstore_format::db;

use super::LiveMailbox;
use crate::contents::{Contents, IndexState};
use crate::error::Error;
use crate::hash;
use crate::place::Place;

/// A larger database is not read into memory.
const LARGEST_DATABASE: u64 = 1 << 30;

/// A store with its files.
#[derive(Debug)]
pub(super) struct Here {
    store: Store,
    timeout: Duration,
    /// The roots of its partitions, held open.
    roots: HashMap<PathBuf, Place>,
}

impl Here {
    pub(super) fn open(
        conf: ImapdConf,
        timeout: Duration,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<Self, Error> {
        let store = Store::open_with(conf, timeout, on_wait)?;
        let roots = roots(store.conf());
        Ok(Self { store, timeout, roots })
    }

    pub(super) fn conf(&self) -> &ImapdConf {
        self.store.conf()
    }

    pub(super) fn namespace(&self) -> &Namespace {
        self.store.namespace()
    }

    pub(super) fn mailboxes(&self) -> Vec<LiveMailbox> {
        let namespace = self.namespace();
        let entries = self.store.mailboxes().iter();
        let mailboxes = entries.map(|entry| LiveMailbox {
            dav: entry.record.mbtype.is_dav(),
            listed_at: entry.record.mtime.map(mailstore_format::Timestamp::seconds),
            ..LiveMailbox::named(namespace, entry.name.clone(), entry.uniqueid.clone())
        });
        mailboxes.collect()
    }

    /// Names that the list has as deleted.
    pub(super) fn tombstones(&self) -> HashMap<Vec<u8>, Option<Vec<u8>>> {
        let listed = self.store.list().by_name.iter();
        let deleted = listed.filter(|(_, listed)| listed.entry.mbtype.is_deleted());
        deleted.map(|(name, listed)| (name.clone(), listed.entry.uniqueid.clone())).collect()
    }

    /// Reads what a mailbox holds.
    pub(super) fn read(
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
            hash::hash(&mut contents, false, false);
        }
        Ok(contents)
    }

    /// What the conversations of the owner of a mailbox know; none where there are none, or where
    /// they cannot be read.
    pub(super) fn conversations(&self, mailbox: usize) -> Option<MessageRows> {
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
