//! Message files without a record.

use super::model::{Mailbox, message};
use super::*;

#[test]
fn a_destroyed_record_gives_its_uid_back_to_its_file() {
    let mut evidence = sound(&[1, 2, 5]);
    destroy(&mut evidence, 2);
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 5]);
    let adopted = planned(&plan, 2);
    assert_eq!(adopted.guid, fields("2").guid);
    assert_eq!(adopted.internaldate, record(2).internaldate);
    assert_eq!((adopted.modseq, adopted.createdmodseq), (ModSeq(1001), ModSeq(1001)));
    assert_eq!((adopted.savedate, adopted.system_flags), (NOW, SystemFlags(0)));
    assert_eq!(plan.rewrite.as_ref().unwrap().header.highestmodseq, ModSeq(1001));
    assert_eq!(planned(&plan, 5).modseq, ModSeq(5), "what stays keeps its modseq");
}

#[test]
fn a_file_whose_uid_was_expunged_gets_a_new_one() {
    let mut evidence = sound(&[1, 2, 5]);
    add_orphan(&mut evidence, 3);
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 5, 6]);
    assert_eq!(codes(&plan), [Code::MessageRenumbered, Code::FlagsUnknown]);
    let renames = &plan.rewrite.as_ref().unwrap().file_steps.renames;
    assert_eq!((renames[0].from.as_os_str(), renames[0].to), ("3.".as_ref(), Uid(6)));
}

#[test]
fn two_files_that_claim_one_destroyed_record_both_get_new_uids() {
    let mut evidence = sound(&[1, 2, 5]);
    destroy(&mut evidence, 2);
    add_orphan(&mut evidence, 3);
    assert_eq!(uids(&plan(&evidence, policy())), [1, 5, 6, 7]);
}

#[test]
fn files_behind_the_end_of_an_index_of_unknown_length_keep_their_uids() {
    // An index that was cut and whose header was hit as well: renumbering all that was cut off
    // would have made every client fetch it anew.
    let mut evidence = sound(&[1, 2, 4]);
    evidence.index.header_proven = false;
    evidence.index.header.as_mut().unwrap().last_uid = Uid(9);
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    for uid in [6, 7, 8] {
        add_orphan(&mut evidence, uid);
    }
    assert_eq!(uids(&plan(&evidence, policy())), [1, 2, 4, 6, 7, 8]);
}

#[test]
fn a_file_above_the_last_uid_keeps_its_own() {
    let mut evidence = sound(&[1, 2]);
    add_orphan(&mut evidence, 9);
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 9]);
    assert_eq!(plan.rewrite.as_ref().unwrap().header.last_uid, Uid(9));
}

#[test]
fn a_uid_that_leaves_no_room_for_more_is_not_believed() {
    let mut evidence = sound(&[1, 2]);
    add_orphan(&mut evidence, u32::MAX);
    assert_eq!(uids(&plan(&evidence, policy())), [1, 2, 3]);
}

#[test]
fn the_second_name_of_a_message_is_put_away_only_where_an_interrupted_run_noted_it() {
    let mut evidence = sound(&[1, 2, 5]);
    add_orphan(&mut evidence, 3);
    for message in &mut evidence.messages {
        if let FileEvidence::Regular { identity, .. } = &mut message.file {
            identity.ino = if message.uid.0 == 3 { 5 } else { identity.ino };
        }
    }
    evidence.messages[2].reading = Some(Reading { staged: None, ..read(5) });
    evidence.messages.iter_mut().for_each(|message| {
        // A copy within the mailbox shares its file; here its record is gone, and its bytes are not 5's.
        message.cached_likeness = None;
    });
    let copy = plan(&evidence, policy());
    assert_eq!(uids(&copy), [1, 2, 5, 6], "the same inode alone is no proof");

    evidence.journal.renamed =
        vec![Renamed { place: Place::Spool, from: "3.".into(), to: Uid(5), ino: 5 }];
    let interrupted = plan(&evidence, policy());
    assert_eq!(uids(&interrupted), [1, 2, 5], "it is served once");
    let renames = &interrupted.rewrite.as_ref().unwrap().file_steps.renames;
    assert_eq!((renames[0].from.as_os_str(), renames[0].to), ("3.".as_ref(), Uid(5)));
}

