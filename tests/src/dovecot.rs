//! A private Dovecot: an IMAP server of another make.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::Group;
use tempfile::TempDir;

use crate::account::Account;
use crate::cyrus::{compiled, reachable_directory};
use crate::imap::ImapClient;
use crate::packages::{DOVECOT, unpacked};
use crate::processes::{PATIENCE, Processes};
use crate::server::{address, free_ports, greeting};
use crate::skipped::skip;

const MOVED_DIRECTORIES: &str = include_str!("moved_directories.c");

/// A running Dovecot with empty mailboxes, on 127.0.0.1, with any users there may be. Its processes
/// end and its directory goes when it is dropped.
#[derive(Debug)]
pub struct Dovecot {
    // Before the directory: its processes must have ended when that goes.
    processes: Processes,
    port: u16,
    directory: TempDir,
}

impl Dovecot {
    /// A new one, of Debian's packages. Where none can be had, prints and records that the test named
    /// `test` is skipped, and why.
    ///
    /// # Panics
    /// Instead of skipping, where `MAILSTORE_REQUIRE_CYRUS` is set.
    #[must_use]
    pub fn started_or_skip(test: &str) -> Option<Self> {
        Self::start().map_err(|error| skip(test, &format!("no Dovecot: {error:#}"))).ok()
    }

    fn start() -> Result<Self> {
        let account = Account::for_servers()?;
        let servers = reachable_directory(&account, "servers")?;
        let root = unpacked(&servers, &DOVECOT)?;
        let preload = compiled(&servers, "moved_directories", MOVED_DIRECTORIES);
        let preload = preload.context("no C compiler, and its directories are compiled in")?;
        let directory = tempfile::Builder::new().prefix("dovecot-").tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let port = free_ports()?.imap;
        let configuration = directory.path().join("dovecot.conf");
        fs::write(&configuration, configured(&root, directory.path(), port, &account)?)?;
        account.own(directory.path())?;
        let output = File::create(directory.path().join("output"))?;
        let mut command = Command::new(root.join("usr/bin/doveconf"));
        // Dovecot asks the doveconf of its installation for its configuration, unless it has it.
        command.args(["-f", "service=master", "-m", "master", "-c"]).arg(&configuration);
        command.arg("-e").arg(root.join("usr/sbin/dovecot")).arg("-F").arg("-c");
        command.arg(&configuration).stdout(output.try_clone()?).stderr(output);
        command.env("LD_LIBRARY_PATH", library_path(&root)?).env("LD_PRELOAD", preload);
        command.env("MAILSTORE_TEST_ROOT", &root);
        account.apply_to(&mut command);
        let processes = Processes::spawn(command)?;
        let mut server = Self { processes, port, directory };
        server.await_greeting()?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A session of `user`.
    pub fn login(&self, user: &str) -> Result<ImapClient> {
        let mut client = ImapClient::connect(address(self.port))?;
        client.login(user, "any")?;
        Ok(client)
    }

    fn await_greeting(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while greeting(self.port).is_none_or(|line| !line.contains("Dovecot")) {
            let ended = self.processes.master.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let told = ["output", "log"].map(|name| self.directory.path().join(name));
                let told = told.map(|path| fs::read_to_string(path).unwrap_or_default());
                bail!("Dovecot does not answer ({ended:?}): {}", told.concat());
            }
            std::thread::sleep(Duration::from_millis(15));
        }
        Ok(())
    }
}

fn library_path(root: &Path) -> Result<OsString> {
    let mut paths =
        vec![root.join("usr/lib/dovecot"), root.join("usr/lib/dovecot/modules/old-stats")];
    for parent in ["usr/lib", "lib"] {
        let Ok(entries) = fs::read_dir(root.join(parent)) else { continue };
        let own = entries.flatten().map(|entry| entry.path());
        paths.extend(own.filter(|path: &PathBuf| path.to_string_lossy().ends_with("-linux-gnu")));
    }
    ensure!(root.join("usr/lib/dovecot/imap").is_file(), "{} has no imap", root.display());
    Ok(std::env::join_paths(paths)?)
}

/// Its configuration: all as one account, any password, an administrator who can act as anybody.
fn configured(root: &Path, directory: &Path, port: u16, account: &Account) -> Result<String> {
    let Account { name, uid, gid } = account;
    // It takes a group by its name only.
    let group = Group::from_gid((*gid).into())?.context("a group without a name")?.name;
    let (root, here) = (root.display(), directory.display());
    Ok(format!(
        "protocols = imap\nlisten = 127.0.0.1\nbase_dir = {here}/base\nstate_dir = {here}/state\n\
         libexec_dir = {root}/usr/lib/dovecot\nmail_plugin_dir = {root}/usr/lib/dovecot/modules\n\
         log_path = {here}/log\nssl = no\ndisable_plaintext_auth = no\nfirst_valid_uid = 1\n\
         default_internal_user = {name}\ndefault_login_user = {name}\n\
         default_internal_group = {group}\n\
         import_environment = TZ LD_LIBRARY_PATH LD_PRELOAD MAILSTORE_TEST_ROOT\n\
         mail_location = maildir:{here}/mail/%u\n\
         passdb {{\n  driver = static\n  args = password=any\n  master = yes\n}}\n\
         passdb {{\n  driver = static\n  args = password=any\n}}\n\
         userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={here}/home/%u\n}}\n\
         namespace inbox {{\n  inbox = yes\n  separator = /\n}}\n\
         service anvil {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n\
         service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {port}\n  }}\n  \
         inet_listener imaps {{\n    port = 0\n  }}\n}}\n"
    ))
}
