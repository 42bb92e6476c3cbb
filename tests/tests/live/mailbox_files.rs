//! Damage to a mailbox that a server is serving: in place, and under the server's own locks where
//! it could otherwise hit what the server is writing.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use mailstore_tests::generate::Random;
use mailstore_tests::{IndexImage, Store};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The first bytes of a scrambled cache: no generation that a server writes.
const SCRAMBLED: [u8; 4] = [0xee; 4];

/// The files of one mailbox.
pub(crate) struct MailboxFiles {
    directory: PathBuf,
}

impl MailboxFiles {
    pub(crate) fn of(store: &Store, mailbox: &str) -> Result<Self> {
        Ok(Self { directory: store.mailbox_dir(mailbox)? })
    }

    /// Puts a message file there.
    pub(crate) fn add_message(&self, uid: u32, message: &[u8]) -> Result<()> {
        fs::write(self.directory.join(format!("{uid}.")), message).context("adding a message")
    }

    /// The bytes of `cyrus.index`.
    pub(crate) fn index(&self) -> Result<Vec<u8>> {
        fs::read(self.directory.join("cyrus.index")).context("reading an index")
    }

    /// Overwrites every cache record there is; what is appended afterwards stays as it is. Under the
    /// lock: imapd checks a record's CRC and then reads its lengths without bounds, so that one which
    /// changes in between kills it.
    pub(crate) fn scramble_cache(&self, seed: u64) -> Result<()> {
        let _locked = self.locked_index()?;
        let path = self.directory.join("cyrus.cache");
        let cache = OpenOptions::new().write(true).open(path).context("opening a cache")?;
        let length = usize::try_from(cache.metadata()?.len())?;
        let mut random = Random::new(seed);
        let mut garbage = SCRAMBLED.to_vec();
        while garbage.len() < length {
            garbage.extend(random.bits().to_be_bytes());
        }
        garbage.truncate(length);
        cache.write_all_at(&garbage, 0).context("scrambling a cache")
    }

    /// Makes the header's counts and checksum wrong, its own CRC good.
    pub(crate) fn falsify_counts(&self) -> Result<()> {
        self.edit_index(|index| {
            for field in ["answered", "flagged", "unseen", "synccrcs.basic", "quota_mailbox_used"] {
                index.set_header(field, index.header(field)? ^ 3)?;
            }
            Ok(())
        })
    }

    /// Flips two bits in these records, so that nothing proves them any more.
    pub(crate) fn break_records(&self, uids: &[u32]) -> Result<()> {
        self.edit_index(|index| {
            for uid in uids {
                let record = index.record_mut(*uid)?;
                record[40] ^= 0x41;
            }
            Ok(())
        })
    }

    /// Flips two bits in the header, so that nothing proves it any more.
    pub(crate) fn break_header(&self) -> Result<()> {
        self.edit_index(|index| {
            index.bytes_mut()[40] ^= 3;
            Ok(())
        })
    }

    /// Changes the index in place while nobody else can.
    fn edit_index(&self, edit: impl FnOnce(&mut IndexImage) -> Result<()>) -> Result<()> {
        let _locked = self.locked_index()?;
        let mut index = IndexImage::read(&self.directory)?;
        edit(&mut index)?;
        index.write()
    }

    /// Keeps the server from reading and writing the mailbox until it is dropped.
    fn locked_index(&self) -> Result<File> {
        let path = self.directory.join("cyrus.index");
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let whole_file = libc::flock {
            l_type: i16::try_from(libc::F_WRLCK)?,
            l_whence: 0,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file)).context("locking an index")?;
        Ok(file)
    }

    /// Takes the index away.
    pub(crate) fn lose_index(&self) -> Result<()> {
        fs::remove_file(self.directory.join("cyrus.index")).context("removing an index")
    }

    /// Whether the cache is still the one that was scrambled.
    pub(crate) fn cache_is_scrambled(&self) -> Result<bool> {
        let cache = fs::read(self.directory.join("cyrus.cache")).context("reading a cache")?;
        Ok(cache.starts_with(&SCRAMBLED))
    }
}
