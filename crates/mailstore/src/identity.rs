//! Becoming the account the server runs as, before anything is touched.
//!
//! A file or a lock file that root leaves behind makes the server fail (measured on 3.6.1: a
//! root-owned mailbox lock file ends every SELECT and APPEND there; a root-owned user lock file
//! silently switches that lock off). So a tool either is that account, becomes it, or does nothing.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Group, Uid, User};
use rustix::thread::{CapabilitySet, CapabilitySets};
use thiserror::Error;

use crate::config::ImapdConf;

/// Why this process cannot work on the store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It runs as somebody else and is not root.
    #[error(
        "this must run as {wanted} or as root, not as {current}: what another account creates, the server cannot use"
    )]
    NotAllowed {
        /// The server's account.
        wanted: String,
        /// The account of this process.
        current: String,
    },
    /// The account or group that the configuration or the environment names does not exist.
    #[error("there is no account or group '{name}', which {source_of} names")]
    NoSuchAccount {
        /// Its name.
        name: String,
        /// Where the name comes from.
        source_of: &'static str,
    },
    /// The owner of the store cannot be learnt, so nobody can be become.
    #[error("cannot tell who owns {}: {source}", path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system refused the change.
    #[error("cannot become {wanted}: {errno}")]
    Refused {
        /// The server's account.
        wanted: String,
        /// The error.
        errno: Errno,
    },
}

/// The account that owns a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAccount {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its user id.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
}

/// What the environment says of the account; the server lets it come first (`lib/util.c`,
/// `cyrus_user` and `cyrus_group`). The caller reads it: libraries do not.
#[derive(Debug, Clone, Default)]
pub struct AccountHints {
    /// The value of `CYRUS_USER`.
    pub environment_user: Option<String>,
    /// The value of `CYRUS_GROUP`.
    pub environment_group: Option<String>,
}

impl StoreAccount {
    /// The account of the server with this configuration: `CYRUS_USER`, or `cyrus_user` where that
    /// account exists, or who owns the configuration directory. (The server's last resort is a
    /// name compiled into it, which is not known here; what it owns is.)
    ///
    /// A `cyrus_user` that does not exist on this machine is passed over: a rescued volume is
    /// worked on elsewhere. One of the environment is meant for here, and an error.
    pub fn of_server(conf: &ImapdConf, hints: &AccountHints) -> Result<Self, IdentityError> {
        let group = hints.environment_group.clone().or_else(|| conf.cyrus_group());
        if let Some(name) = &hints.environment_user {
            let Some(account) = Self::named(name, group.as_deref())? else {
                let name = name.clone();
                return Err(IdentityError::NoSuchAccount { name, source_of: "CYRUS_USER" });
            };
            return Ok(account);
        }
        if let Some(name) = conf.cyrus_user()
            && let Some(account) = Self::named(&name, group.as_deref())?
        {
            return Ok(account);
        }
        Self::owner_of(conf.config_directory())
    }

    /// The owner of a directory.
    pub fn owner_of(directory: &Path) -> Result<Self, IdentityError> {
        let metadata = std::fs::metadata(directory)
            .map_err(|source| IdentityError::Owner { path: directory.into(), source })?;
        let uid = Uid::from_raw(metadata.uid());
        let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
        Ok(Self { name, uid: metadata.uid(), gid: metadata.gid() })
    }

    fn named(name: &str, group: Option<&str>) -> Result<Option<Self>, IdentityError> {
        let Some(user) = User::from_name(name).ok().flatten() else { return Ok(None) };
        let gid = match group {
            None => user.gid,
            Some(name) => {
                let no_such = || IdentityError::NoSuchAccount {
                    name: name.to_owned(),
                    source_of: "CYRUS_GROUP or cyrus_group",
                };
                Group::from_name(name).ok().flatten().ok_or_else(no_such)?.gid
            }
        };
        Ok(Some(Self { name: Some(user.name), uid: user.uid.as_raw(), gid: gid.as_raw() }))
    }

    /// Makes this whole process the account, with its groups, for good; every thread is changed.
    /// To be called before any file is opened for writing.
    ///
    /// A process that is the account already is left as it is; root on a store that root owns, too.
    pub fn become_account(&self) -> Result<(), IdentityError> {
        self.switch(false)
    }

