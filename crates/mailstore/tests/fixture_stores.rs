//! Stores that real servers made: every mailbox lies where the rules say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the functions here are parts of tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mailstore::location::Layout;
use mailstore::lock::{LockMode, MailboxLocks};
use mailstore::name::InternalName;
use mailstore::spool::SpoolScan;
use mailstore::store::{MailboxEntry, SelectError, Selection, Store};
use mailstore::volume::GuardedDir;
use mailstore_format::header_file::HeaderFile;

struct Fixture {
    name: String,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn unpack(archive: &Path) -> Self {
        let name = archive.file_name().unwrap().to_string_lossy().into_owned();
        let dir = tempfile::tempdir().unwrap();
        let tar = Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(dir.path()).status();
        assert!(tar.unwrap().success(), "{name}: tar failed");
        let root = dir.path().join("store");
        let conf = root.join("imapd.conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        std::fs::write(&conf, text.replace("@STORE@", root.to_str().unwrap())).unwrap();
        Self { name, dir }
    }

    fn named(part: &str) -> Self {
        let archive = archives().into_iter().find(|path| path.to_string_lossy().contains(part));
        Self::unpack(&archive.unwrap())
    }

    fn open(&self) -> Store {
        Store::open(&self.dir.path().join("store/imapd.conf"))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn tree(&self) -> BTreeSet<PathBuf> {
        let mut paths = BTreeSet::new();
        let mut pending = vec![self.dir.path().to_path_buf()];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    pending.push(entry.path());
                }
                paths.insert(entry.path());
            }
        }
        paths
    }
}

fn archives() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/stores");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "xz")).collect()
}

fn names(store: &Store, selection: &Selection) -> Vec<String> {
    let selected = store.select(selection).unwrap();
    selected.iter().map(|entry| entry.name.to_string()).collect()
}

#[test]
fn every_mailbox_lies_where_its_entry_says_and_opening_makes_nothing() {
    let stores = archives();
    assert_eq!(stores.len(), 16);
    for archive in stores {
        let fixture = Fixture::unpack(&archive);
        let before = fixture.tree();
        assert!(before.len() > 100);
        let store = fixture.open();
        assert!(store.list_damage().is_empty(), "{}", fixture.name);
        assert!(store.mailboxes().len() >= 11, "{}", fixture.name);
        let (mut messages, mut archived) = (0, 0);
        for mailbox in store.mailboxes() {
            let what = format!("{}: {}", fixture.name, mailbox.name);
            let location = store.location(mailbox).unwrap();
            assert_eq!(
                mailbox.layout == Layout::ByName,
                fixture.name.contains("legacydirs"),
                "{what}"
            );
            let header = std::fs::read(&location.header).unwrap_or_else(|e| panic!("{what}: {e}"));
            let header = HeaderFile::decode(&header).unwrap();
            assert_eq!(header.uniqueid.as_deref(), Some(mailbox.uniqueid.as_slice()), "{what}");
            assert!(location.index.is_file(), "{what}");
            let roots = &location.partition_roots;
            let spool = GuardedDir::open_under(&roots.data, &location.spool).unwrap();
            let scan = SpoolScan::of(&spool).unwrap();
            assert!(scan.odd.is_empty(), "{what}: {:?}", scan.odd);
            assert!(scan.meta_files.iter().any(|file| file == "cyrus.index"), "{what}");
            messages += scan.messages.len();
            if let (Some(root), Some(path)) = (&roots.archive, &location.archive)
                && path.is_dir()
            {
                let archive = GuardedDir::open_under(root, path).unwrap();
                let scan = SpoolScan::of(&archive).unwrap();
                let has_cache = location.archive_cache.unwrap().is_file();
                assert_eq!(has_cache, !scan.messages.is_empty(), "{what}");
                archived += scan.messages.len();
            }
            let plan = store.lock_plan(mailbox).unwrap();
            let space = store.lock_space();
            let timeout = Duration::from_secs(10);
            MailboxLocks::acquire(space, &plan, LockMode::SharedIfPresent, timeout, &mut |_| {})
                .unwrap();
        }
        assert!(messages + archived >= 80, "{}: {messages} + {archived}", fixture.name);
        assert_eq!(archived > 0, fixture.name.contains("archive"), "{}", fixture.name);
        assert_eq!(fixture.tree(), before, "{}", fixture.name);
    }
}

