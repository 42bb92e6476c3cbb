//! What was sent and not confirmed is remembered until somebody says what became of it.

use std::collections::HashMap;

use mailstore_format::{Uid, UidValidity};

use super::gaps::{gap, record};
use super::{Outage, mailbox};
use crate::mailboxes::MailboxRow;
use crate::{
    Delivery, DeliveryState, GapId, GapToDeliver, GoneMailbox, MailboxWithGaps, Outgoing,
    SentAbove, Withdrawal,
};

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
    let intend = |ids: &[GapId], above| {
        let messages: Vec<_> = ids.iter().map(|&gap| Outgoing { gap, flags: &[] }).collect();
        outage.incident.intend_appends(run, "imap", &messages, above, None).unwrap();
    };
    intend(&ids, above(30));
    intend(&ids[..1], above(40));
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
    outage.incident.confirm_appends(run, "imap", &delivered, None).unwrap();
    assert_eq!(unconfirmed(&outage).into_keys().collect::<Vec<_>>(), [ids[2]]);
    outage.incident.appends_failed(&ids).unwrap();
    assert_eq!(unconfirmed(&outage), HashMap::new());
    let states = outage.incident.deliveries().map(|recorded| recorded.unwrap().delivery.state);
    let expected = [DeliveryState::Delivered, DeliveryState::Held, DeliveryState::Intended];
    assert_eq!(states.collect::<Vec<_>>(), expected);
}

#[test]
fn where_a_message_was_sent_is_known_as_long_as_it_is_there_or_may_be() {
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(7, "seven"), gap(8, "eight")]);
    let ids: Vec<GapId> =
        outage.incident.gaps_of(&only()).unwrap().iter().map(|gap| gap.id).collect();
    let flags = ["\\Seen".to_owned()];
    let messages: Vec<_> = ids.iter().map(|&gap| Outgoing { gap, flags: &flags }).collect();
    let above = SentAbove { uidvalidity: UidValidity(17), uidnext: Uid(30) };
    outage.incident.intend_appends(run, "imap", &messages, above, Some("Old.Work")).unwrap();
    let said = |gap, state, uid: Option<u32>| Delivery {
        gap,
        state,
        uid: uid.map(Uid),
        note: String::new(),
    };
    let held = [said(ids[0], DeliveryState::Held, None)];
    outage.incident.record_deliveries(run, "spool", &held).unwrap();
    let folders = || -> Vec<_> {
        let gaps = outage.incident.gaps_of(&only()).unwrap();
        gaps.into_iter().map(|gap| gap.folder).collect()
    };
    let there = Some("Old.Work".to_owned());
    assert_eq!(folders(), [there.clone(), there.clone()]);
    let confirmed =
        [said(ids[0], DeliveryState::Delivered, Some(31)), said(ids[1], DeliveryState::Held, None)];
    outage.incident.confirm_appends(run, "imap", &confirmed, Some("Old.Work")).unwrap();
    assert_eq!(folders(), [there.clone(), None]);
    // What is in another folder is missed in its own for ever.
    record(&outage, run, &[gap(7, "seven"), gap(8, "eight")]);
    let settled: Vec<_> = outage.incident.gaps_of(&only()).unwrap();
    assert_eq!(settled.iter().map(GapToDeliver::is_settled).collect::<Vec<_>>(), [true, false]);

    let sent = outage.incident.sent_by(run, "imap").unwrap();
    assert_eq!((sent.len(), sent[0].uid, &sent[0].folder), (1, Uid(31), &there));
    assert_eq!(sent[0].flags.as_deref(), Some(&flags[..]));
    for stage in [Withdrawal::Begun, Withdrawal::Marked] {
        outage.incident.withdrawal_came_to(&ids[..1], stage).unwrap();
        assert_eq!(outage.incident.sent_by(run, "imap").unwrap()[0].withdrawal, Some(stage));
    }
    outage.incident.withdrawn(&ids[..1]).unwrap();
    assert_eq!(
        (outage.incident.sent_by(run, "imap").unwrap(), folders()),
        (vec![], vec![None, None])
    );
    assert!(outage.incident.has_delivered(run, "imap").unwrap());
}

#[test]
fn a_mailbox_that_was_made_again_is_known_by_its_former_id_too() {
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(7, "seven")]);
    let gone = GoneMailbox {
        acl: Some("alice\tlrs\t".to_owned()),
        special_use: Some("\\Sent".to_owned()),
    };
    outage.incident.record_gone_mailbox(run, &mailbox("a"), &gone).unwrap();
    outage.incident.record_gone_mailbox(run, &mailbox("a"), &GoneMailbox::default()).unwrap();
    assert_eq!(outage.incident.gone_mailbox(&only()).unwrap(), Some(gone));
    assert!(outage.incident.mailbox_made_again(&only(), Some("new")).unwrap());
    assert!(outage.incident.mailbox_made_again(&only(), Some("new")).unwrap());
    record(&outage, run, &[gap(8, "eight")]);
    let mailboxes = outage.incident.mailboxes_with_gaps(outage.store, &[]).unwrap();
    assert_eq!(mailboxes.iter().map(|it| &*it.mailbox.uniqueid).collect::<Vec<_>>(), ["new"]);
    assert_eq!(outage.incident.gaps_of(&mailboxes[0]).unwrap().len(), 2);
}
