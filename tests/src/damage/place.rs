//! The files of one mailbox, found without any server.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mailstore::store::Store;

/// Where the files of a mailbox lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name, as operators write it: `user.alice.Sent`.
    pub mailbox: String,
    /// The directory of the message files.
    pub spool: PathBuf,
    /// `cyrus.index`.
    pub index: PathBuf,
    /// `cyrus.cache`.
    pub cache: PathBuf,
    /// `cyrus.header`.
    pub header: PathBuf,
    /// `cyrus.expunge`, which no release of today makes.
    pub expunge: PathBuf,
    /// The directory of archived message files, where there is one.
    pub archive: Option<PathBuf>,
}

impl Place {
    /// All mailboxes of the store with this configuration that have a directory, in the order of
    /// their names; deleted ones are left out.
    pub fn all(imapd_conf: &Path) -> Result<Vec<Self>> {
        let store = Store::open(imapd_conf)?;
        let mut places = Vec::new();
        for entry in store.mailboxes() {
            let mailbox = store.namespace().display_decoded(&entry.name);
            let location = store.location(entry)?;
            if location.spool.is_dir() && !mailbox.starts_with("DELETED") {
                places.push(Self {
                    mailbox,
                    spool: location.spool,
                    index: location.index,
                    cache: location.cache,
                    header: location.header,
                    expunge: location.expunge,
                    archive: location.archive.filter(|directory| directory.is_dir()),
                });
            }
        }
        places.sort_by(|one, other| one.mailbox.cmp(&other.mailbox));
        Ok(places)
    }

    /// The mailbox of this name among [`Place::all`].
    pub fn of(imapd_conf: &Path, mailbox: &str) -> Result<Self> {
        let mut all = Self::all(imapd_conf)?.into_iter();
        let found = all.find(|place| place.mailbox == mailbox);
        found.with_context(|| format!("the store has no {mailbox}"))
    }

    /// The regular files that have the name of a UID, archived ones included.
    pub fn messages(&self) -> Result<BTreeMap<u32, PathBuf>> {
        let mut found = BTreeMap::new();
        for (name, path) in self.entries()? {
            if let Some(uid) = Self::uid_of(&name)
                && path.symlink_metadata()?.is_file()
            {
                found.insert(uid, path);
            }
        }
        Ok(found)
    }

    /// The UID that a file name stands for, if it is one that the server gives.
    #[must_use]
    pub fn uid_of(name: &str) -> Option<u32> {
        let uid = name.strip_suffix('.').and_then(|digits| digits.parse::<u32>().ok());
        uid.filter(|uid| *uid > 0 && name == format!("{uid}."))
    }

    /// Everything in the directories of messages that is not one of the server's own files.
    pub fn entries(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for directory in [Some(&self.spool), self.archive.as_ref()].into_iter().flatten() {
            let listing = fs::read_dir(directory);
            for entry in listing.with_context(|| format!("listing {}", directory.display()))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                // Mailboxes below this one, in a store by name, are directories with an index.
                let is_mailbox = entry.path().join("cyrus.header").exists()
                    || entry.file_type()?.is_dir() && !name.ends_with('.');
                if !name.starts_with("cyrus.") && !is_mailbox {
                    found.push((name, entry.path()));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Writes a file that may be new; it belongs to the owner of its directory, as the server's do.
    pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
        fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
        Self::give(path)
    }

    /// Gives an entry, which may be of any kind, to the owner of its directory.
    pub(crate) fn give(path: &Path) -> Result<()> {
        let parent = path.parent().context("an entry without a directory")?.metadata()?;
        let ours = path.symlink_metadata()?;
        if (ours.uid(), ours.gid()) != (parent.uid(), parent.gid()) {
            std::os::unix::fs::lchown(path, Some(parent.uid()), Some(parent.gid()))?;
        }
        Ok(())
    }

    /// Writes other content into a file, whose modification time stays: what a disk does to a file
    /// leaves no date.
    pub(crate) fn rewrite(path: &Path, bytes: &[u8]) -> Result<()> {
        let modified = fs::metadata(path)?.modified()?;
        fs::write(path, bytes)?;
        Ok(fs::File::options().append(true).open(path)?.set_modified(modified)?)
    }

    /// Exchanges the names of two files of one directory.
    pub(crate) fn exchange(one: &Path, other: &Path) -> Result<()> {
        ensure!(one.parent() == other.parent(), "two directories");
        let aside = one.with_file_name("exchange");
        fs::rename(one, &aside)?;
        fs::rename(other, one)?;
        Ok(fs::rename(aside, other)?)
    }
}
