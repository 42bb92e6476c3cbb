//! An installation of Cyrus: where its programs are and what they need to run.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::account::Account;
use crate::packages::{CYRUS, unpacked};
use crate::skipped::{skip, target_dir};

/// The release that the tests are written for: index minor version 17, cache version 11.
const RELEASE: &str = "3.6.";

const SHIFTED_CLOCK: &str = include_str!("shifted_clock.c");

const SYSLOG_TO_FILE: &str = include_str!("syslog_to_file.c");

/// An installation of Cyrus IMAP 3.6 that tests can run.
#[derive(Debug, Clone)]
pub struct Cyrus {
    programs: PathBuf,
    master: PathBuf,
    library_path: Option<OsString>,
    sasl_modules: Option<PathBuf>,
    /// A library to preload that sends syslog to a file; absent where no C compiler is.
    log_preload: Option<PathBuf>,
    account: Account,
    version: String,
}

impl Cyrus {
    /// The Cyrus to test against: the one installed where `CYRUS_BIN` points to (the directory that
    /// holds `imapd` and `reconstruct`), else Debian's, fetched on first use.
    pub fn find() -> Result<Self> {
        static FOUND: OnceLock<Result<Cyrus, String>> = OnceLock::new();
        FOUND
            .get_or_init(|| Self::locate().map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(|why| anyhow!(why))
    }

    /// [`Cyrus::find`] for the start of a test: where there is none, prints and records that the
    /// test named `test` is skipped, and why.
    ///
    /// # Panics
    /// Instead of skipping, where `MAILSTORE_REQUIRE_CYRUS` is set.
    #[must_use]
    pub fn available_or_skip(test: &str) -> Option<Self> {
        Self::find().map_err(|error| skip(test, &format!("no Cyrus: {error:#}"))).ok()
    }

    /// As `master -V` tells it: `3.6.1-Debian-…`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whom its stores belong to and its programs run as.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Where the SASL modules lie, if not where the system's SASL looks for them.
    #[must_use]
    pub fn sasl_modules(&self) -> Option<&Path> {
        self.sasl_modules.as_deref()
    }

    /// Whether its programs' syslog entries can be had.
    #[must_use]
    pub fn can_log(&self) -> bool {
        self.log_preload.is_some()
    }

    /// The path of one of Cyrus's programs, by the name it has in Cyrus's own tree (`reconstruct`,
    /// `ctl_mboxlist`, `imapd`, `master`).
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        if name == "master" { self.master.clone() } else { self.programs.join(name) }
    }

    /// A command of one of Cyrus's programs, as the store's account and with all it needs to find
    /// its libraries; its syslog entries go to the file `log`.
    #[must_use]
    pub fn command(&self, program: &str, log: &Path) -> Command {
        let mut command = Command::new(self.program(program));
        if let Some(path) = &self.library_path {
            command.env("LD_LIBRARY_PATH", path);
        }
        if let Some(modules) = &self.sasl_modules {
            command.env("SASL_PATH", modules);
        }
        if let Some(preload) = &self.log_preload {
            command.env("LD_PRELOAD", preload).env("MAILSTORE_TEST_LOG", log);
        }
        command.env("CYRUS_USER", &self.account.name).env_remove("CYRUS_CONF_PATH");
        self.account.apply_to(&mut command);
        command
    }

    /// A library to preload that shifts the time of day by the seconds in `MAILSTORE_TEST_CLOCK`; none
    /// where no C compiler is.
    #[must_use]
    pub fn shifted_clock(&self) -> Option<PathBuf> {
        compiled(&self.lasting_directory("servers").ok()?, "shifted_clock", SHIFTED_CLOCK)
    }

    /// The directory `target/<name>`, made if it is not there; or, where the account that servers run
    /// as can't pass through the directories above that, one in `/var/tmp`.
    pub fn lasting_directory(&self, name: &str) -> Result<PathBuf> {
        reachable_directory(&self.account, name)
    }

    fn locate() -> Result<Self> {
        let account = Account::for_servers()?;
        let servers = reachable_directory(&account, "servers")?;
        let mut cyrus = match std::env::var_os("CYRUS_BIN") {
            Some(programs) => Self::installed(PathBuf::from(programs), account),
            None => Self::unpacked(&unpacked(&servers, &CYRUS)?, account)?,
        };
        ensure!(cyrus.program("imapd").is_file(), "{} has no imapd", cyrus.programs.display());
        ensure!(cyrus.master.is_file(), "there is no {}", cyrus.master.display());
        for daemon in ["imapd", "lmtpd", "pop3d", "reconstruct"] {
            cyrus.check_libraries(daemon)?;
        }
        cyrus.version = cyrus.read_version()?;
        ensure!(
            cyrus.version.starts_with(RELEASE),
            "this is Cyrus {}, and the tests are written for {RELEASE}x",
            cyrus.version
        );
        cyrus.log_preload = compiled_log_preload(&servers);
        Ok(cyrus)
    }

