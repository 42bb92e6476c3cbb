use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;

use mailstore_format::header_file::{HeaderFile, HeaderForm};

use super::*;
use crate::pace::Rate;

fn header(directory: &Path, name: &str, id: &str) {
    let mut header = HeaderFile::new(HeaderForm::Dlist);
    header.mbtype = Some(b"e".to_vec());
    header.name = Some(name.as_bytes().to_vec());
    header.uniqueid = Some(id.as_bytes().to_vec());
    header.acl = Some(b"alice\tlrs\t".to_vec());
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("cyrus.header"), header.encode()).unwrap();
}

fn open(path: &Path) -> Source {
    let devices = Devices::new(NonZeroUsize::MIN, Rate::default());
    Source::open(path, b"DELETED", &devices).unwrap()
}

#[test]
fn the_pieces_of_a_mailbox_are_one_mailbox_wherever_they_lie() {
    let temp = tempfile::tempdir().unwrap();
    let at = |path: &str| temp.path().join(path);
    header(&at("spool/uuid/3/x/3x01yxu0u2cf"), "user.alice", "3x01yxu0u2cf");
    fs::create_dir_all(at("archive/uuid/3/x/3x01yxu0u2cf")).unwrap();
    fs::write(at("archive/uuid/3/x/3x01yxu0u2cf/1."), b"Subject: x\r\n\r\n").unwrap();
    header(&at("lost+found/#77"), "user.alice", "3x01yxu0u2cf");
    header(&at("lost+found/#78"), "user.alice.Sent", "9k01yxu0u2cf");
    fs::write(at("lost+found/#79"), b"Subject: x\r\n\r\n").unwrap();
    fs::write(at("spool/notes.txt"), b"not of a mailbox").unwrap();
    let source = open(temp.path());
    assert_eq!(source.kind, SourceKind::Cyrus);
    let pieces: Vec<_> = source.mailboxes.iter().map(|m| m.places.len()).collect();
    assert_eq!((source.mailboxes.len(), pieces.iter().sum::<usize>()), (2, 4));
    let names: Vec<_> = source.loose.iter().map(|loose| loose.name.to_str().unwrap()).collect();
    assert_eq!(names, ["#79"]);
}

#[test]
fn nothing_is_followed_and_no_loop_ends_the_walk() {
    let temp = tempfile::tempdir().unwrap();
    let at = |path: &str| temp.path().join(path);
    header(&at("a/user/alice"), "user.alice", "3x01yxu0u2cf");
    symlink("..", at("a/user/loop")).unwrap();
    symlink("/etc", at("a/user/alice/etc")).unwrap();
    nix_fifo(&at("a/user/alice/5."));
    fs::create_dir(at("a/user/alice/6.")).unwrap();
    let source = open(temp.path());
    assert_eq!(source.mailboxes.len(), 1);
    let mut told: Vec<_> = source.skipped.iter().map(ToString::to_string).collect();
    told.sort();
    let expected = [
        "5.: is a named pipe",
        "6.: is a directory",
        "etc: is a symbolic link",
        "loop: is a symbolic link",
    ];
    assert!(told.iter().zip(expected).all(|(line, end)| line.ends_with(end)), "{told:?}");
    assert_eq!(told.len(), expected.len());
    assert!(!source.skipped.iter().any(Skipped::hides_mail));
}

fn nix_fifo(path: &Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

#[test]
fn every_kind_is_recognised() {
    let temp = tempfile::tempdir().unwrap();
    let at = |path: &str| temp.path().join(path);
    header(&at("one"), "user.alice", "3x01yxu0u2cf");
    header(&at("store/a/user/alice"), "user.alice", "3x01yxu0u2cf");
    header(&at("pieces/#5"), "user.alice", "3x01yxu0u2cf");
    for directory in ["mail/cur", "mail/new", "mail/tmp", "files"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("files/a.eml"), b"Subject: x\n\n").unwrap();
    fs::write(at("mail/cur/1.2.host:2,S"), b"Subject: x\n\n").unwrap();
    let kinds = ["one", "store", "pieces", "mail", "files"].map(|name| open(&at(name)).kind);
    let expected = [
        SourceKind::Mailbox,
        SourceKind::Cyrus,
        SourceKind::LostAndFound,
        SourceKind::Maildir,
        SourceKind::Files,
    ];
    assert_eq!(kinds, expected);
    assert_eq!((open(&at("mail")).loose.len(), open(&at("files")).loose.len()), (1, 1));
}

#[test]
fn a_loose_file_says_for_whom_it_was_and_what_it_is_with_other_line_ends() {
    let temp = tempfile::tempdir().unwrap();
    let text = b"Delivered-To: <bob@example.org>\nX-Delivered-To: alice\n\nHello\n";
    fs::write(temp.path().join("a"), text).unwrap();
    let source = open(temp.path());
    let loose = read_loose(&source.loose[0]).unwrap();
    let recipients: Vec<_> =
        loose.recipients.iter().map(|r| (r.address.as_slice(), r.field)).collect();
    let expected = [(&b"alice"[..], "X-Delivered-To"), (&b"bob@example.org"[..], "Delivered-To")];
    assert_eq!(recipients, expected);
    assert!(loose.is_mail && loose.guid_with_crlf.is_some_and(|guid| guid != loose.guid));
}
