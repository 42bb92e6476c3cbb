use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use incident::journal::RUN_FILE;
use mailstore::replace::{FileOps, Step};
use mailstore_format::{Guid, Uid};

use super::*;
use crate::evidence::Place;
use crate::journal::JOURNAL;
use crate::manifest::{self, How};
use crate::plan::{FileSteps, MessageContent, Put, Rewrite};
use crate::report::State;
use crate::test_mailbox::{
    MESSAGES, Mailbox, every_kind_of_step, mailbox_with_every_kind_of_damage,
};

fn must_be_put_right(mailbox: &Mailbox) {
    let expected = [
        ("1.", MESSAGES[1].1),
        ("2.", MESSAGES[0].1),
        ("4.", MESSAGES[3].1),
        ("5.", MESSAGES[2].1),
        ("12.", MESSAGES[4].1),
    ];
    let expected = expected.map(|(name, content)| (name.to_owned(), content.to_owned()));
    assert_eq!(mailbox.messages(), BTreeMap::from(expected));
    assert_eq!(fs::read_to_string(mailbox.quarantined("4.").join("inside")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(mailbox.quarantined("1.")).unwrap(), MESSAGES[0].1);
    assert_eq!(fs::read_link(mailbox.quarantined("8.")).unwrap(), Path::new("/etc/passwd"));
    for name in ["007.", "3.", "9."] {
        assert!(mailbox.quarantined(name).exists(), "{name} is not in the quarantine");
    }
}

#[test]
fn a_run_that_may_not_write_any_more_leaves_the_mailbox_as_it_is() {
    let mailbox = Mailbox::with(&MESSAGES);
    let (options, site) = (crate::Options::default(), crate::Site::none());
    let workshop = Workshop::new(FileOps::new(), "run", 0o077);
    let repaired = |permit: &crate::Permit<'_>| {
        let run = crate::Run::new(&options, &site, &crate::Silent).permitted_by(permit);
        run.repair_one(&mailbox.target(), &workshop)
    };
    let refused = repaired(&|| Err("somebody else works on it".into()));
    assert_eq!(refused.state, State::Failed);
    let why = "it may not be written any more: somebody else works on it";
    assert_eq!(refused.error.as_deref(), Some(why));
    assert!(!mailbox.path("cyrus.index").exists());
    assert_eq!(repaired(&|| Ok(())).state, State::Repaired);
}

#[test]
fn every_message_gets_the_name_of_its_record_and_what_stood_there_is_in_the_quarantine() {
    let mailbox = mailbox_with_every_kind_of_damage();
    let steps = every_kind_of_step(&mailbox);
    mailbox.apply(FileOps::new(), |rewrite| rewrite.file_steps = steps).unwrap();
    must_be_put_right(&mailbox);
}

#[test]
fn a_file_system_that_exchanges_nothing_comes_to_the_same() {
    let mailbox = mailbox_with_every_kind_of_damage();
    let steps = every_kind_of_step(&mailbox);
    let ops = FileOps::with_hook(|step| match step {
        Step::Exchange { .. } => Err(io::Error::from_raw_os_error(22)),
        _ => Ok(()),
    });
    mailbox.apply(ops, |rewrite| rewrite.file_steps = steps).unwrap();
    must_be_put_right(&mailbox);
}

#[test]
fn where_the_kernel_links_nobody_elses_files_copies_with_their_times_serve() {
    let mailbox = mailbox_with_every_kind_of_damage();
    let steps = every_kind_of_step(&mailbox);
    let before = fs::metadata(mailbox.path("9.")).unwrap();
    let ops = FileOps::with_hook(|step| match step {
        Step::Link { .. } => Err(io::Error::from_raw_os_error(1)),
        _ => Ok(()),
    });
    mailbox.apply(ops, |rewrite| rewrite.file_steps = steps).unwrap();
    must_be_put_right(&mailbox);
    let after = fs::metadata(mailbox.path("12.")).unwrap();
    assert_ne!(after.ino(), before.ino());
    assert_eq!((after.mtime(), after.mtime_nsec()), (before.mtime(), before.mtime_nsec()));
    let lines = manifest::of_run(&mailbox.target(), "run".as_ref());
    let of_copy = lines.iter().rfind(|line| line.origin() == mailbox.path("12."));
    assert_eq!(of_copy.unwrap().after, Some(after.ino()));
}

