//! Indexes that are not the mailbox's, or not its newest.

use mailstore_format::ThreadId;

use super::*;
use crate::evidence::{ConversationRow, Coverage};
use crate::plan::index_trust::{believable_part, judge};

fn row(uid: u32) -> ConversationRow {
    ConversationRow {
        uid: Uid(uid),
        guid: fields(&uid.to_string()).guid,
        system_flags: SystemFlags(0),
        internal_flags: InternalFlags(0),
        internaldate: record(uid).internaldate,
        cid: ThreadId(0),
    }
}

/// `sound` whose owner's conversations know the messages `rows`.
fn with_rows(uids: &[u32], rows: &[u32]) -> Evidence {
    let mut evidence = sound(uids);
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    evidence.witnesses.highest_uid = rows.iter().max().map(|&uid| Uid(uid));
    evidence.witnesses.conversations = Some(rows.iter().map(|&uid| row(uid)).collect());
    evidence.witnesses.conversations_coverage = Coverage::Whole;
    evidence
}

/// Replaces the files of these records by other messages of another size.
fn exchange_files(evidence: &mut Evidence, uids: &[u32]) {
    for message in evidence.messages.iter_mut().filter(|message| uids.contains(&message.uid.0)) {
        let other = fields(&format!("another message for {}", message.uid));
        if let FileEvidence::Regular { identity, .. } = &mut message.file {
            identity.size = other.size;
        }
        message.reading = Some(reading_of(other, None));
    }
}

fn is_foreign(evidence: &Evidence) -> bool {
    judge(evidence).is_foreign()
}

#[test]
fn an_index_below_the_uids_that_conversations_know_is_older() {
    assert!(!judge(&with_rows(&[1, 2, 5], &[1, 2, 5])).is_older());
    assert!(judge(&with_rows(&[1, 2, 5], &[1, 2, 5, 6])).is_older());
    let mut absurd = with_rows(&[1, 2], &[u32::MAX]);
    assert!(!judge(&absurd).is_older(), "a UID that leaves no room for more proves nothing");
    absurd.witnesses.foldermodseq = Some(ModSeq(1000));
    assert!(!judge(&absurd).is_older());
    absurd.witnesses.foldermodseq = Some(ModSeq(1001));
    assert!(judge(&absurd).is_older());
}

#[test]
fn a_cache_ahead_of_the_index_tells_only_where_its_items_do_not_fit() {
    let mut evidence = sound(&[1, 2]);
    evidence.spool_cache.generation = Some(9);
    assert!(!judge(&evidence).is_older(), "a flipped bit in the generation number does it too");
    evidence.messages[1].cache = CacheItem::Damaged;
    assert!(judge(&evidence).is_older());
    evidence.spool_cache.generation = Some(90_000);
    assert!(!judge(&evidence).is_older());
}

#[test]
fn an_older_index_takes_flags_and_tombstones_from_conversations_and_jumps() {
    let mut evidence = with_rows(&[1, 2, 5], &[1, 2, 5, 7]);
    let rows = evidence.witnesses.conversations.as_mut().unwrap();
    rows[0].system_flags = SystemFlags::FLAGGED;
    rows[1].internal_flags = InternalFlags::EXPUNGED;
    evidence.index_trust = judge(&evidence);
    let older = plan(&evidence, policy());
    assert!(codes(&older).contains(&Code::IndexOlder));
    assert_eq!(planned(&older, 1).system_flags, SystemFlags::FLAGGED);
    assert!(planned(&older, 2).is_expunged() && !planned(&older, 5).is_expunged());
    assert!(!planned(&older, 2).is_unlinked(), "no order to delete is ever given");
    let header = &older.rewrite.as_ref().unwrap().header;
    assert_eq!((header.last_uid, header.uidvalidity), (Uid(1007), UidValidity(42)));
    assert_eq!(header.highestmodseq, ModSeq(1000 + MODSEQ_JUMP + 1));

    evidence.index_trust = IndexTrust::Current;
    evidence.index.header.as_mut().unwrap().last_uid = Uid(7);
    let current = plan(&evidence, policy());
    assert_eq!(codes(&current), [], "rows do not overrule the newest index");
}

#[test]
fn an_older_index_does_not_bring_a_message_back_that_is_gone_since() {
    let mut evidence = with_rows(&[1, 2, 5], &[1, 5, 7]);
    lose_file(&mut evidence, 2);
    evidence.index_trust = judge(&evidence);
    assert!(planned(&plan(&evidence, policy()), 2).is_expunged());

    evidence.witnesses.conversations_coverage = Coverage::Partial;
    let unsure = plan(&evidence, policy());
    assert!(!planned(&unsure, 2).is_expunged());
    assert!(codes(&unsure).contains(&Code::MessageMissing));
}

