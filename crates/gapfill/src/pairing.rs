//! Which mailbox of a source is which live one, and who is compared together.

use std::collections::{BTreeMap, HashSet};

use incident::MailboxId;
use mailstore::name::InternalName;

use crate::compare::Standing;
use crate::live::{LiveMailbox, LiveStore};
use crate::source::{Source, SourceMailbox};

/// Mailboxes that are compared together: those of one owner, or a single shared one.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// The number of the live store.
    pub(crate) store: usize,
    /// Whose they are; none for a shared mailbox, and for one of which nothing tells.
    pub(crate) owner: Option<Vec<u8>>,
    /// The mailboxes that a source has.
    pub(crate) pairs: Vec<PlannedPair>,
    /// The owner's live mailboxes that no source has.
    pub(crate) live_only: Vec<usize>,
}

/// A mailbox that a source has.
#[derive(Debug, Clone)]
pub(crate) struct PlannedPair {
    /// The live mailbox, where there is one.
    pub(crate) live: Option<usize>,
    /// The number of each source that has it, and of the mailbox in it.
    pub(crate) parts: Vec<(usize, usize)>,
    /// What it is remembered by.
    pub(crate) id: MailboxId,
    /// What it was remembered by as long as the live store had no such mailbox, where that is
    /// something else.
    pub(crate) source_id: Option<MailboxId>,
    /// What is known of it beside its messages. Whether a source shows all of it is not known yet.
    pub(crate) standing: Standing,
    /// What the source calls it, where that is newer than what the live store does.
    pub(crate) renamed_to: Option<String>,
}

