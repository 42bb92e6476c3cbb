use std::fs;
use std::path::Path;

use mailstore_format::conversations::RowState;
use mailstore_format::index::{IndexHeader, Layout};

use super::*;

/// Writes an index of version 17 with these records, and an empty file for each of `files`.
fn mailbox(directory: &Path, records: &[IndexRecord], files: &[u32]) {
    let layout = Layout::of_version(17).unwrap();
    let header = IndexHeader {
        num_records: u32::try_from(records.len()).unwrap(),
        last_uid: records.last().map_or(Uid(0), |record| record.uid),
        uidvalidity: UidValidity(7),
        deletedmodseq: ModSeq(3),
        ..IndexHeader::default()
    };
    let mut bytes = header.encode(layout);
    for record in records {
        record.encode_into(layout, &mut bytes);
    }
    fs::write(directory.join("cyrus.index"), bytes).unwrap();
    for uid in files {
        fs::write(directory.join(format!("{uid}.")), b"").unwrap();
    }
}

fn record(uid: u32) -> IndexRecord {
    let guid = Guid::of(uid.to_string().as_bytes());
    IndexRecord { uid: Uid(uid), guid, ..IndexRecord::default() }
}

fn row(uid: u32, internal_flags: InternalFlags) -> MessageRow {
    let state =
        RowState { system_flags: SystemFlags::SEEN, internal_flags, internaldate: Timestamp(5) };
    MessageRow { uid: Uid(uid), guid: record(uid).guid, cid: ThreadId(1), state }
}

fn read(directory: &Path) -> Contents {
    Contents::read(vec![Place::root(directory).unwrap()])
}

fn states(contents: &Contents) -> Vec<(u32, FileState)> {
    contents.messages.iter().map(|message| (message.uid.0, message.file)).collect()
}

#[test]
fn records_and_files_are_brought_together() {
    let temp = tempfile::tempdir().unwrap();
    mailbox(temp.path(), &[record(1), record(2), record(4)], &[1, 3, 4]);
    let mut contents = read(temp.path());
    assert_eq!((contents.index, contents.uidvalidity), (IndexState::Whole, Some(UidValidity(7))));
    assert_eq!((contents.last_uid, contents.deletedmodseq), (Some(Uid(4)), Some(ModSeq(3))));
    let (listed, missing) = (FileState::Listed, FileState::Missing);
    assert_eq!(states(&contents), [(1, listed), (2, missing), (4, listed)]);
    contents.add_orphans();
    assert_eq!(states(&contents), [(1, listed), (2, missing), (3, listed), (4, listed)]);
    assert!(contents.messages[2].is_unread() && contents.messages[2].voucher == Voucher::File);
    assert_eq!(contents.files_of(Uid(4)).count(), 1);
}

#[test]
fn a_file_that_came_after_the_listing_is_found_by_its_name() {
    let temp = tempfile::tempdir().unwrap();
    mailbox(temp.path(), &[record(1)], &[]);
    let mut contents = read(temp.path());
    fs::write(temp.path().join("1."), b"").unwrap();
    contents.look_again();
    assert_eq!(states(&contents), [(1, FileState::Listed)]);
    assert_eq!(contents.files_of(Uid(1)).count(), 1);
}

#[test]
fn what_cannot_be_listed_leaves_it_open_whether_there_are_files() {
    let temp = tempfile::tempdir().unwrap();
    mailbox(temp.path(), &[record(1)], &[]);
    let not_a_directory = Place::root(temp.path()).unwrap().join("cyrus.index");
    let contents = Contents::read(vec![Place::root(temp.path()).unwrap(), not_a_directory]);
    // What is no directory hides nothing; an error of the disk does.
    assert_eq!(states(&contents), [(1, FileState::Missing)]);
    assert_eq!(contents.skipped.len(), 1);
}

#[test]
fn an_index_that_lost_a_record_is_not_whole() {
    let temp = tempfile::tempdir().unwrap();
    mailbox(temp.path(), &[record(1), record(2)], &[1, 2]);
    let path = temp.path().join("cyrus.index");
    let mut bytes = fs::read(&path).unwrap();
    bytes[160 + 3..160 + 60].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    let contents = read(temp.path());
    assert_eq!((contents.index, contents.messages.len()), (IndexState::Damaged, 1));
    fs::write(&path, b"").unwrap();
    assert_eq!(read(temp.path()).index, IndexState::Missing);
}

#[test]
fn conversations_tell_what_files_without_records_were() {
    let temp = tempfile::tempdir().unwrap();
    mailbox(temp.path(), &[record(1)], &[1, 2, 3]);
    fs::write(temp.path().join("cyrus.index"), b"").unwrap();
    let mut contents = read(temp.path());
    contents.add_orphans();
    contents.messages[0].guid = record(1).guid;
    contents.messages[1].guid = Guid::of(b"cut short");
    contents.messages[2].guid = record(3).guid;
    let live = InternalFlags::default();
    contents.add_rows(&[row(1, live), row(2, live), row(3, InternalFlags::EXPUNGED), row(9, live)]);
    let told: Vec<_> = contents.messages.iter().map(|m| (m.uid.0, m.file, m.expunged)).collect();
    let expected = [
        (1, FileState::Listed, false),
        (2, FileState::Bad, false),
        (3, FileState::Listed, true),
        (9, FileState::Missing, false),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_whole_index_is_believed_before_conversations_but_for_their_tombstones() {
    let temp = tempfile::tempdir().unwrap();
    mailbox(temp.path(), &[record(1)], &[1]);
    let mut contents = read(temp.path());
    let expunged = InternalFlags::EXPUNGED;
    contents.add_rows(&[row(1, expunged), row(8, InternalFlags::default()), row(9, expunged)]);
    let told: Vec<_> = contents.messages.iter().map(|m| (m.uid.0, m.expunged)).collect();
    assert_eq!(told, [(1, false), (9, true)]);
}
