//! The delivery into one mailbox, over as many connections as it takes.

mod batch;
mod elsewhere;
mod opening;
mod read_back;

use std::collections::{HashMap, VecDeque};

use imap_client::Session;
use incident::{Delivery as Noted, DeliveryState, SentAbove, Unconfirmed};
use mailstore_format::{Guid, Uid, UidValidity};
use reconstruct::{Arrival, Finding};

use super::lookup::{Present, Scope, Sought, look_up};
use super::place::{Detour, Place};
use crate::desk::{Desk, Settled};
use crate::manners::Gate;
use crate::order::Order;
use crate::report::MailboxReport;
use crate::transport::Listener;
use opening::Open;

/// What a delivery needs besides the mailbox.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) gate: &'a Gate,
    pub(super) listener: &'a dyn Listener,
}

/// Why a delivery cannot go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// Another connection may fare better.
    Connection(imap_client::Error),
    /// The mailbox gets nothing more, and that is all.
    Held(String),
    /// Something went wrong.
    Failed(String),
    /// The run was told to stop.
    Stopped,
}

impl From<imap_client::Error> for Halt {
    fn from(error: imap_client::Error) -> Self {
        if error.is_of_the_connection() {
            Self::Connection(error)
        } else {
            Self::Failed(error.to_string())
        }
    }
}

impl From<crate::Error> for Halt {
    fn from(error: crate::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The delivery into one mailbox.
pub(super) struct Delivery<'a> {
    means: Means<'a>,
    place: &'a Place<'a>,
    order: Order,
    /// What was not settled yet, the oldest first.
    todo: VecDeque<Arrival>,
    /// By key, what may have come: sent, and not confirmed.
    doubts: HashMap<String, Unconfirmed>,
    /// By key, what became of messages.
    fates: HashMap<String, Settled>,
    /// What is there and was not read back.
    unread: Vec<Unread>,
    /// How often the whole of that could not be read back.
    read_back_failures: u32,
    findings: Vec<Finding>,
    /// So many messages go one by one: together with others they were refused.
    careful: usize,
    /// How often a connection broke while it was sent.
    broke: HashMap<String, u32>,
    /// Messages from this size on are over quota.
    over_quota: Option<u64>,
    has_looked: bool,
    /// What messages come into, as the server calls it, where that is not their mailbox.
    folder: Option<String>,
    /// The unique id under which the mailbox was made again.
    made_as: Option<String>,
    /// How many messages were settled, to tell whether it goes on.
    settled: usize,
}

/// A message that is there and was not read back.
#[derive(Debug, Clone)]
struct Unread {
    key: String,
    guid: Guid,
    size: u64,
    uid: Uid,
}

/// How the open mailbox stands.
#[derive(Debug, Clone, Copy)]
struct Standing {
    uidvalidity: UidValidity,
    /// What comes next has this UID or a higher one.
    uidnext: Uid,
    /// It is certainly the mailbox that the comparison saw.
    is_proven: bool,
}

impl<'a> Delivery<'a> {
    /// Of what is ordered into `place`.
    pub(super) fn of(place: &'a Place<'a>, means: Means<'a>) -> Result<Self, crate::Error> {
        let order = means.desk.look(place.with_gaps)?;
        let unconfirmed = means.desk.unconfirmed(place.with_gaps)?;
        let mut messages = order.arrivals.messages.clone();
        messages.sort_by_key(|it| (it.internaldate.0 == 0, it.internaldate, it.uid_before));
        let in_doubt = |(key, ordered): (&String, &crate::Ordered)| {
            unconfirmed.get(&ordered.id).map(|sent| (key.clone(), sent.clone()))
        };
        let doubts = order.gaps.iter().filter_map(in_doubt).collect();
        Ok(Self {
            means,
            place,
            order,
            todo: messages.into(),
            doubts,
            fates: HashMap::new(),
            unread: Vec::new(),
            read_back_failures: 0,
            findings: Vec::new(),
            careful: 0,
            broke: HashMap::new(),
            over_quota: None,
            has_looked: false,
            folder: None,
            made_as: None,
            settled: 0,
        })
    }

