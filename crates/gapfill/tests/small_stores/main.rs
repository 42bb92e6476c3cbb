//! What becomes of single messages, on stores made by hand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stores;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use gapfill::{Ambiguous, Class, LiveStore, Options, Stage};
use mailstore_format::Guid;

use stores::{INBOX, Mailbox, Put, Tree, compare, compare_with, compare_with_snapshot, put, text};

const WORK: Mailbox<'static> =
    Mailbox { name: "user.alice.Work", id: "9k01work", mbtype: "e", forgotten: 0 };

fn with_trace(trace: &str, number: u32) -> Vec<u8> {
    [format!("Received: by {trace}\r\n").as_bytes(), &text(number)].concat()
}

#[test]
fn a_copy_that_came_by_another_way_is_a_near_duplicate_and_not_restored() {
    let rescued = Tree::new()
        .with(INBOX, &[put(1, &text(1)), put(2, &with_trace("mx1", 2)), put(3, &text(3))]);
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1)), put(2, &with_trace("mx2", 2))]);
    let said = compare(&mut live, &[rescued.path()]);
    assert_eq!(said.classes(), [("user.alice", 2, "near-duplicate"), ("user.alice", 3, "missing")]);
    assert!(said.gaps.iter().all(|(_, gap)| gap.restore == (gap.class == "missing")));
    assert_eq!(said.summary.exit_status(), 1);
}

#[test]
fn a_copy_whose_content_was_encoded_anew_is_a_near_duplicate_and_one_with_another_subject_is_not() {
    let message = |head: &str, body: &str| {
        format!("{head}Message-ID: <9@x>\r\nSubject: one\r\n\r\n{body}\r\n").into_bytes()
    };
    let plain = message("Received: by mx1\r\n", "Gru\u{df}");
    let encoded = message("Content-Transfer-Encoding: quoted-printable\r\n", "Gru=C3=9F");
    let other = message("Subject: two\r\n", "Gru\u{df}");
    let rescued = Tree::new().with(INBOX, &[put(1, &text(1)), put(2, &plain), put(3, &other)]);
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1)), put(2, &encoded)]);
    let said = compare(&mut live, &[rescued.path()]);
    assert_eq!(said.classes(), [("user.alice", 2, "near-duplicate"), ("user.alice", 3, "missing")]);
}

#[test]
fn what_is_staged_is_not_read_from_the_volume_again() {
    let messages = [put(1, &text(1)), put(2, &text(2))];
    let rescued = Tree::new().with(INBOX, &messages);
    let mut live = Tree::new().with(INBOX, &messages[..1]);
    let stage_at = tempfile::tempdir().unwrap();
    let stage = Stage::open(stage_at.path()).unwrap();
    let options = Options::default();
    let first = compare_with(&mut live, &[rescued.path()], &options, Some(&stage));
    assert_eq!(first.summary.files_read, 1);
    // The volume gets worse.
    fs::write(rescued.at("user.alice").join("2."), &text(2)[..20]).unwrap();
    let again = compare_with(&mut live, &[rescued.path()], &options, Some(&stage));
    assert_eq!((again.summary.files_read, again.classes()), (0, first.classes()));
    let staged = |said: &stores::Said| said.gaps[0].1.staged.clone().unwrap();
    assert_eq!(staged(&again), staged(&first));
    // And so does the disk that it was staged on.
    fs::write(staged(&first), "nonsense").unwrap();
    let damaged = compare_with(&mut live, &[rescued.path()], &options, Some(&stage));
    assert_eq!(damaged.classes(), [("user.alice", 2, "damaged")]);
}

#[test]
fn of_several_sources_the_intact_copy_is_taken_and_staged() {
    let messages = [put(1, &text(1)), put(2, &text(2))];
    let rescued = Tree::new().with(INBOX, &messages);
    let backup = Tree::new().with(INBOX, &messages);
    fs::write(rescued.at("user.alice").join("2."), &text(2)[..20]).unwrap();
    let mut live = Tree::new().with(INBOX, &messages[..1]);
    let stage_at = tempfile::tempdir().unwrap();
    let stage = Stage::open(stage_at.path()).unwrap();
    let (from, options) = ([rescued.path(), backup.path()], Options::default());
    let said = compare_with(&mut live, &from, &options, Some(&stage));
    assert_eq!(said.classes(), [("user.alice", 2, "missing")]);
    let (_, gap) = &said.gaps[0];
    assert_eq!(gap.origin.as_deref(), Some(backup.at("user.alice").join("2.").as_path()));
    assert_eq!(fs::read(gap.staged.as_ref().unwrap()).unwrap(), text(2));
    assert_eq!(said.summary.counts.of(Class::Duplicate).messages, 2);
    let alone = compare(&mut live, &[rescued.path()]);
    assert_eq!(alone.classes(), [("user.alice", 2, "damaged")]);
    assert!(alone.gaps[0].1.evidence.contains("cut short: 20 of"), "{}", alone.gaps[0].1.evidence);
}