    /// As [`Self::become_account`], but where this process is root and has the right to read and
    /// search everything, it keeps that, and nothing else of root's: rescued trees belong to anybody,
    /// and the `lost+found` of a file system to root alone.
    ///
    /// Each thread has rights of its own. This one keeps that right, and those that it starts from
    /// now on inherit it; threads that there are already are nothing but the account afterwards.
    pub fn become_reader(&self) -> Result<(), IdentityError> {
        self.switch(true)
    }

    fn switch(&self, keep_reading: bool) -> Result<(), IdentityError> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let current = Uid::effective();
        if current == uid && Uid::current() == uid {
            return Ok(());
        }
        if !current.is_root() {
            let user = User::from_uid(current).ok().flatten();
            let current = user.map_or_else(|| format!("user {current}"), |user| user.name);
            return Err(IdentityError::NotAllowed { wanted: self.to_string(), current });
        }
        let change = || -> Result<(), Errno> {
            match self.name.as_deref().map(CString::new) {
                Some(Ok(name)) => nix::unistd::initgroups(&name, gid)?,
                _ => nix::unistd::setgroups(&[gid])?,
            }
            nix::unistd::setgid(gid)?;
            if keep_reading {
                rustix::thread::set_keep_capabilities(true).map_err(as_nix)?;
            }
            nix::unistd::setuid(uid)?;
            if keep_reading {
                only_read_everything().map_err(as_nix)?;
            }
            // Nothing may lead back: a setuid that left a way would succeed here.
            match nix::unistd::setuid(Uid::from_raw(0)) {
                Err(_) => Ok(()),
                Ok(()) if uid.is_root() => Ok(()),
                Ok(()) => Err(Errno::EPERM),
            }
        };
        change().map_err(|errno| IdentityError::Refused { wanted: self.to_string(), errno })
    }
}

/// Gives up every right but that to read and search everything, which root itself may lack: in a
/// container.
fn only_read_everything() -> rustix::io::Result<()> {
    let reading = rustix::thread::capabilities(None)?.permitted & CapabilitySet::DAC_READ_SEARCH;
    let inheritable = CapabilitySet::empty();
    let sets = CapabilitySets { effective: reading, permitted: reading, inheritable };
    rustix::thread::set_capabilities(None, sets)
}

fn as_nix(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}

impl std::fmt::Display for StoreAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "user {}", self.uid),
        }
    }
}

