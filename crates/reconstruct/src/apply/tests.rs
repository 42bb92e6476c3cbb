use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mailstore::replace::{FileOps, Step};
use mailstore::volume::GuardedDir;
use mailstore_format::{Guid, Timestamp, Uid};
use rayon::ThreadPoolBuilder;

use super::*;
use crate::evidence::{FileIdentity, Place};
use crate::examine::identity_of;
use crate::manifest::{self, How};
use crate::observer::Silent;
use crate::options::Options;
use crate::plan::{FileSteps, MessageContent, Put, Rename, Rewrite, SetAside};
use crate::site::Site;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

/// A mailbox directory without a server around it.
struct Mailbox {
    root: tempfile::TempDir,
}

impl Mailbox {
    fn with(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mailbox = Self { root };
        fs::create_dir_all(mailbox.path("")).unwrap();
        for (name, content) in files {
            fs::write(mailbox.path(name), content).unwrap();
        }
        // Without a cyrus.header nothing is planned: there is no mailboxes.db.
        let mut header = mailstore_format::header_file::HeaderFile::new(
            mailstore_format::header_file::HeaderForm::Dlist,
        );
        header.name = Some(b"user.alice".to_vec());
        header.uniqueid = Some(b"abcdefgh".to_vec());
        header.acl = Some(b"alice\tlrswipkxtecda\t".to_vec());
        fs::write(mailbox.path("cyrus.header"), header.encode()).unwrap();
        mailbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("alice").join(name)
    }

    fn target(&self) -> Target {
        Target::in_directory(&self.path("").components().collect::<PathBuf>())
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn identity(&self, name: &str) -> FileIdentity {
        let directory = GuardedDir::open_trusted(&self.path("")).unwrap();
        identity_of(&directory.stat(name.as_ref()).unwrap())
    }

    fn entry(&self, name: &str) -> MessageContent {
        MessageContent::Entry { name: name.into(), identity: self.identity(name) }
    }

    fn put(&self, uid: u32, content: &str) -> Put {
        Put { place: Place::Spool, uid: Uid(uid), content: self.entry(content) }
    }

    fn set_aside(&self, name: &str) -> SetAside {
        let ino = fs::symlink_metadata(self.path(name)).unwrap().ino();
        SetAside { place: Place::Spool, name: name.into(), ino, reason: "for the test" }
    }

    /// Carries out `steps` beside a rebuild of the index, as the run `run`.
    fn apply(&self, ops: FileOps, change: impl FnOnce(&mut Rewrite)) -> Result<(), Error> {
        let (options, site) = (Options { jobs: 1, ..Options::default() }, Site::none());
        let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let context = Context {
            options: &options,
            pool: &pool,
            observer: &Silent,
            lock_space: None,
            site: &site,
        };
        let (target, workshop) = (self.target(), Workshop::new(ops, "run", 0o077));
        let mut staging = LazyStaging::new(&workshop, &target.recovery);
        let evidence = gather(&context, &target, None, None, &mut staging)?;
        let policy = Policy { prune: None, prune_budget: 0, now: NOW };
        let mut rewrite = plan(&evidence, policy).rewrite.expect("there is no index yet");
        rewrite.file_steps = FileSteps::default();
        change(&mut rewrite);
        staging.finish()?;
        let staged = Staged::write(&target, &workshop, &rewrite, &staging, None)?;
        commit::commit(&target, &workshop, &rewrite, &staged, NOW)
    }

    /// The mailbox's folder of the run.
    fn folder(&self) -> PathBuf {
        let target = self.target();
        Workshop::new(FileOps::new(), "run", 0).folder(&target.recovery, &target.key).path().into()
    }

    fn quarantined(&self, name: &str) -> PathBuf {
        self.folder().join("quarantine").join(name)
    }

    /// The content of every entry of the mailbox that is a message, by name.
    fn messages(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.path("")).unwrap().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().to_str().unwrap().to_owned();
        let names = entries.map(name).filter(|name| !name.starts_with("cyrus."));
        names.map(|name| (name.clone(), self.read(&name).unwrap_or_default())).collect()
    }
}

const MESSAGES: [(&str, &str); 5] = [
    ("1.", "A: 1\r\n\r\none"),
    ("2.", "A: 2\r\n\r\ntwo"),
    ("3.", "A: 3\r\n\r\nthree"),
    ("007.", "A: 4\r\n\r\nfour"),
    ("9.", "A: 9\r\n\r\nnine"),
];

/// 1 and 2 change places, 4 is put where a directory stands, from a stray name; 5 is put where
/// nothing stands, from 3, which thereby is aside; 9 gets the new UID 12.
fn every_kind_of_step(mailbox: &Mailbox) -> FileSteps {
    let identity = mailbox.identity("9.");
    FileSteps {
        puts: vec![
            mailbox.put(1, "2."),
            mailbox.put(2, "1."),
            mailbox.put(4, "007."),
            mailbox.put(5, "3."),
        ],
        renames: vec![Rename { place: Place::Spool, from: "9.".into(), to: Uid(12), identity }],
        set_aside: vec![
            mailbox.set_aside("007."),
            mailbox.set_aside("3."),
            mailbox.set_aside("8."),
        ],
    }
}

fn mailbox_with_every_kind_of_damage() -> Mailbox {
    let mailbox = Mailbox::with(&MESSAGES);
    fs::create_dir(mailbox.path("4.")).unwrap();
    fs::write(mailbox.path("4./inside"), "kept").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", mailbox.path("8.")).unwrap();
    mailbox
}

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
    let linked = mailbox.root.path().join("elsewhere");
    fs::hard_link(mailbox.path("1."), &linked).unwrap();
    let permissions = fs::Permissions::from_mode(0o640);
    fs::set_permissions(&linked, permissions).unwrap();
    let identity = mailbox.identity("1.");
    let content = MessageContent::WithCrlf { identity };
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
