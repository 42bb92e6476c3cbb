use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::*;

/// Another process that holds a POSIX lock on a file, as the server does: this test binary again.
struct OtherProcess {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl OtherProcess {
    fn holding(path: &Path, exclusive: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::a_posix_lock_can_be_held", "--nocapture"])
            .env("HOLD_POSIX_LOCK", path)
            .env("HOLD_EXCLUSIVELY", if exclusive { "yes" } else { "no" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(output.any(|line| line.unwrap().contains("holding")), "the other process failed");
        Self { child, stdin }
    }

    fn let_go(&mut self) {
        drop(self.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        self.let_go();
    }
}

fn posix_lock(file: &File, exclusive: bool) -> nix::Result<libc::c_int> {
    let kind = if exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
    fcntl(file, FcntlArg::F_SETLK(&file::whole_file(kind)))
}

/// Also what the other process runs: it then holds the lock until its input ends.
#[test]
fn a_posix_lock_can_be_held() {
    let own = tempfile::NamedTempFile::new().unwrap();
    let path = std::env::var_os("HOLD_POSIX_LOCK").map_or(own.path().to_path_buf(), PathBuf::from);
    let exclusive = std::env::var_os("HOLD_EXCLUSIVELY").is_none_or(|value| value == "yes");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    posix_lock(&file, exclusive).unwrap();
    if std::env::var_os("HOLD_POSIX_LOCK").is_some() {
        println!("holding");
        std::io::stdout().flush().unwrap();
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    }
}

struct Place {
    dir: tempfile::TempDir,
    space: LockSpace,
    plan: LockPlan,
}

const ID: &[u8] = b"3x01yxu0u2cf81mo11l7ahm9";

fn place_with(options: &str, name: &str, layout: Layout) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("imapd.conf");
    let root = dir.path().display();
    let text = format!("configdirectory: {root}/conf\npartition-default: {root}/spool\n{options}");
    std::fs::write(&conf, text).unwrap();
    let space = LockSpace::new(&ImapdConf::load(&conf).unwrap());
    let index = dir.path().join("cyrus.index");
    std::fs::write(&index, b"index").unwrap();
    let plan = space.plan(&InternalName::new(name), ID, layout, &index).unwrap();
    Place { dir, space, plan }
}

fn place() -> Place {
    place_with("hashimapspool: yes\n", "user.erin", Layout::ById)
}

impl Place {
    fn lock(&self, mode: LockMode, timeout: Duration) -> Result<MailboxLocks, LockError> {
        MailboxLocks::acquire(&self.space, &self.plan, mode, timeout, &mut |_| {})
    }

    fn path(&self, wanted: LockKind) -> PathBuf {
        self.plan.paths().find(|(kind, _)| *kind == wanted).unwrap().1.to_path_buf()
    }

    fn relative_paths(&self) -> Vec<String> {
        let relative = |path: &Path| path.strip_prefix(self.dir.path()).unwrap().to_path_buf();
        self.plan.paths().map(|(_, path)| relative(path).display().to_string()).collect()
    }
}

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn paths_and_order_are_the_servers() {
    let expected = [
        "conf/lock/q/$GLOBAL.lock",
        "conf/lock/q/*U*erin.lock",
        "conf/lock/e/*U*user/erin.lock",
        "conf/lock/q/3x01yxu0u2cf81mo11l7ahm9.lock",
        "cyrus.index",
    ];
    assert_eq!(place().relative_paths(), expected);

    let legacy =
        place_with("hashimapspool: yes\nglobal_lock: no\n", "user.erin.Sent", Layout::ByName);
    assert_eq!(legacy.relative_paths()[2], "conf/lock/e/user/erin/Sent.lock");

    let options = "virtdomains: userid\nhashimapspool: no\n";
    let domain = place_with(options, "example.com!user.gina^dot", Layout::ById);
    let expected = [
        "conf/lock/$GLOBAL.lock",
        "conf/lock/*U*gina^dot@example^com.lock",
        "conf/lock/domain/*U*example.com/user/gina^dot.lock",
        "conf/lock/3x01yxu0u2cf81mo11l7ahm9.lock",
        "cyrus.index",
    ];
    assert_eq!(domain.relative_paths(), expected);

    let shared = place_with("", "shared.notices", Layout::ById);
    assert_eq!(shared.relative_paths()[1], "conf/lock/*U*.lock");
    assert_eq!(shared.relative_paths().len(), 4);
    let deleted = place_with("", "DELETED.user.erin.Trash.6B0120AA", Layout::ById);
    assert_eq!(deleted.relative_paths()[1], "conf/lock/*U*erin.lock");
}

/// The lock files that Cyrus 3.6.1's `reconstruct -p` made for these mailboxes.
#[test]
fn paths_with_the_full_hash_are_those_that_a_server_made() {
    let options = "hashimapspool: yes\nfulldirhash: yes\nvirtdomains: userid\nglobal_lock: no\n";
    for (name, user, mailbox) in [
        ("user.alice", "U/*U*alice", "L/user/alice"),
        ("user.7up", "C/*U*7up", "D/user/7up"),
        ("shared", "D/*U*", "T/shared"),
        ("shared.notices", "D/*U*", "W/shared/notices"),
        ("shared.no^dots", "D/*U*", "O/shared/no^dots"),
        ("example.com!user.carol", "Q/*U*carol@example^com", "domain/O/example.com/B/user/carol"),
        (
            "sub.example.org!user.d^e",
            "O/*U*d^e@sub^example^org",
            "domain/O/sub.example.org/I/user/d^e",
        ),
    ] {
        let place = place_with(options, name, Layout::ByName);
        let paths = place.relative_paths();
        assert_eq!(paths[0], format!("conf/lock/{user}.lock"));
        assert_eq!(paths[paths.len() - 2], format!("conf/lock/{mailbox}.lock"));
    }
}

#[test]
fn a_lock_that_another_process_holds_is_named_and_not_got_before_it_lets_go() {
    let place = place();
    drop(place.lock(LockMode::Exclusive, SOON).unwrap());
    let mut other = OtherProcess::holding(&place.path(LockKind::Mailbox), false);
    match place.lock(LockMode::Exclusive, SOON).unwrap_err() {
        LockError::Timeout { kind: LockKind::Mailbox, holders, waited, .. } => {
            assert_eq!(holders.iter().map(|h| h.pid).collect::<Vec<_>>(), [other.child.id()]);
            assert!(!holders[0].command.is_empty() && waited >= SOON);
        }
        other => panic!("{other}"),
    }
    let reported = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            MailboxLocks::acquire(&place.space, &place.plan, LockMode::Exclusive, LONG, &mut |_| {
                reported.store(true, Ordering::SeqCst);
            })
        });
        while !reported.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        other.let_go();
        assert!(waiting.join().unwrap().unwrap().holds_index());
    });
}