/// Sets the process's umask to the server's (`imap/global.c`, `cyrus_init`).
pub fn adopt_umask(conf: &ImapdConf) {
    umask(Mode::from_bits_truncate(conf.umask()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(options: &str) -> (tempfile::TempDir, ImapdConf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imapd.conf");
        let root = dir.path().display();
        let text = format!("configdirectory: {root}\npartition-default: {root}/spool\n{options}");
        std::fs::write(&path, text).unwrap();
        let conf = ImapdConf::load(&path).unwrap();
        (dir, conf)
    }

    fn own_account() -> StoreAccount {
        let uid = Uid::effective();
        let name = User::from_uid(uid).unwrap().map(|user| user.name);
        StoreAccount { name, uid: uid.as_raw(), gid: Gid::effective().as_raw() }
    }

    #[test]
    fn without_a_name_the_owner_of_the_store_is_the_account() {
        for options in ["", "cyrus_user: nobody-of-this-name\n"] {
            let (_dir, conf) = conf(options);
            let account = StoreAccount::of_server(&conf, &AccountHints::default()).unwrap();
            assert_eq!(account, own_account());
            account.become_account().unwrap();
        }
    }

    #[test]
    fn the_environment_comes_before_the_configuration() {
        let (_dir, conf) = conf("cyrus_user: root\n");
        let account = |user: &str, group: Option<&str>| {
            let hints = AccountHints {
                environment_user: Some(user.to_owned()),
                environment_group: group.map(str::to_owned),
            };
            StoreAccount::of_server(&conf, &hints)
        };
        assert_eq!(account("daemon", None).unwrap().name.as_deref(), Some("daemon"));
        assert_eq!(account("daemon", Some("root")).unwrap().gid, 0);
        assert!(matches!(account("no-such", None), Err(IdentityError::NoSuchAccount { .. })));
        assert!(matches!(
            account("daemon", Some("no-such")),
            Err(IdentityError::NoSuchAccount { .. })
        ));
    }

    #[test]
    fn a_missing_store_is_an_error_not_a_guess() {
        let missing = StoreAccount::owner_of(Path::new("/nonexistent/conf"));
        assert!(matches!(missing, Err(IdentityError::Owner { .. })));
    }

    /// In another process, since the change is for good.
    #[test]
    fn a_reader_reads_everything_and_writes_as_the_account() {
        let daemon = StoreAccount::named("daemon", None).unwrap().unwrap();
        if let Some(secret) = std::env::var_os("READ_AS_DAEMON") {
            let earlier = secret.clone();
            let (tell, told) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                told.recv().unwrap();
                assert!(std::fs::read(&earlier).is_err(), "a thread of before keeps no right");
            });
            daemon.become_reader().unwrap();
            tell.send(()).unwrap();
            thread.join().unwrap();
            assert_eq!(std::fs::read(&secret).unwrap(), b"of root alone");
            let threads = std::thread::spawn(move || {
                assert!(std::fs::read(&secret).is_ok());
                assert!(std::fs::write(&secret, b"").is_err());
            });
            threads.join().unwrap();
            let made = std::env::temp_dir().join(format!("reader-{}", std::process::id()));
            std::fs::write(&made, b"").unwrap();
            let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&made).unwrap());
            std::fs::remove_file(&made).unwrap();
            assert_eq!(owner, daemon.uid);
        } else if Uid::effective().is_root() {
            let test = "identity::tests::a_reader_reads_everything_and_writes_as_the_account";
            run_again_with_a_secret(test, "READ_AS_DAEMON");
        } else {
            assert!(matches!(daemon.become_reader(), Err(IdentityError::NotAllowed { .. })));
        }
    }

    /// Root in a container has fewer rights than root; once that was refused with EPERM.
    #[test]
    fn root_without_the_right_to_read_everything_becomes_the_plain_account() {
        let daemon = StoreAccount::named("daemon", None).unwrap().unwrap();
        if let Some(secret) = std::env::var_os("READ_WITHOUT_RIGHT") {
            let mut sets = rustix::thread::capabilities(None).unwrap();
            sets.effective -= CapabilitySet::DAC_READ_SEARCH;
            sets.permitted -= CapabilitySet::DAC_READ_SEARCH;
            rustix::thread::set_capabilities(None, sets).unwrap();
            daemon.become_reader().unwrap();
            assert_eq!(Uid::effective().as_raw(), daemon.uid);
            assert!(std::fs::read(&secret).is_err());
        } else if Uid::effective().is_root() {
            let test = "identity::tests::root_without_the_right_to_read_everything_becomes_the_plain_account";
            run_again_with_a_secret(test, "READ_WITHOUT_RIGHT");
        }
    }

    /// As another process, which is told where a file is that root alone may read.
    fn run_again_with_a_secret(test: &str, variable: &str) {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        std::fs::write(&secret, b"of root alone").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&secret, private).unwrap();
        let anybodys = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), anybodys).unwrap();
        let again = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(variable, &secret)
            .output()
            .unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    }

    /// Run again as another process, since the change is for good: root becomes `daemon`, and then
    /// is refused as root. Anybody else is refused at once.
    #[test]
    fn root_becomes_the_account_for_good_and_others_are_refused() {
        let daemon = StoreAccount::named("daemon", None).unwrap().unwrap();
        if std::env::var_os("BECOME_DAEMON").is_some() {
            daemon.become_account().unwrap();
            assert_eq!(Uid::current().as_raw(), daemon.uid);
            assert_eq!(Gid::effective().as_raw(), daemon.gid);
            assert!(nix::unistd::getgroups().unwrap().iter().all(|group| group.as_raw() != 0));
            let root = StoreAccount { name: None, uid: 0, gid: 0 };
            let error = root.become_account().unwrap_err();
            assert!(
                error.to_string().starts_with("this must run as user 0 or as root, not as daemon")
            );
        } else if Uid::effective().is_root() {
            let again = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "identity::tests::root_becomes_the_account_for_good_and_others_are_refused",
                ])
                .env("BECOME_DAEMON", "yes")
                .output()
                .unwrap();
            assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
        } else {
            assert!(matches!(daemon.become_account(), Err(IdentityError::NotAllowed { .. })));
        }
    }
}
