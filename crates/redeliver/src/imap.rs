//! Over IMAP, into a running server: Cyrus, or any other.

mod access;
mod delivery;
mod link;
mod lookup;
mod place;
mod tree;
mod withdrawal;

use std::sync::atomic::{AtomicUsize, Ordering};

use incident::MailboxWithGaps;
use mailstore::namespace::Namespace;
use reconstruct::Target;

use crate::desk::Desk;
use crate::manners::{Gate, Manners};
use crate::order::MissingMailbox;
use crate::report::MailboxReport;
use crate::spool::Matched;
use crate::transport::{Listener, STOPPED, Transport};

pub use access::{Access, Credentials};
use delivery::{Delivery, Halt, Means};
use link::{Health, Link};
use place::Place;
pub use tree::Tree;
pub use withdrawal::Withdrawal;

/// What is said of messages of which there is no word.
const NO_WORD: &str = "the mailbox could not be worked on";

/// What the IMAP transport needs to know.
#[derive(Debug)]
pub struct ImapSettings {
    /// The server, and how one gets in.
    pub access: Access,
    /// The mailboxes of the store and how it names them; none where this machine has no store: then
    /// the incident's names count.
    pub store: Option<(Vec<Target>, Namespace)>,
    /// How many connections there are at a time, at most.
    pub connections: usize,
    /// How considerate of the server it is.
    pub manners: Manners,
    /// The tree that everything is put under instead of where it was.
    pub tree: Option<Tree>,
}

/// The IMAP transport.
#[derive(Debug)]
pub struct Imap {
    settings: ImapSettings,
}

impl Imap {
    /// Its name, in the incident too.
    pub const NAME: &'static str = "imap";

    /// Into a server of these settings.
    #[must_use]
    pub fn new(settings: ImapSettings) -> Self {
        Self { settings }
    }

    fn run(&self, desk: &Desk<'_>, mailboxes: &[MailboxWithGaps], listener: &dyn Listener) {
        let Self { settings: ImapSettings { access, connections, manners, .. } } = self;
        let stop = &manners.stop;
        let (mut places, held) = self.places(desk, mailboxes);
        for (with_gaps, why) in &held {
            tell_held(desk, with_gaps, why, listener);
        }
        // A connection is one user's: whose mailboxes come one after the other, needs one only. What
        // comes into one folder comes one after the other: each copy there counts for one message.
        places.sort_by(|a, b| (a.destination(), &a.name).cmp(&(b.destination(), &b.name)));
        let groups: Vec<&[Place<'_>]> =
            places.chunk_by(|a, b| a.destination() == b.destination()).collect();
        listener.started(places.len());
        let gate = Gate::new(manners.clone());
        let means = Means { desk, gate: &gate, listener };
        let (next, done, health) = (AtomicUsize::new(0), AtomicUsize::new(0), Health::default());
        let worker = || {
            let mut link = Link::new(access, stop, &health);
            while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                for place in group.iter().take_while(|_| !stop.is_asked()) {
                    if into(place, means, &mut link) {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            link.end();
        };
        std::thread::scope(|scope| {
            for _ in 0..(*connections).clamp(1, groups.len().max(1)) {
                scope.spawn(worker);
            }
        });
        let left = places.len().saturating_sub(done.into_inner());
        if left > 0 {
            listener.stopped(left);
        }
    }

    /// What each of the mailboxes is on the server; of those that get nothing, why.
    fn places<'a>(
        &self,
        desk: &Desk<'_>,
        mailboxes: &'a [MailboxWithGaps],
    ) -> (Vec<Place<'a>>, Vec<(&'a MailboxWithGaps, String)>) {
        let (mut places, mut held) = (Vec::new(), Vec::new());
        let mut add = |with_gaps, place: Result<Place<'a>, String>| match place {
            Ok(place) => places.push(place),
            Err(why) => held.push((with_gaps, why)),
        };
        let Some((targets, namespace)) = &self.settings.store else {
            for with_gaps in mailboxes {
                add(with_gaps, Place::recorded(with_gaps).and_then(|it| self.sent_on(desk, it)));
            }
            return (places, held);
        };
        let matched = Matched::of(targets, mailboxes);
        for target in &matched.targets {
            let Some(with_gaps) = matched.by_name.get(&target.name).copied() else { continue };
            add(with_gaps, self.sent_on(desk, Place::listed(with_gaps, target, namespace)));
        }
        for with_gaps in matched.missing {
            let place = match desk.look(with_gaps) {
                Ok(order) if order.mailbox_gone.is_some() => Place::recorded(with_gaps),
                _ => Err(Matched::NONE.to_owned()),
            };
            add(with_gaps, place.and_then(|it| self.sent_on(desk, it)));
        }
        (places, held)
    }

    /// The place, with where its messages come instead, if they do.
    fn sent_on<'a>(&self, desk: &Desk<'_>, place: Place<'a>) -> Result<Place<'a>, String> {
        if let Some(tree) = &self.settings.tree {
            return place.into_tree(tree);
        }
        if desk.missing_mailbox() != MissingMailbox::Inbox {
            return Ok(place);
        }
        let order = desk.look(place.with_gaps).map_err(|error| error.to_string())?;
        if order.mailbox_gone.is_some() { place.into_inbox() } else { Ok(place) }
    }
}

impl Transport for Imap {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn survey(&self, desk: &Desk<'_>, mailboxes: &[MailboxWithGaps], listener: &dyn Listener) {
        self.run(desk, mailboxes, listener);
    }

    /// The run is named by who began it.
    fn deliver(
        self,
        desk: &Desk<'_>,
        mailboxes: &[MailboxWithGaps],
        listener: &dyn Listener,
    ) -> Option<String> {
        self.run(desk, mailboxes, listener);
        None
    }
}

/// Delivers into one mailbox. `false`: the run was told to stop before all was done.
fn into(place: &Place<'_>, means: Means<'_>, link: &mut Link<'_>) -> bool {
    let mut delivery = match Delivery::of(place, means) {
        Ok(delivery) if delivery.is_empty() => return true,
        Ok(delivery) => delivery,
        Err(error) => {
            let error = Some(error.to_string());
            means.listener.finished(&MailboxReport { error, ..MailboxReport::new(&place.name) });
            return true;
        }
    };
    let halt = if delivery.asks_nothing() { Ok(()) } else { link.deliver(place, &mut delivery) };
    let (otherwise, error) = match halt {
        Ok(()) => (NO_WORD.to_owned(), None),
        Err(Halt::Held(why)) => (why, None),
        Err(Halt::Stopped) => (STOPPED.to_owned(), None),
        Err(Halt::Failed(why)) => (why.clone(), Some(why)),
        Err(Halt::Connection(error)) => (error.to_string(), Some(error.to_string())),
    };
    let is_done = otherwise != STOPPED;
    let report = delivery.report(&otherwise, error);
    means.listener.finished(&report);
    is_done
}

fn tell_held(desk: &Desk<'_>, with_gaps: &MailboxWithGaps, why: &str, listener: &dyn Listener) {
    let mut report = MailboxReport::new(&with_gaps.mailbox.name);
    match desk.look(with_gaps) {
        Ok(order) if order.is_empty() => return,
        Ok(order) => desk.settle(&order, &std::collections::HashMap::new(), why, &mut report),
        Err(error) => report.error = Some(error.to_string()),
    }
    listener.finished(&report);
}
