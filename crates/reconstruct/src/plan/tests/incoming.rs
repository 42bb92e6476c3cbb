//! What becomes of messages that are to come in from outside.

use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::arrivals::{Arrival, Arrivals, Fate};
use crate::evidence::{Incoming, Ready};
use crate::journal::Arriving;

/// When the mailbox was last seen without them.
const MISSED_AT: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// The message that [`record`] has for `content`, which had the UID `was`.
fn arrival(content: u32, was: u32) -> (Arrival, Result<Ready, String>) {
    let fields = fields(&content.to_string());
    let arrival = Arrival {
        key: format!("{content}:{was}"),
        guid: fields.guid,
        size: fields.size,
        sources: vec!["/stage/x".into()],
        system_flags: SystemFlags::FLAGGED,
        keywords: vec!["later".to_owned()],
        internaldate: Timestamp::from_seconds(MIDNIGHT),
        uid_before: Uid(was),
        came_as: None,
        missed_at: MISSED_AT,
    };
    let mtime = Timestamp::from_seconds(MIDNIGHT - i64::from(was));
    let identity = FileIdentity { ino: u64::from(was), size: fields.size, mtime };
    let reading = reading_of(fields, Some(StagedCache { offset: 0, len: 10 }));
    let path = format!("/new/{was}").into();
    (arrival, Ok(Ready { path, identity, reading }))
}

fn with(mut evidence: Evidence, asked: Vec<(Arrival, Result<Ready, String>)>) -> Evidence {
    let (messages, ready) = asked.into_iter().unzip();
    let arrivals = Arrivals { messages, ..Arrivals::default() };
    evidence.incoming = Some(Arc::new(Incoming { arrivals, ready }));
    evidence
}

fn above(evidence: &mut Evidence, uid: u32, modseq: u64) {
    let incoming = evidence.incoming.as_mut().and_then(Arc::get_mut).unwrap();
    incoming.arrivals.above_uid = Uid(uid);
    incoming.arrivals.above_modseq = ModSeq(modseq);
}

fn fates(plan: &Plan) -> Vec<(&str, u32)> {
    let told = plan.arrived.iter().map(|arrived| match &arrived.fate {
        Fate::Delivered { uid } | Fate::DeliveredBefore { uid } | Fate::Found { uid } => {
            (arrived.fate.as_str(), uid.0)
        }
        Fate::Held { .. } => (arrived.fate.as_str(), 0),
    });
    told.collect()
}

/// Changes the record of a UID, and what the header counts.
fn change(evidence: &mut Evidence, uid: u32, change: impl Fn(&mut IndexRecord)) {
    for slot in &mut evidence.index.slots {
        let Slot::Record(record) = slot else { continue };
        if record.uid == Uid(uid) {
            change(record);
        }
    }
    settle_counts(evidence);
}

#[test]
fn numbers_are_raised_where_nothing_comes_and_not_lowered_nor_twice() {
    let raised = |uid, modseq| {
        let mut evidence = with(sound(&[1, 2]), Vec::new());
        above(&mut evidence, uid, modseq);
        evidence.incoming.as_mut().and_then(Arc::get_mut).unwrap().arrivals.raise_numbers = true;
        let plan = plan(&evidence, policy());
        let header = plan.rewrite.as_ref().map(|rewrite| rewrite.header.clone());
        let told = plan.findings.iter().any(|finding| finding.code == Code::NumbersRaised);
        assert_eq!(told, header.is_some());
        header.map(|header| (header.last_uid, header.highestmodseq))
    };
    let highest = sound(&[1, 2]).index.header.unwrap().highestmodseq;
    assert_eq!(raised(40, 5000), Some((Uid(40), ModSeq(5000))));
    assert_eq!(raised(40, 0), Some((Uid(40), highest)));
    assert_eq!(raised(1, 0), None);
    assert_eq!(raised(u32::MAX, u64::MAX), None);
}

#[test]
fn messages_come_oldest_first_under_uids_and_modseqs_that_nobody_has_seen() {
    let mut evidence = with(sound(&[1, 2]), vec![arrival(7, 7), arrival(8, 8), arrival(9, 6)]);
    above(&mut evidence, 40, 5000);
    evidence.witnesses.counters_highest = Some(ModSeq(7000));
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 41, 42, 43]);
    let guids = [41, 42, 43].map(|uid| planned(&plan, uid).guid);
    assert_eq!(guids, [8, 7, 9].map(|content: u32| fields(&content.to_string()).guid));
    let record = planned(&plan, 41);
    assert_eq!((record.modseq, record.createdmodseq), (ModSeq(7001), ModSeq(7001)));
    assert_eq!((record.system_flags, record.savedate), (SystemFlags::FLAGGED, NOW));
    assert_eq!(record.internaldate, Timestamp::from_seconds(MIDNIGHT - 8));
    let rewrite = plan.rewrite.as_ref().unwrap();
    let header_file = rewrite.header_file.as_ref().unwrap();
    let slot = header_file.flag_names.slot_of(b"later").unwrap();
    assert!(record.user_flags.contains(slot));
    assert_eq!(rewrite.file_steps.arrivals.len(), 3);
    assert_eq!((rewrite.header.last_uid, rewrite.header.last_appenddate), (Uid(43), NOW));
    assert_eq!(rewrite.elsewhere.conversations, Conversations::LackThreads);
}

