//! Files whose names are no message's.

use super::model::{Mailbox, message};
use super::*;

const TWO: &[(u32, &str)] = &[(1, "one"), (2, "two")];

#[test]
fn a_badly_named_message_comes_back_with_a_new_uid() {
    let mut mailbox = Mailbox::with(TWO);
    mailbox.store("007.", message("seven"));
    let plan = mailbox.repair();
    assert_eq!(codes(&plan), [Code::StrayMessage, Code::FlagsUnknown]);
    assert_eq!(mailbox.files["3."].bytes, message("seven"));
    assert_eq!(mailbox.names(), ["1.", "2.", "3."]);
    assert!(mailbox.plan().rewrite.is_none());
}

#[test]
fn a_badly_named_copy_of_a_message_is_put_away() {
    let mut mailbox = Mailbox::with(TWO);
    mailbox.store("2.bak", message("two"));
    let plan = mailbox.repair();
    assert_eq!(codes(&plan), [Code::Copy]);
    assert_eq!(mailbox.names(), ["1.", "2."]);
    assert_eq!(mailbox.quarantine[0].bytes, message("two"));
}

#[test]
fn a_badly_named_copy_of_an_expunged_message_stays_out_of_sight() {
    let mut mailbox = Mailbox::with(TWO);
    mailbox.change_record(2, |record| {
        record.internal_flags = InternalFlags::EXPUNGED;
        record.last_updated = NOW;
    });
    mailbox.settle();
    mailbox.store("2", message("two"));
    let plan = mailbox.repair();
    assert_eq!(codes(&plan), [Code::StaysExpunged]);
    assert_eq!(mailbox.served().len(), 1);
}

#[test]
fn what_is_no_mail_stays_and_is_told() {
    let mut mailbox = Mailbox::with(TWO);
    mailbox.store("core", b"\x7fELF".to_vec());
    let plan = mailbox.plan();
    assert_eq!(codes(&plan), [Code::OddEntry]);
    assert!(plan.rewrite.is_none());
}

#[test]
fn a_message_that_somebody_holds_open_is_linked_to_its_name_and_never_moved() {
    let mut mailbox = Mailbox::with(TWO);
    let file = mailbox.files.remove("2.").unwrap();
    mailbox.files.insert(".nfs0001".to_owned(), file);
    mailbox.store(".nfs0002", message("three"));
    mailbox.repair();
    assert_eq!(mailbox.names(), [".nfs0001", ".nfs0002", "1.", "2."]);
    assert_eq!(mailbox.files["2."].bytes, message("two"));
}

#[test]
fn a_calendar_takes_no_badly_named_entries_in() {
    let mut mailbox = Mailbox::with(TWO);
    mailbox.base.witnesses.dav = true;
    mailbox.store("3", message("three"));
    assert_eq!(codes(&mailbox.plan()), [Code::OddEntry]);
    mailbox.swap("2.", "3");
    mailbox.remove("2.");
    assert_eq!(codes(&mailbox.plan()), [Code::MessagePutBack], "a record's own goes back");
}
