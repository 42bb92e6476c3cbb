//! Taking back what a run did, in a mailbox that was changed since.

use std::collections::{HashMap, HashSet};

use mailstore_format::header_file::FlagNames;

use super::displaced::THREE;
use super::model::Mailbox;
use super::*;
use crate::journal::Arriving;
use crate::plan::{Reversal, plan_reversing};

/// A mailbox with a keyword, and a run that changed what message 2 was into what it is.
fn reversed(before: UserFlags, names: &[&[u8]]) -> Plan {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.change_record(2, |record| record.user_flags = UserFlags([1, 0, 0, 0]));
    let was = IndexRecord { user_flags: before, ..*mailbox.record(2) };
    let flag_names = FlagNames::new(names.iter().map(|name| Some(name.to_vec()))).ok();
    let reversal = Reversal {
        highestmodseq: ModSeq(2000),
        before: HashMap::from([(Uid(2), was)]),
        flag_names,
        ..Reversal::default()
    };
    plan_reversing(&mailbox.evidence(), policy(), Some(&reversal))
}

#[test]
fn keywords_that_a_run_only_named_anew_stay_as_they_are_named() {
    // The name was garbage before: with it the server could not open the mailbox any more.
    let plan = reversed(UserFlags([1, 0, 0, 0]), &[b"\0gar(bage"]);
    assert!(!codes(&plan).contains(&Code::Undone), "{:?}", plan.findings);
}

#[test]
fn a_keyword_that_a_run_took_away_comes_back_only_under_a_name_that_can_be_one() {
    let two = UserFlags([0b11, 0, 0, 0]);
    for (name, back) in [(&b"later"[..], true), (b"gar(bage", false)] {
        let plan = reversed(two, &[b"Work", name]);
        let names = plan.rewrite.and_then(|rewrite| rewrite.header_file);
        let names = names.map(|file| file.flag_names).unwrap_or_default();
        assert_eq!(names.slot_of(name).is_some(), back);
        assert!(names.iter().all(|(_, name)| !name.contains(&b'(')));
    }
}

/// What becomes of a message that a run had brought flagged, and whose record somebody changed since.
fn of_brought(change: impl Fn(&mut IndexRecord)) -> (Option<(Code, Remedy)>, bool) {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.change_record(2, |record| {
        record.system_flags = SystemFlags::FLAGGED;
        record.modseq = ModSeq(3000);
        change(record);
    });
    let brought = Arriving {
        key: "2".to_owned(),
        to: Uid(2),
        guid: mailbox.record(2).guid,
        system_flags: SystemFlags::FLAGGED,
        keywords: vec!["no slot was left for it".to_owned()],
        internaldate: Timestamp(0),
        committed: true,
    };
    let reversal = Reversal {
        highestmodseq: ModSeq(2000),
        arrived: vec![brought],
        retracted_at: HashSet::from([ModSeq(2500)]),
        ..Reversal::default()
    };
    let plan = plan_reversing(&mailbox.evidence(), policy(), Some(&reversal));
    let told = plan.findings.iter().find(|finding| finding.uid == Some(Uid(2)));
    let told = told.map(|finding| (finding.code, finding.remedy));
    (told, plan.rewrite.is_some() && planned(&plan, 2).is_expunged())
}

#[test]
fn what_came_is_taken_back_although_the_server_gave_it_a_thread_but_not_if_it_has_other_flags() {
    let taken_back = Some((Code::Undone, Remedy::Repair));
    assert_eq!(of_brought(|record| record.cid = mailstore_format::ThreadId(7)), (taken_back, true));
    let stays = Some((Code::UndoLeft, Remedy::Left));
    assert_eq!(of_brought(|record| record.system_flags = SystemFlags::SEEN), (stays, false));
    assert_eq!(of_brought(|record| record.user_flags = UserFlags([1, 0, 0, 0])), (stays, false));
}

#[test]
fn what_an_undo_expunged_that_was_cut_short_is_told_as_taken_back_but_not_what_its_owner_did() {
    let expunged_at = |modseq: u64| {
        of_brought(|record| {
            record.internal_flags = InternalFlags::EXPUNGED;
            record.modseq = ModSeq(modseq);
        })
    };
    assert_eq!(expunged_at(2500).0, Some((Code::Undone, Remedy::Repair)));
    assert_eq!(expunged_at(2600).0, None);
}
