//! Records whose own file is not their message.

use super::model::{Mailbox, cut, message};
use super::*;

pub(super) fn served(mailbox: &Mailbox) -> Vec<(u32, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    mailbox.served().into_iter().map(|(uid, bytes)| (uid, text(bytes))).collect()
}

pub(super) fn expected(messages: &[(u32, &str)]) -> Vec<(u32, String)> {
    let text = |name: &str| String::from_utf8(message(name)).unwrap();
    messages.iter().map(|(uid, name)| (*uid, text(name))).collect()
}

/// Repairs, and asserts that nothing is left to do.
pub(super) fn repair(mailbox: &mut Mailbox) -> Plan {
    let plan = mailbox.repair();
    assert!(mailbox.plan().rewrite.is_none(), "a second run has nothing to do");
    plan
}

pub(super) const THREE: &[(u32, &str)] = &[(1, "one"), (2, "two"), (5, "five")];

#[test]
fn two_files_that_were_swapped_are_swapped_back() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.swap("1.", "5.");
    let plan = repair(&mut mailbox);
    assert_eq!(codes(&plan), [Code::MessagePutBack, Code::MessagePutBack]);
    assert_eq!(served(&mailbox), expected(THREE));
    assert_eq!(mailbox.names(), ["1.", "2.", "5."]);
    assert_eq!(plan.wanted, []);
}

#[test]
fn a_run_of_files_that_was_shifted_by_one_is_shifted_back() {
    let mut mailbox = Mailbox::with(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    for (from, to) in [("4.", "5."), ("3.", "4."), ("2.", "3."), ("1.", "2.")] {
        let file = mailbox.files.remove(from).unwrap();
        mailbox.files.insert(to.to_owned(), file);
    }
    repair(&mut mailbox);
    assert_eq!(served(&mailbox), expected(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]));
    assert_eq!(mailbox.names(), ["1.", "2.", "3.", "4."], "the name behind the last is put away");
}

#[test]
fn a_message_over_which_another_was_copied_is_wanted_and_the_copy_put_away() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.store("2.", message("five"));
    let plan = repair(&mut mailbox);
    assert_eq!(served(&mailbox), expected(&[(1, "one"), (5, "five")]));
    assert_eq!(codes(&plan), [Code::MessageMissing, Code::Copy]);
    let wanted = &plan.wanted[0];
    assert_eq!((wanted.record.uid, wanted.why), (Uid(2), WantedBecause::Damaged));
    assert_eq!(plan.rewrite.unwrap().wanted.len(), 1, "its file was moved: the journal tells");
    assert_eq!(mailbox.quarantine[0].bytes, message("five"));
}

#[test]
fn what_is_left_of_a_message_comes_back_marked_as_damaged() {
    let mut mailbox = Mailbox::with(THREE);
    let internaldate = mailbox.record(2).internaldate;
    mailbox.change_record(2, |record| record.system_flags = SystemFlags::FLAGGED);
    mailbox.store("2.", cut("two"));
    let plan = repair(&mut mailbox);
    let remains = mailbox.record(6);
    assert_eq!(remains.internaldate, internaldate);
    assert_eq!(remains.system_flags, SystemFlags::FLAGGED);
    let HeaderFileEvidence::Sound { value, .. } = &mailbox.base.header_file else { panic!() };
    let slot = value.flag_names.slot_of(b"$Damaged").unwrap();
    assert_eq!(remains.user_flags.slots().collect::<Vec<_>>(), [slot]);
    assert_eq!(mailbox.names(), ["1.", "5.", "6."]);
    let codes = codes(&plan);
    assert!(codes.contains(&Code::RemainsKept) && codes.contains(&Code::MessageMissing));
    assert_eq!(mailbox.record(2).guid, fields_of("two").guid, "its record waits for it");
}

pub(super) fn fields_of(text: &str) -> MessageFields {
    MessageReader::default().read(&message(text), &mut Vec::new())
}

#[test]
fn another_message_in_its_place_is_not_marked_as_damaged() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.store("2.", message("foreign"));
    let plan = repair(&mut mailbox);
    assert_eq!(served(&mailbox), expected(&[(1, "one"), (5, "five"), (6, "foreign")]));
    assert_eq!(mailbox.record(6).user_flags, UserFlags::default());
    assert!(codes(&plan).contains(&Code::MessageRenumbered));
}