/// Brings the mailboxes of all sources and stores together. With `everybody` there are groups of
/// those too of whom no source has anything.
#[must_use]
pub(crate) fn pair(sources: &[Source], stores: &[LiveStore], everybody: bool) -> Vec<Group> {
    let mut groups = BTreeMap::<(usize, GroupKey), Group>::new();
    let ids = sources.iter().flat_map(|source| &source.mailboxes);
    let claimed: HashSet<&[u8]> = ids.map(|mailbox| mailbox.uniqueid.as_slice()).collect();
    for (number, source) in sources.iter().enumerate() {
        for (at, mailbox) in source.mailboxes.iter().enumerate() {
            let (store, live) = find(stores, mailbox, &claimed);
            let planned = planned(stores, store, live, mailbox);
            let owner = owner(stores, store, live, mailbox);
            let key = GroupKey::of(owner.as_deref(), &planned.id);
            let group = groups.entry((store, key)).or_insert_with(|| Group::of(store, owner));
            group.add(planned, (number, at));
        }
    }
    for (store, live) in stores.iter().enumerate() {
        for (at, mailbox) in live.mailboxes().iter().enumerate() {
            let owner = mailbox.owner.clone();
            let key = (store, GroupKey::of(owner.as_deref(), &id_of(mailbox)));
            if everybody {
                groups.entry(key.clone()).or_insert_with(|| Group::of(store, owner));
            }
            if let Some(group) = groups.get_mut(&key)
                && !group.pairs.iter().any(|pair| pair.live == Some(at))
            {
                group.live_only.push(at);
            }
        }
    }
    groups.into_values().collect()
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum GroupKey {
    Owner(Vec<u8>),
    Alone(MailboxId),
}

impl GroupKey {
    fn of(owner: Option<&[u8]>, id: &MailboxId) -> Self {
        owner.map_or_else(|| Self::Alone(id.clone()), |owner| Self::Owner(owner.to_vec()))
    }
}

impl Group {
    fn of(store: usize, owner: Option<Vec<u8>>) -> Self {
        Self { store, owner, pairs: Vec::new(), live_only: Vec::new() }
    }

    fn add(&mut self, planned: PlannedPair, part: (usize, usize)) {
        let same = |pair: &&mut PlannedPair| match (pair.live, planned.live) {
            (None, None) => pair.id == planned.id,
            (one, other) => one == other,
        };
        match self.pairs.iter_mut().find(same) {
            Some(pair) => {
                pair.parts.push(part);
                pair.standing.dav |= planned.standing.dav;
                // One that any source still has was deleted in an older or newer one: the list with
                // the newest record knows, and a source where it lives is no proof of deletion.
                pair.standing.deleted_in_source &= planned.standing.deleted_in_source;
            }
            None => self.pairs.push(PlannedPair { parts: vec![part], ..planned }),
        }
    }
}

/// The store and mailbox that a source's mailbox is: by unique id, whatever it is called now; else
/// by name, unless a source has the live mailbox of that name under its own unique id: a folder that
/// was made anew is another one. One that is in no store belongs to the store of its owner.
fn find(
    stores: &[LiveStore],
    mailbox: &SourceMailbox,
    claimed: &HashSet<&[u8]>,
) -> (usize, Option<usize>) {
    let numbered = || stores.iter().enumerate();
    if !mailbox.uniqueid.is_empty() {
        let by_id = numbered().find_map(|(n, store)| Some((n, store.with_id(&mailbox.uniqueid)?)));
        if let Some((number, at)) = by_id {
            return (number, Some(at));
        }
    }
    let Some(name) = &mailbox.name else { return (0, None) };
    let unclaimed = |store: &LiveStore, at: usize| {
        let id = store.mailboxes().get(at).map(|live| live.uniqueid.as_slice());
        id.is_some_and(|id| id.is_empty() || id == mailbox.uniqueid || !claimed.contains(id))
    };
    let by_name = numbered().find_map(|(number, store)| {
        let at = store.with_name(name).filter(|&at| unclaimed(store, at))?;
        Some((number, at))
    });
    if let Some((number, at)) = by_name {
        return (number, Some(at));
    }
    let has_owner = |store: &LiveStore| {
        let parts = store.namespace().parts(name);
        parts.inbox().is_some_and(|inbox| store.with_name(&inbox).is_some())
    };
    (numbered().find(|(_, store)| has_owner(store)).map_or(0, |(number, _)| number), None)
}

fn planned(
    stores: &[LiveStore],
    store: usize,
    live: Option<usize>,
    mailbox: &SourceMailbox,
) -> PlannedPair {
    let live_store = stores.get(store);
    let live_mailbox = live_store.and_then(|store| store.mailboxes().get(live?));
    let name = mailbox.name.as_ref();
    let deleted_in_source = live_store
        .zip(name)
        .is_some_and(|(store, name)| store.namespace().parts(name).deleted.is_some());
    let tombstone = live_store.zip(name).is_some_and(|(store, name)| {
        live.is_none() && store.has_tombstone(name, &mailbox.uniqueid)
    });
    let shown = |name: &InternalName| {
        live_store.map_or_else(|| name.to_string(), |s| s.namespace().display(name))
    };
    let source_id = source_id(mailbox, name.map(shown));
    let id = live_mailbox.map_or_else(|| source_id.clone(), id_of);
    PlannedPair {
        live,
        parts: Vec::new(),
        standing: Standing {
            deleted_in_source,
            deleted_live: tombstone || live_mailbox.is_some_and(|live| live.deleted),
            dav: mailbox.dav || live_mailbox.is_some_and(|live| live.dav),
            covered: false,
        },
        renamed_to: live_mailbox
            .zip(name)
            .filter(|(live, name)| live.name != **name && mailbox.listed_at > live.listed_at)
            .map(|(_, name)| shown(name)),
        source_id: (source_id.uniqueid != id.uniqueid).then_some(source_id),
        id,
    }
}

/// What a mailbox that the live store lacks is remembered by.
fn source_id(mailbox: &SourceMailbox, shown: Option<String>) -> MailboxId {
    let path = || mailbox.places.first().map(|place| place.path().display().to_string());
    let name = shown.or_else(path).unwrap_or_default();
    let uniqueid = if mailbox.uniqueid.is_empty() {
        mailbox.name.as_ref().map_or_else(|| name.clone(), ToString::to_string)
    } else {
        String::from_utf8_lossy(&mailbox.uniqueid).into_owned()
    };
    MailboxId { uniqueid, name }
}

/// What a live mailbox is remembered by: as other tools do.
pub(crate) fn id_of(mailbox: &LiveMailbox) -> MailboxId {
    let uniqueid = if mailbox.uniqueid.is_empty() {
        mailbox.name.to_string()
    } else {
        String::from_utf8_lossy(&mailbox.uniqueid).into_owned()
    };
    MailboxId { uniqueid, name: mailbox.display.clone() }
}

fn owner(
    stores: &[LiveStore],
    store: usize,
    live: Option<usize>,
    mailbox: &SourceMailbox,
) -> Option<Vec<u8>> {
    let store = stores.get(store)?;
    if let Some(live) = store.mailboxes().get(live.unwrap_or(usize::MAX)) {
        return live.owner.clone();
    }
    store.namespace().owner(mailbox.name.as_ref()?)
}