#[test]
fn a_message_whose_copy_was_expunged_is_not_put_away_with_it() {
    let mut evidence = sound(&[1, 2, 5]);
    add_orphan(&mut evidence, 3);
    for message in &mut evidence.messages {
        if let FileEvidence::Regular { identity, .. } = &mut message.file {
            identity.ino = if message.uid.0 == 3 { 5 } else { identity.ino };
        }
    }
    if let Some(Slot::Record(copy)) = evidence.index.slots.last_mut() {
        copy.internal_flags = copy.internal_flags.with(InternalFlags::EXPUNGED);
    }
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 5, 6], "the orphan has a record again");
}

#[test]
fn a_file_without_a_place_in_the_index_that_is_a_copy_of_a_message_is_put_away() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (2, "two"), (5, "five")]);
    mailbox.store("3.", message("five"));
    let plan = mailbox.repair();
    assert_eq!(codes(&plan), [Code::Copy]);
    assert_eq!(mailbox.names(), ["1.", "2.", "5."]);
    assert!(mailbox.plan().rewrite.is_none());
}

#[test]
fn a_copy_above_the_last_uid_that_never_got_its_record_is_put_away() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (2, "two")]);
    mailbox.store("9.", message("two"));
    assert_eq!(codes(&mailbox.repair())[..2], [Code::LastUidLow, Code::Copy]);
    assert_eq!(mailbox.names(), ["1.", "2."]);
}

#[test]
fn a_copy_above_the_last_uid_of_an_expunged_message_is_put_away() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (2, "two")]);
    mailbox.change_record(2, |record| {
        record.internal_flags = InternalFlags::EXPUNGED;
        record.last_updated = NOW;
    });
    mailbox.settle();
    mailbox.store("9.", message("two"));
    assert!(codes(&mailbox.repair()).contains(&Code::StaysExpunged));
    assert_eq!(mailbox.names(), ["1.", "2."]);
}

#[test]
fn files_whose_records_were_lost_with_their_bytes_keep_their_uids() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (3, "same"), (4, "same"), (7, "seven")]);
    for uid in [3, 4] {
        mailbox.drop_record(uid);
    }
    let mut evidence = mailbox.evidence();
    evidence.index.displaced = true;
    evidence.index.truncated_slots = 2;
    assert_eq!(uids(&plan(&evidence, policy())), [1, 3, 4, 7], "copies of one another too");
    evidence.index.truncated_slots = 1;
    assert_eq!(uids(&plan(&evidence, policy())), [1, 7, 8], "there was one record, whose?");
}

#[test]
fn a_record_that_is_there_twice_may_stand_in_place_of_a_lost_one() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (2, "two"), (5, "five")]);
    mailbox.base.index.slots[1] = mailbox.base.index.slots[0].clone();
    assert_eq!(uids(&mailbox.repair()), [1, 2, 5]);
}

#[test]
fn a_copy_whose_record_was_destroyed_is_a_message_of_its_own() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (3, "five"), (5, "five")]);
    mailbox.destroy_record(3);
    assert_eq!(uids(&mailbox.repair()), [1, 3, 5]);
}

#[test]
fn of_two_files_that_claim_one_destroyed_record_the_one_that_is_no_copy_has_it() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (3, "three"), (5, "five")]);
    mailbox.destroy_record(3);
    mailbox.store("2.", message("five"));
    let plan = mailbox.repair();
    assert_eq!(uids(&plan), [1, 3, 5]);
    assert!(codes(&plan).contains(&Code::Copy));
}

#[test]
fn of_two_unknown_files_of_the_same_bytes_one_is_served() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (5, "five")]);
    mailbox.store("2.", message("new"));
    mailbox.store("3.", message("new"));
    assert_eq!(uids(&mailbox.repair()), [1, 5, 6]);
    assert_eq!(mailbox.quarantine.len(), 2, "the old name of one, and the other");
}

