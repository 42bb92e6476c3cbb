//! A store of which it is known what it showed before it was damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mailstore_format::Guid;

use crate::configuration::ServerOptions;
use crate::cyrus::Cyrus;
use crate::judge::judge;
use crate::populate::{USERS, populate, populate_one};
use crate::server::Server;
use crate::snapshot::{Differences, Expect, MailboxSnapshot, Snapshot};
use crate::tool::{Reconstruct, ToolRun};
use crate::tree::Tree;

/// A server, running or not, and what its users saw when all was well.
#[derive(Debug)]
pub struct KnownStore {
    server: Server,
    shown: BTreeMap<String, Snapshot>,
    expunged: BTreeMap<String, BTreeMap<u32, Guid>>,
}

/// Where the files of a mailbox lie.
#[derive(Debug, Clone)]
pub struct MailboxFiles {
    /// The directory of the message files.
    pub data: PathBuf,
    /// The directory of `cyrus.index`, which the metadata partition may hold.
    pub index: PathBuf,
    /// The directory of `cyrus.cache`.
    pub cache: PathBuf,
    /// The directory of `cyrus.header`.
    pub header: PathBuf,
    /// The directory of archived messages and their cache, where there is one.
    pub archive: Option<PathBuf>,
}

/// Which index records a test destroyed.
#[derive(Debug, Clone, Default)]
pub struct Losses {
    indexes: BTreeSet<String>,
    records: BTreeMap<String, BTreeSet<u32>>,
}

impl Losses {
    /// None: everything that the indexes said must have survived.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// All records of these mailboxes.
    #[must_use]
    pub fn of_indexes(mailboxes: impl IntoIterator<Item = String>) -> Self {
        Self { indexes: mailboxes.into_iter().collect(), ..Self::default() }
    }

    /// The records of these messages of one mailbox.
    #[must_use]
    pub fn of_records(mailbox: &str, uids: impl IntoIterator<Item = u32>) -> Self {
        let records = [(mailbox.to_string(), uids.into_iter().collect())].into();
        Self { records, ..Self::default() }
    }

    fn has_record(&self, mailbox: &str, uid: u32) -> bool {
        let of_mailbox = self.records.get(mailbox);
        self.indexes.contains(mailbox) || of_mailbox.is_some_and(|uids| uids.contains(&uid))
    }
}

/// The messages of a mailbox whose records are lost.
struct Lost<'a> {
    mailbox: &'a str,
    is_lost: &'a dyn Fn(u32) -> bool,
}

impl Deref for KnownStore {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for KnownStore {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl KnownStore {
    /// A store filled by [`populate`], not being served. `archived`: every message lies in the
    /// archive that `cyr_expire` would move there by now.
    pub fn populated(cyrus: &Cyrus, options: ServerOptions, seed: u64) -> Result<Self> {
        let archive = options.archive;
        let mut server = Server::start(cyrus, options)?;
        populate(&server, seed)?;
        if archive {
            server.stop()?;
            server.tool_output("cyr_expire", &["-A", "0", "-E", "7"])?;
            server.start_again()?;
        }
        Self::of(server, &USERS)
    }

    /// A store whose only mailbox is Alice's INBOX, filled by [`populate_one`], not being served.
    pub fn with_one_mailbox(cyrus: &Cyrus, options: ServerOptions) -> Result<Self> {
        let server = Server::start(cyrus, options)?;
        populate_one(&server)?;
        Self::of(server, &["alice"])
    }

    /// What `users` see now on `server`, which is stopped.
    pub fn of(mut server: Server, users: &[&str]) -> Result<Self> {
        let mut shown = BTreeMap::new();
        for user in users {
            shown.insert((*user).to_string(), Snapshot::take(&server, user)?);
        }
        server.stop()?;
        let mut known = Self { server, shown, expunged: BTreeMap::new() };
        for (mailbox, messages) in known.mailboxes_shown() {
            let live: BTreeSet<u32> = messages.messages.keys().copied().collect();
            let mut files = known.files(&mailbox)?.messages()?;
            files.retain(|uid, _| !live.contains(uid));
            known.expunged.insert(mailbox, files);
        }
        Ok(known)
    }

    /// A copy of the store, which must not be being served; nor is the copy.
    pub fn copy(&self) -> Result<Self> {
        let server = Server::at_rest(self.server.copy()?)?;
        Ok(Self { server, shown: self.shown.clone(), expunged: self.expunged.clone() })
    }

    /// What the users saw.
    #[must_use]
    pub fn shown(&self) -> &BTreeMap<String, Snapshot> {
        &self.shown
    }

