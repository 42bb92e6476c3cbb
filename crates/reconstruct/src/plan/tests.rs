//! The rules of `docs/policy.md`, each on the smallest evidence that calls for it.

mod index_trust;
mod keywords;

use mailstore_format::header_file::{HeaderFile, HeaderForm};
use mailstore_format::index::SyncCrcs;
use mailstore_format::message::{MessageFields, MessageReader};
use mailstore_format::{Guid, InternalFlags, SystemFlags, UidValidity, UserFlags};

use mailstore::spool::OddEntry;

use super::*;
use crate::evidence::{
    CacheFileEvidence, DirectoryEvidence, FileEvidence, FileIdentity, HeaderFileEvidence,
    IndexEvidence, IndexTrust, MessageEvidence, Place, Reading, Slot, Witnesses,
};
use crate::journal::{Journal, Renamed, WantedBecause};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const MIDNIGHT: i64 = 1_700_006_400;

fn policy() -> Policy {
    Policy { prune: None, prune_budget: 100, now: NOW }
}

fn pruning() -> Policy {
    Policy { prune: Some(PrunePolicy::default()), ..policy() }
}

fn fields(text: &str) -> MessageFields {
    let message = format!("Subject: {text}\r\n\r\nbody\r\n");
    MessageReader::default().read(message.as_bytes(), &mut Vec::new())
}

fn file(uid: u32) -> FileEvidence {
    let size = fields(&uid.to_string()).size;
    let mtime = Timestamp::from_seconds(MIDNIGHT + i64::from(uid) * 3600);
    let identity = FileIdentity { ino: u64::from(uid), size, mtime };
    FileEvidence::Regular { place: Place::Spool, identity, in_both: false }
}

fn record(uid: u32) -> IndexRecord {
    let found = fields(&uid.to_string());
    let internaldate = Timestamp::from_seconds(MIDNIGHT + i64::from(uid) * 3600);
    IndexRecord {
        uid: Uid(uid),
        internaldate,
        sentdate: Timestamp::from_seconds(MIDNIGHT),
        gmtime: internaldate,
        size: found.size,
        header_size: found.header_size,
        guid: found.guid,
        modseq: ModSeq(u64::from(uid)),
        createdmodseq: ModSeq(u64::from(uid)),
        cache_offset: u64::from(uid) * 1000,
        cache_crc: found.cache_crc,
        cache_version: 11,
        ..IndexRecord::default()
    }
}

fn read(uid: u32) -> Reading {
    let fields = fields(&uid.to_string());
    let staged = StagedCache { offset: u64::from(uid), len: fields.cache_len };
    Reading { fields, staged: Some(staged), cache_differs: false, with_crlf: false }
}

/// A sound mailbox with these messages, all of them with a record and a file.
fn sound(uids: &[u32]) -> Evidence {
    let layout = Layout::of_version(17).unwrap();
    let slots: Vec<_> = uids.iter().map(|&uid| Slot::Record(record(uid))).collect();
    let messages = uids.iter().enumerate().map(|(slot, &uid)| MessageEvidence {
        uid: Uid(uid),
        slot: Some(slot),
        file: file(uid),
        reading: None,
        cache: CacheItem::Sound(100),
    });
    let header_file = HeaderFile::new(HeaderForm::Dlist);
    let crc = crc32fast::hash(&header_file.encode());
    let mut evidence = Evidence {
        directory: DirectoryEvidence::default(),
        index: IndexEvidence {
            identity: Some(FileIdentity { ino: 1, size: 1, mtime: NOW }),
            header_proven: true,
            layout: Some(layout),
            header: Some(IndexHeader {
                generation_no: 7,
                minor_version: 17,
                uidvalidity: UidValidity(42),
                last_uid: Uid(uids.iter().copied().max().unwrap_or(0)),
                highestmodseq: ModSeq(1000),
                deletedmodseq: ModSeq(3),
                header_file_crc: crc,
                ..IndexHeader::default()
            }),
            slots,
            ..IndexEvidence::default()
        },
        index_trust: IndexTrust::Current,
        messages: messages.collect(),
        strays: Vec::new(),
        header_file: HeaderFileEvidence::Sound { value: Box::new(header_file), crc },
        spool_cache: CacheFileEvidence { generation: Some(7), ..CacheFileEvidence::default() },
        archive_cache: None,
        shares_cache: false,
        witnesses: Witnesses { listed: true, ..Witnesses::default() },
        annotations: Vec::new(),
        annotations_whole: true,
        journal: Journal::default(),
    };
    settle_counts(&mut evidence);
    evidence
}