#[test]
fn a_copy_in_another_folder_of_either_side_stands_in_for_a_damaged_one() {
    let rescued = Tree::new()
        .with(INBOX, &[put(1, &text(1)), put(2, &text(2))])
        .with(WORK, &[put(5, &text(2))]);
    fs::write(rescued.at("user.alice").join("2."), vec![0; 600]).unwrap();
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1))]).with(WORK, &[put(5, &text(2))]);
    let said = compare(&mut live, &[rescued.path()]);
    assert_eq!(said.classes(), [("user.alice", 2, "missing")]);
    assert!(said.gaps[0].1.restore);
}

#[test]
fn what_a_backup_has_and_a_newer_source_says_was_deleted_stays_deleted() {
    let backup = Tree::new().with(INBOX, &[put(1, &text(1)), put(2, &text(2))]);
    let deleted = Put { expunged: true, ..put(2, &text(2)) };
    let rescued = Tree::new().with(INBOX, &[put(1, &text(1)), deleted]);
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1))]);
    assert_eq!(compare(&mut live, &[backup.path()]).classes(), [("user.alice", 2, "missing")]);
    let both = compare(&mut live, &[backup.path(), rescued.path()]);
    assert_eq!((both.classes(), both.summary.exit_status()), (vec![], 0));
}

#[test]
fn ambiguous_messages_are_restored_unless_told_otherwise() {
    let rescued = Tree::new().with(INBOX, &[put(1, &text(1)), put(2, &text(2)), put(3, &text(3))]);
    let forgetful = Mailbox { forgotten: 9, ..INBOX };
    let mut live = Tree::new().with(forgetful, &[put(1, &text(1)), put(3, &text(3))]);
    for (ambiguous, restore) in [(Ambiguous::Restore, true), (Ambiguous::Skip, false)] {
        let options = Options { ambiguous, ..Options::default() };
        let said = compare_with(&mut live, &[rescued.path()], &options, None);
        assert_eq!(said.classes(), [("user.alice", 2, "ambiguous")]);
        assert_eq!(said.gaps[0].1.restore, restore);
    }
}

#[test]
fn a_live_record_without_a_file_gets_it_from_wherever_it_lies() {
    let lost = Put { has_file: false, ..put(2, &text(2)) };
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1)), lost]);
    let rescued = Tree::new().with(INBOX, &[put(1, &text(1)), put(2, &text(2))]);
    assert_eq!(compare(&mut live, &[rescued.path()]).classes(), [("user.alice", 2, "wanted")]);
    let pieces = tempfile::tempdir().unwrap();
    fs::write(pieces.path().join("#12"), text(2)).unwrap();
    fs::write(pieces.path().join("#13"), text(1)).unwrap();
    let said = compare(&mut live, &[pieces.path()]);
    assert_eq!(said.classes(), [("user.alice", 2, "wanted")]);
    assert_eq!(said.summary.counts.of(Class::Present).messages, 1);
}

#[test]
fn loose_messages_that_only_a_tombstone_knows_stay_deleted() {
    let gone = Put { expunged: true, has_file: false, ..put(2, &text(2)) };
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1)), gone]);
    let loose = tempfile::tempdir().unwrap();
    fs::write(loose.path().join("a.eml"), text(2)).unwrap();
    fs::write(loose.path().join("b.eml"), text(9)).unwrap();
    fs::write(loose.path().join("c.eml"), text(9)).unwrap();
    fs::write(loose.path().join("d.txt"), b"no mail").unwrap();
    let said = compare(&mut live, &[loose.path()]);
    let counts = [Class::Deleted, Class::Unplaced, Class::Duplicate, Class::NotMail]
        .map(|class| said.summary.counts.of(class).messages);
    assert_eq!(counts, [1, 1, 1, 1]);
}

#[test]
fn calendars_are_told_of_and_never_restored() {
    let calendar =
        Mailbox { name: "user.alice.#calendars", id: "5c01calendar", mbtype: "c", forgotten: 0 };
    let rescued =
        Tree::new().with(INBOX, &[]).with(calendar, &[put(1, &text(1)), put(2, &text(2))]);
    let mut live = Tree::new().with(INBOX, &[]).with(calendar, &[put(1, &text(1))]);
    let said = compare(&mut live, &[rescued.path()]);
    assert_eq!(said.classes(), [("user.alice.#calendars", 2, "dav")]);
    assert!(!said.gaps[0].1.restore);
    let mut without = Tree::new().with(INBOX, &[]);
    let said = compare(&mut without, &[rescued.path()]);
    assert_eq!(said.gaps.len(), 1);
    assert_eq!((said.gaps[0].1.class.as_str(), said.gaps[0].1.messages), ("dav", 2));
}

