//! A mailbox directory without a server around it, for tests of what is done to its names.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use incident::RunStart;
use mailstore::replace::FileOps;
use mailstore::volume::GuardedDir;
use mailstore_format::header_file::{HeaderFile, HeaderForm};
use mailstore_format::{Timestamp, Uid};
use rayon::ThreadPoolBuilder;

use crate::apply;
use crate::error::Error;
use crate::evidence::{FileIdentity, Place};
use crate::examine::identity_of;
use crate::observer::Silent;
use crate::options::Options;
use crate::plan::{FileSteps, MessageContent, Put, Rename, Rewrite, SetAside};
use crate::run::Context;
use crate::site::Site;
use crate::target::Target;
use crate::workshop::Workshop;

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

/// A mailbox directory without a server around it.
pub(crate) struct Mailbox {
    root: tempfile::TempDir,
}

impl Mailbox {
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mailbox = Self { root };
        fs::create_dir_all(mailbox.path("")).unwrap();
        for (name, content) in files {
            fs::write(mailbox.path(name), content).unwrap();
        }
        // Without a cyrus.header nothing is planned: there is no mailboxes.db.
        let mut header = HeaderFile::new(HeaderForm::Dlist);
        header.name = Some(b"user.alice".to_vec());
        header.uniqueid = Some(b"abcdefgh".to_vec());
        header.acl = Some(b"alice\tlrswipkxtecda\t".to_vec());
        fs::write(mailbox.path("cyrus.header"), header.encode()).unwrap();
        mailbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("alice").join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn target(&self) -> Target {
        Target::in_directory(&self.path("").components().collect::<PathBuf>())
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    pub(crate) fn identity(&self, name: &str) -> FileIdentity {
        let directory = GuardedDir::open_trusted(&self.path("")).unwrap();
        identity_of(&directory.stat(name.as_ref()).unwrap())
    }

    pub(crate) fn entry(&self, name: &str) -> MessageContent {
        MessageContent { name: name.into(), identity: self.identity(name), with_crlf: false }
    }

    pub(crate) fn put(&self, uid: u32, content: &str) -> Put {
        Put { place: Place::Spool, uid: Uid(uid), content: self.entry(content) }
    }

    pub(crate) fn set_aside(&self, name: &str) -> SetAside {
        let ino = fs::symlink_metadata(self.path(name)).unwrap().ino();
        SetAside { place: Place::Spool, name: name.into(), ino, reason: "for the test" }
    }

    /// Carries out `steps` beside a rebuild of the index, as the run `run`.
    pub(crate) fn apply(
        &self,
        ops: FileOps,
        change: impl FnOnce(&mut Rewrite),
    ) -> Result<(), Error> {
        let workshop = Workshop::new(ops, "run", 0o077);
        in_context(|context| apply::apply_changed(context, &self.target(), &workshop, change))
    }

    /// The mailbox's folder of the run.
    pub(crate) fn folder(&self) -> PathBuf {
        let target = self.target();
        Workshop::new(FileOps::new(), "run", 0).folder(&target.recovery, &target.key).path().into()
    }

    pub(crate) fn quarantined(&self, name: &str) -> PathBuf {
        self.folder().join("quarantine").join(name)
    }

    /// The content of every entry of the mailbox that is a message, by name.
    pub(crate) fn messages(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.path("")).unwrap().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().to_str().unwrap().to_owned();
        let names = entries.map(name).filter(|name| !name.starts_with("cyrus."));
        names.map(|name| (name.clone(), self.read(&name).unwrap_or_default())).collect()
    }
}

pub(crate) const MESSAGES: [(&str, &str); 5] = [
    ("1.", "A: 1\r\n\r\none"),
    ("2.", "A: 2\r\n\r\ntwo"),
    ("3.", "A: 3\r\n\r\nthree"),
    ("007.", "A: 4\r\n\r\nfour"),
    ("9.", "A: 9\r\n\r\nnine"),
];

/// 1 and 2 change places, 4 is put where a directory stands, from a stray name; 5 is put where
/// nothing stands, from 3, which thereby is aside; 9 gets the new UID 12.
pub(crate) fn every_kind_of_step(mailbox: &Mailbox) -> FileSteps {
    let identity = mailbox.identity("9.");
    FileSteps {
        puts: vec![
            mailbox.put(1, "2."),
            mailbox.put(2, "1."),
            mailbox.put(4, "007."),
            mailbox.put(5, "3."),
        ],
        renames: vec![Rename { place: Place::Spool, from: "9.".into(), to: Uid(12), identity }],
        returns: Vec::new(),
        arrivals: Vec::new(),
        set_aside: vec![
            mailbox.set_aside("007."),
            mailbox.set_aside("3."),
            mailbox.set_aside("8."),
        ],
    }
}

pub(crate) fn mailbox_with_every_kind_of_damage() -> Mailbox {
    let mailbox = Mailbox::with(&MESSAGES);
    fs::create_dir(mailbox.path("4.")).unwrap();
    fs::write(mailbox.path("4./inside"), "kept").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", mailbox.path("8.")).unwrap();
    mailbox
}

/// Does `work` with a thread and default options.
pub(crate) fn in_context<T>(work: impl FnOnce(&Context<'_>) -> T) -> T {
    let (options, site) = (Options { jobs: 1, ..Options::default() }, Site::none());
    let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    work(&Context {
        options: &options,
        pool: &pool,
        observer: &Silent,
        lock_space: None,
        site: &site,
        start: Some(&RunStart::now("run".to_owned(), "a test", "0", Vec::new())),
        permit: &|| Ok(()),
        reversal: None,
        incoming: None,
    })
}
