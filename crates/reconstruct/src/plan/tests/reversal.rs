//! Taking back what a run did, in a mailbox that was changed since.

use std::collections::HashMap;

use mailstore_format::header_file::FlagNames;

use super::displaced::THREE;
use super::model::Mailbox;
use super::*;
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
