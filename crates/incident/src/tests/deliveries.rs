//! What became of a gap is remembered once, and what is settled stays so.

use mailstore_format::{ModSeq, Timestamp, Uid};

use super::gaps::{gap, record, record_at};
use super::{Outage, lost, mailbox, outcome, rows};
use crate::mailboxes::MailboxRow;
use crate::{
    Delivery, DeliveryState, Gap, GapToDeliver, MailboxRecord, MailboxWithGaps, Recovered, RunId,
    SeenNumbers, WantedMessage,
};

/// Those of the only mailbox, settled or not.
fn gaps(outage: &Outage) -> Vec<GapToDeliver> {
    let only = MailboxWithGaps { mailbox: mailbox("a"), row: MailboxRow(1) };
    outage.incident.gaps_of(&only).unwrap()
}

/// How many mailboxes have gaps that are to be restored and have not been.
fn to_do(outage: &Outage) -> usize {
    outage.incident.mailboxes_with_gaps(outage.store, &[]).unwrap().len()
}

fn say(outage: &Outage, run: RunId, state: DeliveryState, uid: Option<u32>) {
    let about =
        |gap: GapToDeliver| Delivery { gap: gap.id, state, uid: uid.map(Uid), note: String::new() };
    let said: Vec<_> = gaps(outage).into_iter().map(about).collect();
    outage.incident.record_deliveries(run, "spool", &said).unwrap();
}

fn said(outage: &Outage) -> Vec<(DeliveryState, Option<Uid>)> {
    let deliveries = gaps(outage).into_iter().filter_map(|gap| gap.delivery);
    deliveries.map(|delivery| (delivery.state, delivery.uid)).collect()
}

#[test]
fn what_was_delivered_is_never_said_not_to_have_been_unless_it_is_undone() {
    use DeliveryState::{Delivered, Held, Intended, Undone, Verified};
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(7, "seven")]);
    assert_eq!(said(&outage), []);
    say(&outage, run, Held, None);
    say(&outage, run, Intended, None);
    assert_eq!((said(&outage), to_do(&outage)), (vec![(Intended, None)], 1));
    say(&outage, run, Delivered, Some(9));
    assert_eq!(to_do(&outage), 0);
    let later = outage.run("later");
    say(&outage, later, Held, None);
    say(&outage, later, Intended, None);
    assert_eq!(said(&outage), [(Delivered, Some(Uid(9)))]);
    say(&outage, run, Verified, Some(9));
    outage.incident.deliveries_undone(run, &mailbox("b"), &[Uid(9)]).unwrap();
    outage.incident.deliveries_undone(run, &mailbox("a"), &[Uid(8)]).unwrap();
    assert_eq!(said(&outage), [(Verified, Some(Uid(9)))]);
    outage.incident.deliveries_undone(run, &mailbox("a"), &[Uid(9)]).unwrap();
    assert_eq!((said(&outage), to_do(&outage)), (vec![(Undone, None)], 1));
    say(&outage, later, Intended, None);
    assert_eq!(said(&outage), [(Intended, None)]);
}

#[test]
fn what_a_comparison_misses_after_its_delivery_is_to_be_delivered_again() {
    use DeliveryState::{Delivered, Held, Intended};
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(7, "seven")]);
    say(&outage, run, Delivered, Some(9));
    record(&outage, run, &[gap(7, "seven")]);
    assert_eq!(to_do(&outage), 0, "the store was looked at before");
    record_at(&outage, run, &[gap(7, "seven")], Timestamp(i64::MAX));
    assert!(to_do(&outage) == 1 && !gaps(&outage)[0].is_settled());
    say(&outage, run, Intended, None);
    say(&outage, run, Held, None);
    assert_eq!(said(&outage), [(Held, Some(Uid(9)))], "where it came stays known");
}