#[test]
fn a_file_without_a_record_in_which_nothing_is_left_is_put_away() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (3, "three"), (5, "five")]);
    mailbox.destroy_record(3);
    mailbox.store("3.", vec![0; 100]);
    mailbox.store("4.", Vec::new());
    let plan = mailbox.repair();
    assert_eq!(uids(&plan), [1, 5]);
    assert_eq!(mailbox.names(), ["1.", "5."]);
}

#[test]
fn no_new_uid_is_one_whose_name_is_taken_by_anything() {
    let mut evidence = sound(&[1, 2, 5]);
    add_orphan(&mut evidence, 3);
    add_orphan(&mut evidence, 6);
    evidence.messages[4].file = FileEvidence::Unreadable(5);
    let kind = OddKind::NotAFile(mailstore::volume::Kind::Directory);
    let entry = OddEntry { name: "7.".into(), kind, ino: 70, movable: true };
    evidence.directory.odd.push(OddInPlace { place: Place::Spool, entry });
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 5, 8]);
}

#[test]
fn a_calendar_gets_no_new_uids() {
    let mut evidence = sound(&[1, 2, 5]);
    evidence.witnesses.dav = true;
    add_orphan(&mut evidence, 3);
    let plan = plan(&evidence, policy());
    assert_eq!(codes(&plan), [Code::MessageRenumbered]);
    assert_eq!(plan.findings[0].remedy, Remedy::Left);
    assert!(plan.rewrite.is_none());
}

#[test]
fn file_times_of_a_careless_restore_give_way_to_received_dates() {
    let mut evidence = sound(&[1, 2, 3, 4, 5]);
    let received = Timestamp::from_seconds(MIDNIGHT - 90 * 86_400);
    for message in &mut evidence.messages {
        message.slot = None;
        message.cache = CacheItem::None;
        let mut reading = read(message.uid.0);
        reading.fields.received = Some(received);
        message.reading = Some(reading);
        if let FileEvidence::Regular { identity, .. } = &mut message.file {
            identity.mtime = Timestamp::from_seconds(MIDNIGHT);
        }
    }
    evidence.index = IndexEvidence::default();
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    let plan = plan(&evidence, policy());
    assert!(codes(&plan).contains(&Code::InternaldateFromReceived));
    assert_eq!(planned(&plan, 3).internaldate, received);
}

/// Overwrites these bytes of the record of `uid`, and reads the index again.
fn damage_record(mailbox: &mut Mailbox, uid: u32, hit: std::ops::Range<usize>) {
    let layout = Layout::of_version(17).unwrap();
    let mut file = mailbox.base.index.header.as_ref().unwrap().encode(layout);
    for record in mailbox.records() {
        let start = file.len();
        record.encode_into(layout, &mut file);
        if record.uid == Uid(uid) {
            file[start..][hit.clone()].fill(0xab);
        }
    }
    let identity = mailbox.base.index.identity.unwrap();
    let read = crate::index_reader::read_index(&file, identity, None);
    assert!(read.slots.iter().any(|slot| matches!(slot, Slot::Doubtful(_))), "{:?}", read.slots);
    mailbox.base.index.slots = read.slots;
}

#[test]
fn a_damaged_record_that_its_file_proves_is_back_whole() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (3, "three"), (5, "five")]);
    mailbox.change_record(3, |record| {
        record.user_flags = UserFlags([1, 0, 0, 0]);
        record.system_flags = SystemFlags::FLAGGED;
        record.cid = mailstore_format::ThreadId(9);
    });
    let before = *mailbox.record(3);
    damage_record(&mut mailbox, 3, 0..4);
    let plan = mailbox.repair();
    assert!(codes(&plan).contains(&Code::RecordProven), "{:?}", plan.findings);
    let after = *mailbox.record(3);
    let cache_offset = after.cache_offset;
    assert_eq!(after, IndexRecord { cache_offset, ..before }, "the modseq too");
    assert!(!codes(&plan).contains(&Code::FlagsUnknown));
}

