//! The server's locks, taken in the server's order.
//!
//! What is held to replace a mailbox's files, in this order (`imap/mailbox.c`,
//! `mailbox_open_advanced`; `imap/user.c`, `_namelock_name_from_userid`; `imap/mboxname.c`,
//! `mboxname_lock`; `lib/lock_fcntl.c`):
//!
//! 1. the server, shared: `$GLOBAL` (servers from 3.12 on, unless `global_lock` is off);
//! 2. the user, exclusive: `*U*<userid>` up to 3.10, `*U*<name of INBOX>` from 3.12 on, `*U*` for
//!    shared mailboxes. Nothing on disk tells which release will open the mailbox next, so both
//!    names are taken; the one that is not the server's is an idle file.
//! 3. the mailbox, exclusive: by unique id, or by name where it is stored by name;
//! 4. `cyrus.index` itself, exclusive, where there is one.
//!
//! All are `fcntl` locks on whole files. The server's are per process; ours are open-file-description
//! locks, which conflict with those but belong to one descriptor: another thread that opens and
//! closes the same file does not drop them. A lock file is never unlinked.
//!
//! Between threads of this process a user has one holder at a time ([`LockSpace`] keeps the
//! register): two threads with mailboxes of one user take turns, in the same deadline.

mod file;
mod holders;
mod register;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use thiserror::Error;

use crate::config::ImapdConf;
use crate::location::{Layout, LocationError, PathRules};
use crate::name::InternalName;
use crate::namespace::Namespace;
pub use file::LockedFile;
use file::{Access, Presence, Request};
pub use holders::Holder;
use register::{Register, UserGuard};

/// Which of a mailbox's locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// The whole server's.
    Global,
    /// The user's.
    User,
    /// The mailbox's.
    Mailbox,
    /// The index's.
    Index,
    /// That of a database such as mailboxes.db.
    Database,
    /// That of a file which several write to.
    File,
}

/// A lock that is waited for.
#[derive(Debug, Clone)]
pub struct LockWait {
    /// The file.
    pub path: PathBuf,
    /// Which lock this is.
    pub kind: LockKind,
    /// How long it has been waited for.
    pub waited: Duration,
    /// Who holds it, as far as this can be seen; empty where it cannot.
    pub holders: Vec<Holder>,
}

/// Why a lock was not got.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// It was held by others throughout.
    #[error("{} is locked by {}; gave up after {:.0?}", path.display(), holders::list(holders), waited)]
    Timeout {
        /// The lock's file.
        path: PathBuf,
        /// Which lock.
        kind: LockKind,
        /// Who held it at the end.
        holders: Vec<Holder>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The lock's file cannot be opened, made or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The mailbox's name makes no lock file's name.
    #[error(transparent)]
    Location(#[from] LocationError),
}

/// What to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Everything that keeps others away. Makes lock files and their directories where missing.
    Exclusive,
    /// For reading: shared locks on those lock files that exist. Makes nothing.
    SharedIfPresent,
}

/// The lock files of one server, and this process's own register of who works on which user.
#[derive(Debug, Clone)]
pub struct LockSpace {
    root: PathBuf,
    rules: PathRules,
    namespace: Namespace,
    global: bool,
    register: Arc<Register>,
}

impl LockSpace {
    /// The locks of the server with this configuration. Clones share one register; make one a
    /// process and server.
    #[must_use]
    pub fn new(conf: &ImapdConf) -> Self {
        Self {
            root: conf.lock_root(),
            rules: PathRules::from(conf),
            namespace: Namespace::from(conf),
            global: conf.global_lock(),
            register: Arc::default(),
        }
    }

    /// The locks of one mailbox. `id` is its unique id; `index` its `cyrus.index`.
    pub fn plan(
        &self,
        name: &InternalName,
        id: &[u8],
        layout: Layout,
        index: &Path,
    ) -> Result<LockPlan, LocationError> {
        let userid = self.namespace.owner(name).unwrap_or_default();
        let mut before = Vec::new();
        if self.global {
            before.push((LockKind::Global, self.lock_file(b"$GLOBAL")?));
        }
        for user_lock in user_lock_names(&userid) {
            before.push((LockKind::User, self.lock_file(&user_lock)?));
        }
        let mailbox = match layout {
            Layout::ById => {
                PathRules::by_id(&self.root, id)?; // the same ids are safe
                id
            }
            Layout::ByName => name.as_bytes(),
        };
        before.push((LockKind::Mailbox, self.lock_file(mailbox)?));
        Ok(LockPlan { userid, before, index: index.into() })
    }