#[test]
fn an_orphan_above_an_older_index_keeps_its_uid() {
    let mut evidence = with_rows(&[1, 2], &[1, 2, 3, 4]);
    add_orphan(&mut evidence, 4);
    evidence.index_trust = judge(&evidence);
    assert_eq!(uids(&plan(&evidence, policy())), [1, 2, 4]);
}

#[test]
fn an_index_is_foreign_only_where_a_number_and_the_files_speak_against_it() {
    let mut evidence = sound(&[1, 2, 3]);
    exchange_files(&mut evidence, &[1, 2, 3]);
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    assert!(!is_foreign(&evidence), "damaged files alone");
    evidence.witnesses.uidvalidity = Some(UidValidity(41));
    assert!(is_foreign(&evidence));
    evidence.witnesses.uidvalidity = None;
    assert!(!is_foreign(&evidence), "there is nothing to put in its place");

    let mut lagging = sound(&[1, 2, 3]);
    lagging.witnesses.uidvalidity = Some(UidValidity(41));
    assert!(!is_foreign(&lagging), "mailboxes.db can lag");
    exchange_files(&mut lagging, &[1]);
    assert!(!is_foreign(&lagging), "most of its messages are there");
    lagging.index.header_proven = false;
    assert!(!is_foreign(&lagging), "a damaged header is not believed anyway");
}

#[test]
fn an_index_that_knows_another_header_file_and_none_of_the_files_is_foreign() {
    let mut evidence = sound(&[1, 2, 3]);
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    evidence.index.header.as_mut().unwrap().header_file_crc ^= 1;
    for uid in [1, 2, 3] {
        lose_file(&mut evidence, uid);
    }
    add_orphan(&mut evidence, 11);
    assert!(!is_foreign(&evidence), "one file proves little");
    add_orphan(&mut evidence, 12);
    assert!(is_foreign(&evidence));
}

#[test]
fn an_index_that_knows_the_header_file_of_a_sibling_is_foreign() {
    let mut evidence = sound(&[1, 2, 3]);
    exchange_files(&mut evidence, &[1, 2, 3]);
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    evidence.header_file = HeaderFileEvidence::Missing;
    evidence.witnesses.header_traces.sibling_crcs = vec![7];
    assert!(!is_foreign(&evidence));
    evidence.index.header.as_mut().unwrap().header_file_crc = 7;
    assert!(is_foreign(&evidence));
}

#[test]
fn without_a_header_file_an_index_is_foreign_where_nearly_nothing_is_of_its_records() {
    let uids = [1, 2, 3, 4, 5];
    let mut evidence = sound(&uids);
    exchange_files(&mut evidence, &uids);
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    evidence.header_file = HeaderFileEvidence::Missing;
    assert!(!is_foreign(&evidence), "damaged messages of which the cache still tells");
    evidence.messages.iter_mut().for_each(|message| message.cache = CacheItem::Damaged);
    assert!(is_foreign(&evidence));
    for fitting in [2, 3] {
        evidence.messages[fitting].reading = Some(read(uids[fitting]));
    }
    assert!(!is_foreign(&evidence), "too many messages that fit");
}

#[test]
fn without_any_cache_the_dates_and_headers_of_files_tell_strangers() {
    let uids = [1, 2, 3, 4, 5, 6];
    let mut evidence = sound(&uids);
    exchange_files(&mut evidence, &uids);
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    evidence.header_file = HeaderFileEvidence::Missing;
    evidence.spool_cache.generation = None;
    evidence.messages.iter_mut().for_each(|message| message.cache = CacheItem::Damaged);
    assert!(!is_foreign(&evidence), "nothing tells");
    for message in evidence.messages.iter_mut().take(5) {
        let fields = &mut message.reading.as_mut().unwrap().fields;
        fields.has_header = true;
        fields.header_size += 1;
        fields.gmtime = Some(Timestamp::from_seconds(1));
    }
    assert!(is_foreign(&evidence));
    let gmtime = evidence.index.record(5).unwrap().gmtime;
    let last = &mut evidence.messages[5].reading.as_mut().unwrap().fields;
    (last.has_header, last.gmtime) = (true, Some(gmtime));
    assert!(!is_foreign(&evidence), "what is left of one of its messages");
}

#[test]
fn several_files_above_the_last_uid_make_an_index_older_and_copies_do_not() {
    let mut evidence = sound(&[1, 2, 5]);
    add_orphan(&mut evidence, 8);
    assert!(!judge(&evidence).is_older(), "a delivery that was cut short");
    add_orphan(&mut evidence, 9);
    assert!(judge(&evidence).is_older());
    for (copy, of) in [(8, 1), (9, 2)] {
        let copies = evidence.messages.iter_mut().filter(|message| message.uid == Uid(copy));
        copies.for_each(|message| message.reading = Some(read(of)));
    }
    assert!(!judge(&evidence).is_older());
}