/// The server waits for its user locks without any limit: whoever waits for another lock with one
/// of them in hand stops all mail of that user.
#[test]
fn who_waits_for_a_mailbox_holds_up_nobody_else() {
    let place = place();
    drop(place.lock(LockMode::Exclusive, SOON).unwrap());
    let mut other = OtherProcess::holding(&place.path(LockKind::Mailbox), false);
    let waiting_since = std::sync::OnceLock::new();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            MailboxLocks::acquire(&place.space, &place.plan, LockMode::Exclusive, LONG, &mut |_| {
                waiting_since.get_or_init(Instant::now);
            })
        });
        while waiting_since.get().is_none() {
            std::thread::yield_now();
        }
        drop(OtherProcess::holding_eventually(&place.path(LockKind::User)));
        other.let_go();
        assert!(waiting.join().unwrap().unwrap().holds_index());
    });
}

#[test]
fn what_was_given_up_is_not_held_later() {
    let place = place();
    drop(place.lock(LockMode::Exclusive, SOON).unwrap());
    let mut other = OtherProcess::holding(&place.path(LockKind::User), true);
    assert!(matches!(place.lock(LockMode::Exclusive, SOON), Err(LockError::Timeout { .. })));
    other.let_go();
    // The thread that still waits may get the lock for an instant; it must not keep it.
    drop(OtherProcess::holding_eventually(&place.path(LockKind::User)));
}