    /// `mboxname_lockpath`: lock names take the way of mailbox names, `.lock` behind.
    fn lock_file(&self, name: &[u8]) -> Result<PathBuf, LocationError> {
        let path = self.rules.by_name(&self.root, &InternalName::new(name))?;
        let mut file = path.into_os_string();
        file.push(".lock");
        Ok(file.into())
    }
}

/// Up to 3.10: the userid with `^` for dots. From 3.12 on: the internal name of the user's INBOX.
fn user_lock_names(userid: &[u8]) -> Vec<Vec<u8>> {
    let escaped = |bytes: &[u8]| crate::name::replaced(bytes, b'.', b'^');
    let mut names = vec![[b"*U*", escaped(userid).as_slice()].concat()];
    if !userid.is_empty() {
        let at = userid.iter().rposition(|&byte| byte == b'@');
        let (local, domain) =
            at.map_or((userid, None), |at| (&userid[..at], Some(&userid[at + 1..])));
        let mut inbox = b"*U*".to_vec();
        if let Some(domain) = domain {
            inbox.extend_from_slice(domain);
            inbox.push(b'!');
        }
        inbox.extend_from_slice(b"user.");
        inbox.extend(escaped(local));
        names.push(inbox);
    }
    names
}

/// The locks that one mailbox takes, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockPlan {
    userid: Vec<u8>,
    before: Vec<(LockKind, PathBuf)>,
    index: PathBuf,
}

impl LockPlan {
    /// Every lock file, in the order of locking.
    pub fn paths(&self) -> impl Iterator<Item = (LockKind, &Path)> {
        let before = self.before.iter().map(|(kind, path)| (*kind, path.as_path()));
        before.chain([(LockKind::Index, self.index.as_path())])
    }

    /// The owner's userid; empty for a shared mailbox.
    #[must_use]
    pub fn userid(&self) -> &[u8] {
        &self.userid
    }
}

/// For how long a lock is waited for while others are held.
const PATIENCE: Duration = Duration::from_millis(100);

/// What came of trying to take all locks of a mailbox.
enum Attempt<'p> {
    Held(MailboxLocks),
    Busy(Busy<'p>),
}

/// A lock that was not free while others were held.
struct Busy<'p> {
    request: Request<'p>,
    error: LockError,
}

/// A mailbox's locks, held until this is dropped (released in reverse order).
#[derive(Debug)]
pub struct MailboxLocks {
    held: Vec<LockedFile>,
    has_index: bool,
    mode: LockMode,
    since: Instant,
    _user: Option<UserGuard>,
}

impl MailboxLocks {
    /// Takes the locks of `plan`, waiting up to `timeout` for all of them together. `on_wait` is
    /// called when a lock is held by others, at once and then every few seconds; it must not wait
    /// for anybody: the lock may come to us meanwhile, and others wait behind us.
    ///
    /// Nobody waits behind a lock of ours for long while we wait for the next one: the server puts
    /// no time limit on the user's, and a POP3 session holds its INBOX's for hours
    /// (`imap/pop3d.c`, `openinbox`). Where a further lock is not free very soon all are let go,
    /// and that one alone is waited for before all are tried again, in order.
    ///
    /// An index that is replaced while it is waited for is locked anew; one that does not exist is
    /// not locked ([`Self::holds_index`]): whoever makes it must hold the other locks.
    pub fn acquire(
        space: &LockSpace,
        plan: &LockPlan,
        mode: LockMode,
        timeout: Duration,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<Self, LockError> {
        let deadline = Deadline::after(timeout);
        loop {
            let busy = match Self::attempt(space, plan, mode, deadline, on_wait)? {
                Attempt::Held(locks) => return Ok(locks),
                Attempt::Busy(busy) => busy,
            };
            let Busy { request, error } = busy;
            if deadline.is_over() {
                return Err(error);
            }
            drop(file::acquire(request, deadline, on_wait)?);
        }
    }

    fn attempt<'p>(
        space: &LockSpace,
        plan: &'p LockPlan,
        mode: LockMode,
        deadline: Deadline,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<Attempt<'p>, LockError> {
        let user = match mode {
            LockMode::Exclusive => Some(space.register.enter(plan, deadline, on_wait)?),
            LockMode::SharedIfPresent => None,
        };
        let mut locks =
            Self { held: Vec::new(), has_index: false, mode, since: Instant::now(), _user: user };
        for (kind, path) in plan.paths() {
            let Some(request) = Request::of(mode, kind, path) else { continue };
            let held = if locks.held.is_empty() {
                let held = file::acquire(request, deadline, on_wait)?;
                locks.since = Instant::now();
                held
            } else {
                match file::acquire(request, deadline.at_most(PATIENCE), &mut |_| {}) {
                    Err(error @ LockError::Timeout { .. }) => {
                        return Ok(Attempt::Busy(Busy { request, error }));
                    }
                    other => other?,
                }
            };
            locks.has_index |= held.is_some() && kind == LockKind::Index;
            locks.held.extend(held);
        }
        Ok(Attempt::Held(locks))
    }

