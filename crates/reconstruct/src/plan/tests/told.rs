//! Messages whose record is lost and of which the owner's conversations tell.

use super::displaced::{THREE, expected, fields_of, repair, served};
use super::model::{Mailbox, message};
use super::*;
use crate::evidence::{ConversationRow, Coverage};

pub(super) fn row(uid: u32, text: &str) -> ConversationRow {
    ConversationRow {
        uid: Uid(uid),
        guid: fields_of(text).guid,
        system_flags: SystemFlags(SystemFlags::SEEN.0 | 1 << 9),
        internal_flags: InternalFlags(0),
        internaldate: Timestamp::from_seconds(MIDNIGHT - 5),
        cid: mailstore_format::ThreadId(77),
    }
}

#[test]
fn the_owners_conversations_tell_what_is_expunged_and_what_is_not() {
    let mut mailbox = Mailbox::with(THREE);
    let expunged = ConversationRow { internal_flags: InternalFlags::EXPUNGED, ..row(5, "five") };
    mailbox.rows = Some(vec![row(2, "two"), expunged, row(1, "not one")]);
    for uid in [1, 2, 5] {
        mailbox.drop_record(uid);
    }
    let plan = repair(&mut mailbox);
    let two = mailbox.record(2);
    assert_eq!((two.system_flags, two.cid.0), (SystemFlags::SEEN, 77));
    assert_eq!(two.internaldate.seconds(), MIDNIGHT - 5);
    assert!(mailbox.record(5).is_expunged() && !mailbox.record(5).is_unlinked());
    assert_eq!(served(&mailbox), expected(&[(2, "two"), (6, "one")]));
    assert!(codes(&plan).contains(&Code::StaysExpunged));
    let unknown = plan.findings.iter().find(|finding| finding.code == Code::FlagsUnknown);
    assert!(unknown.unwrap().detail.ends_with("UIDs 6"), "{unknown:?}");
}

#[test]
fn a_message_whose_record_is_lost_and_whose_file_has_another_name_is_put_under_its_own() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.rows = Some(vec![row(2, "two"), row(5, "five")]);
    mailbox.destroy_record(2);
    mailbox.destroy_record(5);
    // One under the name of a message that is there, one under a bad one, one in the way.
    mailbox.swap("1.", "2.");
    let file = mailbox.files.remove("5.").unwrap();
    mailbox.files.insert("05.".to_owned(), file);
    mailbox.store("5.", message("foreign"));
    let plan = repair(&mut mailbox);
    let messages = [(1, "one"), (2, "two"), (5, "five"), (6, "foreign")];
    assert_eq!(served(&mailbox), expected(&messages), "{:?}", plan.findings);
    assert_eq!(mailbox.record(5).system_flags, SystemFlags::SEEN);
}

#[test]
fn what_conversations_know_of_an_intact_mailbox_brings_no_uid_back() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.rows = Some(vec![row(3, "three")]);
    mailbox.store("3", message("three"));
    repair(&mut mailbox);
    assert_eq!(served(&mailbox)[3].0, 6, "its record was purged: clients know that 3 is gone");
}

#[test]
fn a_message_whose_record_is_lost_has_its_line_ends_back() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.rows = Some(vec![row(2, "two")]);
    for uid in [2, 5] {
        mailbox.destroy_record(uid);
    }
    for (name, text) in [("2.", "two"), ("5.", "five")] {
        let text = String::from_utf8(message(text)).unwrap().replace('\r', "");
        mailbox.store(name, text.into_bytes());
    }
    let plan = repair(&mut mailbox);
    let restored = |finding: &&Finding| finding.code == Code::LineEndsRestored;
    let restored: Vec<_> = plan.findings.iter().filter(restored).map(|it| it.uid).collect();
    assert_eq!(restored, [2, 5].map(|uid| Some(Uid(uid))), "no server stores such a header");
    assert_eq!(mailbox.record(2).guid, fields_of("two").guid);
    assert_eq!(mailbox.files["2."].bytes, message("two"));
}

#[test]
fn newer_flags_of_conversations_win_over_a_leftover_index() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.rows = Some(vec![row(2, "two")]);
    let flagged = IndexRecord { system_flags: SystemFlags::FLAGGED, ..*mailbox.record(2) };
    mailbox.destroy_record(2);
    let mut evidence = mailbox.evidence();
    evidence.leftover.records = vec![flagged];
    assert_eq!(planned(&plan(&evidence, policy()), 2).system_flags, SystemFlags::SEEN);
}