#[test]
fn numbers_that_no_server_gave_out_are_not_believed() {
    let mut evidence = with(sound(&[1, 2]), vec![arrival(7, 7)]);
    above(&mut evidence, u32::MAX - 1, u64::MAX);
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 3]);
    assert_eq!(planned(&plan, 3).modseq, ModSeq(1001));
}

#[test]
fn a_copy_that_was_saved_since_is_the_message_and_counts_once() {
    let mut evidence = sound(&[1, 2, 3]);
    change(&mut evidence, 3, |record| record.savedate = MISSED_AT);
    let plan = plan(&with(evidence, vec![arrival(3, 8), arrival(3, 9)]), policy());
    assert_eq!(fates(&plan), [("found", 3), ("delivered", 4)]);
}

#[test]
fn a_copy_that_was_there_already_is_another() {
    let plan = plan(&with(sound(&[1, 2, 3]), vec![arrival(3, 8)]), policy());
    assert_eq!(fates(&plan), [("delivered", 4)]);
}

#[test]
fn a_message_that_is_there_under_its_own_uid_does_not_come() {
    let mut evidence = sound(&[1, 2, 3]);
    change(&mut evidence, 2, |record| record.internal_flags = InternalFlags::EXPUNGED);
    let plan = plan(&with(evidence, vec![arrival(3, 3), arrival(2, 2)]), policy());
    assert_eq!(fates(&plan), [("found", 3), ("found", 2)], "one of them was deleted since");
    assert!(plan.rewrite.is_none());
}

fn noted(content: u32, was: u32, to: u32) -> Arriving {
    Arriving {
        key: format!("{content}:{was}"),
        to: Uid(to),
        guid: fields(&content.to_string()).guid,
        system_flags: SystemFlags::SEEN,
        keywords: Vec::new(),
        internaldate: Timestamp::from_seconds(MIDNIGHT),
        committed: false,
    }
}

#[test]
fn what_an_earlier_run_brought_is_held_where_it_was_purged_and_does_not_come_again() {
    let mut evidence = sound(&[1, 2, 3]);
    evidence.index.header.as_mut().unwrap().last_uid = Uid(5);
    let purged = Arriving { committed: true, ..noted(7, 7, 5) };
    evidence.journal.arrived = vec![purged, noted(3, 9, 3), noted(8, 8, 6)];
    let asked = vec![arrival(7, 7), arrival(3, 9), arrival(8, 8)];
    let plan = plan(&with(evidence, asked), policy());
    let told = [("held", 0), ("delivered_before", 3), ("delivered", 6)];
    assert_eq!(fates(&plan), told, "the last one never came");
}

#[test]
fn what_came_before_comes_again_only_into_a_mailbox_that_was_set_back_since() {
    let fate = |last_uid: u32, came_as: u32| {
        let mut evidence = sound(&[1, 2, 3]);
        evidence.index.header.as_mut().unwrap().last_uid = Uid(last_uid);
        let (asked, ready) = arrival(7, 7);
        let asked = Arrival { came_as: Some(Uid(came_as)), ..asked };
        fates(&plan(&with(evidence, vec![(asked, ready)]), policy()))[0].0.to_owned()
    };
    assert_eq!(fate(5, 5), "held", "its owner may have deleted it");
    assert_eq!(fate(4, 5), "delivered", "the mailbox never got so far");
    assert_eq!(fate(5, 3), "delivered", "another message has the UID by now");
}

#[test]
fn what_came_before_lost_its_file_and_was_pruned_comes_again() {
    let fate = |tombstone: u64| {
        let mut evidence = sound(&[1, 2, 3]);
        lose_file(&mut evidence, 3);
        change(&mut evidence, 3, |record| {
            (record.internal_flags, record.modseq) = (InternalFlags::EXPUNGED, ModSeq(900));
        });
        evidence.journal.wanted = vec![Wanted {
            why: WantedBecause::Pruned,
            record: record(3),
            keywords: Vec::new(),
            annotations: Vec::new(),
            tombstone: ModSeq(tombstone),
        }];
        let (asked, ready) = arrival(3, 9);
        let asked = Arrival { came_as: Some(Uid(3)), ..asked };
        fates(&plan(&with(evidence, vec![(asked, ready)]), policy()))[0].0.to_owned()
    };
    assert_eq!(fate(900), "delivered");
    assert_eq!(fate(800), "delivered_before", "its owner expunged it since");
}