/// Makes the header's counts and checksums those of its records.
fn settle_counts(evidence: &mut Evidence) {
    evidence.index.header.as_mut().unwrap().sync_crcs = SyncCrcs { basic: 0, annot: 0 };
    let header = plan(evidence, policy()).rewrite.unwrap().header;
    let generation_no = evidence.index.header.as_ref().unwrap().generation_no;
    evidence.index.header = Some(IndexHeader { generation_no, ..header });
}

/// Takes the record of `uid` out of the index and leaves destroyed bytes in its place.
fn destroy(evidence: &mut Evidence, uid: u32) {
    for message in evidence.messages.iter_mut().filter(|message| message.uid == Uid(uid)) {
        let slot = message.slot.take().unwrap();
        evidence.index.slots[slot] = Slot::Destroyed;
        message.reading = Some(read(uid));
        message.cache = CacheItem::None;
    }
}

/// Adds a file that no record knows.
fn add_orphan(evidence: &mut Evidence, uid: u32) {
    evidence.messages.push(MessageEvidence {
        uid: Uid(uid),
        slot: None,
        file: file(uid),
        reading: Some(read(uid)),
        cache: CacheItem::None,
    });
    evidence.messages.sort_by_key(|message| message.uid);
}

fn lose_file(evidence: &mut Evidence, uid: u32) {
    for message in evidence.messages.iter_mut().filter(|message| message.uid == Uid(uid)) {
        message.file = FileEvidence::Absent;
    }
}

fn codes(plan: &Plan) -> Vec<Code> {
    plan.findings.iter().map(|finding| finding.code).collect()
}

fn planned(plan: &Plan, uid: u32) -> &IndexRecord {
    let records = &plan.rewrite.as_ref().unwrap().records;
    &records.iter().find(|planned| planned.record.uid == Uid(uid)).unwrap().record
}

fn uids(plan: &Plan) -> Vec<u32> {
    plan.rewrite.as_ref().unwrap().records.iter().map(|planned| planned.record.uid.0).collect()
}

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
    assert_eq!(codes(&plan), [Code::MessageRenumbered]);
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
    let copy = plan(&evidence, policy());
    assert_eq!(uids(&copy), [1, 2, 5, 6], "a copy within the mailbox shares its file");

    evidence.journal.renamed =
        vec![Renamed { place: Place::Spool, from: "3.".into(), to: Uid(5), ino: 5 }];
    let interrupted = plan(&evidence, policy());
    assert_eq!(uids(&interrupted), [1, 2, 5], "it is served once");
    let renames = &interrupted.rewrite.as_ref().unwrap().file_steps.renames;
    assert_eq!((renames[0].from.as_os_str(), renames[0].to), ("3.".as_ref(), Uid(5)));
}

