//! Making jobs of a store's mailboxes: one a user, in a good order, sized by triage.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError};

use incident::queue::{NewJob, Size};
use mailstore::store::Store;
use reconstruct::triage::{MailboxTriage, triage};
use reconstruct::{Site, Target};

/// How jobs come into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolment {
    /// The higher, the sooner.
    pub priority: i64,
    /// Whether users are to be kept from logging in until all is done.
    pub deny: bool,
    /// Mailboxes that are looked at together.
    pub jobs: usize,
}

/// A mailbox with what decides its place.
struct Mailbox<'t> {
    target: &'t Target,
    is_inbox: bool,
    is_deleted: bool,
    /// When an entry of its directory last came or went, in seconds since 1970: mail arrives so.
    last_use: i64,
}

/// The jobs for these mailboxes, those first whose users got mail last: they are likely to wait.
/// Each has its user's INBOX first, then the mailboxes in the order of their last use, deleted ones
/// at the end. What is nobody's makes a job of its own, the last. No message is opened.
#[must_use]
pub fn jobs_of(store: &Store, site: &Site, targets: &[Target], how: Enrolment) -> Vec<NewJob> {
    let sizes = triaged(site, targets, how.jobs);
    let mut by_user = BTreeMap::<String, Vec<Mailbox<'_>>>::new();
    for target in targets {
        let mailbox = Mailbox::of(store, target);
        let user = String::from_utf8_lossy(&target.owner).into_owned();
        by_user.entry(user).or_default().push(mailbox);
    }
    let mut users: Vec<_> = by_user.into_iter().collect();
    let last_use = |mailboxes: &[Mailbox<'_>]| mailboxes.iter().map(|one| one.last_use).max();
    users.sort_by_key(|(user, mailboxes)| {
        (user.is_empty(), std::cmp::Reverse(last_use(mailboxes)), user.clone())
    });
    let jobs = users.into_iter().map(|(user, mut mailboxes)| {
        mailboxes.sort_by_key(|one| {
            (one.is_deleted, !one.is_inbox, std::cmp::Reverse(one.last_use), &one.target.name)
        });
        let size_of = |target: &Target| sizes.get(&target.name).copied().unwrap_or_default();
        let mailboxes =
            mailboxes.iter().map(|one| (one.target.id(), size_of(one.target))).collect();
        let deny = how.deny && !user.is_empty();
        NewJob { user, mailboxes, priority: how.priority, deny }
    });
    jobs.collect()
}

impl<'t> Mailbox<'t> {
    fn of(store: &Store, target: &'t Target) -> Self {
        let name = target.internal_name();
        let parts = store.namespace().parts(&name);
        let directory = target.location.spool.symlink_metadata();
        Self {
            target,
            is_inbox: parts.inbox().is_some_and(|inbox| inbox == name),
            is_deleted: parts.deleted.is_some(),
            last_use: directory.map_or(0, |metadata| metadata.mtime()),
        }
    }
}

/// How much there is to do in each mailbox, by its name.
fn triaged(site: &Site, targets: &[Target], jobs: usize) -> HashMap<String, Size> {
    let sizes = Mutex::new(HashMap::new());
    let tell = |seen: &MailboxTriage| {
        let there = Size {
            mailboxes: 1,
            messages: seen.messages,
            to_read: seen.to_read,
            bytes_to_read: seen.bytes_to_read,
        };
        let mut sizes = sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.insert(seen.mailbox.clone(), there);
    };
    triage(site, targets, jobs, &tell);
    sizes.into_inner().unwrap_or_else(PoisonError::into_inner)
}