    /// What was seen of a mailbox, by its internal name.
    pub fn mailbox_shown(&self, mailbox: &str) -> Result<MailboxSnapshot> {
        let shown = self.mailboxes_shown();
        let found = shown.into_iter().find(|(name, _)| name == mailbox);
        found.map(|(_, snapshot)| snapshot).with_context(|| format!("no {mailbox} was seen"))
    }

    /// The internal names of all mailboxes that were seen.
    #[must_use]
    pub fn seen_mailboxes(&self) -> Vec<String> {
        self.mailboxes_shown().into_iter().map(|(name, _)| name).collect()
    }

    /// The expunged messages of a mailbox whose files are still there.
    #[must_use]
    pub fn expunged(&self, mailbox: &str) -> BTreeMap<u32, Guid> {
        self.expunged.get(mailbox).cloned().unwrap_or_default()
    }

    /// Where the files of a mailbox lie.
    pub fn files(&self, mailbox: &str) -> Result<MailboxFiles> {
        let data = self.server.mailbox_dir(mailbox)?;
        let within = data.strip_prefix(self.server.spool()).context("a mailbox elsewhere")?;
        let options = self.server.options();
        let place = |file: &str| {
            let on_meta = options.metapartition_files.iter().any(|name| name == file);
            if on_meta { self.server.meta().join(within) } else { data.clone() }
        };
        let archive = options.archive.then(|| self.server.archive().join(within));
        Ok(MailboxFiles {
            index: place("index"),
            cache: place("cache"),
            header: place("header"),
            archive: archive.filter(|directory| directory.is_dir()),
            data,
        })
    }

    /// Our `reconstruct` on every mailbox of every user that is known, with `--json`.
    #[must_use]
    pub fn reconstruct(&self) -> Reconstruct {
        let users = self.shown.keys().flat_map(|user| ["--user", user]);
        Reconstruct::new(&self.server).args(users).arg("--json")
    }

    /// How what the users see now differs from what they saw. Where `losses` says that the record
    /// of a message is lost, only what files and mailboxes.db tell must be the same, and it must
    /// have no flags; expunged messages whose records are lost and whose files were still there,
    /// and no others, must have come back. Where the server has conversations these are witnesses:
    /// such a message must have its flags, keywords excepted, and no expunged one may be back.
    ///
    /// The server must run.
    pub fn differences(&self, losses: &Losses) -> Result<Differences> {
        let mut found = Differences::default();
        for (user, before) in &self.shown {
            let mut after = Snapshot::take(&self.server, user)?;
            for name in before.mailboxes.keys() {
                let internal = internal_name(user, name);
                let is_lost = |uid: u32| losses.has_record(&internal, uid);
                if let Some(after) = after.mailboxes.get_mut(name) {
                    let lost = Lost { mailbox: &internal, is_lost: &is_lost };
                    self.take_back_expunged(&lost, after, &mut found);
                    self.compare_lost_flags(&lost, before.mailboxes.get(name), after, &mut found);
                }
                let halves = [(false, Expect::SameContent), (true, Expect::IndexLost)];
                for (lost, expect) in halves {
                    let half =
                        |snapshot: &Snapshot| snapshot.half(name, |uid| is_lost(uid) == lost);
                    found.0.extend(half(before).differences(&half(&after), expect).0);
                }
            }
            let new = after.mailboxes.keys().filter(|name| !before.mailboxes.contains_key(*name));
            found.0.extend(new.map(|name| format!("{user}'s {name} is new")));
        }
        found.0.sort();
        found.0.dedup();
        Ok(found)
    }

    /// Removes from `after` the expunged messages that are rightly back, and tells which are not.
    fn take_back_expunged(
        &self,
        lost: &Lost<'_>,
        after: &mut MailboxSnapshot,
        found: &mut Differences,
    ) {
        if self.server.options().conversations {
            return; // Whoever is back is new.
        }
        let Lost { mailbox, is_lost } = lost;
        for (uid, guid) in self.expunged(mailbox).into_iter().filter(|(uid, _)| is_lost(*uid)) {
            match after.messages.remove(&uid) {
                Some(back) if back.body == guid.to_string() && back.flags.is_empty() => {}
                Some(back) => found.0.push(format!("{mailbox} {uid} is back as {back:?}")),
                None => found.0.push(format!("{mailbox} {uid}: its file did not bring it back")),
            }
        }
    }

