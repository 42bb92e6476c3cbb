use mailstore_format::UserFlags;
use mailstore_format::index::IndexRecord;
use mailstore_format::{InternalFlags, Uid};

use super::super::survivors::Original;
use super::*;

fn guid(uid: u32) -> Guid {
    Guid::of(&uid.to_be_bytes())
}

fn message(uid: u32, flags: &[&str]) -> SeenMessage {
    let flags = flags.iter().map(ToString::to_string);
    let (system, keywords) = flags.partition(|flag| flag.starts_with('\\'));
    SeenMessage {
        system,
        keywords,
        internaldate: "1".into(),
        envelope: "an envelope".into(),
        body: Some(guid(uid)),
    }
}

/// Two messages with a flag and the keyword of slot 0, and an expunged one.
fn sound() -> (View, Survivors) {
    let mut messages = BTreeMap::new();
    let (mut originals, mut bodies) = (BTreeMap::new(), BTreeMap::new());
    for uid in 1..=3 {
        let mut record = IndexRecord { uid: Uid(uid), guid: guid(uid), ..IndexRecord::default() };
        record.user_flags = UserFlags([1, 0, 0, 0]);
        if uid == 3 {
            record.internal_flags = InternalFlags::EXPUNGED;
        } else {
            messages.insert(uid, message(uid, &["\\Seen", "work"]));
        }
        originals.insert(uid, Original { record, intact: true, versions: Vec::new() });
        bodies.insert(guid(uid), vec![0]);
    }
    let left = Survivors {
        originals,
        names: [(0, "work".to_string())].into(),
        known_names: [0].into(),
        bodies,
        index_whole: true,
        ..Survivors::default()
    };
    (View { uidvalidity: 7, uidnext: 4, highestmodseq: 9, messages }, left)
}

fn lose_record(left: &mut Survivors, uid: u32) {
    left.originals.get_mut(&uid).unwrap().intact = false;
}

#[test]
fn what_is_as_before_is_full_and_what_is_not_is_lost() {
    let (before, left) = sound();
    assert!(Score::of("m", &before, Some(&before), &left).is_full());

    let mut after = before.clone();
    after.messages.insert(1, message(1, &[]));
    after.messages.remove(&2);
    let score = Score::of("m", &before, Some(&after), &left);
    let lost = (score.flags.lost, score.keywords.lost, score.messages.lost);
    assert_eq!(lost, (1, 1, 1), "{:?}", score.remarks);
    assert_eq!(Score::of("m", &before, None, &left).messages.lost, 2);
}

#[test]
fn defaults_count_only_where_nothing_was_left_and_thirds_never() {
    let (before, mut left) = sound();
    lose_record(&mut left, 1);
    let mut after = before.clone();
    after.messages.insert(1, message(1, &[]));
    let score = Score::of("m", &before, Some(&after), &left);
    assert!(score.is_full(), "{:?}", score.remarks);
    assert_eq!((score.flags.default, score.flags.right), (1, 1));

    after.messages.insert(1, message(1, &["\\Flagged", "later"]));
    let score = Score::of("m", &before, Some(&after), &left);
    assert_eq!((score.flags.wrong, score.keywords.wrong, score.thirds()), (1, 1, 2));

    left.conversations = true;
    after.messages.insert(1, message(1, &[]));
    let score = Score::of("m", &before, Some(&after), &left);
    assert_eq!((score.flags.lost, score.keywords.default), (1, 1), "keywords are not in there");
}

#[test]
fn a_placeholder_stands_for_a_keyword_whose_name_is_lost_and_for_no_other() {
    let (before, mut left) = sound();
    let mut after = before.clone();
    after.messages.insert(1, message(1, &["\\Seen", "$RecoveredKeyword0"]));
    assert_eq!(Score::of("m", &before, Some(&after), &left).keywords.wrong, 1);
    left.known_names.clear();
    let score = Score::of("m", &before, Some(&after), &left);
    assert_eq!((score.keywords.default, score.keywords.right), (1, 1), "{:?}", score.remarks);
}

#[test]
fn an_expunged_message_may_be_back_only_where_its_tombstone_is_lost() {
    let (before, mut left) = sound();
    let mut after = before.clone();
    after.messages.insert(3, message(3, &[]));
    assert_eq!(Score::of("m", &before, Some(&after), &left).too_many, 1);
    lose_record(&mut left, 3);
    assert!(Score::of("m", &before, Some(&after), &left).is_full());
    after.messages.insert(4, message(3, &[]));
    assert_eq!(Score::of("m", &before, Some(&after), &left).too_many, 1, "but only once");
    left.conversations = true;
    assert_eq!(Score::of("m", &before, Some(&after), &left).too_many, 2, "a row is a tombstone");
}

#[test]
fn a_message_under_another_uid_is_there_but_its_uid_is_lost() {
    let (before, left) = sound();
    let mut after = before.clone();
    let moved = after.messages.remove(&2).unwrap();
    after.messages.insert(5, moved);
    let score = Score::of("m", &before, Some(&after), &left);
    assert_eq!((score.messages.right, score.uids.lost, score.too_many), (2, 1, 0));
}

#[test]
fn what_the_damage_destroyed_is_not_asked_for_and_its_remains_are_no_message_too_many() {
    let (before, mut left) = sound();
    left.bodies.remove(&guid(2));
    left.remains.insert(guid(99));
    let mut after = before.clone();
    after.messages.insert(2, message(99, &[]));
    let score = Score::of("m", &before, Some(&after), &left);
    assert!(score.is_full(), "{:?}", score.remarks);
    assert_eq!((score.destroyed, score.remains), (1, 1));
    after.messages.insert(2, message(98, &[]));
    assert_eq!(Score::of("m", &before, Some(&after), &left).too_many, 1, "that was never mail");
}

#[test]
fn a_second_copy_may_stay_only_where_nothing_tells_that_it_was_none() {
    let (before, mut left) = sound();
    let mut after = before.clone();
    after.messages.insert(9, message(1, &[]));
    assert_eq!(Score::of("m", &before, Some(&after), &left).too_many, 1);
    left.possible_copies.insert(guid(1), 1);
    assert!(Score::of("m", &before, Some(&after), &left).is_full());
}

#[test]
fn a_message_that_is_whole_again_although_nothing_told_of_it_is_none_too_many() {
    let (before, mut left) = sound();
    left.bodies.remove(&guid(1));
    assert!(Score::of("m", &before, Some(&before), &left).is_full());
}

#[test]
fn a_keyword_may_be_what_a_damaged_file_has_only_where_nothing_proves_it() {
    let (before, mut left) = sound();
    let mut after = before.clone();
    after.messages.insert(1, message(1, &["\\Seen", "wOrk"]));
    left.known_names.clear();
    assert_eq!(Score::of("m", &before, Some(&after), &left).keywords.wrong, 1);
    left.misread_names.insert(0, "wOrk".to_string());
    assert!(Score::of("m", &before, Some(&after), &left).is_full());
}
