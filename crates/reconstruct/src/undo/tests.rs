use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mailstore::replace::{FileOps, Step};

use super::*;
use crate::test_mailbox::{
    Mailbox, NOW, every_kind_of_step, in_context, mailbox_with_every_kind_of_damage,
};

/// Everything of a tree but our own folder: inode, times and content of each path.
type Tree = BTreeMap<PathBuf, (u64, (i64, i64), Vec<u8>)>;

fn tree(mailbox: &Mailbox) -> Tree {
    let (mut tree, mut directories) = (Tree::new(), vec![mailbox.path("")]);
    while let Some(directory) = directories.pop() {
        add(&mut tree, &directory);
        for entry in fs::read_dir(&directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            }
            add(&mut tree, &entry.path());
        }
    }
    tree
}

fn add(tree: &mut Tree, path: &Path) {
    let meta = path.symlink_metadata().unwrap();
    let content = if meta.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    tree.insert(path.to_owned(), (meta.ino(), (meta.mtime(), meta.mtime_nsec()), content));
}

/// What is found of it, and a change.
type Since<'c> = (&'c str, &'c dyn Fn(&Mailbox));

/// Stops at the step with this number, and exchanges nothing where the file system shall not.
fn stopping(at: usize, exchanges: bool) -> (FileOps, Arc<Mutex<usize>>) {
    let count = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&count);
    let ops = FileOps::with_hook(move |step| {
        let mut counter = counter.lock().unwrap();
        *counter += 1;
        match step {
            _ if *counter > at => Err(io::Error::from_raw_os_error(5)),
            Step::Exchange { .. } if !exchanges => Err(io::Error::from_raw_os_error(22)),
            _ => Ok(()),
        }
    });
    (ops, count)
}

fn undo_with(mailbox: &Mailbox, ops: FileOps) -> Result<MailboxReport, Error> {
    let workshop = Workshop::new(ops, "run", 0o077);
    let (target, now) = (mailbox.target(), NOW);
    let done = in_context(|context| put_back(context, &target, &workshop, now))?;
    let of_run = || Trail::of(&target, "run");
    Ok(match done {
        PutBackOr::Report(report) => report,
        PutBackOr::Changed(why) => refused(&target, &of_run(), &why),
        PutBackOr::HasToBeMerged => unreachable!("no message came from outside"),
    })
}

fn repaired(exchanges: bool) -> (Mailbox, Tree) {
    let mailbox = mailbox_with_every_kind_of_damage();
    // An index, a header and a cache that the run replaces.
    fs::write(mailbox.path("cyrus.index"), "garbage").unwrap();
    fs::write(mailbox.path("cyrus.cache"), "garbage").unwrap();
    let before = tree(&mailbox);
    let steps = every_kind_of_step(&mailbox);
    let (ops, _) = stopping(usize::MAX, exchanges);
    mailbox.apply(ops, |rewrite| rewrite.file_steps = steps).unwrap();
    assert_ne!(tree(&mailbox), before);
    (mailbox, before)
}

#[test]
fn every_name_has_again_what_it_had_with_the_same_inode_bytes_and_times() {
    for exchanges in [true, false] {
        let (mailbox, before) = repaired(exchanges);
        let (ops, _) = stopping(usize::MAX, exchanges);
        let report = undo_with(&mailbox, ops).unwrap();
        assert_eq!(report.state, State::Undone, "{report:?}");
        assert!(!report.damage_left(), "{report:?}");
        assert_eq!(tree(&mailbox), before);
        let again = undo_with(&mailbox, FileOps::new()).unwrap();
        assert_eq!(again.state, State::Sound, "{again:?}");
        assert_eq!(tree(&mailbox), before);
    }
}

#[test]
fn a_run_that_was_cut_short_anywhere_is_undone() {
    let mut last = 0;
    loop {
        let mailbox = mailbox_with_every_kind_of_damage();
        fs::write(mailbox.path("cyrus.index"), "garbage").unwrap();
        let (steps, before) = (every_kind_of_step(&mailbox), tree(&mailbox));
        let (ops, _) = stopping(last, true);
        let done = mailbox.apply(ops, |rewrite| rewrite.file_steps = steps).is_ok();
        let report = undo_with(&mailbox, FileOps::new()).unwrap();
        assert!(!report.damage_left(), "after {last} steps: {report:?}");
        assert_eq!(tree(&mailbox), before, "after {last} steps");
        if done {
            break;
        }
        last += 1;
    }
    assert!(last > 40, "{last} steps");
}