#[test]
fn a_mailbox_that_is_missing_whole_is_one_row() {
    let many: Vec<_> = (1..=50).map(|uid| put(uid, &text(uid))).collect();
    let rescued = Tree::new().with(INBOX, &[]).with(WORK, &many);
    let mut live = Tree::new().with(INBOX, &[]);
    let said = compare(&mut live, &[rescued.path()]);
    assert_eq!(said.gaps.len(), 1);
    let (name, gap) = &said.gaps[0];
    assert_eq!((name.as_str(), gap.class.as_str()), ("user.alice.Work", "mailbox-gone"));
    assert_eq!((gap.messages, gap.guid), (50, Guid::NULL));
    assert_eq!(gap.origin.as_deref(), Some(rescued.at("user.alice.Work").as_path()));
}

#[test]
fn what_is_left_of_a_message_that_the_live_store_has_is_no_gap() {
    let rescued = Tree::new().with(INBOX, &[put(1, &text(1)), put(2, &text(2))]);
    let directory = rescued.at("user.alice");
    fs::remove_file(directory.join("cyrus.index")).unwrap();
    fs::write(directory.join("1."), &text(1)[..30]).unwrap();
    fs::write(directory.join("2."), vec![0; text(2).len()]).unwrap();
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1)), put(2, &text(2))]);
    let said = compare(&mut live, &[rescued.path()]);
    // Nothing told that they were damaged before they were read.
    assert_eq!(said.gaps.len(), said.classes().len());
    assert_eq!(said.classes(), [], "{said:#?}");
    assert_eq!(said.summary.counts.of(Class::Present).messages, 2);
}

#[test]
fn with_paranoid_every_file_of_the_sources_is_read() {
    let messages = [put(1, &text(1)), put(2, &text(2))];
    let rescued = Tree::new().with(INBOX, &messages);
    let mut live = Tree::new().with(INBOX, &messages);
    let read = |live: &mut Tree, from: &Path, paranoid| {
        let options = Options { paranoid, ..Options::default() };
        compare_with(live, &[from], &options, None).summary.files_read
    };
    assert_eq!(
        (read(&mut live, rescued.path(), false), read(&mut live, rescued.path(), true)),
        (0, 2)
    );
}

#[test]
fn a_snapshot_of_a_store_says_what_the_store_itself_says() {
    let gone = Put { expunged: true, has_file: false, ..put(2, &text(2)) };
    let lost = Put { has_file: false, ..put(3, &text(3)) };
    let rescued = Tree::new()
        .with(INBOX, &[1, 2, 3, 4].map(|uid| put(uid, &text(uid))))
        .with(WORK, &[put(1, &text(9))]);
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1)), gone, lost]);
    let itself = compare(&mut live, &[rescued.path()]);
    let expected = [
        ("user.alice", 2, "deleted"),
        ("user.alice", 3, "wanted"),
        ("user.alice", 4, "missing"),
        ("user.alice.Work", 0, "mailbox-gone"),
    ];
    assert_eq!(itself.classes(), expected);
    let by_snapshot = compare_with_snapshot(&mut live, &[rescued.path()]);
    assert_eq!(by_snapshot.classes(), expected);
    assert_eq!(by_snapshot.summary.counts, itself.summary.counts);
}

#[test]
fn a_snapshot_that_was_cut_short_is_refused() {
    let mut live = Tree::new().with(INBOX, &[put(1, &text(1))]).with(WORK, &[]);
    let path = live.snapshot();
    let whole = fs::read(&path).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap();
    fs::write(&path, &whole[..=last_line]).unwrap();
    let error = LiveStore::open_snapshot(&path).unwrap_err().to_string();
    assert!(error.contains("cut short: 1 of 2"), "{error}");
    fs::write(&path, &whole[..last_line + 10]).unwrap();
    assert!(LiveStore::open_snapshot(&path).is_err());
}

#[test]
fn a_message_of_which_only_the_file_is_left_came_when_its_file_says() {
    let without_record = |uid: u32| Put { has_record: false, ..put(uid, &text(uid)) };
    let rescued = Tree::new().with(INBOX, &(1..=5).map(without_record).collect::<Vec<_>>());
    let day =
        |uid: u32| SystemTime::UNIX_EPOCH + Duration::from_hours(24 * (10_000 + u64::from(uid)));
    let set_times = |day: &dyn Fn(u32) -> SystemTime| {
        for uid in 1..=5 {
            let path = rescued.at(INBOX.name).join(format!("{uid}."));
            fs::File::options().write(true).open(path).unwrap().set_modified(day(uid)).unwrap();
        }
    };
    let dates = || {
        let said = compare(&mut Tree::new().with(INBOX, &[]), &[rescued.path()]);
        let dates = said.gaps.iter().map(|(_, gap)| (gap.uid.0, gap.internaldate.seconds()));
        dates.collect::<BTreeMap<_, _>>()
    };
    set_times(&day);
    let expected = (1..=5).map(|uid| (uid, 86_400 * (10_000 + i64::from(uid)))).collect();
    assert_eq!(dates(), expected);
    set_times(&|_| day(1));
    assert!(dates().values().all(|&date| date == 0), "somebody copied them");
}
