//! Expunging records whose message is gone, and bringing them back.

use super::*;

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
