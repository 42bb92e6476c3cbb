//! A whole store: its configuration and the mailboxes that mailboxes.db lists.

mod selection;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailstore_format::db::{self, DbDamage, Standing};
use mailstore_format::mboxlist::{self, MailboxList};
use mailstore_format::{DecodeError, UidValidity};
use thiserror::Error;

use crate::config::{ConfigError, ImapdConf};
use crate::location::{Layout, LocationError, MailboxLocation, PathRules};
use crate::lock::{self, LockError, LockPlan, LockSpace, LockWait};
use crate::name::{InternalName, NameParts};
use crate::namespace::Namespace;
pub use selection::{SelectError, Selection};

/// How long [`Store::open`] waits for whoever writes mailboxes.db.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a store cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// mailboxes.db is not there, or is locked for too long.
    #[error("cannot read the list of mailboxes: {0}")]
    Lock(#[from] LockError),
    /// mailboxes.db cannot be read from the disk.
    #[error("cannot read the list of mailboxes {}: {source}", path.display())]
    Read {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// mailboxes.db is no database of a known kind.
    #[error(
        "the list of mailboxes {} is unreadable: {source}; set it aside and put the newest copy of \
         it that can be read in its place, with the server stopped (the server keeps copies in \
         db.backup1 and db.backup2 beside it)",
        path.display()
    )]
    Decode {
        /// The database.
        path: PathBuf,
        /// Where it stops making sense.
        source: DecodeError,
    },
}

/// One mailbox, as mailboxes.db has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxEntry {
    /// Its name.
    pub name: InternalName,
    /// Its unique id; empty where neither its record nor one by id says it.
    pub uniqueid: Vec<u8>,
    /// Its partition; empty where the record has none.
    pub partition: String,
    /// How its directory is found.
    pub layout: Layout,
    /// UIDVALIDITY, as of the last write of the record: it can lag.
    pub uidvalidity: Option<UidValidity>,
    /// All that the record says, ACL and type among it.
    pub record: mboxlist::MailboxEntry,
    /// Whether the database was sure that this is the record's last state.
    pub standing: Standing,
}

/// A store, opened for reading. Nothing of this can change anything on disk.
#[derive(Debug)]
pub struct Store {
    conf: ImapdConf,
    namespace: Namespace,
    lock_space: LockSpace,
    list: MailboxList,
    damage: Vec<DbDamage>,
    mailboxes: Vec<MailboxEntry>,
}

impl Store {
    /// Opens the store of the server with this configuration file.
    pub fn open(conf_path: &Path) -> Result<Self, StoreError> {
        Self::open_with(ImapdConf::load(conf_path)?, DATABASE_TIMEOUT, &mut |_| {})
    }