#[test]
fn behind_a_damaged_header_rows_overrule_records_only_where_they_know_more() {
    let mut evidence = with_rows(&[1, 2, 5], &[1, 2, 5, 7]);
    evidence.index.header_proven = false;
    assert!(!judge(&evidence).is_older(), "its end may be lost");
    evidence.witnesses.conversations.as_mut().unwrap()[0].system_flags = SystemFlags::SEEN;
    assert!(judge(&evidence).is_older());
    evidence.index.layout = Layout::of_version(10);
    assert!(!judge(&evidence).is_older(), "its records have no such flag");
}

#[test]
fn shifted_files_do_not_make_an_index_foreign() {
    let mut evidence = sound(&[1, 2, 3]);
    evidence.witnesses.uidvalidity = Some(UidValidity(41));
    for (message, from) in evidence.messages.iter_mut().zip([2, 3, 1]) {
        message.file = file(from);
        message.reading = Some(read(from));
    }
    assert!(!is_foreign(&evidence));
}

#[test]
fn of_a_foreign_index_only_records_of_messages_that_are_there_count() {
    let mut evidence = sound(&[1, 2, 3]);
    evidence.index.slots.iter_mut().for_each(|slot| {
        let Slot::Record(record) = slot else { return };
        record.system_flags = SystemFlags::FLAGGED;
    });
    evidence.witnesses.uidvalidity = Some(UidValidity(7));
    let as_read = Box::new(std::mem::take(&mut evidence.index));
    for message in &mut evidence.messages {
        message.slot = None;
        message.cache = CacheItem::None;
        message.reading = Some(read(message.uid.0 + u32::from(message.uid.0 != 2) * 100));
    }
    evidence.index = believable_part(&as_read, &mut evidence.messages);
    evidence.index_trust = IndexTrust::Foreign { why: "test".to_owned(), as_read };
    let plan = plan(&evidence, policy());
    assert!(codes(&plan).contains(&Code::IndexForeign));
    assert!(!codes(&plan).contains(&Code::IndexHeaderDamaged));
    assert_eq!(uids(&plan), [1, 2, 3], "files keep the UIDs of their names");
    assert_eq!(planned(&plan, 2).system_flags, SystemFlags::FLAGGED);
    assert_eq!(planned(&plan, 3).system_flags, SystemFlags(0));
    let header = &plan.rewrite.as_ref().unwrap().header;
    assert_eq!((header.uidvalidity, header.last_uid), (UidValidity(7), Uid(1003)));
    assert_eq!(header.generation_no, 8, "sessions notice");
}

#[test]
fn records_of_other_messages_than_conversations_know_are_foreign_whatever_their_header_is() {
    let uids = [1, 2, 3, 4, 5, 6];
    let mut evidence = with_rows(&uids, &uids);
    exchange_files(&mut evidence, &uids);
    evidence.index.header_proven = false;
    assert!(!is_foreign(&evidence), "damaged messages: conversations know the records");
    let rows = evidence.witnesses.conversations.as_mut().unwrap();
    for row in rows {
        row.guid = fields(&format!("other {}", row.uid)).guid;
    }
    assert!(is_foreign(&evidence));
    evidence.index.header_proven = true;
    assert!(is_foreign(&evidence));
}

#[test]
fn behind_a_damaged_header_records_are_foreign_where_nearly_nothing_is_of_them() {
    let uids = [1, 2, 3, 4, 5];
    let mut evidence = sound(&uids);
    exchange_files(&mut evidence, &uids);
    evidence.index.header_proven = false;
    evidence.index.header.as_mut().unwrap().header_file_crc = 7;
    assert!(!is_foreign(&evidence), "damaged messages of which the cache still tells");
    evidence.messages.iter_mut().for_each(|message| message.cache = CacheItem::Damaged);
    assert!(is_foreign(&evidence));
}

#[test]
fn behind_a_damaged_header_records_that_something_vouches_for_are_not_foreign() {
    let uids = [1, 2, 3, 4, 5, 6];
    let damaged = || {
        let mut evidence = sound(&uids);
        exchange_files(&mut evidence, &uids[1..]);
        evidence.index.header_proven = false;
        evidence.index.header.as_mut().unwrap().header_file_crc = 7;
        evidence.messages.iter_mut().for_each(|message| message.cache = CacheItem::Damaged);
        evidence
    };
    assert!(is_foreign(&damaged()));
    let mut known = damaged();
    known.witnesses.conversations = Some(uids.iter().map(|&uid| row(uid)).collect());
    assert!(!is_foreign(&known), "conversations know them");
    let mut tied = damaged();
    let HeaderFileEvidence::Sound { crc, .. } = &tied.header_file else { panic!("it is sound") };
    let crc = *crc;
    tied.index.header.as_mut().unwrap().header_file_crc = crc;
    assert!(!is_foreign(&tied), "the header knows this cyrus.header");
    let mut lost = damaged();
    lost.spool_cache.generation = None;
    assert!(!is_foreign(&lost), "a cache that is lost tells nothing");
}