#[test]
fn a_damaged_record_that_cannot_be_proven_gives_its_uid_and_no_flags() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (3, "three"), (5, "five")]);
    mailbox.change_record(3, |record| record.system_flags = SystemFlags::FLAGGED);
    // The flags themselves are hit.
    damage_record(&mut mailbox, 3, 32..40);
    mailbox.store("2.", message("other"));
    let plan = mailbox.repair();
    assert_eq!(uids(&plan), [1, 3, 5, 6], "the other file has no claim");
    assert_eq!(mailbox.record(3).system_flags, SystemFlags(0));
    assert!(codes(&plan).contains(&Code::FlagsUnknown));
}

#[test]
fn an_appended_record_that_was_not_counted_yet_tells_the_flags_of_its_file() {
    let mut mailbox = Mailbox::with(&[(1, "one")]);
    mailbox.store("2.", message("two"));
    let flagged = SystemFlags::FLAGGED;
    let appended =
        IndexRecord { system_flags: flagged, ..super::model::record_of(2, &message("two")) };
    let mut evidence = mailbox.evidence();
    evidence.index.beyond = vec![appended];
    let plan = plan(&evidence, policy());
    assert_eq!(planned(&plan, 2).system_flags, flagged);
    evidence.index.beyond = vec![IndexRecord { guid: Guid::of(b"another"), ..appended }];
    assert_eq!(planned(&super::super::plan(&evidence, policy()), 2).system_flags, SystemFlags(0));
}

#[test]
fn a_record_of_an_interrupted_rewrite_tells_the_flags_of_its_file() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (2, "two"), (3, "three")]);
    let left = [2, 3].map(|uid| *mailbox.record(uid));
    mailbox.destroy_record(2);
    mailbox.destroy_record(3);
    let mut evidence = mailbox.evidence();
    let flagged = IndexRecord { system_flags: SystemFlags::FLAGGED, ..left[0] };
    let expunged = InternalFlags::EXPUNGED.with(InternalFlags::UNLINKED);
    let deleted = IndexRecord { internal_flags: expunged, ..left[1] };
    evidence.leftover.records = vec![flagged, deleted];
    let plan = plan(&evidence, policy());
    assert_eq!(planned(&plan, 2).system_flags, SystemFlags::FLAGGED);
    let deleted = planned(&plan, 3);
    assert!(deleted.is_expunged() && !deleted.is_unlinked(), "no order to delete is written");
    assert!(codes(&plan).contains(&Code::StaysExpunged));
}

#[test]
fn where_the_header_counts_too_few_records_nothing_tells_how_many_there_were() {
    let mut evidence = sound(&[1, 2]);
    let header = evidence.index.header.as_mut().unwrap();
    (header.last_uid, header.num_records) = (Uid(9), 0);
    for uid in [6, 7] {
        add_orphan(&mut evidence, uid);
    }
    assert_eq!(uids(&plan(&evidence, policy())), [1, 2, 6, 7]);
    evidence.index.header.as_mut().unwrap().num_records = 2;
    assert_eq!(uids(&plan(&evidence, policy())), [1, 2, 10, 11]);
}

#[test]
fn a_copy_above_the_last_uid_of_a_message_that_lost_its_record_is_put_away() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (2, "two"), (5, "five")]);
    mailbox.destroy_record(2);
    mailbox.store("9.", message("two"));
    let plan = mailbox.repair();
    assert_eq!(uids(&plan), [1, 2, 5]);
    assert!(codes(&plan).contains(&Code::Copy));
}

#[test]
fn a_copy_whose_damaged_record_has_its_uid_is_a_message_whatever_conversations_lack() {
    let mut mailbox = Mailbox::with(&[(1, "one"), (5, "five"), (7, "one"), (8, "eight")]);
    // Conversations are of the night before.
    mailbox.rows =
        Some([(1, "one"), (5, "five"), (8, "eight")].map(|it| super::told::row(it.0, it.1)).into());
    damage_record(&mut mailbox, 7, 32..40);
    let mut evidence = mailbox.evidence();
    evidence.witnesses.conversations_coverage = crate::evidence::Coverage::Whole;
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 5, 7, 8], "{:?}", plan.findings);
}
