//! What was sent and not confirmed is remembered until somebody says what became of it.

use std::collections::HashMap;

use mailstore_format::{Uid, UidValidity};

use super::gaps::{gap, record};
use super::{Outage, mailbox};
use crate::mailboxes::MailboxRow;
use crate::{Delivery, DeliveryState, GapId, MailboxWithGaps, SentAbove};

fn only() -> MailboxWithGaps {
    MailboxWithGaps { mailbox: mailbox("a"), row: MailboxRow(1) }
}

fn unconfirmed(outage: &Outage) -> HashMap<GapId, SentAbove> {
    let unconfirmed = outage.incident.unconfirmed_appends(&only()).unwrap();
    unconfirmed.into_iter().map(|(gap, sent)| (gap, sent.above)).collect()
}

#[test]
fn what_was_sent_is_in_doubt_until_it_is_confirmed_or_failed_whatever_else_is_said_of_it() {
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(7, "seven"), gap(8, "eight"), gap(9, "nine")]);
    let ids: Vec<GapId> =
        outage.incident.gaps_of(&only()).unwrap().iter().map(|gap| gap.id).collect();
    let above = |uidnext| SentAbove { uidvalidity: UidValidity(17), uidnext: Uid(uidnext) };
    outage.incident.intend_appends(run, "imap", &ids, above(30)).unwrap();
    outage.incident.intend_appends(run, "imap", &ids[..1], above(40)).unwrap();
    let expected = HashMap::from([(ids[0], above(40)), (ids[1], above(30)), (ids[2], above(30))]);
    assert_eq!(unconfirmed(&outage), expected);

    // Another transport, or a run that could not ask the server, says something else.
    let said = |gap, state| Delivery { gap, state, uid: None, note: String::new() };
    let held = [said(ids[0], DeliveryState::Held)];
    outage.incident.record_deliveries(run, "spool", &held).unwrap();
    assert_eq!(unconfirmed(&outage), expected);
    let exported = outage.incident.deliveries().map(|recorded| recorded.unwrap().unconfirmed);
    assert_eq!(exported.collect::<Vec<_>>(), [Some(above(40)), Some(above(30)), Some(above(30))]);

    let delivered = [said(ids[0], DeliveryState::Delivered), said(ids[1], DeliveryState::Held)];
    outage.incident.confirm_appends(run, "imap", &delivered).unwrap();
    assert_eq!(unconfirmed(&outage).into_keys().collect::<Vec<_>>(), [ids[2]]);
    outage.incident.appends_failed(&ids).unwrap();
    assert_eq!(unconfirmed(&outage), HashMap::new());
    let states = outage.incident.deliveries().map(|recorded| recorded.unwrap().delivery.state);
    let expected = [DeliveryState::Delivered, DeliveryState::Held, DeliveryState::Intended];
    assert_eq!(states.collect::<Vec<_>>(), expected);
}