#[test]
fn at_every_step_each_name_has_what_it_had_or_will_have_and_no_message_is_lost() {
    let count = std::sync::Arc::new(Mutex::new(0));
    let counter = std::sync::Arc::clone(&count);
    let mailbox = mailbox_with_every_kind_of_damage();
    let steps = every_kind_of_step(&mailbox);
    let counting = FileOps::with_hook(move |_| {
        *counter.lock().unwrap() += 1;
        Ok(())
    });
    mailbox.apply(counting, |rewrite| rewrite.file_steps = steps).unwrap();
    let after = mailbox.messages();
    let all = *count.lock().unwrap();
    assert!(all > 40, "{all} steps");
    for last in 0..all {
        let mailbox = mailbox_with_every_kind_of_damage();
        let (steps, before) = (every_kind_of_step(&mailbox), mailbox.messages());
        let left = Mutex::new(last);
        let stopping = FileOps::with_hook(move |_| {
            let mut left = left.lock().unwrap();
            *left = usize::checked_sub(*left, 1).ok_or(io::Error::from_raw_os_error(5))?;
            Ok(())
        });
        assert!(mailbox.apply(stopping, |rewrite| rewrite.file_steps = steps).is_err());
        for (name, content) in mailbox.messages() {
            let expected = [before.get(&name), after.get(&name)];
            assert!(expected.contains(&Some(&content)), "after {last} steps: {name} is {content}");
        }
        // Else `incident rebuild` could not tell what run the journal is of.
        let began = mailbox.folder().with_file_name(RUN_FILE).exists();
        assert!(began || !mailbox.folder().join(JOURNAL).exists(), "after {last} steps");
        assert!(!mailbox.folder().with_file_name("new").exists(), "after {last} steps");
        let still = mailbox.messages();
        let kept = |content: &str| still.values().any(|found| found == content);
        for (_, content) in MESSAGES {
            assert!(kept(content), "after {last} steps {content:?} is under no name");
        }
        let in_both = before.keys().filter(|name| after.contains_key(*name));
        for name in in_both {
            assert!(still.contains_key(name), "after {last} steps nothing is called {name}");
        }
    }
}

/// 1 to 3 stand in a circle, and so do 4 and 5.
fn circles(mailbox: &Mailbox) -> FileSteps {
    let puts = [(1, "2."), (4, "5."), (2, "3."), (5, "4."), (3, "1.")];
    let puts = puts.iter().map(|(uid, content)| mailbox.put(*uid, content)).collect();
    FileSteps { puts, ..FileSteps::default() }
}

#[test]
fn exchanges_in_a_circle_that_were_cut_short_are_finished_by_the_next_run() {
    let contents = ["A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n", "A: 4\r\n\r\n", "A: 5\r\n\r\n"];
    let names = ["1.", "2.", "3.", "4.", "5."];
    let files: Vec<_> = names.into_iter().zip(contents).collect();
    let right: Vec<_> = [1, 2, 0, 4, 3].iter().map(|&at: &usize| contents[at]).collect();
    for exchanges in [true, false] {
        let (mut cut, mut without_name) = (0, 0);
        for last in 0.. {
            let mailbox = Mailbox::with(&files);
            let steps = circles(&mailbox);
            let left = Mutex::new(last);
            let stopping = FileOps::with_hook(move |step| {
                let mut left = left.lock().unwrap();
                *left = usize::checked_sub(*left, 1).ok_or(io::Error::from_raw_os_error(5))?;
                match step {
                    Step::Exchange { .. } if !exchanges => Err(io::Error::from_raw_os_error(22)),
                    _ => Ok(()),
                }
            });
            let done = mailbox.apply(stopping, |rewrite| rewrite.file_steps = steps).is_ok();
            let interrupted = mailbox.messages();
            let has_name = |content: &&str| interrupted.values().any(|found| found == content);
            let all_have_names = contents.iter().all(has_name);
            without_name += usize::from(!all_have_names);
            let (target, next) = (mailbox.target(), Workshop::new(FileOps::new(), "s", 0o077));
            commit::finish_interrupted(&target, &next).unwrap();
            let finished: Vec<_> = mailbox.messages().into_values().collect();
            cut += usize::from(interrupted.values().ne(&finished));
            let untouched = all_have_names && finished == contents;
            assert!(untouched || finished == right, "after {last} steps: {finished:?}");
            if done {
                assert_eq!(finished, right);
                break;
            }
        }
        assert!(cut > 0 && without_name > 0, "{cut} and {without_name} with exchanges {exchanges}");
    }
}