    /// Tells which messages without a record have other flags than some witness tells of.
    fn compare_lost_flags(
        &self,
        lost: &Lost<'_>,
        before: Option<&MailboxSnapshot>,
        after: &MailboxSnapshot,
        found: &mut Differences,
    ) {
        let Lost { mailbox, is_lost } = lost;
        for (uid, message) in after.messages.iter().filter(|(uid, _)| is_lost(**uid)) {
            let known = before.and_then(|before| before.messages.get(uid));
            let known = known.filter(|_| self.server.options().conversations);
            let flags = known.map_or(&[][..], |known| &known.flags);
            let flags: Vec<_> = flags.iter().filter(|flag| flag.starts_with('\\')).collect();
            if message.flags.iter().ne(flags.iter().copied()) {
                let has = &message.flags;
                found.0.push(format!("{mailbox} {uid} has flags {has:?}, known are {flags:?}"));
            }
        }
    }

    /// Everything a repair must leave behind: what the users saw (as [`Self::differences`] has
    /// it) on a server that nothing kills, Cyrus content with all of it, and a second run that has
    /// nothing to do and writes nothing. Starts the server where it does not run, and stops it.
    pub fn check_repaired(&mut self, losses: &Losses) -> Result<()> {
        if !self.server.is_running()? {
            self.server.start_again()?;
        }
        let differences = self.differences(losses)?;
        ensure!(differences.is_empty(), "the server shows other mail:\n{differences}");
        let deaths = self.server.deaths();
        ensure!(deaths.is_empty(), "the server died: {deaths:#?}");
        self.server.stop()?;
        self.check_at_rest()
    }

    /// The part of [`Self::check_repaired`] that no server is needed for.
    pub fn check_at_rest(&self) -> Result<()> {
        let verdict = judge(&self.server)?;
        ensure!(verdict.is_clean(), "Cyrus is not content:\n{verdict}");
        let run = self.check_second_run(&self.reconstruct())?;
        ensure!(run.status == Some(0), "a second run finds damage: {}", run.stdout);
        Ok(())
    }

    /// That `again` finds nothing that it repairs and writes nothing at all.
    pub fn check_second_run(&self, again: &Reconstruct) -> Result<ToolRun> {
        let before = Tree::read(self.server.path())?;
        let run = again.run()?;
        let changed = before.differences(&Tree::read(self.server.path())?);
        ensure!(changed.is_empty(), "a second run wrote: {changed:#?}\n{}", run.stdout);
        let summary = run.summary();
        let idle = ["repaired", "planned", "failed"].iter().all(|state| summary[state] == 0);
        ensure!(idle && summary["mailboxes"] != 0, "a second run did something: {}", run.stdout);
        Ok(run)
    }

    fn mailboxes_shown(&self) -> Vec<(String, MailboxSnapshot)> {
        let of_user = |(user, snapshot): (&String, &Snapshot)| {
            let mailboxes = snapshot.mailboxes.iter();
            let named = mailboxes.map(|(name, shown)| (internal_name(user, name), shown.clone()));
            named.collect::<Vec<_>>()
        };
        self.shown.iter().flat_map(of_user).collect()
    }
}

impl MailboxFiles {
    /// The UIDs and GUIDs of all message files, archived ones included.
    pub fn messages(&self) -> Result<BTreeMap<u32, Guid>> {
        let mut found = BTreeMap::new();
        for directory in [Some(&self.data), self.archive.as_ref()].into_iter().flatten() {
            // Where the server's own files lie elsewhere, the first message makes the directory.
            if !directory.exists() {
                continue;
            }
            for entry in fs::read_dir(directory)? {
                let path = entry?.path();
                if let Some(uid) = uid_of(&path) {
                    found.insert(uid, Guid::of(&fs::read(path)?));
                }
            }
        }
        Ok(found)
    }

    /// The path of a message's file: in the archive, if it lies there.
    #[must_use]
    pub fn message(&self, uid: u32) -> PathBuf {
        let name = format!("{uid}.");
        let archived = self.archive.as_ref().map(|directory| directory.join(&name));
        archived.filter(|path| path.exists()).unwrap_or_else(|| self.data.join(name))
    }
}

fn uid_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_suffix('.')?.parse().ok()
}

/// `user.alice.Sent` for Alice's `INBOX.Sent`.
#[must_use]
pub fn internal_name(user: &str, shown: &str) -> String {
    format!("user.{user}{}", shown.trim_start_matches("INBOX"))
}

impl Snapshot {
    /// One mailbox with some of its messages.
    fn half(&self, name: &str, is_in: impl Fn(u32) -> bool) -> Self {
        let mut mailboxes = BTreeMap::new();
        if let Some(mailbox) = self.mailboxes.get(name) {
            let mut mailbox = mailbox.clone();
            mailbox.messages.retain(|uid, _| is_in(*uid));
            mailboxes.insert(name.to_string(), mailbox);
        }
        Self { mailboxes }
    }
}