#[test]
fn a_leftover_index_tells_whose_a_file_is_only_where_there_is_no_other() {
    let mut mailbox = Mailbox::with(THREE);
    let flagged = IndexRecord { system_flags: SystemFlags::FLAGGED, ..*mailbox.record(2) };
    mailbox.swap("1.", "2.");
    let with_leftover = |mut evidence: Evidence| {
        evidence.leftover.records = vec![flagged];
        plan(&evidence, policy())
    };
    mailbox.destroy_record(2);
    let beside = with_leftover(mailbox.evidence());
    assert_eq!(beside.rewrite.unwrap().file_steps.puts.len(), 2, "1 has its own, and its partner");
    mailbox.base.index.slots.clear();
    mailbox.base.index.header_proven = false;
    let alone = with_leftover(mailbox.evidence());
    assert_eq!(planned(&alone, 2).system_flags, SystemFlags::FLAGGED);
    let puts = &alone.rewrite.as_ref().unwrap().file_steps.puts;
    let puts: Vec<_> = puts.iter().map(|put| (put.uid.0, put.content.name.to_str())).collect();
    assert_eq!(puts, [(2, Some("1.")), (1, Some("2."))], "nothing tells of 1 but its partner");
}

#[test]
fn a_copy_that_complete_conversations_do_not_know_is_no_message_of_its_own() {
    let mut mailbox = Mailbox::with(THREE);
    let expunged = ConversationRow { internal_flags: InternalFlags::EXPUNGED, ..row(5, "five") };
    mailbox.rows = Some(vec![row(1, "one"), row(2, "two"), expunged]);
    mailbox.base.index.slots.clear();
    mailbox.base.index.header_proven = false;
    mailbox.store("7.", message("two"));
    mailbox.store("8.", message("five"));
    let whole = |mailbox: &Mailbox| {
        let mut evidence = mailbox.evidence();
        evidence.witnesses.conversations_coverage = Coverage::Whole;
        plan(&evidence, policy())
    };
    let plan = whole(&mailbox);
    assert_eq!(uids(&plan), [1, 2, 5], "{:?}", plan.findings);
    let set_aside = |plan: &Plan| plan.rewrite.as_ref().unwrap().file_steps.set_aside.len();
    assert_eq!(set_aside(&plan), 2);
    assert_eq!(set_aside(&mailbox.plan()), 0, "there may be more rows");
    mailbox.store("6.", message("newer"));
    assert_eq!(set_aside(&whole(&mailbox)), 0, "rows do not know all: this may be new as well");
}

#[test]
fn of_two_messages_that_changed_names_none_gets_the_uid_of_a_third() {
    let three = [(1, "one"), (3, "three"), (5, "five")];
    let swapped = || {
        let mut mailbox = Mailbox::with(&three);
        mailbox.destroy_record(3);
        mailbox.swap("1.", "3.");
        mailbox
    };
    let mut own = swapped();
    repair(&mut own);
    assert_eq!(served(&own), expected(&three));

    let mut another = swapped();
    another.rows = Some(vec![row(3, "a third")]);
    repair(&mut another);
    let messages = [(1, "one"), (5, "five"), (6, "three")];
    assert_eq!(served(&another), expected(&messages), "clients know 3 as the third");

    let mut expunged = swapped();
    let tombstone = ConversationRow { internal_flags: InternalFlags::EXPUNGED, ..row(2, "three") };
    expunged.rows = Some(vec![tombstone]);
    repair(&mut expunged);
    assert!(!served(&expunged).contains(&expected(&[(3, "three")])[0]), "it was expunged");
}

#[test]
fn a_copy_above_the_last_uid_of_a_message_that_is_put_back_is_put_away() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.rows = Some(vec![row(2, "two")]);
    mailbox.destroy_record(2);
    let file = mailbox.files.remove("2.").unwrap();
    mailbox.files.insert("x.".to_owned(), file);
    mailbox.store("9.", message("two"));
    let plan = repair(&mut mailbox);
    assert_eq!(served(&mailbox), expected(THREE), "{:?}", plan.findings);
}

#[test]
fn a_message_that_is_put_back_takes_up_a_missing_record() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (2, "two"), (3, "three"), (6, "six")]);
    mailbox.rows = Some(vec![row(3, "three")]);
    mailbox.destroy_record(3);
    mailbox.swap("1.", "3.");
    mailbox.store("4.", message("four"));
    repair(&mut mailbox);
    let messages = [(1, "one"), (2, "two"), (3, "three"), (6, "six"), (7, "four")];
    assert_eq!(served(&mailbox), expected(&messages), "no record is left for 4");
}
