//! What the mailboxes of one run have in common: the server around them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use mailstore::config::ImapdConf;
use mailstore::lock::{self, LockSpace};
use mailstore::store::Store;
use mailstore_format::annotations::Annotation;
use mailstore_format::{Uid, UidValidity, db};

use crate::dialect::version_of_server;
use crate::evidence::StoredAnnotation;
use crate::gather::read_whole;
use crate::store_sample::StoreSample;
use crate::target::Target;
use crate::witnesses::WitnessSources;

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
    sample: StoreSample,
    server_cache_version: Option<u16>,
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
            sample: StoreSample::of(store),
            server_cache_version: None,
            annotations: ServerAnnotations::read(store),
            witness_sources: WitnessSources::of(store),
        }
    }

    /// Where no record tells what the server writes into caches, the tools in `bin` are asked.
    #[must_use]
    pub fn asking_tools(self, bin: &Path) -> Self {
        let unknown = self.sample.cache_version.is_none();
        let server_cache_version = unknown.then(|| version_of_server(bin)).flatten();
        Self { server_cache_version, ..self }
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
        self.sample.index_version
    }

    /// The version of an index with this proven header, where it cannot have the one that it names.
    pub(crate) fn version_instead(&self, version: u32, made: UidValidity) -> Option<u32> {
        self.sample.version_instead(version, made)
    }

    /// The highest cache version among some of the store's newest records.
    pub(crate) fn cache_version(&self) -> Option<u16> {
        self.sample.cache_version
    }

    /// The cache version that the installed server writes, where it was asked for.
    pub(crate) fn server_cache_version(&self) -> Option<u16> {
        self.server_cache_version
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
