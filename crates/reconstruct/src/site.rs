//! What the mailboxes of one run have in common: the server around them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mailstore::config::ImapdConf;
use mailstore::lock::{self, LockSpace};
use mailstore::store::Store;
use mailstore_format::annotations::Annotation;
use mailstore_format::index::IndexHeader;
use mailstore_format::{Uid, db};

use crate::evidence::StoredAnnotation;
use crate::gather::{read_file_prefix, read_whole};
use crate::target::Target;
use crate::witnesses::WitnessSources;

/// How many indexes are asked for their version until one tells it.
const SAMPLES: usize = 50;
/// How long the server-wide annotations are waited for.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);

/// The server around the mailboxes.
#[derive(Debug, Default)]
pub struct Site {
    lock_space: Option<LockSpace>,
    replicated: bool,
    conversations: bool,
    status_cache: bool,
    conf: Option<ImapdConf>,
    index_version: Option<u32>,
    annotations: ServerAnnotations,
    witness_sources: WitnessSources,
}

/// The server-wide annotations, by mailbox.
#[derive(Debug, Default)]
enum ServerAnnotations {
    /// There is no database of them.
    None,
    /// It cannot be read whole, or nothing tells where it is.
    #[default]
    Unknown,
    ByMailbox(HashMap<Vec<u8>, Vec<Annotation>>),
}

impl Site {
    /// No server: for a mailbox directory on its own.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The server whose store this is. Reads only.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        Self {
            lock_space: Some(store.lock_space().clone()),
            replicated: store.conf().replication_configured(),
            conversations: store.conf().conversations(),
            status_cache: store.conf().status_cache().is_some(),
            conf: Some(store.conf().clone()),
            index_version: common_version(store),
            annotations: ServerAnnotations::read(store),
            witness_sources: WitnessSources::of(store),
        }
    }

    pub(crate) fn lock_space(&self) -> Option<&LockSpace> {
        self.lock_space.as_ref()
    }

    /// The server's configuration.
    pub(crate) fn conf(&self) -> Option<&ImapdConf> {
        self.conf.as_ref()
    }

    /// Whether the server caches what STATUS tells.
    pub(crate) fn has_status_cache(&self) -> bool {
        self.status_cache
    }

    pub(crate) fn is_replicated(&self) -> bool {
        self.replicated
    }

    pub(crate) fn has_conversations(&self) -> bool {
        self.conversations
    }

    /// The index version of the store's mailboxes.
    pub(crate) fn index_version(&self) -> Option<u32> {
        self.index_version
    }

    pub(crate) fn witness_sources(&self) -> &WitnessSources {
        &self.witness_sources
    }

    pub(crate) fn mailbox_annotations(&self, target: &Target) -> Option<Vec<StoredAnnotation>> {
        match &self.annotations {
            ServerAnnotations::None => Some(Vec::new()),
            ServerAnnotations::Unknown => None,
            ServerAnnotations::ByMailbox(by_mailbox) => Some(
                target
                    .annotation_keys
                    .iter()
                    .filter(|key| !key.is_empty())
                    .filter_map(|key| by_mailbox.get(key))
                    .flatten()
                    .map(|annotation| StoredAnnotation::of(annotation, &target.owner))
                    .collect(),
            ),
        }
    }
}

impl ServerAnnotations {
    fn read(store: &Store) -> Self {
        let path = store.conf().annotations_db();
        if matches!(path.try_exists(), Ok(false)) {
            return Self::None;
        }
        let read = || -> Option<HashMap<Vec<u8>, Vec<Annotation>>> {
            let locked = lock::read_database(&path, DATABASE_TIMEOUT, &mut |_| {}).ok()?;
            let bytes = read_whole(locked.file()).ok()?;
            let contents = db::read(&bytes).ok()?;
            if !contents.damage.is_empty() {
                return None;
            }
            let mut by_mailbox = HashMap::<_, Vec<_>>::new();
            for entry in &contents.entries {
                let annotation = Annotation::decode_global(&entry.key, &entry.value).ok()?;
                if !annotation.is_deleted() && annotation.uid == Uid(0) {
                    by_mailbox.entry(annotation.mailbox.clone()).or_default().push(annotation);
                }
            }
            Some(by_mailbox)
        };
        read().map_or(Self::Unknown, Self::ByMailbox)
    }
}

/// The commonest version among some of the store's indexes: what its server writes, whatever single
/// mailbox was brought from elsewhere.
fn common_version(store: &Store) -> Option<u32> {
    let versions = store.mailboxes().iter().filter_map(|entry| {
        let index = store.location(entry).ok()?.index;
        let bytes = read_file_prefix(&index, 192)?;
        let layout = IndexHeader::layout_in(&bytes).ok()?;
        let sound = !IndexHeader::crc_state(&bytes, layout).is_bad();
        sound.then_some(layout.version)
    });
    let mut counts = BTreeMap::<u32, usize>::new();
    for version in versions.take(SAMPLES) {
        *counts.entry(version).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(version, count)| (count, version)).map(|(version, _)| version)
}
