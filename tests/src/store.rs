//! A store at rest: its directories, its configuration, and Cyrus's own tools on it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use mailstore::replace::FreeSpace;
use tempfile::TempDir;

use crate::configuration::ServerOptions;
use crate::cyrus::Cyrus;

/// A store of its own in a temporary directory, which is removed when this is dropped.
#[derive(Debug)]
pub struct Store {
    cyrus: Cyrus,
    options: ServerOptions,
    path: PathBuf,
    /// Removes the directory when it is dropped.
    temporary: Option<TempDir>,
}

impl Store {
    /// An empty store; the first server on it makes its databases.
    pub fn create(cyrus: &Cyrus, options: ServerOptions) -> Result<Self> {
        let store = Self::in_new_directory(cyrus, options)?;
        store.create_directories()?;
        Ok(store)
    }

    /// The store in `directory`, which is made where there is none and stays when this is dropped.
    /// `options` are to be those it was made with. The server's account must be able to reach it:
    /// [`Cyrus::lasting_directory`].
    pub fn lasting(cyrus: &Cyrus, options: ServerOptions, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.canonicalize()?;
        let store = Self::set_up(cyrus, options, path, None)?;
        if !store.conf().exists() {
            store.create_directories()?;
        }
        Ok(store)
    }

    fn in_new_directory(cyrus: &Cyrus, options: ServerOptions) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("cyrus-");
        let directory = match memory() {
            Some(memory) if options.in_memory => builder.tempdir_in(memory)?,
            _ => builder.tempdir()?,
        };
        let path = directory.path().to_path_buf();
        Self::set_up(cyrus, options, path, Some(directory))
    }

    fn set_up(
        cyrus: &Cyrus,
        options: ServerOptions,
        path: PathBuf,
        temporary: Option<TempDir>,
    ) -> Result<Self> {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        ensure!(
            cyrus.account().can_reach(&path.join("conf")),
            "{} can't reach {}: set TMPDIR to a directory that it can",
            cyrus.account().name,
            path.display()
        );
        // Only the directory itself: what a test puts below it keeps the owner the test gave it.
        let account = cyrus.account();
        std::os::unix::fs::chown(&path, Some(account.uid), Some(account.gid))?;
        let store = Self { cyrus: cyrus.clone(), options, path, temporary };
        fs::write(store.imapd_conf(), store.options.imapd_conf(cyrus, store.path()))?;
        Ok(store)
    }

    fn create_directories(&self) -> Result<()> {
        for directory in self.options.directories() {
            fs::create_dir_all(self.path().join(directory))?;
        }
        self.cyrus.account().own(self.path())
    }

    /// The installation it belongs to.
    #[must_use]
    pub fn cyrus(&self) -> &Cyrus {
        &self.cyrus
    }

    /// What was chosen when it was made.
    #[must_use]
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Leaves a temporary directory in its place for good; where it is.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.temporary.map_or(self.path, TempDir::keep)
    }

    /// The directory that holds everything else.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration, to be given to every tool with `-C`.
    #[must_use]
    pub fn imapd_conf(&self) -> PathBuf {
        self.path().join("imapd.conf")
    }

    /// `partition-default`: the message files.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.path().join("spool")
    }

    /// `configdirectory`: mailboxes.db and all else that is not in a mailbox.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.path().join("conf")
    }

    /// `mboxname_lockpath`.
    #[must_use]
    pub fn lock_dir(&self) -> PathBuf {
        self.path().join("lock")
    }

    /// `archivepartition-default`, where [`ServerOptions::archive`] is set.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.path().join("archive")
    }

    /// `metapartition-default`, where [`ServerOptions::metapartition_files`] names any.
    #[must_use]
    pub fn meta(&self) -> PathBuf {
        self.path().join("meta")
    }

    /// The roots that mailbox directories lie under.
    #[must_use]
    pub fn partitions(&self) -> Vec<PathBuf> {
        [self.spool(), self.archive(), self.meta()].into_iter().filter(|p| p.is_dir()).collect()
    }

    /// The file that holds what the server's daemons and Cyrus's tools sent to syslog.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.path().join("syslog")
    }

    /// Whether servers and tools log at all: it takes a C compiler.
    #[must_use]
    pub fn has_log(&self) -> bool {
        self.cyrus.can_log()
    }

    /// Everything in [`Store::log_file`]; empty where no C compiler was there to make logs possible.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A command of one of Cyrus's programs on this store, `-C` included, not yet run.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.cyrus.command(program, &self.log_file());
        command.arg("-C").arg(self.imapd_conf()).current_dir(self.path());
        command.env("TZ", &self.options.timezone);
        command
    }

    /// Runs one of Cyrus's programs (`reconstruct`, `ctl_mboxlist`, `cyr_expire` …) on this store.
    pub fn tool(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        self.command(program)
            .args(arguments)
            .output()
            .with_context(|| format!("can't run {program}"))
    }

    /// [`Store::tool`], which must succeed; what it printed.
    pub fn tool_output(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.tool(program, arguments)?;
        ensure!(
            output.status.success(),
            "{program} {arguments:?} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The directory of a mailbox on its (first) partition, by its internal name (`user.alice.Sent`).
    pub fn mailbox_dir(&self, mailbox: &str) -> Result<PathBuf> {
        let path = self.tool_output("mbpath", &[mailbox])?;
        let path = path.trim();
        ensure!(path.starts_with('/'), "mbpath does not know {mailbox}: {path}");
        Ok(PathBuf::from(path))
    }

    /// Internal names of all mailboxes, deleted ones that still have their files included.
    pub fn mailboxes(&self) -> Result<Vec<String>> {
        let listing = self.tool_output("ctl_mboxlist", &["-d"])?;
        let mut entries: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&listing).context("ctl_mboxlist -d did not print JSON")?;
        // Type d: the name's tombstone, after a deletion or renaming.
        entries.retain(|_, entry| !entry["mbtype"].as_str().unwrap_or_default().contains('d'));
        Ok(entries.into_keys().collect())
    }

    /// A full copy (owners, modes, times and hard links included) in a directory of its own, with a
    /// configuration that names that directory: for judges and for whatever must not be done to the
    /// store itself. Databases are copied as they are, so nobody may be writing meanwhile.
    pub fn copy(&self) -> Result<Self> {
        let copy = Self::in_new_directory(&self.cyrus, self.options.clone())?;
        for name in ["conf", "lock", "spool", "archive", "meta"] {
            let source = self.path().join(name);
            if source.exists() {
                let status =
                    Command::new("cp").arg("--archive").arg(source).arg(copy.path()).status()?;
                ensure!(status.success(), "can't copy the store's {name}");
            }
        }
        // Sockets of a running server would be taken for a living idled.
        fs::remove_dir_all(copy.conf().join("socket"))?;
        fs::create_dir(copy.conf().join("socket"))?;
        copy.cyrus.account().own(&copy.conf().join("socket"))?;
        Ok(copy)
    }
}

/// A file system in memory with ample room, where there is one.
fn memory() -> Option<&'static Path> {
    const ROOM: u64 = 1 << 30;
    let path = Path::new("/dev/shm");
    let room = FreeSpace::at(path).ok()?;
    (room.bytes >= ROOM && tempfile::tempdir_in(path).is_ok()).then_some(path)
}