impl OtherProcess {
    fn holding_eventually(path: &Path) -> Self {
        for _ in 0..100 {
            let file = File::options().read(true).write(true).open(path).unwrap();
            if fcntl(&file, FcntlArg::F_OFD_SETLK(&file::whole_file(libc::F_WRLCK))).is_ok() {
                drop(file);
                return Self::holding(path, true);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} stays locked", path.display());
    }
}

#[test]
fn opening_and_closing_a_locked_file_elsewhere_does_not_drop_the_lock() {
    let place = place();
    let held = place.lock(LockMode::Exclusive, SOON).unwrap();
    for (_, path) in place.plan.paths() {
        drop(File::open(path).unwrap());
    }
    for path in held.paths().skip(1) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        assert_eq!(posix_lock(&file, false), Err(nix::errno::Errno::EAGAIN), "{}", path.display());
    }
    drop(held);
    for (_, path) in place.plan.paths() {
        assert!(path.exists(), "{} was unlinked", path.display());
        let file = File::options().read(true).write(true).open(path).unwrap();
        assert!(posix_lock(&file, true).is_ok());
    }
}

#[test]
fn shared_locks_make_no_file_and_stand_beside_other_readers() {
    let place = place();
    let held = place.lock(LockMode::SharedIfPresent, SOON).unwrap();
    assert_eq!(held.paths().count(), 1, "only the index exists");
    assert!(!place.dir.path().join("conf").exists());
    drop(held);

    drop(place.lock(LockMode::Exclusive, SOON).unwrap());
    let _reader = OtherProcess::holding(&place.path(LockKind::Mailbox), false);
    let held = place.lock(LockMode::SharedIfPresent, SOON).unwrap();
    assert_eq!(held.paths().count(), 4);
    drop(held);
    let _writer = OtherProcess::holding(&place.path(LockKind::Index), true);
    assert!(matches!(
        place.lock(LockMode::SharedIfPresent, SOON),
        Err(LockError::Timeout { kind: LockKind::Index, .. })
    ));
}

#[test]
fn an_index_replaced_while_it_is_waited_for_is_locked_anew() {
    let place = place();
    let index = place.path(LockKind::Index);
    drop(place.lock(LockMode::Exclusive, SOON).unwrap());
    let mut other = OtherProcess::holding(&index, true);
    let new = place.dir.path().join("new");
    std::fs::write(&new, b"another").unwrap();
    let mut replaced = false;
    let mut replace = |_: &LockWait| {
        if !std::mem::replace(&mut replaced, true) {
            std::fs::rename(&new, &index).unwrap();
            other.let_go();
        }
    };
    let held =
        MailboxLocks::acquire(&place.space, &place.plan, LockMode::Exclusive, LONG, &mut replace)
            .unwrap();
    let content = std::io::read_to_string(held.index().unwrap()).unwrap();
    assert_eq!(content, "another");
}

#[test]
fn a_missing_index_leaves_the_other_locks() {
    let place = place();
    std::fs::remove_file(place.path(LockKind::Index)).unwrap();
    let held = place.lock(LockMode::Exclusive, SOON).unwrap();
    assert!(!held.holds_index() && held.index().is_none());
    assert_eq!(held.paths().count(), 4);
    assert!(!place.path(LockKind::Index).exists());
}

#[test]
fn threads_of_one_process_take_turns_on_a_user() {
    let place = place();
    let other_mailbox = place
        .space
        .plan(&InternalName::new("user.erin.Sent"), b"another1", Layout::ById, Path::new("/none"))
        .unwrap();
    let held = place.lock(LockMode::Exclusive, SOON).unwrap();
    let clone = place.space.clone();
    let try_other = |timeout| {
        MailboxLocks::acquire(&clone, &other_mailbox, LockMode::Exclusive, timeout, &mut |_| {})
    };
    match try_other(SOON).unwrap_err() {
        LockError::Timeout { kind: LockKind::User, holders, .. } => {
            assert_eq!(holders[0].pid, std::process::id());
        }
        other => panic!("{other}"),
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| try_other(LONG).map(|locks| locks.held_for()));
        std::thread::sleep(SOON);
        drop(held);
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_database_is_read_under_a_shared_lock_and_never_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailboxes.db");
    assert!(matches!(read_database(&path, SOON, &mut |_| {}), Err(LockError::Io { .. })));
    assert!(!path.exists());
    std::fs::write(&path, b"db").unwrap();
    let _reader = OtherProcess::holding(&path, false);
    assert!(read_database(&path, SOON, &mut |_| {}).is_ok());
}
