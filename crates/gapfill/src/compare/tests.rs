use mailstore_format::index::IndexRecord;
use mailstore_format::{InternalFlags, ModSeq, SystemFlags, Timestamp, UidValidity};

use super::*;
use crate::contents::{FileState, IndexState, Message};

fn guid(text: &str) -> Guid {
    Guid::of(text.as_bytes())
}

/// A message by UID and text; `-` in front: expunged, `!`: its file is gone.
fn message(uid: u32, text: &str) -> Message {
    let expunged = text.starts_with('-');
    let file = if text.starts_with('!') { FileState::Missing } else { FileState::Listed };
    let record = IndexRecord {
        uid: Uid(uid),
        guid: guid(text.trim_start_matches(['-', '!'])),
        size: 10,
        createdmodseq: ModSeq(u64::from(uid)),
        internal_flags: if expunged { InternalFlags::EXPUNGED } else { InternalFlags(0) },
        ..IndexRecord::default()
    };
    Message { file, ..Message::of_record(&record) }
}

fn contents(messages: &[(u32, &str)]) -> Contents {
    Contents {
        uidvalidity: Some(UidValidity(7)),
        last_uid: messages.last().map(|(uid, _)| Uid(*uid)),
        deletedmodseq: Some(ModSeq(0)),
        last_append: Some(Timestamp::from_seconds(1000)),
        index: IndexState::Whole,
        messages: messages.iter().map(|(uid, text)| message(*uid, text)).collect(),
        ..Contents::default()
    }
}

fn pair(source: &[(u32, &str)], live: &[(u32, &str)]) -> Pair {
    Pair {
        source: contents(source),
        live: Some(contents(live)),
        standing: Standing { covered: true, ..Standing::default() },
        wanted: Vec::new(),
    }
}

/// The verdicts of all pairs as (pair, UID, class).
fn verdicts(pairs: &[Pair]) -> Vec<(usize, u32, Class)> {
    let compared = compare(pairs);
    let numbered = compared.iter().zip(pairs).enumerate();
    let each = numbered.flat_map(|(number, (comparison, pair))| {
        comparison.verdicts.iter().map(move |verdict| {
            (number, pair.source.messages[verdict.message].uid.0, verdict.class)
        })
    });
    each.collect()
}

fn alone(pair: Pair) -> Vec<(u32, Class)> {
    verdicts(&[pair]).into_iter().map(|(_, uid, class)| (uid, class)).collect()
}

#[test]
fn what_both_have_is_present_under_whatever_uid() {
    let same = pair(&[(1, "a"), (2, "b")], &[(1, "a"), (2, "b"), (3, "new")]);
    assert_eq!(alone(same), []);
    let compared = compare(&[pair(&[(1, "a"), (2, "b")], &[(1, "a"), (9, "b")])]);
    assert_eq!(compared[0].counts.of(Class::Present), Count { messages: 2, bytes: 20 });
}

#[test]
fn a_message_whose_record_waits_for_it_under_another_uid_is_missing_once() {
    let delivered = pair(&[(1, "a"), (5, "b"), (6, "b")], &[(1, "a"), (11, "b"), (12, "!b")]);
    let compared = compare(std::slice::from_ref(&delivered));
    assert!(compared[0].unfiled.is_empty());
    assert_eq!(alone(delivered), [(6, Class::Wanted)]);
}

#[test]
fn what_came_after_the_live_store_s_last_state_is_missing() {
    assert_eq!(alone(pair(&[(1, "a"), (5, "b")], &[(1, "a"), (2, "c")])), [(5, Class::Missing)]);
}

#[test]
fn a_uid_that_the_live_store_gave_to_another_message_is_taken() {
    assert_eq!(alone(pair(&[(1, "a"), (2, "b")], &[(1, "a"), (2, "c")])), [(2, Class::UidTaken)]);
    let by_a_tombstone = pair(&[(1, "a"), (2, "b")], &[(1, "a"), (2, "-c")]);
    assert_eq!(alone(by_a_tombstone), [(2, Class::UidTaken)]);
}

#[test]
fn a_tombstone_on_either_side_keeps_a_message_deleted() {
    assert_eq!(alone(pair(&[(1, "a")], &[(1, "-a")])), [(1, Class::Deleted)]);
    let compared = compare(&[pair(&[(1, "-a"), (2, "-b")], &[(2, "-b")])]);
    assert_eq!(compared[0].counts.of(Class::Deleted).messages, 2);
    assert_eq!(compared[0].verdicts, []);
}

#[test]
fn a_second_copy_is_a_gap_of_its_own() {
    let twice = pair(&[(1, "a"), (4, "a")], &[(1, "a")]);
    assert_eq!(alone(twice), [(4, Class::Missing)]);
    let one_deleted = pair(&[(1, "a"), (2, "a")], &[(1, "a"), (2, "-a")]);
    assert_eq!(alone(one_deleted), [(2, Class::Deleted)]);
}

#[test]
fn a_copy_that_the_live_store_got_and_deleted_later_stays_deleted() {
    let later = pair(&[(1, "a"), (2, "b")], &[(1, "a"), (2, "c"), (3, "-b")]);
    assert_eq!(alone(later), [(2, Class::Deleted)]);
    // A tombstone from before is of another copy, which the source had then too.
    let before = pair(&[(2, "a"), (5, "b")], &[(1, "-b"), (2, "a")]);
    assert_eq!(alone(before), [(5, Class::Missing)]);
}

