//! The stores of `testdata/stores`, which real servers of several releases made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::account::Account;
use crate::tool::Reconstruct;

/// A store of `testdata/stores`, unpacked into a directory of its own, which is removed when this
/// is dropped. It needs no Cyrus, and none ever serves it.
#[derive(Debug)]
pub struct Fixture {
    directory: TempDir,
}

impl Fixture {
    /// By unique id, made by Debian 12's Cyrus: 12 mailboxes of erin, frank, gina.dot and nobody.
    pub const BY_ID: &str = "cyrus-3.6-v17-uuid-conversations";
    /// By name and with an archive partition, made by Debian 12's Cyrus: the same mailboxes.
    pub const BY_NAME: &str = "cyrus-3.6-v17-legacydirs-archive";

    /// `testdata`, where the archives and what is expected of them lie.
    #[must_use]
    pub fn testdata() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
    }

    /// The names of all archives, sorted.
    pub fn names() -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(Self::testdata().join("stores"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".tar.xz").map(String::from));
        }
        names.sort();
        Ok(names)
    }

    /// Unpacks one.
    pub fn unpack(name: &str) -> Result<Self> {
        let fixture = Self { directory: tempfile::Builder::new().prefix("fixture-").tempdir()? };
        fs::set_permissions(fixture.directory.path(), fs::Permissions::from_mode(0o755))?;
        let archive = Self::testdata().join("stores").join(format!("{name}.tar.xz"));
        let mut tar = Command::new("tar");
        // What we cannot give away stays ours; modes and times are the archive's.
        tar.arg("--no-same-owner")
            .arg("-xJf")
            .arg(&archive)
            .arg("-C")
            .arg(fixture.directory.path());
        let status = tar.status().context("can't run tar")?;
        ensure!(status.success(), "can't unpack {}", archive.display());
        let conf = fs::read_to_string(fixture.imapd_conf())?;
        let conf = conf.replace("@STORE@", &fixture.path().display().to_string());
        fs::write(fixture.imapd_conf(), conf)?;
        Ok(fixture)
    }

    /// Adds a line to its configuration.
    pub fn configure(&self, line: &str) -> Result<()> {
        let conf = fs::read_to_string(self.imapd_conf())?;
        Ok(fs::write(self.imapd_conf(), format!("{conf}{line}\n"))?)
    }

    /// Takes an option out of its configuration.
    pub fn without(&self, option: &str) -> Result<()> {
        let conf = fs::read_to_string(self.imapd_conf())?;
        let other = |line: &&str| line.split(':').next() != Some(option);
        let conf: Vec<&str> = conf.lines().filter(other).collect();
        Ok(fs::write(self.imapd_conf(), conf.join("\n") + "\n")?)
    }

    /// Gives all of it to `account` and names that in its configuration.
    pub fn give_to(&self, account: &Account) -> Result<()> {
        self.configure(&format!("cyrus_user: {}", account.name))?;
        account.own(&self.path())
    }

    /// The directory that holds everything else.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Its configuration.
    #[must_use]
    pub fn imapd_conf(&self) -> PathBuf {
        self.path().join("imapd.conf")
    }

    /// `configdirectory`.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.path().join("conf")
    }

    /// `partition-default`.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.path().join("spool")
    }

    /// Every directory below its spool that holds an index, sorted.
    pub fn mailbox_dirs(&self) -> Result<Vec<PathBuf>> {
        let (mut found, mut open) = (Vec::new(), vec![self.spool()]);
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                } else if entry.file_name() == "cyrus.index" {
                    found.push(directory.clone());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The directory of the mailbox with this internal name (`user.erin.Sent`), as its own
    /// `cyrus.header` has it.
    pub fn mailbox_dir(&self, mailbox: &str) -> Result<PathBuf> {
        for directory in self.mailbox_dirs()? {
            let header = fs::read(directory.join("cyrus.header"))?;
            let header = mailstore_format::header_file::HeaderFile::decode(&header)?;
            if header.name.as_deref() == Some(mailbox.as_bytes()) {
                return Ok(directory);
            }
        }
        anyhow::bail!("the fixture has no mailbox {mailbox}")
    }

    /// Our `reconstruct` on it, as whoever owns it.
    #[must_use]
    pub fn reconstruct(&self) -> Reconstruct {
        let no_user = |tool: Reconstruct| tool.env("CYRUS_USER", "").env("CYRUS_GROUP", "");
        no_user(Reconstruct::bare()).arg("-C").arg(self.imapd_conf())
    }
}
