//! The mailbox as a whole: its numbers, names and caches.

use super::*;

#[test]
fn a_sound_mailbox_needs_nothing() {
    let plan = plan(&sound(&[1, 2, 5]), policy());
    assert_eq!(plan.findings, []);
    assert!(plan.rewrite.is_none());
}

#[test]
fn a_mailbox_whose_disk_is_away_is_left_alone() {
    let mut evidence = sound(&[1]);
    evidence.directory.unavailable = Some("the partition is empty".to_owned());
    let plan = plan(&evidence, pruning());
    assert_eq!(codes(&plan), [Code::PartitionUnavailable]);
    assert!(plan.rewrite.is_none());
}

#[test]
fn wrong_counts_are_recomputed_under_a_new_generation() {
    let mut evidence = sound(&[1, 2]);
    evidence.index.header.as_mut().unwrap().exists = 77;
    let plan = plan(&evidence, policy());
    assert_eq!(codes(&plan), [Code::HeaderCounts]);
    let header = &plan.rewrite.as_ref().unwrap().header;
    assert_eq!((header.exists, header.generation_no), (2, 8));
    assert_eq!(header.highestmodseq, ModSeq(1000), "no client could notice");
}

#[test]
fn the_files_of_another_mailbox_are_left_alone() {
    let mut evidence = sound(&[1]);
    let with_id = |id: &str| {
        let mut header = HeaderFile::new(HeaderForm::Dlist);
        header.uniqueid = Some(id.into());
        header
    };
    evidence.header_file = HeaderFileEvidence::Sound { value: Box::new(with_id("frank")), crc: 1 };
    evidence.witnesses.header = Some(with_id("erin"));
    let plan = plan(&evidence, policy());
    assert_eq!(codes(&plan), [Code::MailboxMismatch]);
    assert!(plan.rewrite.is_none());
}

#[test]
fn on_a_replicated_store_deletedmodseq_never_rises() {
    let mut evidence = sound(&[1, 2]);
    evidence.index.header_proven = false;
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    evidence.witnesses.replicated = true;
    let header = plan(&evidence, policy()).rewrite.unwrap().header;
    assert_eq!(header.deletedmodseq, ModSeq(3));
    assert!(header.highestmodseq > ModSeq(1000));
}

#[test]
fn without_an_index_uids_come_from_names_and_numbers_jump() {
    let mut evidence = sound(&[1, 2, 5]);
    for uid in [1, 2, 5] {
        destroy(&mut evidence, uid);
    }
    evidence.index = IndexEvidence::default();
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    evidence.witnesses.foldermodseq = Some(ModSeq(500));
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 5]);
    let header = &plan.rewrite.as_ref().unwrap().header;
    assert_eq!(header.uidvalidity, UidValidity(42));
    assert_eq!(header.last_uid, Uid(5 + UID_JUMP));
    assert_eq!(header.highestmodseq, ModSeq(500 + MODSEQ_JUMP + 1));
    assert_eq!(header.deletedmodseq, header.highestmodseq);
    assert!(header.generation_no > 7, "the cache knew generation 7");
    assert!(codes(&plan).contains(&Code::LastUidUnproven));
    assert!(codes(&plan).contains(&Code::ModseqUnproven));
}

#[test]
fn counters_prove_the_highest_modseq_where_the_index_is_gone() {
    let mut evidence = sound(&[1]);
    destroy(&mut evidence, 1);
    evidence.index = IndexEvidence::default();
    evidence.witnesses.uidvalidity = Some(UidValidity(42));
    evidence.witnesses.counters_highest = Some(ModSeq(2000));
    let plan = plan(&evidence, policy());
    assert_eq!(plan.rewrite.as_ref().unwrap().header.highestmodseq, ModSeq(2001));
    assert!(!codes(&plan).contains(&Code::ModseqUnproven));
}

#[test]
fn a_keyword_without_a_name_gets_a_placeholder() {
    let mut evidence = sound(&[1]);
    let flagged = IndexRecord { user_flags: UserFlags([1 << 3, 0, 0, 0]), ..record(1) };
    evidence.index.slots[0] = Slot::Record(flagged);
    let plan = plan(&evidence, policy());
    assert!(codes(&plan).contains(&Code::KeywordUnnamed));
    let file = plan.rewrite.as_ref().unwrap().header_file.as_ref().unwrap();
    assert_eq!(file.flag_names.get(3), Some(b"$RecoveredKeyword3".as_slice()));
    assert_eq!(planned(&plan, 1).user_flags, flagged.user_flags, "no bit is dropped");
}

#[test]
fn a_delete_order_in_the_header_of_a_listed_mailbox_is_cleared() {
    use mailstore_format::index::options::MAILBOX_DELETED;
    let mut evidence = sound(&[1]);
    evidence.index.header.as_mut().unwrap().options |= MAILBOX_DELETED;
    let plan = plan(&evidence, policy());
    assert_eq!(codes(&plan), [Code::HeaderOptions]);
    assert_eq!(plan.rewrite.as_ref().unwrap().header.options & MAILBOX_DELETED, 0);
}

#[test]
fn an_order_to_delete_one_of_two_copies_is_not_written_again() {
    let mut evidence = sound(&[1, 2]);
    let ordered = IndexRecord { internal_flags: InternalFlags::NEEDS_CLEANUP, ..record(2) };
    evidence.index.slots[1] = Slot::Record(ordered);
    assert!(plan(&evidence, policy()).rewrite.is_none(), "alone it is no damage");
    evidence.index.header.as_mut().unwrap().exists = 77;
    let plan = plan(&evidence, policy());
    assert_eq!(planned(&plan, 2).internal_flags, InternalFlags(0));
}

#[test]
fn the_record_follows_its_file_into_the_archive() {
    let mut evidence = sound(&[1, 2]);
    evidence.archive_cache = Some(CacheFileEvidence::default());
    let moved = &mut evidence.messages[1];
    if let FileEvidence::Regular { place, .. } = &mut moved.file {
        *place = Place::Archive;
    }
    moved.reading = Some(read(2));
    let plan = plan(&evidence, policy());
    assert!(codes(&plan).contains(&Code::ArchivedFlag));
    assert!(planned(&plan, 2).internal_flags.contains(InternalFlags::ARCHIVED));
    let rewrite = plan.rewrite.as_ref().unwrap();
    assert!(rewrite.replace_archive_cache && !rewrite.replace_spool_cache);
}

#[test]
fn new_cache_offsets_follow_one_another() {
    let mut evidence = sound(&[1, 2, 3]);
    evidence.messages[1].reading = Some(read(2));
    evidence.messages[1].cache = CacheItem::Damaged;
    let plan = plan(&evidence, policy());
    let len = u64::try_from(fields("2").cache_len).unwrap();
    let offsets = [1, 2, 3].map(|uid| planned(&plan, uid).cache_offset);
    assert_eq!(offsets, [4, 104, 104 + len]);
    assert_eq!(planned(&plan, 1).modseq, ModSeq(1), "an offset is nothing a client sees");
}