    /// Whether there is nothing to tell of the mailbox.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether nothing has to be asked of the server.
    pub(super) fn asks_nothing(&self) -> bool {
        self.todo.is_empty()
    }

    /// How many messages were settled so far.
    pub(super) fn progress(&self) -> usize {
        self.settled
    }

    /// Goes on with the delivery in `session`, up to its end.
    pub(super) fn go_on(&mut self, session: &mut Session) -> Result<(), Halt> {
        self.resolve_elsewhere(session)?;
        let Some(Open { name, mut standing }) = self.open(session)? else {
            self.would_deliver();
            return Ok(());
        };
        if !self.has_looked {
            self.warn_of_known_uids(standing.uidnext);
        }
        let scope = Scope {
            came_since: !self.has_looked,
            own_uids: !self.has_looked && standing.is_proven,
            everything: !self.has_looked && matches!(self.place.detour(), Some(Detour::Tree(_))),
        };
        self.resolve(session, &standing, scope)?;
        self.hold_what_came_before(&standing)?;
        self.has_looked = true;
        if self.means.desk.is_dry() {
            self.would_deliver();
            return Ok(());
        }
        self.read_back(session)?;
        while !self.todo.is_empty() {
            if self.means.gate.stop().is_asked() {
                return Err(Halt::Stopped);
            }
            self.send_some(session, &name, &mut standing)?;
            self.read_back(session)?;
        }
        Ok(())
    }

    /// What became of the mailbox. Of what there is no word it is said that it is held because of
    /// `otherwise`.
    pub(super) fn report(self, otherwise: &str, error: Option<String>) -> MailboxReport {
        let mut report = MailboxReport {
            findings: self.findings,
            error,
            ..MailboxReport::new(&self.place.name)
        };
        let fates = self.fates.iter().map(|(key, fate)| (key.as_str(), fate.clone())).collect();
        self.means.desk.settle(&self.order, &fates, otherwise, &mut report);
        report
    }

    /// Finds out what of the messages is there: of those in doubt, and within `scope` of all. After
    /// that nothing is in doubt.
    fn resolve(
        &mut self,
        session: &mut Session,
        standing: &Standing,
        scope: Scope,
    ) -> Result<(), Halt> {
        let sought = self.sought(session, standing, scope);
        if sought.is_empty() {
            return Ok(());
        }
        let folder = self.folder.clone();
        let others = self.accounted_for(folder.as_deref(), standing.uidvalidity)?;
        let present = look_up(session, &sought, &others, scope)?;
        let mut found = Vec::new();
        for it in &sought {
            let Some(Present { uid, was_sent }) = present.get(&it.key).copied() else { continue };
            if was_sent {
                let (key, guid, size) = (it.key.clone(), it.guid, it.size);
                self.unread.push(Unread { key, guid, size, uid });
            }
            let state = if was_sent { DeliveryState::Delivered } else { DeliveryState::Found };
            found.push((it.key.clone(), Settled::at(state, uid)));
        }
        self.settle(found)?;
        let absent: Vec<String> = self.doubts.keys().cloned().collect();
        self.did_not_come(&absent)
    }

    /// Nothing is in doubt about these any more: they are not there.
    fn did_not_come(&mut self, keys: &[String]) -> Result<(), Halt> {
        let ids = keys.iter().filter_map(|key| self.order.gaps.get(key)).map(|it| it.id);
        self.means.desk.did_not_come(&ids.collect::<Vec<_>>())?;
        self.doubts.retain(|key, _| !keys.contains(key));
        Ok(())
    }