#[test]
fn what_left_no_trace_comes_again_where_that_is_asked_for() {
    let mut evidence = sound(&[1, 2, 3]);
    evidence.index.header.as_mut().unwrap().last_uid = Uid(5);
    let (asked, ready) = arrival(7, 7);
    let asked = Arrival { came_as: Some(Uid(5)), ..asked };
    let mut evidence = with(evidence, vec![(asked, ready)]);
    evidence.incoming.as_mut().and_then(Arc::get_mut).unwrap().arrivals.again = true;
    assert_eq!(fates(&plan(&evidence, policy())), [("delivered", 6)]);
}

#[test]
fn what_a_run_was_bringing_when_it_was_cut_short_is_finished_with_its_flags() {
    let mut evidence = sound(&[1, 2, 3]);
    for uid in [6, 7, 8] {
        add_orphan(&mut evidence, uid);
        evidence.journal.arrived.push(noted(uid, uid, uid));
    }
    let plan = plan(&with(evidence, vec![arrival(7, 7), arrival(9, 9)]), policy());
    assert_eq!(fates(&plan), [("delivered_before", 7), ("delivered", 9)]);
    assert_eq!(planned(&plan, 7).system_flags, SystemFlags::SEEN);
    assert_eq!(uids(&plan), [1, 2, 3, 6, 7, 8, 9]);
}

#[test]
fn into_a_mailbox_that_has_to_be_repaired_nothing_comes() {
    let mut evidence = sound(&[1, 2, 3]);
    destroy(&mut evidence, 2);
    let plan = plan(&with(evidence, vec![arrival(7, 7)]), policy());
    assert_eq!(fates(&plan), [("held", 0)]);
    assert!(plan.rewrite.is_none(), "nor is it repaired");
}

#[test]
fn a_message_whose_record_waits_for_it_gets_its_file_back_and_keeps_its_uid() {
    let mut evidence = sound(&[1, 2, 3]);
    lose_file(&mut evidence, 2);
    let plan = plan(&with(evidence, vec![arrival(2, 2)]), policy());
    assert_eq!(fates(&plan), [("delivered", 2)]);
    assert_eq!(uids(&plan), [1, 2, 3]);
    assert_eq!(planned(&plan, 2).modseq, record(2).modseq);
    assert!(plan.wanted.is_empty() && !codes(&plan).contains(&Code::MessageMissing));
}

#[test]
fn what_cannot_be_had_is_held_and_calendars_get_nothing() {
    let (lost, _) = arrival(7, 7);
    let asked = vec![(lost, Err("it is gone".to_owned())), arrival(8, 8)];
    let mut evidence = with(sound(&[1]), asked);
    assert_eq!(fates(&plan(&evidence, policy())), [("held", 0), ("delivered", 2)]);
    evidence.witnesses.dav = true;
    let plan = plan(&evidence, policy());
    assert_eq!(fates(&plan), [("held", 0); 2]);
    assert!(plan.rewrite.is_none());
    let noted: HashSet<_> = plan.arrived.iter().map(|arrived| &arrived.key).collect();
    assert_eq!(noted.len(), 2);
}

/// A run had noted the record that was to get its file back, and died before the file had its name.
#[test]
fn a_record_that_still_waits_for_its_file_was_not_delivered_whatever_was_noted() {
    for committed in [false, true] {
        let mut evidence = sound(&[1, 2, 3]);
        lose_file(&mut evidence, 3);
        evidence.journal.arrived = vec![Arriving { committed, ..noted(3, 3, 3) }];
        let plan = plan(&with(evidence, vec![arrival(3, 3)]), policy());
        assert_eq!(fates(&plan), [("delivered", 3)], "committed {committed}");
    }
}

#[test]
fn what_was_only_noted_and_came_back_in_another_way_is_not_delivered_again() {
    let mut evidence = sound(&[1, 2, 3]);
    change(&mut evidence, 3, |record| record.savedate = MISSED_AT);
    evidence.journal.arrived = vec![noted(3, 8, 4)];
    let plan = plan(&with(evidence, vec![arrival(3, 8)]), policy());
    assert_eq!(fates(&plan), [("found", 3)]);
}