    fn installed(programs: PathBuf, account: Account) -> Self {
        let beside = programs.join("master");
        let master = if beside.is_file() { beside } else { PathBuf::from("/usr/sbin/cyrmaster") };
        Self {
            programs,
            master,
            library_path: None,
            sasl_modules: None,
            log_preload: None,
            account,
            version: String::new(),
        }
    }

    fn unpacked(root: &Path, account: Account) -> Result<Self> {
        let mut library_path = Vec::new();
        for parent in ["usr/lib", "lib"] {
            let Ok(entries) = fs::read_dir(root.join(parent)) else { continue };
            for entry in entries {
                let path = entry?.path();
                if path.to_string_lossy().ends_with("-linux-gnu") {
                    library_path.push(path);
                }
            }
        }
        let sasl_modules = library_path.iter().map(|path| path.join("sasl2")).find(|p| p.is_dir());
        ensure!(sasl_modules.is_some(), "the unpacked packages have no SASL modules");
        let mut cyrus = Self::installed(root.join("usr/lib/cyrus/bin"), account);
        cyrus.master = cyrus.programs.join("master");
        cyrus.library_path = Some(std::env::join_paths(library_path)?);
        cyrus.sasl_modules = sasl_modules;
        Ok(cyrus)
    }

    /// A daemon that lacks a library dies without a word, so it is asked beforehand.
    fn check_libraries(&self, program: &str) -> Result<()> {
        let mut ldd = Command::new("ldd");
        ldd.arg(self.program(program));
        if let Some(path) = &self.library_path {
            ldd.env("LD_LIBRARY_PATH", path);
        }
        let output = ldd.output().context("can't run ldd")?;
        let listing = String::from_utf8_lossy(&output.stdout);
        if let Some(missing) = listing.lines().find(|line| line.contains("not found")) {
            bail!("{program} lacks a library: {}", missing.trim());
        }
        Ok(())
    }

    fn read_version(&self) -> Result<String> {
        let output = self.command("master", Path::new("/dev/null")).arg("-V").output();
        let output = output.with_context(|| {
            format!("{} can't be run as {}", self.master.display(), self.account.name)
        })?;
        let line = String::from_utf8_lossy(&output.stdout);
        let version = line.split_whitespace().last().context("master -V printed nothing")?;
        Ok(version.to_string())
    }
}

/// `target/<name>`, or, where `account` can't pass through the directories above that, a directory of
/// our own in `/var/tmp`.
pub(crate) fn reachable_directory(account: &Account, name: &str) -> Result<PathBuf> {
    let beside_the_build = target_dir().join(name);
    fs::create_dir_all(&beside_the_build)
        .with_context(|| format!("can't create {}", beside_the_build.display()))?;
    if account.can_reach(&beside_the_build.join("in it")) {
        return Ok(beside_the_build);
    }
    let us = rustix::process::getuid().as_raw();
    let reachable = PathBuf::from(format!("/var/tmp/mailstore-{name}-{us}"));
    if let Err(error) = fs::DirBuilder::new().mode(0o755).create(&reachable)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error).context("can't create a directory that the servers' account can reach");
    }
    // Programs from here are run: nobody else may have put them there.
    let metadata = fs::symlink_metadata(&reachable)?;
    ensure!(
        metadata.is_dir() && metadata.uid() == us && metadata.mode() & 0o022 == 0,
        "{} is not a directory that only we can write to",
        reachable.display()
    );
    Ok(reachable)
}

/// Compiles the library that gives each server a log file of its own. Without it tests run as well,
/// but failures explain less; so a missing compiler is no error.
fn compiled_log_preload(servers: &Path) -> Option<PathBuf> {
    compiled(servers, "syslog_to_file", SYSLOG_TO_FILE)
}

/// Compiles a library to be preloaded into servers, unless that was done; none where there is no
/// compiler.
pub(crate) fn compiled(servers: &Path, name: &str, text: &str) -> Option<PathBuf> {
    let library = servers.join(format!("{name}.so"));
    let source = servers.join(format!("{name}.c"));
    let is_current = fs::read_to_string(&source).is_ok_and(|known| known == text);
    if is_current && library.is_file() {
        return Some(library);
    }
    let building = tempfile::tempdir_in(servers).ok()?;
    let (new_source, new_library) = (building.path().join("a.c"), building.path().join("a.so"));
    fs::write(&new_source, text).ok()?;
    let compiled = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .args([&new_library, &new_source])
        .output()
        .ok()?;
    if !compiled.status.success() {
        return None;
    }
    fs::rename(new_library, &library).ok()?;
    fs::rename(new_source, source).ok()?;
    Some(library)
}