#[test]
fn a_foreign_message_in_the_way_of_one_that_is_put_back_is_kept_too() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.store("2.", message("foreign"));
    mailbox.store("2", message("two"));
    repair(&mut mailbox);
    assert_eq!(served(&mailbox), expected(&[(1, "one"), (2, "two"), (5, "five"), (6, "foreign")]));
    assert_eq!(mailbox.names(), ["1.", "2.", "5.", "6."]);
}

#[test]
fn an_empty_and_a_blank_file_are_put_away_and_their_messages_wanted() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.store("1.", Vec::new());
    mailbox.store("5.", vec![0; message("five").len()]);
    let plan = repair(&mut mailbox);
    assert_eq!(mailbox.names(), ["2."]);
    let wanted: Vec<_> = plan.wanted.iter().map(|wanted| wanted.record.uid.0).collect();
    assert_eq!(wanted, [1, 5]);
    assert_eq!(uids(&plan), [1, 2, 5], "the records stay");
}

#[test]
fn lost_carriage_returns_come_back_where_they_make_the_message() {
    let mut mailbox = Mailbox::with(THREE);
    let text = String::from_utf8(message("two")).unwrap();
    mailbox.store("2.", text.replace('\r', "").into_bytes());
    let plan = repair(&mut mailbox);
    assert_eq!(codes(&plan), [Code::LineEndsRestored]);
    assert_eq!(served(&mailbox), expected(THREE));
}

#[test]
fn one_file_serves_two_records_that_both_had_these_bytes() {
    let mut mailbox = Mailbox::with(&[(1, "same"), (2, "same"), (3, "other")]);
    mailbox.remove("1.");
    let plan = repair(&mut mailbox);
    assert_eq!(codes(&plan), [Code::MessagePutBack]);
    assert!(plan.findings[0].detail.contains("message 2 as well"), "{}", plan.findings[0]);
    assert_eq!(served(&mailbox), expected(&[(1, "same"), (2, "same"), (3, "other")]));
}

#[test]
fn a_damaged_calendar_entry_stays_where_it_is() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.base.witnesses.dav = true;
    mailbox.store("2.", cut("two"));
    let plan = mailbox.plan();
    assert_eq!(codes(&plan), [Code::GuidMismatch]);
    assert!(plan.rewrite.is_none());
}

#[test]
fn a_record_without_a_guid_is_not_doubted_for_its_bytes() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.change_record(2, |record| record.guid = Guid::NULL);
    mailbox.store("2.", cut("two"));
    let codes = codes(&mailbox.plan());
    assert!(codes.contains(&Code::SizeMismatch) && !codes.contains(&Code::RemainsKept));
}

#[test]
fn what_is_left_of_an_expunged_message_stays_expunged() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.change_record(2, |record| {
        record.internal_flags = InternalFlags::EXPUNGED;
        record.last_updated = NOW;
    });
    mailbox.settle();
    mailbox.store("2.", cut("two"));
    assert!(mailbox.plan().rewrite.is_none());
    mailbox.store("2.", message("foreign"));
    repair(&mut mailbox);
    let messages = [(1, "one"), (5, "five"), (6, "foreign")];
    assert_eq!(served(&mailbox), expected(&messages), "the server would have deleted it");
}

#[test]
fn remains_whose_renaming_was_cut_short_before_the_commit_get_no_second_new_uid() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.store("2.", cut("two"));
    let file = mailbox.files["2."].clone();
    let ino = file.ino;
    mailbox.files.insert("6.".to_owned(), file);
    mailbox.journal.renamed =
        vec![Renamed { place: Place::Spool, from: "2.".into(), to: Uid(6), ino }];
    let plan = repair(&mut mailbox);
    assert_eq!(uids(&plan), [1, 2, 5, 6]);
    assert_eq!(mailbox.names(), ["1.", "5.", "6."]);
    assert_ne!(mailbox.record(6).user_flags, UserFlags::default(), "marked as damaged");
}

#[test]
fn remains_whose_renaming_was_cut_short_after_the_commit_are_only_put_away() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.store("2.", cut("two"));
    let file = mailbox.files["2."].clone();
    let ino = file.ino;
    mailbox.repair();
    mailbox.files.insert("2.".to_owned(), file);
    mailbox.journal.renamed =
        vec![Renamed { place: Place::Spool, from: "2.".into(), to: Uid(6), ino }];
    let plan = repair(&mut mailbox);
    assert_eq!(uids(&plan), [1, 2, 5, 6]);
    assert_eq!(mailbox.names(), ["1.", "5.", "6."]);
}

