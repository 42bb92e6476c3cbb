//! The stores that real servers made, in `testdata/stores`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lzma_rust2::XzReader;
use mailstore::location::MailboxLocation;
use mailstore::store::Store;

use crate::cargo::workspace;

/// An unpacked fixture store.
pub(crate) struct Fixture {
    /// Its configuration.
    pub(crate) imapd_conf: PathBuf,
}

impl Fixture {
    /// Unpacks the store `name` into `directory`. Everything belongs to the current user, and
    /// message files keep their times, which are the dates the messages were received.
    pub(crate) fn unpack(name: &str, directory: &Path) -> Result<Self> {
        let archive = workspace().join("testdata/stores").join(format!("{name}.tar.xz"));
        let file =
            File::open(&archive).with_context(|| format!("can't open {}", archive.display()))?;
        tar::Archive::new(XzReader::new(file, false))
            .unpack(directory)
            .with_context(|| format!("can't unpack {}", archive.display()))?;
        let root = directory.join("store").canonicalize()?;
        let imapd_conf = root.join("imapd.conf");
        let text = fs::read_to_string(&imapd_conf)?;
        fs::write(&imapd_conf, text.replace("@STORE@", &root.display().to_string()))?;
        Ok(Self { imapd_conf })
    }

    /// Where the mailbox of this internal name lies.
    pub(crate) fn mailbox(&self, name: &str) -> Result<MailboxLocation> {
        let store = Store::open(&self.imapd_conf)?;
        let mut mailboxes = store.mailboxes().iter();
        let entry = mailboxes.find(|entry| entry.name.to_string() == name);
        Ok(store.location(entry.with_context(|| format!("the store has no {name}"))?)?)
    }
}
