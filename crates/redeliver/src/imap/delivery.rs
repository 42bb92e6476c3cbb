//! The delivery into one mailbox, over as many connections as it takes.

mod batch;
mod read_back;

use std::collections::{HashMap, HashSet, VecDeque};

use imap_client::{Examined, Session};
use incident::{Delivery as Noted, DeliveryState, GapId, SentAbove, Unconfirmed};
use mailstore_format::{Guid, Uid, UidValidity};
use reconstruct::{Arrival, Code, Finding, Remedy};

use super::lookup::{Present, Scope, Sought, look_up};
use super::place::Place;
use crate::desk::{Desk, Settled};
use crate::manners::Gate;
use crate::order::Order;
use crate::report::MailboxReport;
use crate::transport::Listener;

/// What servers call themselves that have Cyrus's unique ids for lasting names.
const CYRUS: &str = "cyrus";

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
            unconfirmed.get(&ordered.id).map(|sent| (key.clone(), *sent))
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
        let odd = |why: &str| Halt::Held(why.to_owned());
        let name = self.place.name_on(session.namespace()).map_err(odd)?;
        let examined = session.examine(&name).map_err(|error| match error {
            imap_client::Error::Refused { said, .. } => Halt::Held(no_mailbox(&said.to_string())),
            error => error.into(),
        })?;
        let mut standing = self.standing(session, &examined)?;
        if !self.has_looked {
            self.warn_of_known_uids(standing.uidnext);
        }
        let scope = Scope {
            came_since: !self.has_looked,
            own_uids: !self.has_looked && standing.is_proven,
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

    /// How the mailbox stands, once it is clear that it is the one that is meant.
    fn standing(&self, session: &Session, examined: &Examined) -> Result<Standing, Halt> {
        let numbers = examined.uidvalidity.zip(examined.uidnext);
        let (uidvalidity, uidnext) = numbers.ok_or_else(|| {
            Halt::Held(
                "the server tells no UIDVALIDITY and UIDNEXT of it: what is sent and not \
                        confirmed could not be found again"
                    .to_owned(),
            )
        })?;
        let uidvalidity = UidValidity(uidvalidity);
        let is_cyrus =
            session.software().is_some_and(|name| name.to_ascii_lowercase().starts_with(CYRUS));
        let ids = examined.mailbox_id.as_deref().zip(self.place.uniqueid());
        let ids = ids.filter(|_| is_cyrus || self.place.is_listed());
        let is_proven = match (ids, self.place.uidvalidity()) {
            (Some((there, known)), _) if there == known => true,
            (None, Some(known)) if known == uidvalidity => true,
            (None, None) => false,
            _ => {
                return Err(Halt::Held(
                    "another folder has its name on the server: run gapfill again, \
                                        then deliver again"
                        .to_owned(),
                ));
            }
        };
        Ok(Standing { uidvalidity, uidnext: Uid(uidnext), is_proven })
    }

    fn warn_of_known_uids(&mut self, uidnext: Uid) {
        let seen = self.order.arrivals.above_uid;
        if uidnext > seen || self.todo.is_empty() || seen > Uid::HIGHEST_PLAUSIBLE {
            return;
        }
        let detail = format!(
            "the next message gets UID {uidnext}, and clients of the lost server may know other \
             messages by the UIDs up to {seen}: run `redeliver raise-uidnext` on the store's host first"
        );
        self.findings.push(Finding::new(Code::UidsMayBeKnown, Remedy::Note, detail));
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
        let mut others: HashSet<Uid> = self.order.arrivals.came_before.clone();
        others.extend(self.fates.values().filter_map(|fate| fate.uid));
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
        let absent: Vec<GapId> =
            self.doubts.keys().filter_map(|key| self.order.gaps.get(key)).map(|it| it.id).collect();
        self.means.desk.did_not_come(&absent)?;
        self.doubts.clear();
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
        for (key, fate) in lost_track {
            // The doubt stays: what is held by it is not sent before somebody has looked.
            self.doubts.remove(&key);
            self.todo.retain(|arrival| arrival.key != key);
            self.fates.insert(key, fate);
        }
        sought
    }

    /// Notes what became of messages, here and in the incident.
    fn settle(&mut self, settled: Vec<(String, Settled)>) -> Result<(), Halt> {
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
        Ok(self.means.desk.confirm(&noted)?)
    }

    /// What was delivered before and is missed again comes again only into a mailbox that was set back
    /// behind that: else its owner may have deleted it, or its record waits for its file.
    fn hold_what_came_before(&mut self, standing: &Standing) -> Result<(), Halt> {
        if self.order.arrivals.again {
            return Ok(());
        }
        let held = self.todo.iter().filter_map(|arrival| {
            let uid = arrival.came_as.filter(|&uid| uid < standing.uidnext)?;
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

fn no_mailbox(said: &str) -> String {
    format!("the server does not open it ({said}): create it where it is gone, then deliver again")
}