#[test]
fn operators_select_by_name_pattern_and_user() {
    let fixture = Fixture::named("cyrus-3.6-v17-uuid");
    let store = fixture.open();
    let select = |mailboxes: &[&str], users: &[&str], recursive| Selection {
        mailboxes: mailboxes.iter().map(ToString::to_string).collect(),
        users: users.iter().map(ToString::to_string).collect(),
        all: false,
        recursive,
    };
    assert_eq!(names(&store, &select(&["user.frank"], &[], false)), ["user.frank"]);
    assert_eq!(names(&store, &select(&["user/gina.dot"], &[], false)), ["user.gina^dot"]);
    assert_eq!(names(&store, &select(&["user/erin/été"], &[], false)), ["user.erin.&AOk-t&AOk-"]);
    assert_eq!(names(&store, &select(&["shared"], &[], true)), ["shared", "shared.notices"]);
    let lists = ["user.erin.Lists", "user.erin.Lists.cyrus-devel"];
    assert_eq!(names(&store, &select(&["user.erin.L*", "user.erin.Lists"], &[], false)), lists);
    let erin = names(&store, &select(&[], &["erin"], false));
    assert!(erin.len() >= 7 && erin.iter().all(|name| name.contains("user.erin")));
    assert!(erin.iter().any(|name| name.starts_with("DELETED.user.erin.Trash.")));
    assert_eq!(names(&store, &select(&[], &["gina.dot"], false)), ["user.gina^dot"]);
    let all = names(&store, &Selection { all: true, ..Selection::default() });
    assert_eq!(all.len(), store.mailboxes().len());

    let missing = store.select(&select(&["user.nobody"], &[], true)).unwrap_err();
    assert_eq!(missing, SelectError::NoSuchMailbox("user.nobody".into()));
    let missing = store.select(&select(&[], &["fran"], true)).unwrap_err();
    assert_eq!(missing, SelectError::NoSuchUser("fran".into()));
    let frank = store.mailbox(&InternalName::new("user.frank")).unwrap();
    assert!(frank.uidvalidity.is_some() && frank.partition == "default");
}

#[test]
fn what_is_kept_about_a_user_lies_by_id_or_by_name() {
    for store in ["cyrus-3.6-v17-uuid", "cyrus-3.6-v17-legacydirs"] {
        let fixture = Fixture::named(store);
        let store = fixture.open();
        let inbox = store.mailbox(&InternalName::new("user.erin")).unwrap();
        let conversations = store.conversations_file(inbox).unwrap().unwrap();
        assert_eq!(conversations.is_file(), store.conf().conversations());
        let [of_erin, of_frank] = [b"erin".as_slice(), b"frank"].map(|user| store.seen_file(user));
        assert!(of_erin.as_ref().unwrap().is_file() && of_frank.as_ref().unwrap().is_file());
        assert_ne!(of_erin, of_frank);
        let below_deleted = InternalName::new("DELETED.user.erin.Old.65A0B0C0");
        let deleted = MailboxEntry { name: below_deleted, ..inbox.clone() };
        assert_eq!(store.conversations_file(&deleted).unwrap(), Some(conversations));
        let shared = MailboxEntry { name: InternalName::new("shared"), ..inbox.clone() };
        assert_eq!(store.conversations_file(&shared).unwrap(), None);
        let [newer, older] = store.older_lists();
        assert!(newer.ends_with("db.backup1/mailboxes.db"));
        assert!(older.ends_with("db.backup2/mailboxes.db"));
    }
}
