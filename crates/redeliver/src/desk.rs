//! Where orders come from and what became of them is noted: the incident.

mod appends;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use incident::{Delivery, DeliveryState, GapId, Incident, MailboxWithGaps, RunId};

use mailstore_format::Uid;

use crate::error::Error;
use crate::imap::Imap;
use crate::order::{Choice, MissingMailbox, Order, order};
use crate::report::{MailboxReport, MessageReport};

/// Hands out what is to be delivered and notes what became of it. Threads share it.
#[derive(Debug)]
pub struct Desk<'a> {
    incident: &'a Incident,
    choice: &'a Choice,
    /// The run that delivers; none in a dry run.
    run: Option<RunId>,
    via: &'static str,
    /// What was handed out and is not back, by the mailbox's unique id.
    out: Mutex<HashMap<String, Order>>,
}

impl<'a> Desk<'a> {
    /// A desk that hands out orders and notes nothing.
    #[must_use]
    pub fn dry(incident: &'a Incident, choice: &'a Choice, via: &'static str) -> Self {
        Self { incident, choice, run: None, via, out: Mutex::default() }
    }

    /// A desk that notes what becomes of orders in `run`.
    #[must_use]
    pub fn of_run(
        incident: &'a Incident,
        choice: &'a Choice,
        via: &'static str,
        run: RunId,
    ) -> Self {
        Self { run: Some(run), ..Self::dry(incident, choice, via) }
    }

    /// What is to be delivered into the mailbox, without handing it out.
    pub fn look(&self, mailbox: &MailboxWithGaps) -> Result<Order, Error> {
        let seen = self.incident.seen_numbers(mailbox)?;
        let gaps = self.incident.gaps_of(mailbox)?;
        let mut order = order(&gaps, seen, self.choice);
        if self.via != Imap::NAME {
            order.hold_what_is_elsewhere_in_doubt(&gaps);
        }
        Ok(order)
    }

    /// Hands out what is to be delivered into the mailbox. That it is about to be is noted first.
    pub(crate) fn hand_out(&self, mailbox: &MailboxWithGaps) -> Result<Order, Error> {
        let order = self.look(mailbox)?;
        let intended = order.gaps.values().map(|ordered| said(ordered.id, DeliveryState::Intended));
        self.note(&intended.collect::<Vec<_>>())?;
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.insert(mailbox.mailbox.uniqueid.clone(), order.clone());
        Ok(order)
    }

    /// What was handed out for a mailbox; after that it is back.
    pub(crate) fn take_back(&self, mailbox: &MailboxWithGaps) -> Option<Order> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.remove(&mailbox.mailbox.uniqueid)
    }

    /// Notes what became of an order: by key the state of each message with its UID, or why it is
    /// held. Of what there is no word it is said that it is held because of `otherwise`.
    pub(crate) fn settle(
        &self,
        order: &Order,
        fates: &HashMap<&str, Settled>,
        otherwise: &str,
        report: &mut MailboxReport,
    ) {
        let mut deliveries = Vec::new();
        for (key, ordered) in &order.gaps {
            let settled = fates.get(key.as_str()).cloned();
            let settled = settled.unwrap_or_else(|| Settled::held(otherwise));
            let Settled { state, uid, note } = settled;
            let message = MessageReport::new(ordered, state);
            report.messages.push(MessageReport { uid, note: note.clone(), ..message });
            deliveries.push(Delivery { gap: ordered.id, state, uid, note });
        }
        for (ordered, why) in &order.held {
            let note = why.advice().to_owned();
            let message = MessageReport::new(ordered, DeliveryState::Held);
            report.messages.push(MessageReport { note: note.clone(), ..message });
            deliveries.push(Delivery { note, ..said(ordered.id, DeliveryState::Held) });
        }
        report.messages.sort_by_key(|message| (message.uid, message.source_uid));
        if let Err(error) = self.note(&deliveries) {
            let why = format!("the incident does not remember what was delivered: {error}");
            report.error.get_or_insert(why);
        }
    }

    /// What becomes of the messages of mailboxes that the store does not have.
    pub(crate) fn missing_mailbox(&self) -> MissingMailbox {
        self.choice.missing_mailbox
    }

    fn note(&self, deliveries: &[Delivery]) -> Result<(), Error> {
        let Some(run) = self.run.filter(|_| !deliveries.is_empty()) else { return Ok(()) };
        Ok(self.incident.record_deliveries(run, self.via, deliveries)?)
    }
}

/// What became of a message.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) state: DeliveryState,
    pub(crate) uid: Option<Uid>,
    pub(crate) note: String,
}

impl Settled {
    pub(crate) fn at(state: DeliveryState, uid: Uid) -> Self {
        Self { state, uid: Some(uid), note: String::new() }
    }

    pub(crate) fn held(why: &str) -> Self {
        Self { state: DeliveryState::Held, uid: None, note: why.to_owned() }
    }
}

fn said(gap: GapId, state: DeliveryState) -> Delivery {
    Delivery { gap, state, uid: None, note: String::new() }
}