#[test]
fn the_highest_numbers_are_those_of_sources_gaps_and_of_what_is_wanted() {
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(7, "seven"), gap(12, "twelve")]);
    let numbers = || {
        let mailboxes = outage.incident.mailboxes_with_gaps(outage.store, &[]).unwrap();
        outage.incident.seen_numbers(&mailboxes[0]).unwrap()
    };
    assert_eq!(numbers(), SeenNumbers { uid: Uid(12), modseq: ModSeq(0) });
    let (mailbox, outcome) = (mailbox("a"), outcome("repaired"));
    let wanted = [WantedMessage { modseq: ModSeq(77), ..lost(40, "forty") }];
    let record = MailboxRecord { wanted: &wanted, ..MailboxRecord::new(&mailbox, &outcome) };
    outage.incident.record(run, &record).unwrap();
    assert_eq!(numbers(), SeenNumbers { uid: Uid(40), modseq: ModSeq(77) });
    for (uid, modseq) in [(90, 5), (60, 99), (7, u64::MAX)] {
        let seen = SeenNumbers { uid: Uid(uid), modseq: ModSeq(modseq) };
        outage.incident.record_seen_numbers(run, &mailbox, seen).unwrap();
    }
    assert_eq!(numbers(), SeenNumbers { uid: Uid(90), modseq: ModSeq(99) });
}

#[test]
fn a_wanted_message_is_found_when_its_gap_is_delivered() {
    let outage = Outage::new();
    let run = outage.run("first");
    let (mailbox, outcome) = (mailbox("a"), outcome("repaired"));
    let wanted = [lost(7, "seven")];
    let missed = MailboxRecord { wanted: &wanted, ..MailboxRecord::new(&mailbox, &outcome) };
    outage.incident.record(run, &missed).unwrap();
    let id = rows(outage.incident.still_wanted())[0].id;
    record(&outage, run, &[Gap { wanted: Some(id), ..gap(7, "seven") }]);
    say(&outage, run, DeliveryState::Held, None);
    assert_eq!(rows(outage.incident.still_wanted()).len(), 1);
    say(&outage, run, DeliveryState::Verified, Some(9));
    assert_eq!(rows(outage.incident.still_wanted()).len(), 0);
}

#[test]
fn deliveries_are_exported() {
    let outage = Outage::new();
    let run = outage.run("first");
    record(&outage, run, &[gap(7, "seven")]);
    say(&outage, run, DeliveryState::Verified, Some(9));
    assert_eq!(rows(outage.incident.deliveries()).len(), 1);
    let mut out = Vec::new();
    outage.incident.export(&mut out).unwrap().unwrap();
    let lines = String::from_utf8(out).unwrap();
    let line = lines.lines().find(|line| line.contains(r#""type":"delivery""#)).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["state"], &line["uid"]), (&"verified".into(), &9.into()));
    assert_eq!((&line["source_uid"], &line["via"]), (&7.into(), &"spool".into()));
}

#[test]
fn what_came_back_is_summed_up_by_mailbox() {
    use DeliveryState::{Delivered, Held, Verified};
    let outage = Outage::new();
    let run = outage.run("first");
    let undated = Gap { internaldate: Timestamp(0), ..gap(9, "nine") };
    let ambiguous = Gap { class: "ambiguous".to_owned(), ..gap(8, "eight") };
    record(&outage, run, &[gap(7, "seven"), ambiguous, undated, gap(10, "ten")]);
    let states = [Delivered, Verified, Verified, Held].into_iter().zip(gaps(&outage));
    for (state, gap) in states {
        let said = Delivery { gap: gap.id, state, uid: None, note: String::new() };
        outage.incident.record_deliveries(run, "spool", &[said]).unwrap();
    }
    let recovered = outage.incident.recovered(outage.store, "ambiguous").unwrap();
    assert_eq!(recovered.len(), 1);
    let Recovered { messages, of_class, received, held, .. } = &recovered[0];
    let date = gap(7, "seven").internaldate;
    assert_eq!((*messages, *of_class, *held, *received), (3, 1, 1, Some((date, date))));
}

#[test]
fn a_mailbox_whose_only_gap_is_of_a_class_beyond_is_told_where_that_is_asked_for() {
    let outage = Outage::new();
    let run = outage.run("first");
    let near = Gap { restore: false, class: "near-duplicate".to_owned(), ..gap(7, "seven") };
    record(&outage, run, &[near]);
    let of =
        |beyond: &[&str]| outage.incident.mailboxes_with_gaps(outage.store, beyond).unwrap().len();
    assert_eq!((of(&[]), of(&["other"]), of(&["other", "near-duplicate"])), (0, 0, 1));
}
