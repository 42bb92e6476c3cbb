//! Whom the servers run as.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::unistd::User;

/// The account that owns a store and runs its server.
///
/// Cyrus's daemons refuse to run as root (`service_init` in `imap/imapd.c`, `imap/lmtpd.c`,
/// `imap/pop3d.c`), so it is the current user, or `nobody` where that is root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name, which `CYRUS_USER` and `cyrus_user:` are set to.
    pub name: String,
    /// Its numeric user id.
    pub uid: u32,
    /// Its primary group's id.
    pub gid: u32,
}

impl Account {
    /// The account that servers run as in this process.
    pub fn for_servers() -> Result<Self> {
        let current = rustix::process::getuid();
        let user = if current.is_root() {
            User::from_name("nobody")?
        } else {
            User::from_uid(current.as_raw().into())?
        };
        let user = user.context("the account to run servers as is not in the password database")?;
        Ok(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    }

    /// Whether processes of this one have to change their user to run as the account.
    #[must_use]
    pub fn differs_from_ours(&self) -> bool {
        rustix::process::getuid().as_raw() != self.uid
    }

    /// Makes `command` run as this account.
    pub fn apply_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if self.differs_from_ours() {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives everything in `tree` to this account.
    pub fn own(&self, tree: &Path) -> Result<()> {
        if !self.differs_from_ours() {
            return Ok(());
        }
        let status = Command::new("chown")
            .arg("--recursive")
            .arg("--no-dereference")
            .arg(format!("{}:{}", self.uid, self.gid))
            .arg(tree)
            .status()
            .context("can't run chown")?;
        ensure!(status.success(), "chown of {} failed", tree.display());
        Ok(())
    }

    /// Whether the account can pass through every directory above `path`.
    #[must_use]
    pub fn can_reach(&self, path: &Path) -> bool {
        path.ancestors().skip(1).all(|directory| {
            directory.metadata().is_ok_and(|metadata| {
                let class = match metadata {
                    _ if metadata.uid() == self.uid => 0o100,
                    _ if metadata.gid() == self.gid => 0o010,
                    _ => 0o001,
                };
                metadata.mode() & class != 0
            })
        })
    }
}