#[test]
fn an_undo_that_was_cut_short_anywhere_is_finished_by_the_next() {
    for exchanges in [true, false] {
        for last in 0.. {
            let (mailbox, before) = repaired(exchanges);
            let (ops, _) = stopping(last, exchanges);
            let done = undo_with(&mailbox, ops).is_ok();
            let report = undo_with(&mailbox, FileOps::new()).unwrap();
            assert!(!report.damage_left(), "after {last} steps: {report:?}");
            assert_eq!(tree(&mailbox), before, "after {last} steps, exchanges: {exchanges}");
            if done {
                assert!(last > 20, "{last} steps");
                break;
            }
        }
    }
}

#[test]
fn a_mailbox_that_was_changed_since_is_refused_in_clear_words() {
    let change = |mailbox: &Mailbox, at: usize, len: usize| {
        let mut bytes = fs::read(mailbox.path("cyrus.index")).unwrap();
        for byte in &mut bytes[at..at + len] {
            *byte ^= 1;
        }
        fs::write(mailbox.path("cyrus.index"), bytes).unwrap();
    };
    let changes: [Since<'_>; 6] = [
        ("message files came", &|mailbox| {
            fs::write(mailbox.path("5000."), "A: 5000\r\n\r\n").unwrap();
        }),
        ("its records are others", &|mailbox| change(mailbox, 160 + 20, 1)),
        ("it was damaged since", &|mailbox| change(mailbox, 160, 112)),
        ("there is another cyrus.index", &|mailbox| {
            let copy = mailbox.path("copy");
            fs::copy(mailbox.path("cyrus.index"), &copy).unwrap();
            fs::rename(copy, mailbox.path("cyrus.index")).unwrap();
        }),
        ("another cyrus.header", &|mailbox| {
            fs::write(mailbox.path("cyrus.header"), "another").unwrap();
        }),
        ("1 names in it belong to other files", &|mailbox| {
            fs::write(mailbox.path("copy"), "A: 1\r\n\r\n").unwrap();
            fs::rename(mailbox.path("copy"), mailbox.path("1.")).unwrap();
        }),
    ];
    for (words, change) in changes {
        let (mailbox, _) = repaired(true);
        change(&mailbox);
        let after = tree(&mailbox);
        let report = undo_with(&mailbox, FileOps::new()).unwrap();
        assert_eq!(report.state, State::Refused, "{words}: {report:?}");
        let error = report.error.clone().unwrap();
        assert!(error.contains(words), "{words}: {error}");
        assert!(report.damage_left());
        assert_eq!(tree(&mailbox), after, "{words}");
    }
}

#[test]
fn a_manifest_that_leads_out_of_the_mailbox_is_not_followed() {
    let (mailbox, before) = repaired(true);
    let manifest = mailbox.folder().join(manifest::MANIFEST);
    let lines = fs::read_to_string(&manifest).unwrap();
    let outside = mailbox.root().join("outside");
    fs::write(&outside, "outside").unwrap();
    let line = lines.lines().find(|line| line.contains("exchanged")).unwrap();
    let mut hostile: serde_json::Value = serde_json::from_str(line).unwrap();
    hostile["after"] = fs::metadata(&outside).unwrap().ino().into();
    for origin in [outside.clone(), mailbox.path("../outside")] {
        hostile["origin"] = origin.to_str().unwrap().into();
        let hostile = serde_json::to_string(&hostile).unwrap();
        fs::write(&manifest, format!("{lines}{hostile}\nnot json\n")).unwrap();
    }
    let report = undo_with(&mailbox, FileOps::new()).unwrap();
    assert_eq!(report.state, State::Undone, "{report:?}");
    assert_eq!(fs::read(&outside).unwrap(), b"outside");
    assert_eq!(tree(&mailbox), before);
}