/// The server copies within a mailbox by linking: the copy is no trace of an interrupted run, and
/// once it was expunged, to put the orphan away would take the message out of sight.
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
fn no_new_uid_is_one_whose_name_is_taken_by_anything() {
    let mut evidence = sound(&[1, 2, 5]);
    add_orphan(&mut evidence, 3);
    add_orphan(&mut evidence, 6);
    evidence.messages[4].file = FileEvidence::Unreadable(5);
    evidence.directory.odd.push(OddEntry {
        name: "7.".into(),
        kind: OddKind::NotAFile(mailstore::volume::Kind::Directory),
    });
    let plan = plan(&evidence, policy());
    assert_eq!(uids(&plan), [1, 2, 5, 8]);
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
fn nothing_is_pruned_where_most_is_missing_or_a_place_was_not_seen() {
    let mut evidence = sound(&[1, 2, 3, 4]);
    lose_file(&mut evidence, 1);
    evidence.directory.unverified = Some("the archive is away".to_owned());
    assert!(plan(&evidence, pruning()).rewrite.is_none());
    evidence.directory.unverified = None;
    assert!(plan(&evidence, pruning()).rewrite.is_some());
    lose_file(&mut evidence, 2);
    lose_file(&mut evidence, 3);
    assert!(plan(&evidence, pruning()).rewrite.is_none());
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
fn a_missing_message_stays_in_the_index_unless_pruning_is_asked_for() {
    let mut evidence = sound(&[1, 2, 3]);
    lose_file(&mut evidence, 2);
    let left = plan(&evidence, policy());
    assert_eq!(codes(&left), [Code::MessageMissing]);
    assert!(left.rewrite.is_none());

    let pruned = plan(&evidence, pruning());
    let tombstone = planned(&pruned, 2);
    assert!(tombstone.is_expunged() && !tombstone.is_unlinked(), "no delete order is given");
    assert_eq!(tombstone.modseq, ModSeq(1001));
    assert_eq!(pruned.rewrite.as_ref().unwrap().wanted[0].record, record(2));
}

#[test]
fn an_unreadable_message_is_never_pruned() {
    let mut evidence = sound(&[1, 2]);
    evidence.messages[1].file = FileEvidence::Unreadable(5);
    let plan = plan(&evidence, pruning());
    assert_eq!(codes(&plan), [Code::MessageUnreadable]);
    assert!(plan.rewrite.is_none());
}

#[test]
fn the_fuse_refuses_to_prune_a_large_part_of_a_mailbox() {
    let all: Vec<u32> = (1..=40).collect();
    let mut evidence = sound(&all);
    for uid in 1..=11 {
        lose_file(&mut evidence, uid);
    }
    let refused = plan(&evidence, pruning());
    assert!(refused.rewrite.is_none());
    assert!(codes(&refused).contains(&Code::PruneRefused));
    assert!(!codes(&refused).contains(&Code::Pruned));

    evidence.messages[0].file = file(1);
    assert_eq!(plan(&evidence, pruning()).rewrite.unwrap().wanted.len(), 10);
}

#[test]
fn a_replicated_store_is_not_pruned_unless_told_so() {
    let mut evidence = sound(&[1, 2, 3]);
    lose_file(&mut evidence, 2);
    evidence.witnesses.replicated = true;
    assert!(plan(&evidence, pruning()).rewrite.is_none());
    let told = PrunePolicy { even_on_replica: true, ..PrunePolicy::default() };
    assert!(plan(&evidence, Policy { prune: Some(told), ..policy() }).rewrite.is_some());
}

#[test]
fn a_pruned_message_whose_file_is_back_has_its_old_record_again() {
    let mut evidence = sound(&[1, 2]);
    let before = IndexRecord { system_flags: SystemFlags::FLAGGED, ..record(2) };
    let tombstone =
        IndexRecord { internal_flags: InternalFlags::EXPUNGED, modseq: ModSeq(900), ..record(2) };
    evidence.index.slots[1] = Slot::Record(tombstone);
    evidence.messages[1].reading = Some(Reading { staged: None, ..read(2) });
    evidence.journal.wanted = vec![Wanted {
        why: WantedBecause::Pruned,
        record: before,
        keywords: vec![(5, b"Work".to_vec())],
        annotations: Vec::new(),
        tombstone: ModSeq(900),
    }];
    let since = IndexRecord { modseq: ModSeq(901), ..tombstone };
    evidence.index.slots[1] = Slot::Record(since);
    let expunged_since = plan(&evidence, policy());
    assert!(!codes(&expunged_since).contains(&Code::PrunedRestored), "its owner expunged it");
    evidence.index.slots[1] = Slot::Record(tombstone);
    let plan = plan(&evidence, policy());
    let back = planned(&plan, 2);
    assert!(!back.is_expunged());
    assert_eq!(back.system_flags, SystemFlags::FLAGGED);
    assert!(back.user_flags.contains(5), "its keyword has its slot, which was free, again");
    assert_eq!(back.modseq, ModSeq(1001));
    assert!(codes(&plan).contains(&Code::PrunedRestored));
}

#[test]
fn what_the_owner_expunged_stays_expunged_although_its_file_is_there() {
    let mut evidence = sound(&[1, 2]);
    let tombstone =
        IndexRecord { internal_flags: InternalFlags::EXPUNGED, last_updated: NOW, ..record(2) };
    evidence.index.slots[1] = Slot::Record(tombstone);
    settle_counts(&mut evidence);
    assert!(plan(&evidence, policy()).rewrite.is_none());
}

#[test]
fn a_message_with_another_guid_is_told_and_left() {
    let mut evidence = sound(&[1, 2]);
    let damaged = fields("something else");
    evidence.messages[1].reading =
        Some(Reading { fields: damaged, staged: None, cache_differs: false, with_crlf: false });
    let plan = plan(&evidence, policy());
    assert_eq!(codes(&plan), [Code::GuidMismatch]);
    assert!(plan.rewrite.is_none(), "a record's GUID never changes");
    assert_ne!(damaged.guid, Guid::NULL);
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
