//! Where witnesses of the store's mailboxes are, and those that many mailboxes share, once read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use mailstore::location::MailboxLocation;
use mailstore::store::Store;

use super::conversations::ConversationsCache;
use super::older_list::OlderList;
use crate::evidence::Witnesses;
use crate::target::Target;

/// Where the store's other witnesses are. Nothing is read before it is needed.
#[derive(Debug, Default)]
pub(crate) struct WitnessSources {
    older_list_paths: Vec<PathBuf>,
    older_lists: OnceLock<Vec<OlderList>>,
    siblings: HashMap<Vec<u8>, Vec<Sibling>>,
    pub(super) conversations: Option<ConversationsCache>,
}

/// Where the files of a mailbox are that tell of its owner's others.
#[derive(Debug)]
pub(super) struct Sibling {
    pub(super) header: PathBuf,
    pub(super) index: PathBuf,
}

impl WitnessSources {
    pub(crate) fn of(store: &Store) -> Self {
        let mut siblings = HashMap::<_, Vec<_>>::new();
        for entry in store.mailboxes() {
            let (Some(owner), Ok(location)) =
                (store.namespace().owner(&entry.name), store.location(entry))
            else {
                continue;
            };
            let MailboxLocation { header, index, .. } = location;
            siblings.entry(owner).or_default().push(Sibling { header, index });
        }
        Self {
            older_list_paths: store.older_lists().to_vec(),
            older_lists: OnceLock::new(),
            siblings,
            conversations: store.conf().conversations().then(ConversationsCache::default),
        }
    }

    /// All mailboxes of a user.
    pub(super) fn siblings_of(&self, owner: &[u8]) -> &[Sibling] {
        self.siblings.get(owner).map_or(&[], Vec::as_slice)
    }

    /// Adds what mailboxes.db should know of the mailbox and does not, from its older copies.
    pub(super) fn complete_from_older_lists(&self, target: &Target, witnesses: &mut Witnesses) {
        let acl = witnesses.header.as_ref().is_none_or(|header| header.acl.is_some());
        let uidvalidity = witnesses.uidvalidity.is_some_and(|known| known.0 != 0);
        if !witnesses.listed || (acl && uidvalidity) {
            return;
        }
        let lists = self.older_lists.get_or_init(|| {
            self.older_list_paths.iter().filter_map(|path| OlderList::read(path)).collect()
        });
        for list in lists {
            list.complete(target, witnesses);
        }
    }
}
