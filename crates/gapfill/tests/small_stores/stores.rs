//! Small stores made by hand, a few messages each: what takes a real server is tested elsewhere.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use gapfill::{
    Devices, LiveStore, MailboxReport, Observer, Options, Rate, Run, Source, Stage, Summary,
};
use incident::Gap;
use mailstore::config::ImapdConf;
use mailstore_format::header_file::{HeaderFile, HeaderForm};
use mailstore_format::index::{IndexHeader, IndexRecord, Layout};
use mailstore_format::mboxlist::name_to_db;
use mailstore_format::{Guid, InternalFlags, ModSeq, Timestamp, Uid, UidValidity};

/// A message as it is put into a mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) uid: u32,
    pub(crate) text: Vec<u8>,
    pub(crate) expunged: bool,
    pub(crate) has_file: bool,
    pub(crate) has_record: bool,
}

/// A message of this UID, as everybody has it.
pub(crate) fn put(uid: u32, text: &[u8]) -> Put {
    Put { uid, text: text.to_vec(), expunged: false, has_file: true, has_record: true }
}

/// A plain message.
pub(crate) fn text(number: u32) -> Vec<u8> {
    format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nThis is message {number}.\r\n")
        .into_bytes()
}

/// A mailbox to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mailbox<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) mbtype: &'a str,
    /// The highest modseq that the index has forgotten.
    pub(crate) forgotten: u64,
}

pub(crate) const INBOX: Mailbox<'static> =
    Mailbox { name: "user.alice", id: "3x01alice", mbtype: "e", forgotten: 0 };

/// A store, or a tree that was one.
pub(crate) struct Tree {
    directory: tempfile::TempDir,
    list: Vec<Vec<u8>>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["conf", "spool"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self { directory, list: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where a mailbox lies.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path().join("spool").join(name.replace('.', "/"))
    }

    /// Adds a mailbox.
    pub(crate) fn with(mut self, mailbox: Mailbox<'_>, messages: &[Put]) -> Self {
        let directory = self.at(mailbox.name);
        fs::create_dir_all(&directory).unwrap();
        for message in messages.iter().filter(|message| message.has_file) {
            fs::write(directory.join(format!("{}.", message.uid)), &message.text).unwrap();
        }
        fs::write(directory.join("cyrus.index"), index(mailbox, messages)).unwrap();
        let mut header = HeaderFile::new(HeaderForm::Dlist);
        header.mbtype = Some(mailbox.mbtype.as_bytes().to_vec());
        header.name = Some(mailbox.name.as_bytes().to_vec());
        header.uniqueid = Some(mailbox.id.as_bytes().to_vec());
        header.acl = Some(b"alice\tlrs\t".to_vec());
        fs::write(directory.join("cyrus.header"), header.encode()).unwrap();
        let Mailbox { name, id, mbtype, .. } = mailbox;
        let mut line = [b"N", name_to_db(name.as_bytes()).as_slice()].concat();
        let value = format!("\t%(T {mbtype}l I {id} P default V 7 M 1 A %(alice lrs))\n");
        line.extend(value.into_bytes());
        self.list.push(line);
        self
    }

    /// As a live store.
    fn live(&mut self) -> LiveStore {
        self.list.sort();
        fs::write(self.path().join("conf/mailboxes.db"), self.list.concat()).unwrap();
        let root = self.path().display();
        let conf = self.path().join("imapd.conf");
        let text = format!(
            "configdirectory: {root}/conf\ndefaultpartition: default\n\
             partition-default: {root}/spool\nunixhierarchysep: no\n"
        );
        fs::write(&conf, text).unwrap();
        let conf = ImapdConf::load(&conf).unwrap();
        LiveStore::open(conf, Duration::from_secs(5), &mut |_| {}).unwrap()
    }
}

impl Tree {
    /// A snapshot of it, beside it.
    pub(crate) fn snapshot(&mut self) -> PathBuf {
        let path = self.path().join("snapshot");
        let mut out = fs::File::create(&path).unwrap();
        self.live().write_snapshot(&mut out, &mut |_| {}).unwrap();
        assert!(
            LiveStore::is_snapshot(&path)
                && !LiveStore::is_snapshot(&self.path().join("imapd.conf"))
        );
        path
    }
}

fn index(mailbox: Mailbox<'_>, messages: &[Put]) -> Vec<u8> {
    let layout = Layout::of_version(17).unwrap();
    let records: Vec<_> = messages.iter().filter(|message| message.has_record).collect();
    let header = IndexHeader {
        num_records: u32::try_from(records.len()).unwrap(),
        last_uid: Uid(records.iter().map(|message| message.uid).max().unwrap_or(0)),
        uidvalidity: UidValidity(7),
        deletedmodseq: ModSeq(mailbox.forgotten),
        ..IndexHeader::default()
    };
    let mut bytes = header.encode(layout);
    for message in records {
        let expunged = InternalFlags::EXPUNGED;
        let record = IndexRecord {
            uid: Uid(message.uid),
            guid: Guid::of(&message.text),
            size: u64::try_from(message.text.len()).unwrap(),
            internaldate: Timestamp::from_seconds(1_700_000_000),
            internal_flags: if message.expunged { expunged } else { InternalFlags(0) },
            createdmodseq: ModSeq(u64::from(message.uid)),
            ..IndexRecord::default()
        };
        record.encode_into(layout, &mut bytes);
    }
    bytes
}

/// What a comparison said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) summary: Summary,
    pub(crate) gaps: Vec<(String, Gap)>,
}

impl Said {
    /// Mailbox, UID and class of every gap, sorted.
    pub(crate) fn classes(&self) -> Vec<(&str, u32, &str)> {
        let gaps = self.gaps.iter();
        let mut all: Vec<_> =
            gaps.map(|(name, gap)| (name.as_str(), gap.uid.0, gap.class.as_str())).collect();
        all.sort_unstable();
        all
    }
}

#[derive(Default)]
struct Listener(Mutex<Vec<(String, Gap)>>);

impl Observer for Listener {
    fn finished(&self, report: &MailboxReport) {
        assert_eq!(report.error, None);
        let name = report.mailbox.as_ref().map_or("", |mailbox| &mailbox.name);
        let gaps = report.gaps.iter().map(|gap| (name.to_owned(), gap.clone()));
        self.0.lock().unwrap().extend(gaps);
    }
}

pub(crate) fn compare(live: &mut Tree, from: &[&Path]) -> Said {
    compare_with(live, from, &Options::default(), None)
}

pub(crate) fn compare_with_snapshot(live: &mut Tree, from: &[&Path]) -> Said {
    let snapshot = LiveStore::open_snapshot(&live.snapshot()).unwrap();
    run(snapshot, from, &Options::default(), None)
}

pub(crate) fn compare_with(
    live: &mut Tree,
    from: &[&Path],
    options: &Options,
    stage: Option<&Stage>,
) -> Said {
    run(live.live(), from, options, stage)
}

fn run(live: LiveStore, from: &[&Path], options: &Options, stage: Option<&Stage>) -> Said {
    let devices = Devices::new(NonZeroUsize::MIN, Rate::default());
    let open = |path: &&Path| Source::open(path, b"DELETED", &devices).unwrap();
    let sources: Vec<_> = from.iter().map(open).collect();
    let (lives, listener) = ([live], Listener::default());
    let mut run = Run::new(&sources, &lives, options, &listener);
    if let Some(stage) = stage {
        run = run.staged_in(stage);
    }
    let summary = run.compare().unwrap();
    Said { summary, gaps: listener.0.into_inner().unwrap() }
}