#[test]
fn nothing_is_changed_where_a_message_is_not_what_the_plan_saw() {
    let mailbox = mailbox_with_every_kind_of_damage();
    let steps = every_kind_of_step(&mailbox);
    fs::write(mailbox.path("2."), "another message altogether").unwrap();
    let before = mailbox.messages();
    let error = mailbox.apply(FileOps::new(), |rewrite| rewrite.file_steps = steps).unwrap_err();
    assert!(matches!(error, Error::KeepsChanging), "{error}");
    assert_eq!(mailbox.messages(), before);
    assert!(!mailbox.path("cyrus.index").exists());
}

#[test]
fn an_entry_that_is_another_since_is_not_set_aside() {
    let mailbox = mailbox_with_every_kind_of_damage();
    let mut steps = FileSteps { set_aside: vec![mailbox.set_aside("8.")], ..FileSteps::default() };
    steps.set_aside[0].ino += 1;
    mailbox.apply(FileOps::new(), |rewrite| rewrite.file_steps = steps).unwrap();
    assert!(mailbox.path("8.").symlink_metadata().is_ok());
}

#[test]
fn a_message_gets_its_line_ends_back_in_a_file_of_its_own() {
    let mailbox = Mailbox::with(&[("1.", "A: 1\n\none\n")]);
    let linked = mailbox.root().join("elsewhere");
    fs::hard_link(mailbox.path("1."), &linked).unwrap();
    let permissions = fs::Permissions::from_mode(0o640);
    fs::set_permissions(&linked, permissions).unwrap();
    let content = MessageContent { with_crlf: true, ..mailbox.entry("1.") };
    let identity = content.identity;
    let put = Put { place: Place::Spool, uid: Uid(1), content };
    let with_guid = |guid| {
        let put = put.clone();
        move |rewrite: &mut Rewrite| {
            rewrite.records[0].record.guid = guid;
            rewrite.file_steps.puts = vec![put];
        }
    };
    let error = mailbox.apply(FileOps::new(), with_guid(Guid::of(b"other"))).unwrap_err();
    assert!(matches!(error, Error::NotAsWritten { .. }), "{error}");
    assert_eq!(mailbox.read("1.").unwrap(), "A: 1\n\none\n");

    let right = "A: 1\r\n\r\none\r\n";
    mailbox.apply(FileOps::new(), with_guid(Guid::of(right.as_bytes()))).unwrap();
    assert_eq!(mailbox.read("1.").unwrap(), right);
    let (new, old) = (mailbox.identity("1."), fs::metadata(&linked).unwrap());
    assert_eq!(new.mtime, identity.mtime);
    assert_eq!(fs::metadata(mailbox.path("1.")).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(linked).unwrap(), "A: 1\n\none\n", "the other mailbox's");
    assert_eq!(fs::metadata(mailbox.quarantined("1.")).unwrap().ino(), old.ino());
}

#[test]
fn the_manifest_tells_of_every_name_what_stood_and_what_stands_there() {
    let mailbox = mailbox_with_every_kind_of_damage();
    let steps = every_kind_of_step(&mailbox);
    let inodes = |mailbox: &Mailbox| -> BTreeMap<PathBuf, u64> {
        let entries = fs::read_dir(mailbox.path("")).unwrap().flatten();
        entries.map(|entry| (entry.path(), entry.metadata().unwrap().ino())).collect()
    };
    let directory = fs::metadata(mailbox.path("")).unwrap();
    let before = inodes(&mailbox);
    mailbox.apply(FileOps::new(), |rewrite| rewrite.file_steps = steps).unwrap();
    let after = inodes(&mailbox);
    let lines = manifest::of_run(&mailbox.target(), "run".as_ref());
    let (directories, changes): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.how == How::Directory);
    let modified = directory.mtime() * 1_000_000_000 + directory.mtime_nsec();
    assert_eq!(directories[0].mtime_ns, Some(modified));
    for change in &changes {
        assert_eq!(change.before, before.get(change.origin()).copied(), "{change:?}");
        let stands = after.get(change.origin()).copied();
        let moved = change.how == How::Moved;
        assert_eq!(if moved { None } else { change.after }, stands, "{change:?}");
        if let Some(now) = change.now() {
            assert_eq!(crate::manifest::inode_at(now), change.before, "{change:?}");
        }
    }
    let told: Vec<_> = changes.iter().map(|change| change.origin()).collect();
    let all: Vec<_> = before.keys().chain(after.keys()).collect();
    for path in all.into_iter().filter(|path| before.get(*path) != after.get(*path)) {
        assert!(told.contains(&path.as_path()), "nothing tells of {}", path.display());
    }
}