    /// Opens the store of a configuration. mailboxes.db is read whole, under a shared lock that is
    /// released before this returns; nothing is created.
    pub fn open_with(
        conf: ImapdConf,
        timeout: Duration,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<Self, StoreError> {
        let path = conf.mailboxes_db();
        let locked = lock::read_database(&path, timeout, on_wait)?;
        let mut bytes = Vec::new();
        if let Err(source) = locked.file().read_to_end(&mut bytes) {
            return Err(StoreError::Read { path, source });
        }
        drop(locked);
        let contents = db::read(&bytes).map_err(|source| StoreError::Decode { path, source })?;
        let list = MailboxList::from_database(&contents);
        Ok(Self {
            namespace: Namespace::from(&conf),
            lock_space: LockSpace::new(&conf),
            mailboxes: local_mailboxes(&list),
            damage: contents.damage,
            list,
            conf,
        })
    }

    /// The configuration.
    #[must_use]
    pub fn conf(&self) -> &ImapdConf {
        &self.conf
    }

    /// The rules of its mailbox names.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its locks.
    #[must_use]
    pub fn lock_space(&self) -> &LockSpace {
        &self.lock_space
    }

    /// Every mailbox that lies here, by name. Not tombstones, levels that were never created,
    /// reserved names, and mailboxes of other servers: nothing of those is on disk.
    #[must_use]
    pub fn mailboxes(&self) -> &[MailboxEntry] {
        &self.mailboxes
    }

    /// The mailbox of this name.
    #[must_use]
    pub fn mailbox(&self, name: &InternalName) -> Option<&MailboxEntry> {
        let found = self.mailboxes.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        self.mailboxes.get(found)
    }

    /// All records of mailboxes.db, those by unique id and those that are no mailboxes included.
    #[must_use]
    pub fn list(&self) -> &MailboxList {
        &self.list
    }

    /// What of mailboxes.db could not be read. Where this is not empty, mailboxes can be missing
    /// from [`Self::mailboxes`].
    #[must_use]
    pub fn list_damage(&self) -> &[DbDamage] {
        &self.damage
    }

    /// Where a mailbox lies.
    pub fn location(&self, mailbox: &MailboxEntry) -> Result<MailboxLocation, LocationError> {
        let MailboxEntry { name, uniqueid, layout, partition, .. } = mailbox;
        MailboxLocation::of(&self.conf, name, uniqueid, *layout, partition)
    }

    /// Where each mailbox would have its `cyrus.expunge`, a list of releases before 2.4 by which
    /// newer servers delete.
    #[must_use]
    pub fn expunge_files(&self) -> Vec<PathBuf> {
        let locations = self.mailboxes().iter().filter_map(|entry| self.location(entry).ok());
        locations.map(|location| location.expunge).collect()
    }

    /// The counters of the owner of `mailbox`. There need be none.
    ///
    /// # Errors
    /// Where the owner's name cannot be a path, as for the next two.
    pub fn counters_file(&self, mailbox: &MailboxEntry) -> Result<PathBuf, LocationError> {
        self.user_file(&self.namespace.parts(&mailbox.name), "counters")
    }

    /// The conversations of the owner of `mailbox`; none for a shared one
    /// (`imap/conversations.c`, `conversations_path`). There need be no such file.
    pub fn conversations_file(
        &self,
        mailbox: &MailboxEntry,
    ) -> Result<Option<PathBuf>, LocationError> {
        let parts = self.namespace.parts(&mailbox.name);
        parts.userid().map(|_| self.user_file(&parts, "conversations")).transpose()
    }

    /// What a user has seen (`imap/seen_db.c`, `seen_getpath`). There need be no such file.
    pub fn seen_file(&self, userid: &[u8]) -> Result<PathBuf, LocationError> {
        self.user_file(&self.namespace.user_parts(userid), "seen")
    }

    /// The older copies of mailboxes.db that `ctl_cyrusdb -c` keeps, the newer one first
    /// (`imap/ctl_cyrusdb.c`). There need be none.
    #[must_use]
    pub fn older_lists(&self) -> [PathBuf; 2] {
        let list = self.conf.mailboxes_db();
        let name = list.file_name().unwrap_or_else(|| "mailboxes.db".as_ref());
        let directory = self.conf.config_directory();
        ["db.backup1", "db.backup2"].map(|backup| directory.join(backup).join(name))
    }

    /// A file the server keeps about a user (`imap/mboxname.c`, `mboxname_conf_getpath`): by the
    /// unique id of their INBOX, or by their name.
    fn user_file(&self, user: &NameParts, suffix: &str) -> Result<PathBuf, LocationError> {
        let directory = self.conf.config_directory();
        let inbox = user.inbox().and_then(|inbox| self.mailbox(&inbox));
        match inbox {
            Some(inbox) if inbox.layout == Layout::ById => {
                let of_user = PathRules::by_id(&directory.join("user"), &inbox.uniqueid)?;
                Ok(of_user.join(format!("{suffix}.db")))
            }
            _ => PathRules::from(&self.conf).by_owner(directory, user, suffix),
        }
    }

    /// The locks a mailbox takes.
    pub fn lock_plan(&self, mailbox: &MailboxEntry) -> Result<LockPlan, LocationError> {
        let index = self.location(mailbox)?.index;
        self.lock_space.plan(&mailbox.name, &mailbox.uniqueid, mailbox.layout, &index)
    }
}

fn local_mailboxes(list: &MailboxList) -> Vec<MailboxEntry> {
    let mailboxes = list.by_name.iter().filter_map(|(name, listed)| {
        let mbtype = &listed.entry.mbtype;
        let elsewhere = mbtype.is_deleted()
            || mbtype.is_intermediate()
            || mbtype.is_reserved()
            || mbtype.is_remote();
        (!elsewhere).then(|| MailboxEntry {
            name: InternalName::new(name.clone()),
            uniqueid: uniqueid(list, name, &listed.entry),
            partition: listed.entry.partition.as_deref().map_or_else(String::new, |partition| {
                String::from_utf8_lossy(partition).into_owned()
            }),
            layout: if mbtype.is_stored_by_name() { Layout::ByName } else { Layout::ById },
            uidvalidity: listed.entry.uidvalidity,
            record: listed.entry.clone(),
            standing: listed.standing,
        })
    });
    let mut mailboxes: Vec<_> = mailboxes.collect();
    mailboxes.sort_by(|one, other| one.name.cmp(&other.name));
    mailboxes
}

fn uniqueid(list: &MailboxList, name: &[u8], entry: &mboxlist::MailboxEntry) -> Vec<u8> {
    let by_id = || {
        let mut records = list.by_uniqueid.iter();
        let of_name = |listed: &mboxlist::Listed| {
            listed.entry.name == name && !listed.entry.mbtype.is_deleted()
        };
        records.find(|(_, listed)| of_name(listed)).map(|(id, _)| id.clone())
    };
    entry.uniqueid.clone().or_else(by_id).unwrap_or_default()
}