#[test]
fn what_may_have_been_deleted_and_forgotten_is_ambiguous() {
    let mut forgetful = pair(&[(1, "a"), (2, "b"), (3, "c")], &[(1, "a"), (9, "z")]);
    assert_eq!(
        verdicts(std::slice::from_ref(&forgetful)).iter().map(|v| v.2).collect::<Vec<_>>(),
        [Class::Missing; 2],
        "nothing was forgotten"
    );
    forgetful.live.as_mut().unwrap().deletedmodseq = Some(ModSeq(2));
    assert_eq!(alone(forgetful), [(2, Class::Ambiguous), (3, Class::Missing)]);
}

#[test]
fn without_common_uids_only_a_newer_live_mailbox_proves_that_a_message_was_never_there() {
    let mut other = pair(&[(1, "a"), (2, "b")], &[(1, "a")]);
    other.source.uidvalidity = Some(UidValidity(6));
    assert_eq!(alone(other), [(2, Class::Ambiguous)]);
    let mut newer = pair(&[(1, "a"), (2, "b"), (3, "c")], &[(1, "a"), (2, "-c")]);
    newer.live.as_mut().unwrap().uidvalidity = Some(UidValidity(2000));
    assert_eq!(alone(newer), [(2, Class::Missing), (3, Class::Deleted)]);
}

#[test]
fn a_message_moved_on_either_side_is_no_gap() {
    let moved_live = [pair(&[(1, "a")], &[(1, "-a")]), pair(&[], &[(1, "a")])];
    assert_eq!(verdicts(&moved_live), [(0, 1, Class::Moved)]);
    let moved_in_source = [pair(&[(1, "-a")], &[(1, "a")]), pair(&[(7, "a")], &[])];
    assert_eq!(verdicts(&moved_in_source), [(1, 7, Class::Moved)]);
}

#[test]
fn of_a_moved_and_a_copied_one_the_tombstone_tells_which_was_moved() {
    let archive = pair(&[], &[(1, "a")]);
    let work = pair(&[(7, "a")], &[]);
    let pairs = [work, pair(&[(1, "a")], &[(1, "-a")]), archive];
    assert_eq!(verdicts(&pairs), [(0, 7, Class::Missing), (1, 1, Class::Moved)]);
}

#[test]
fn a_message_moved_in_the_source_and_deleted_live_stays_deleted() {
    let mut inbox = pair(&[(1, "-a"), (2, "b")], &[(1, "-a"), (2, "b")]);
    let work = || pair(&[(7, "a")], &[]);
    let once = pair(&[(1, "-a"), (2, "b")], &[(1, "-a"), (2, "b")]);
    assert_eq!(verdicts(&[once, work()]), [(1, 7, Class::Missing)], "deleted before the fork");
    inbox.source.messages[0].last_updated = Timestamp(3);
    assert_eq!(verdicts(&[inbox, work()]), [(1, 7, Class::Deleted)]);
}

#[test]
fn a_copy_in_a_second_folder_while_the_first_stays_is_a_gap() {
    let copied = [pair(&[(1, "a")], &[(1, "a")]), pair(&[(7, "a")], &[])];
    assert_eq!(verdicts(&copied), [(1, 7, Class::Missing)]);
    let deleted_and_other_copy_stays =
        [pair(&[(1, "a")], &[(1, "-a")]), pair(&[(1, "a")], &[(1, "a")])];
    assert_eq!(verdicts(&deleted_and_other_copy_stays), [(0, 1, Class::Deleted)]);
}

#[test]
fn a_live_copy_in_a_folder_that_no_source_shows_is_no_move_without_a_tombstone() {
    let unseen = |text| {
        let mut unseen = pair(&[], &[(1, text)]);
        unseen.standing.covered = false;
        unseen
    };
    let no_tombstone = [pair(&[(3, "a")], &[(1, "z")]), unseen("a")];
    assert_eq!(verdicts(&no_tombstone), [(0, 3, Class::Missing)]);
    let tombstone = [pair(&[(3, "a")], &[(3, "-a")]), unseen("a")];
    assert_eq!(verdicts(&tombstone), [(0, 3, Class::Moved)]);
}

#[test]
fn a_message_that_was_missed_is_wanted_whatever_stands_in_its_place() {
    let mut pruned = pair(&[(1, "a")], &[(1, "-a")]);
    pruned.wanted = vec![(Uid(1), guid("a"))];
    assert_eq!(alone(pruned), [(1, Class::Wanted)]);
    assert_eq!(alone(pair(&[(1, "a")], &[(1, "!a")])), [(1, Class::Wanted)]);
}

#[test]
fn what_happened_later_in_the_source_is_told_and_no_gap() {
    let mut flags = pair(&[(1, "a"), (2, "b")], &[(1, "a"), (2, "b")]);
    flags.source.messages[0].system_flags = SystemFlags::SEEN;
    flags.source.messages[0].last_updated = Timestamp(5);
    flags.source.messages[1].system_flags = SystemFlags::SEEN;
    flags.live.as_mut().unwrap().messages[1].last_updated = Timestamp(5);
    assert_eq!(alone(flags), [(1, Class::StateBehind)]);
    assert_eq!(alone(pair(&[(1, "-a")], &[(1, "a")])), [(1, Class::StateBehind)]);
}

#[test]
fn whole_mailboxes_that_are_gone_deleted_or_calendars_have_their_own_classes() {
    let of = |standing: Standing, live: bool| {
        let mut pair = pair(&[(5, "a")], &[]);
        pair.standing = standing;
        if !live {
            pair.live = None;
        }
        alone(pair)[0].1
    };
    let none = Standing::default();
    assert_eq!(of(none, false), Class::MailboxGone);
    assert_eq!(of(Standing { deleted_live: true, ..none }, false), Class::Deleted);
    assert_eq!(of(Standing { deleted_in_source: true, ..none }, true), Class::Deleted);
    assert_eq!(of(Standing { dav: true, ..none }, true), Class::Dav);
}