#[test]
fn what_stands_in_for_a_message_is_put_away_unopened_and_the_message_wanted() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.remove("2.");
    for (name, ino) in [("2.", 700), ("9.", 701)] {
        let kind = OddKind::NotAFile(mailstore::volume::Kind::Directory);
        let entry = OddEntry { name: name.into(), kind, ino, movable: true };
        mailbox.odd.push(OddInPlace { place: Place::Spool, entry });
    }
    let plan = repair(&mut mailbox);
    assert_eq!(mailbox.odd, []);
    assert_eq!(plan.wanted[0].record.uid, Uid(2));
    let expected = [Code::MessageMissing, Code::NotARegularFile, Code::NotARegularFile];
    assert_eq!(codes(&plan)[..3], expected);
}

#[test]
fn what_cannot_be_moved_out_of_the_way_is_told_and_left() {
    let mut mailbox = Mailbox::with(THREE);
    let file = mailbox.files.remove("2.").unwrap();
    mailbox.files.insert("two".to_owned(), file);
    let kind = OddKind::NotAFile(mailstore::volume::Kind::Directory);
    let entry = OddEntry { name: "2.".into(), kind, ino: 700, movable: false };
    mailbox.odd.push(OddInPlace { place: Place::Spool, entry });
    let plan = repair(&mut mailbox);
    let left = |finding: &&Finding| finding.code == Code::NotARegularFile;
    let finding = plan.findings.iter().find(left).unwrap();
    assert_eq!((finding.uid, finding.remedy), (Some(Uid(2)), Remedy::Left));
    assert_eq!(mailbox.odd.len(), 1);
    assert_eq!(served(&mailbox), expected(&[(1, "one"), (5, "five"), (6, "two")]));
}

#[test]
fn what_stands_in_for_a_message_that_is_elsewhere_is_exchanged_for_it() {
    let mut mailbox = Mailbox::with(THREE);
    let file = mailbox.files.remove("2.").unwrap();
    mailbox.files.insert("002.".to_owned(), file);
    let kind = OddKind::NotAFile(mailstore::volume::Kind::Symlink);
    let entry = OddEntry { name: "2.".into(), kind, ino: 700, movable: true };
    mailbox.odd.push(OddInPlace { place: Place::Spool, entry });
    repair(&mut mailbox);
    assert_eq!(served(&mailbox), expected(THREE));
    assert_eq!(mailbox.names(), ["1.", "2.", "5."]);
}

#[test]
fn a_pruned_message_that_is_damaged_is_expunged_and_noted_whole() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.store("2.", Vec::new());
    let pruned = plan(&mailbox.evidence(), pruning());
    assert!(planned(&pruned, 2).is_expunged());
    let wanted = &pruned.rewrite.as_ref().unwrap().wanted;
    assert_eq!((wanted[0].why, wanted[0].tombstone), (WantedBecause::Pruned, ModSeq(1001)));
}

#[test]
fn two_files_that_were_swapped_are_swapped_back_although_one_has_lost_its_record() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.destroy_record(2);
    mailbox.swap("2.", "5.");
    let plan = repair(&mut mailbox);
    assert_eq!(served(&mailbox), expected(THREE), "{:?}", plan.findings);

    let mut intact = Mailbox::with(&[(1, "one"), (5, "five")]);
    intact.store("2.", message("two"));
    intact.swap("2.", "5.");
    repair(&mut intact);
    let messages = [(1, "one"), (5, "five"), (6, "two")];
    assert_eq!(served(&intact), expected(&messages), "no record is lost: 2 was expunged");

    let mut purged = Mailbox::with(&[(1, "one"), (2, "two"), (5, "five"), (7, "seven")]);
    purged.destroy_record(7);
    purged.store("3.", message("three"));
    purged.swap("1.", "3.");
    repair(&mut purged);
    let messages = [(1, "one"), (2, "two"), (5, "five"), (7, "seven"), (8, "three")];
    assert_eq!(served(&purged), expected(&messages), "none is missing where 3 would stand");
}

#[test]
fn a_message_under_another_name_has_its_line_ends_back_too() {
    let mut mailbox = Mailbox::with(THREE);
    mailbox.swap("1.", "2.");
    let text = String::from_utf8(message("two")).unwrap().replace('\r', "");
    mailbox.store("1.", text.clone().into_bytes());
    mailbox.remove("5.");
    let other = String::from_utf8(message("five")).unwrap().replace('\r', "");
    mailbox.store("x.", other.into_bytes());
    repair(&mut mailbox);
    assert_eq!(served(&mailbox), expected(THREE));
    assert_eq!(mailbox.names(), ["1.", "2.", "5."]);
    assert!(mailbox.quarantine.iter().any(|file| file.bytes == text.as_bytes()));
}
