//! Sending messages: little at a time, so that little is in doubt when it is cut off.

use std::time::Instant;

use imap_client::{Appended, Condition, NewMessage, Session, Status, Together};
use incident::{DeliveryState, GapId, Outgoing as Noted, Unconfirmed};
use mailstore_format::header_file::remains::is_atom;
use mailstore_format::message::MessageReader;
use mailstore_format::{SystemFlags, Timestamp, Uid};
use reconstruct::{Arrival, Code, Finding, Remedy};

use super::opening::no_mailbox;
use super::{Delivery, Halt, Means, Standing, Unread};
use crate::desk::Settled;
use crate::imap::lookup::Scope;

/// So many bytes are sent before the server has confirmed them, or one message.
const BYTES: u64 = 1024 * 1024;
/// So many messages, at most.
const MESSAGES: usize = 200;
/// A message that breaks so many connections is not sent again.
const BREAKS: u32 = 3;

/// A message that is about to be sent.
pub(super) struct Outgoing {
    arrival: Arrival,
    flags: Vec<String>,
    date: Option<i64>,
    bytes: Vec<u8>,
}

impl Outgoing {
    fn unread(&self, uid: Uid) -> Unread {
        let Arrival { key, guid, .. } = &self.arrival;
        Unread { key: key.clone(), guid: *guid, size: self.size(), uid }
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl Delivery<'_> {
    /// Sends the next messages, and notes what became of them.
    pub(super) fn send_some(
        &mut self,
        session: &mut Session,
        name: &[u8],
        standing: &mut Standing,
    ) -> Result<(), Halt> {
        let batch = self.next_batch()?;
        if batch.is_empty() {
            return Ok(());
        }
        let bytes = batch.iter().map(Outgoing::size).sum();
        let messages = batch.len() as u64;
        self.means.gate.wait(messages, bytes);
        if let Err(error) = self.ease(session) {
            return self.put_off(batch, error.into());
        }
        if self.means.gate.stop().is_asked() {
            return self.put_off(batch, Halt::Stopped);
        }
        let noted = batch
            .iter()
            .filter_map(|it| Some(Noted { gap: self.id_of(&it.arrival)?, flags: &it.flags }));
        let noted: Vec<_> = noted.collect();
        let (above, folder) = (Self::above(standing), self.folder.clone());
        if let Err(error) = self.means.desk.intend(&noted, above, folder.as_deref()) {
            return self.put_off(batch, error.into());
        }
        let doubt = Unconfirmed { above, folder, sent: Timestamp(i64::MAX) };
        let doubts = batch.iter().map(|it| (it.arrival.key.clone(), doubt.clone()));
        self.doubts.extend(doubts);
        let together = if batch.len() > 1 { Together::Yes } else { Together::No };
        let new =
            batch.iter().map(|it| NewMessage { flags: &it.flags, date: it.date, bytes: &it.bytes });
        let answers = session.append(name, &new.collect::<Vec<_>>(), together);
        self.careful = self.careful.saturating_sub(batch.len());
        match answers {
            Ok(answers) => {
                self.means.listener.progressed(messages, bytes);
                self.take_answers(session, batch, answers, standing)
            }
            Err(error) => {
                for outgoing in &batch {
                    *self.broke.entry(outgoing.arrival.key.clone()).or_default() += 1;
                }
                // One of them may be what the server cannot bear: next time each is alone.
                self.careful += batch.len();
                self.put_off(batch, error.into())
            }
        }
    }

    /// Waits while the server is slow to do nothing.
    fn ease(&self, session: &mut Session) -> Result<(), imap_client::Error> {
        let probe = || {
            let asked = Instant::now();
            session.noop().map(|()| asked.elapsed())
        };
        let Means { gate, listener, .. } = self.means;
        gate.ease(probe, &|took| listener.slow(&self.place.name, took))
    }

    fn take_answers(
        &mut self,
        session: &mut Session,
        batch: Vec<Outgoing>,
        answers: Vec<Appended>,
        standing: &mut Standing,
    ) -> Result<(), Halt> {
        let size = batch.len();
        let (mut settled, mut unsure, mut halt) = (Vec::new(), Vec::new(), None);
        let is_refused = answers.iter().any(|answer| matches!(answer, Appended::Refused(_)));
        for (outgoing, answer) in batch.into_iter().zip(answers) {
            let key = outgoing.arrival.key.clone();
            match answer {
                Appended::There(Some((uidvalidity, uid))) => {
                    if uidvalidity != standing.uidvalidity.0 {
                        return Err(Halt::Failed(MADE_ANEW.to_owned()));
                    }
                    standing.uidnext = standing.uidnext.max(Uid(uid.saturating_add(1)));
                    self.unread.push(outgoing.unread(Uid(uid)));
                    settled.push((key, Settled::at(DeliveryState::Delivered, Uid(uid))));
                }
                Appended::Refused(said) if size == 1 => {
                    halt = self.refused(&outgoing, &said);
                    settled.push((key, Settled::held(&told_of(&said))));
                }
                Appended::There(None) | Appended::Refused(_) => unsure.push(outgoing),
            }
        }
        self.settle(settled)?;
        if let Some(halt) = halt {
            return Err(halt);
        }
        if unsure.is_empty() {
            return Ok(());
        }
        // Refused together, or accepted without a word of UIDs: only the mailbox itself can tell.
        // What is not there is sent again, each for itself.
        self.careful += if is_refused { unsure.len() } else { 0 };
        self.put_back(unsure);
        session.noop()?;
        self.resolve(session, standing, Scope::default())
    }

    /// The server does not want this message. What that means for the others, if anything.
    fn refused(&mut self, outgoing: &Outgoing, said: &Status) -> Option<Halt> {
        if said.has_code("TRYCREATE") {
            return Some(Halt::Held(no_mailbox(&said.to_string())));
        }
        if is_over_quota(said) {
            let size = outgoing.size();
            self.over_quota = Some(self.over_quota.map_or(size, |known| known.min(size)));
        }
        // After BAD nobody knows where the server thinks that the next command begins.
        let is_bad = said.condition == Condition::Bad;
        is_bad.then(|| Halt::Connection(imap_client::Error::Lost(told_of(said))))
    }

    /// The next messages, read and checked. Those that cannot be had, or would not be taken, are held.
    fn next_batch(&mut self) -> Result<Vec<Outgoing>, Halt> {
        let (mut batch, mut held, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
        let most = if self.careful > 0 { 1 } else { self.means.gate.at_once(MESSAGES) };
        while let Some(arrival) = self.todo.pop_front() {
            let is_full = batch.len() >= most
                || !batch.is_empty() && bytes.saturating_add(arrival.size) > BYTES;
            if is_full {
                self.todo.push_front(arrival);
                break;
            }
            let broke = self.broke.get(&arrival.key).copied().unwrap_or(0);
            if broke >= BREAKS {
                let why = format!("the connection broke each of the {broke} times it was sent");
                held.push((arrival.key, Settled::held(&why)));
                continue;
            }
            let mut message = Vec::new();
            if let Err(why) = arrival.read_into(&mut message) {
                held.push((arrival.key, Settled::held(&why)));
                continue;
            }
            let size = message.len() as u64;
            if self.over_quota.is_some_and(|limit| size >= limit) {
                held.push((arrival.key, Settled::held(OVER_QUOTA)));
                continue;
            }
            bytes = bytes.saturating_add(size);
            batch.push(self.outgoing(arrival, message));
        }
        self.careful = self.careful.saturating_sub(held.len());
        self.settle(held)?;
        Ok(batch)
    }

    fn outgoing(&mut self, arrival: Arrival, bytes: Vec<u8>) -> Outgoing {
        let by_its_header = || MessageReader::default().read(&bytes, &mut Vec::new()).received;
        let known = arrival.received(None).or_else(by_its_header);
        let mut flags: Vec<String> = system_flags(arrival.system_flags);
        for keyword in &arrival.keywords {
            if is_atom(keyword.as_bytes()) {
                flags.push(keyword.clone());
            } else {
                let detail = format!("{}: its keyword {keyword:?} is none in IMAP", arrival.guid);
                self.findings.push(Finding::new(Code::KeywordUnnamed, Remedy::Left, detail));
            }
        }
        Outgoing { arrival, flags, date: known.map(Timestamp::seconds), bytes }
    }

    fn id_of(&self, arrival: &Arrival) -> Option<GapId> {
        self.order.gaps.get(&arrival.key).map(|ordered| ordered.id)
    }

    /// They are the next again.
    fn put_back(&mut self, batch: Vec<Outgoing>) {
        for outgoing in batch.into_iter().rev() {
            self.todo.push_front(outgoing.arrival);
        }
    }

    fn put_off(&mut self, batch: Vec<Outgoing>, halt: Halt) -> Result<(), Halt> {
        self.put_back(batch);
        Err(halt)
    }
}

/// Why a message is not even sent.
const OVER_QUOTA: &str = "over quota: one that is no larger was refused as that";
/// Why a delivery ends.
const MADE_ANEW: &str = "the mailbox was made anew while it was delivered into: run gapfill again";

/// Cyrus says it in words alone (3.6.1).
fn is_over_quota(said: &Status) -> bool {
    said.has_code("OVERQUOTA") || said.words.to_ascii_lowercase().contains("over quota")
}

fn told_of(said: &Status) -> String {
    format!("the server says {said}")
}

fn system_flags(flags: SystemFlags) -> Vec<String> {
    const NAMES: [(SystemFlags, &str); 5] = [
        (SystemFlags::ANSWERED, "\\Answered"),
        (SystemFlags::FLAGGED, "\\Flagged"),
        (SystemFlags::DELETED, "\\Deleted"),
        (SystemFlags::DRAFT, "\\Draft"),
        (SystemFlags::SEEN, "\\Seen"),
    ];
    let set = NAMES.iter().filter(|(flag, _)| flags.contains(*flag));
    set.map(|(_, name)| (*name).to_owned()).collect()
}