    /// Whether the index existed and is locked.
    #[must_use]
    pub fn holds_index(&self) -> bool {
        self.has_index
    }

    /// Whether others are kept from reading too.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.mode == LockMode::Exclusive
    }

    /// The index that is locked: what others see as long as nobody replaces it.
    #[must_use]
    pub fn index(&self) -> Option<&File> {
        self.held.last().filter(|_| self.has_index).map(LockedFile::file)
    }

    /// The lock files held, in the order of locking.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.held.iter().map(LockedFile::path)
    }

    /// How long the first of them has been held: so long others may have had to wait.
    #[must_use]
    pub fn held_for(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for MailboxLocks {
    fn drop(&mut self) {
        while self.held.pop().is_some() {}
    }
}

/// Takes a shared lock on a database file of the server, to read it whole
/// (`lib/cyrusdb_*.c` lock the file they read). A checkpoint replaces the file: what is locked is
/// what the path names now. No file is made; one that does not exist is an error.
pub fn read_database(
    path: &Path,
    timeout: Duration,
    on_wait: &mut dyn FnMut(&LockWait),
) -> Result<LockedFile, LockError> {
    let deadline = Deadline::after(timeout);
    let request = Request {
        path,
        kind: LockKind::Database,
        access: Access::Shared,
        presence: Presence::Optional,
    };
    let found = file::acquire(request, deadline, on_wait)?;
    found.ok_or_else(|| LockError::Io { path: path.into(), source: Errno::ENOENT.into() })
}

/// Takes an exclusive lock on a file that its writers lock, to add to it; made where it is missing,
/// with its directories. What is locked is what the path names now.
pub fn exclusive_file(
    path: &Path,
    timeout: Duration,
    on_wait: &mut dyn FnMut(&LockWait),
) -> Result<LockedFile, LockError> {
    let deadline = Deadline::after(timeout);
    let request = Request {
        path,
        kind: LockKind::File,
        access: Access::Exclusive,
        presence: Presence::Create,
    };
    let made = file::acquire(request, deadline, on_wait)?;
    made.ok_or_else(|| LockError::Io { path: path.into(), source: Errno::ENOENT.into() })
}

/// When waiting began and when it ends.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    start: Instant,
    end: Option<Instant>,
}

impl Deadline {
    fn after(timeout: Duration) -> Self {
        let start = Instant::now();
        Self { start, end: start.checked_add(timeout) }
    }

    /// What is left, at most `most`; nothing where it is over.
    fn left(&self, most: Duration) -> Option<Duration> {
        let left = self.end.map_or(most, |end| end.saturating_duration_since(Instant::now()));
        (!left.is_zero()).then(|| left.min(most))
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now())
    }

    /// The same waiting, which ends after `most` from now at the latest.
    fn at_most(self, most: Duration) -> Self {
        let soon = Instant::now().checked_add(most);
        Self { end: self.end.into_iter().chain(soon).min(), ..self }
    }

    fn waited(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests;
