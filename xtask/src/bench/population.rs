//! The store that is measured on.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use mailstore_format::index::IndexFile;
use mailstore_tests::{Cyrus, Layout, Server, ServerOptions, Store};

use super::mail::Mail;

/// How many users share the mailboxes.
const USERS: usize = 5;

/// How large a store is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) mailboxes: usize,
    pub(crate) messages_each: usize,
}

/// A store that Cyrus made and knows, full of mail.
pub(crate) struct Population {
    pub(crate) store: Store,
    root: PathBuf,
    mailboxes: Vec<PathBuf>,
    /// Messages of all mailboxes together.
    pub(crate) messages: usize,
    /// Their bytes.
    pub(crate) bytes: u64,
}

impl Population {
    /// The store of this extent: one that an earlier run kept, or a new one.
    pub(crate) fn ready(cyrus: &Cyrus, extent: Extent) -> Result<Self> {
        let Extent { mailboxes, messages_each } = extent;
        let bench = cyrus.lasting_directory("bench")?;
        let root = bench.join(format!("reconstruct-{mailboxes}x{messages_each}"));
        let complete = root.join("complete");
        if !complete.is_file() {
            println!("xtask: making {mailboxes} mailboxes of {messages_each} messages …");
            remove_tree(&root)?;
            let store = create(cyrus, &root, extent)?;
            File::create(&complete)?;
            drop(store);
        }
        let store = Store::lasting(cyrus, options(), &root)?;
        let mut population = Self { store, root, mailboxes: Vec::new(), messages: 0, bytes: 0 };
        for name in names(mailboxes) {
            population.mailboxes.push(population.store.mailbox_dir(&name)?);
        }
        // Left by a run that was interrupted.
        if population.aside().exists() {
            population.put_back()?;
        }
        population.warm_up()?;
        Ok(population)
    }

    /// Removes it.
    pub(crate) fn remove(self) -> Result<()> {
        remove_tree(&self.root)
    }

    /// The users that mailboxes belong to, as `reconstruct` takes them.
    pub(crate) fn users() -> Vec<String> {
        (0..USERS).map(|user| format!("user.bench{user}")).collect()
    }

    /// Takes every index and cache away, and remembers whatever a repair without them may change.
    pub(crate) fn take_indexes_away(&self) -> Result<()> {
        for (number, mailbox) in self.mailboxes.iter().enumerate() {
            let aside = self.aside().join(number.to_string());
            fs::create_dir_all(&aside)?;
            for name in ["cyrus.index", "cyrus.cache"] {
                fs::rename(mailbox.join(name), aside.join(name))?;
            }
            copy(&mailbox.join("cyrus.header"), &aside.join("cyrus.header"))?;
        }
        copy(&self.mailbox_list(), &self.aside().join("mailboxes.db"))
    }

    /// Makes everything as it was before [`Population::take_indexes_away`].
    pub(crate) fn put_back(&self) -> Result<()> {
        for (number, mailbox) in self.mailboxes.iter().enumerate() {
            let aside = self.aside().join(number.to_string());
            for name in ["cyrus.index", "cyrus.cache", "cyrus.header"] {
                // An interrupted run may have come halfway, in either direction.
                match fs::rename(aside.join(name), mailbox.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(error.into());
                    }
                    _ => {}
                }
            }
        }
        let list = self.aside().join("mailboxes.db");
        if list.exists() {
            fs::rename(list, self.mailbox_list())?;
        }
        remove_tree(&self.aside())?;
        remove_tree(&self.store.spool().join(".mailstore-recovery"))
    }

    /// Fails unless every mailbox has an index with all messages in it.
    pub(crate) fn check_complete(&self) -> Result<()> {
        let mut found = 0;
        for mailbox in &self.mailboxes {
            let bytes = fs::read(mailbox.join("cyrus.index"))?;
            let index = IndexFile::open(&bytes)?;
            ensure!(index.header_crc().is_good(), "an index header's CRC is wrong");
            found += usize::try_from(index.header().exists)?;
        }
        ensure!(found == self.messages, "{found} of {} messages are indexed", self.messages);
        Ok(())
    }

    fn aside(&self) -> PathBuf {
        self.root.join("aside")
    }

    fn mailbox_list(&self) -> PathBuf {
        self.store.conf().join("mailboxes.db")
    }

    /// Reads every file once, and counts the messages.
    fn warm_up(&mut self) -> Result<()> {
        for mailbox in &self.mailboxes {
            for entry in fs::read_dir(mailbox)? {
                let path = entry?.path();
                let bytes = io::copy(&mut File::open(&path)?, &mut io::sink())?;
                if path.to_string_lossy().ends_with('.') {
                    self.messages += 1;
                    self.bytes += bytes;
                }
            }
        }
        Ok(())
    }
}

fn options() -> ServerOptions {
    ServerOptions::new(Layout::ById)
}

/// The mailboxes' names, INBOXes first.
fn names(mailboxes: usize) -> Vec<String> {
    let name = |number: usize| match (number % USERS, number / USERS) {
        (user, 0) => format!("user.bench{user}"),
        (user, folder) => format!("user.bench{user}.folder{folder}"),
    };
    (0..mailboxes).map(name).collect()
}

/// Mailboxes are created and flags are set over IMAP. The messages are put into the directories, and
/// Cyrus's own `reconstruct` finds them there, which is much faster.
fn create(cyrus: &Cyrus, root: &Path, extent: Extent) -> Result<Store> {
    let names = names(extent.mailboxes);
    let mut server = Server::serve(Store::lasting(cyrus, options(), root)?)?;
    let mut admin = server.admin()?;
    for name in &names {
        admin.create(name)?;
    }
    admin.logout()?;
    server.stop()?;

    let mut mail = Mail::new(1);
    for name in &names {
        let directory = server.mailbox_dir(name)?;
        for uid in 1..=extent.messages_each {
            let path = directory.join(format!("{uid}."));
            fs::write(&path, mail.message())?;
            let received = SystemTime::UNIX_EPOCH + Duration::from_secs(mail.received());
            File::open(&path)?.set_modified(received)?;
        }
    }
    cyrus.account().own(&server.spool())?;
    let users = Population::users();
    let arguments: Vec<&str> = ["-r"].into_iter().chain(users.iter().map(String::as_str)).collect();
    server.tool_output("reconstruct", &arguments)?;

    server.start_again()?;
    for name in &names {
        let user = name.split('.').nth(1).context("a mailbox without a user")?;
        let mut session = server.login(user)?;
        let mailbox = name.replacen(&format!("user.{user}"), "INBOX", 1);
        let seen = session.select(&mailbox)?.exists / 5 * 4;
        session.store(&format!("1:{}", seen.max(1)), "+FLAGS.SILENT (\\Seen)")?;
        session
            .store(&format!("1:{}", (seen / 8).max(1)), "+FLAGS.SILENT (\\Answered $Forwarded)")?;
        session.unselect()?;
        session.logout()?;
    }
    server.into_store()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)?;
    let owner = fs::metadata(from)?;
    Ok(std::os::unix::fs::chown(to, Some(owner.uid()), Some(owner.gid()))?)
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