    fn sought(&mut self, session: &Session, standing: &Standing, scope: Scope) -> Vec<Sought> {
        let (mut sought, mut lost_track) = (Vec::new(), Vec::new());
        let mut message = Vec::new();
        for arrival in &self.todo {
            let doubt = self.doubts.get(&arrival.key);
            if doubt.is_none() && !scope.came_since {
                continue;
            }
            let same_uids = doubt.filter(|it| it.above.uidvalidity == standing.uidvalidity);
            if let (Some(doubt), None) = (doubt, same_uids) {
                let seen_since = arrival.missed_at > doubt.sent;
                let told_by_date = standing.is_proven && session.offers("SAVEDATE");
                if !seen_since && !told_by_date {
                    lost_track.push((arrival.key.clone(), Settled::held(LOST_TRACK)));
                    continue;
                }
            }
            // Of what was sent its size is certain where it can be read; the incident's may be that of
            // a copy with other line ends.
            let is_read = doubt.is_some() && arrival.read_into(&mut message).is_ok();
            let size = if is_read { message.len() as u64 } else { arrival.size };
            sought.push(Sought {
                key: arrival.key.clone(),
                guid: arrival.guid,
                size,
                sent: same_uids.map(|it| it.above),
                missed_at: arrival.missed_at,
                uid_before: arrival.uid_before,
            });
        }
        self.lose_track(lost_track);
        sought
    }

    /// Holds messages of which nothing tells whether they came. The doubt stays: what is held by it is
    /// not sent before somebody has looked.
    fn lose_track(&mut self, held: Vec<(String, Settled)>) {
        for (key, fate) in held {
            self.doubts.remove(&key);
            self.todo.retain(|arrival| arrival.key != key);
            self.fates.insert(key, fate);
        }
    }

    /// Notes what became of messages in the folder that is open, here and in the incident.
    fn settle(&mut self, settled: Vec<(String, Settled)>) -> Result<(), Halt> {
        let folder = self.folder.clone();
        self.settle_in(folder.as_deref(), settled)
    }

    /// The same of messages in the folder that the server calls so, or in their mailbox.
    fn settle_in(
        &mut self,
        folder: Option<&str>,
        settled: Vec<(String, Settled)>,
    ) -> Result<(), Halt> {
        let noted = settled.iter().filter_map(|(key, fate)| {
            let gap = self.order.gaps.get(key)?.id;
            let Settled { state, uid, note } = fate.clone();
            Some(Noted { gap, state, uid, note })
        });
        let noted: Vec<_> = noted.collect();
        for (key, fate) in settled {
            self.doubts.remove(&key);
            self.fates.insert(key, fate);
            self.settled += 1;
        }
        let fates = &self.fates;
        self.todo.retain(|arrival| !fates.contains_key(&arrival.key));
        Ok(self.means.desk.confirm(&noted, folder)?)
    }

    /// What was delivered before and is missed again comes again only into a mailbox that was set back
    /// behind that: else its owner may have deleted it, or its record waits for its file.
    fn hold_what_came_before(&mut self, standing: &Standing) -> Result<(), Halt> {
        if self.order.arrivals.again {
            return Ok(());
        }
        let held = self.todo.iter().filter_map(|arrival| {
            // Of its own mailbox, while another folder is open, nothing is known.
            let may_be_there = |&uid: &Uid| self.folder.is_some() || uid < standing.uidnext;
            let uid = arrival.came_as.filter(may_be_there)?;
            let why = format!("it was delivered as UID {uid} and is missed again: {CAME_BEFORE}");
            Some((arrival.key.clone(), Settled::held(&why)))
        });
        let held = held.collect();
        self.settle(held)
    }

    fn would_deliver(&mut self) {
        for arrival in self.todo.drain(..) {
            let (state, note) = (DeliveryState::Intended, String::new());
            self.fates.insert(arrival.key, Settled { state, uid: None, note });
        }
    }

    fn above(standing: &Standing) -> SentAbove {
        SentAbove { uidvalidity: standing.uidvalidity, uidnext: standing.uidnext }
    }
}

/// Why a message is not sent again.
const LOST_TRACK: &str = "it was sent before the mailbox's UIDVALIDITY changed, and nothing tells \
                          whether it came: run gapfill again, then deliver again";

/// What to do about a message that came before.
const CAME_BEFORE: &str = "its owner may have deleted it; --via spool can tell, and gives a record its \
                           file back; --again delivers it, marked";
