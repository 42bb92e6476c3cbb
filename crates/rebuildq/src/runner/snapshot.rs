//! The store's mailboxes, read anew when a job names one that was not there.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use incident::MailboxId;
use mailstore::config::ImapdConf;
use mailstore::store::{Store, StoreError};
use reconstruct::{Site, Target};

/// How long the list of mailboxes is waited for.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);

/// The list of mailboxes cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreUnreadable(#[from] StoreError);

/// A store as it was read at a time.
pub(super) struct Snapshot {
    store: Store,
    pub(super) site: Site,
    /// Positions in the list of mailboxes, by their owner's userid.
    by_owner: HashMap<Vec<u8>, Vec<usize>>,
    list: Option<ListIdentity>,
}

/// The newest snapshot, for all workers.
pub(super) struct Snapshots {
    conf: ImapdConf,
    bin: Option<PathBuf>,
    newest: Mutex<Arc<Snapshot>>,
}

/// What tells one state of mailboxes.db from another.
type ListIdentity = (u64, u64, i64, i64);

impl Snapshots {
    pub(super) fn open(conf: &ImapdConf, bin: Option<&Path>) -> Result<Self, StoreUnreadable> {
        let newest = Mutex::new(Arc::new(Snapshot::read(conf, bin)?));
        Ok(Self { conf: conf.clone(), bin: bin.map(Path::to_owned), newest })
    }

    pub(super) fn newest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.newest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A newer one, where the list has changed since `known` was read.
    pub(super) fn newer_than(
        &self,
        known: &Arc<Snapshot>,
    ) -> Result<Option<Arc<Snapshot>>, StoreUnreadable> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&newest, known) {
            return Ok(Some(Arc::clone(&newest)));
        }
        if known.list == identity(&self.conf) {
            return Ok(None);
        }
        *newest = Arc::new(Snapshot::read(&self.conf, self.bin.as_deref())?);
        Ok(Some(Arc::clone(&newest)))
    }
}

impl Snapshot {
    fn read(conf: &ImapdConf, bin: Option<&Path>) -> Result<Self, StoreUnreadable> {
        // Before the list is read: what changes meanwhile makes it another.
        let list = identity(conf);
        let store = Store::open_with(conf.clone(), DATABASE_TIMEOUT, &mut |_| {})?;
        let mut by_owner = HashMap::<_, Vec<_>>::new();
        for (position, entry) in store.mailboxes().iter().enumerate() {
            if let Some(owner) = store.namespace().owner(&entry.name) {
                by_owner.entry(owner).or_default().push(position);
            }
        }
        let site = Site::of(&store);
        let site = match bin {
            Some(bin) => site.asking_tools(bin),
            None => site,
        };
        Ok(Self { store, site, by_owner, list })
    }

    /// A mailbox of a job; none where it is not there any more. One that was renamed is known by its
    /// unique id.
    pub(super) fn target(&self, wanted: &MailboxId) -> Option<Target> {
        let target = |entry| Target::listed(&self.store, entry).ok();
        let by_name = self.store.namespace().parse_operator(&wanted.name).ok();
        let by_name = by_name.and_then(|name| self.store.mailbox(&name)).and_then(target);
        let is_wanted = |target: &Target| target.id().uniqueid == wanted.uniqueid;
        by_name.filter(is_wanted).or_else(|| {
            let mut entries = self.store.mailboxes().iter();
            let renamed = entries.find(|one| one.uniqueid == wanted.uniqueid.as_bytes())?;
            target(renamed).filter(is_wanted)
        })
    }

    /// Where each mailbox that the server's tools open for `user` would have its `cyrus.expunge`: all of
    /// the user's, not only those of the job; for nobody's mailboxes all of the store's.
    pub(super) fn expunge_files(&self, user: &str) -> Vec<PathBuf> {
        if user.is_empty() {
            return self.store.expunge_files();
        }
        let of_user = self.by_owner.get(user.as_bytes()).into_iter().flatten();
        let entries = of_user.filter_map(|&position| self.store.mailboxes().get(position));
        let locations = entries.filter_map(|entry| self.store.location(entry).ok());
        locations.map(|location| location.expunge).collect()
    }
}

fn identity(conf: &ImapdConf) -> Option<ListIdentity> {
    let metadata = conf.mailboxes_db().metadata().ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}
