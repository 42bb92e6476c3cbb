//! `imapd.conf`: where a store lies and how its server lays it out.
//!
//! [`ImapdConf::load`] accepts what the server accepts (`lib/libconfig.c`, `config_read_file`) and
//! refuses what the server refuses to start with, so that a typo never sends a repair elsewhere.
//! The getters carry the server's defaults (`lib/imapoptions`, 3.6.1).
//!
//! Options with a service's name in front (`imap_umask`) are not looked at: they hold for one
//! service, and none of those that place a mailbox can sensibly differ between services.

mod file;
mod partitions;

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use file::Settings;
pub use partitions::{MetaFile, Partition};

/// Why an `imapd.conf` cannot be used. Each names the file and, where there is one, the line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file, or one that it includes, cannot be read.
    #[error("cannot read configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file includes itself, or is included a second time.
    #[error("configuration file {} is included twice", path.display())]
    IncludedTwice {
        /// The file.
        path: PathBuf,
    },
    /// A line is neither `option: value` nor a comment nor `@include: file`.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An option stands there twice.
    #[error("{}:{line}: option '{option}' was already set at {}:{earlier_line}", path.display(), earlier.display())]
    Duplicate {
        /// The option, in lower case.
        option: String,
        /// The file of the second occurrence.
        path: PathBuf,
        /// The line of the second occurrence.
        line: usize,
        /// The file of the first occurrence.
        earlier: PathBuf,
        /// The line of the first occurrence.
        earlier_line: usize,
    },
    /// An option's value is not one of those it can have.
    #[error("{}: option '{option}': '{value}' is not {expected}", path.display())]
    Value {
        /// The configuration file that was loaded.
        path: PathBuf,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// An option without which nothing can be found is not set.
    #[error("{}: option '{option}' is not set", path.display())]
    Missing {
        /// The configuration file that was loaded.
        path: PathBuf,
        /// The option, or its form.
        option: &'static str,
    },
}

/// `virtdomains`: whether mailbox names have domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VirtualDomains {
    /// There are no domains; `@` is an ordinary character of a name.
    Off,
    /// A domain is what follows the `@` of a user's name.
    Userid,
    /// As `Userid`, or else what the address of the connection resolves to.
    On,
}

/// A server's configuration, validated as far as this toolkit uses it.
#[derive(Debug, Clone)]
pub struct ImapdConf {
    path: PathBuf,
    settings: Settings,
    config_directory: PathBuf,
    virtual_domains: VirtualDomains,
    switches: Switches,
    meta_files: Vec<MetaFile>,
}

/// The switches this toolkit reads, parsed once so that the getters cannot fail.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of imapd.conf")]
struct Switches {
    hashimapspool: bool,
    fulldirhash: bool,
    unixhierarchysep: bool,
    altnamespace: bool,
    mailbox_legacy_dirs: bool,
    archive_enabled: bool,
    conversations: bool,
    statuscache: bool,
    quota_use_conversations: bool,
    sync_log: bool,
    global_lock: bool,
}

impl ImapdConf {
    /// Reads the configuration file at `path` and all that it includes.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let settings = Settings::read(path)?;
        let Some(config_directory) = settings.get("configdirectory").map(path_of) else {
            return Err(ConfigError::Missing { path: path.into(), option: "configdirectory" });
        };
        let switch = |option, default| settings.switch(path, option, default);
        let switches = Switches {
            hashimapspool: switch("hashimapspool", false)?,
            fulldirhash: switch("fulldirhash", false)?,
            unixhierarchysep: switch("unixhierarchysep", true)?,
            altnamespace: switch("altnamespace", true)?,
            mailbox_legacy_dirs: switch("mailbox_legacy_dirs", false)?,
            archive_enabled: switch("archive_enabled", false)?,
            conversations: switch("conversations", false)?,
            statuscache: switch("statuscache", false)?,
            quota_use_conversations: switch("quota_use_conversations", false)?,
            sync_log: switch("sync_log", false)?,
            global_lock: switch("global_lock", true)?,
        };
        let conf = Self {
            path: path.into(),
            virtual_domains: virtual_domains(path, &settings)?,
            meta_files: partitions::meta_files(path, &settings)?,
            config_directory,
            switches,
            settings,
        };
        conf.check_partitions()?;
        Ok(conf)
    }

    /// The file this was loaded from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The raw value of an option, by its name in lower case. For options without a getter.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<&OsStr> {
        self.settings.get(option).map(OsStr::from_bytes)
    }

    /// `configdirectory`: the server's own databases.
    #[must_use]
    pub fn config_directory(&self) -> &Path {
        &self.config_directory
    }

    /// `hashimapspool`: a letter stands between a root and a name (mailbox and lock paths alike).
    #[must_use]
    pub fn hash_imap_spool(&self) -> bool {
        self.switches.hashimapspool
    }

    /// `fulldirhash`: that letter is a hash (A-W) instead of the first letter.
    #[must_use]
    pub fn full_dir_hash(&self) -> bool {
        self.switches.fulldirhash
    }

    /// `virtdomains`.
    #[must_use]
    pub fn virtual_domains(&self) -> VirtualDomains {
        self.virtual_domains
    }

    /// `defaultdomain`: the domain that internal names leave out.
    #[must_use]
    pub fn default_domain(&self) -> &[u8] {
        self.settings.get("defaultdomain").unwrap_or(b"internal")
    }

    /// `unixhierarchysep`: operators and clients separate levels with `/`, not `.`.
    #[must_use]
    pub fn unix_hierarchy_separator(&self) -> bool {
        self.switches.unixhierarchysep
    }

    /// `altnamespace`: users see their folders beside INBOX. Operators' names never have it.
    #[must_use]
    pub fn alt_namespace(&self) -> bool {
        self.switches.altnamespace
    }

    /// `userprefix`: where other users' folders are shown under [`Self::alt_namespace`].
    #[must_use]
    pub fn user_prefix(&self) -> &[u8] {
        self.settings.get("userprefix").unwrap_or(b"Other Users")
    }

    /// `sharedprefix`: where shared folders are shown under [`Self::alt_namespace`].
    #[must_use]
    pub fn shared_prefix(&self) -> &[u8] {
        self.settings.get("sharedprefix").unwrap_or(b"Shared Folders")
    }

    /// `deletedprefix`: the first level of mailboxes that were deleted and not yet expired.
    #[must_use]
    pub fn deleted_prefix(&self) -> &[u8] {
        self.settings.get("deletedprefix").unwrap_or(b"DELETED")
    }

    /// `mailbox_legacy_dirs`: whether *new* mailboxes are stored by name. What an existing one
    /// does is said by its entry in mailboxes.db.
    #[must_use]
    pub fn mailbox_legacy_dirs(&self) -> bool {
        self.switches.mailbox_legacy_dirs
    }

    /// `mboxname_lockpath`, or its default: the root of the name lock files.
    #[must_use]
    pub fn lock_root(&self) -> PathBuf {
        self.path_option("mboxname_lockpath").unwrap_or_else(|| self.config_directory.join("lock"))
    }

    /// `global_lock` (3.12 on): writers hold a shared lock on the whole server.
    #[must_use]
    pub fn global_lock(&self) -> bool {
        self.switches.global_lock
    }

    /// `mboxlist_db_path`, or its default: mailboxes.db.
    #[must_use]
    pub fn mailboxes_db(&self) -> PathBuf {
        self.path_option("mboxlist_db_path")
            .unwrap_or_else(|| self.config_directory.join("mailboxes.db"))
    }

    /// `annotation_db_path`, or its default: annotations of the server and of mailboxes. Those of
    /// messages lie with the mailbox.
    #[must_use]
    pub fn annotations_db(&self) -> PathBuf {
        self.path_option("annotation_db_path")
            .unwrap_or_else(|| self.config_directory.join("annotations.db"))
    }

    /// `quota_db_path`, or its default: a directory for the default type `quotalegacy`, else a file.
    #[must_use]
    pub fn quota_db(&self) -> PathBuf {
        self.path_option("quota_db_path").unwrap_or_else(|| {
            let legacy = self.database_type("quota_db") == "quotalegacy";
            self.config_directory.join(if legacy { "quota" } else { "quotas.db" })
        })
    }

    /// `userdeny_db_path`, or its default: who is kept from logging in.
    #[must_use]
    pub fn user_deny_db(&self) -> PathBuf {
        self.path_option("userdeny_db_path")
            .unwrap_or_else(|| self.config_directory.join("user_deny.db"))
    }

    /// `quota_use_conversations`: what is used is not what the quota database says.
    #[must_use]
    pub fn quota_uses_conversations(&self) -> bool {
        self.switches.quota_use_conversations
    }

    /// Where the status cache lies, if the server keeps one (`statuscache`, off by default). A
    /// rewritten mailbox's entry there is stale.
    #[must_use]
    pub fn status_cache(&self) -> Option<PathBuf> {
        self.switches.statuscache.then(|| {
            self.path_option("statuscache_db_path")
                .unwrap_or_else(|| self.config_directory.join("statuscache.db"))
        })
    }

    /// `conversations`: threads are tracked, in a database for each user.
    #[must_use]
    pub fn conversations(&self) -> bool {
        self.switches.conversations
    }

    /// The backend of a database option (`mboxlist_db`, `annotation_db`, `conversations_db`,
    /// `quota_db`, `seenstate_db`, `subscription_db`, `statuscache_db`, `userdeny_db`), as text.
    #[must_use]
    pub fn database_type(&self, option: &str) -> String {
        let default = match option {
            "conversations_db" => "skiplist",
            "quota_db" => "quotalegacy",
            "subscription_db" | "userdeny_db" => "flat",
            _ => "twoskip",
        };
        self.settings.get(option).map_or_else(|| default.to_owned(), text_of)
    }

    /// `archive_enabled`: old messages lie in archive partitions.
    #[must_use]
    pub fn archive_enabled(&self) -> bool {
        self.switches.archive_enabled
    }

    /// `expunge_mode: immediate`: expunged messages leave the disk at once instead of through
    /// `cyr_expire`.
    #[must_use]
    pub fn expunges_immediately(&self) -> bool {
        self.settings.get("expunge_mode") == Some(b"immediate")
    }

    /// `delete_mode` is not `immediate`: deleted mailboxes are kept under [`Self::deleted_prefix`].
    #[must_use]
    pub fn delayed_delete(&self) -> bool {
        self.settings.get("delete_mode") != Some(b"immediate")
    }

    /// `cyrus_user`: the account the server runs as, where the configuration says so.
    #[must_use]
    pub fn cyrus_user(&self) -> Option<String> {
        self.settings.get("cyrus_user").map(text_of)
    }

    /// `cyrus_group`: its group, where that is not the account's own.
    #[must_use]
    pub fn cyrus_group(&self) -> Option<String> {
        self.settings.get("cyrus_group").map(text_of)
    }

    /// `umask`, read as the server does (`imap/global.c`, `cyrus_init`): octal digits, others
    /// skipped. At most 0o777.
    #[must_use]
    pub fn umask(&self) -> u32 {
        let digits = self.settings.get("umask").unwrap_or(b"077");
        let octal = digits.iter().filter(|digit| (b'0'..=b'7').contains(*digit));
        octal.fold(0, |mask, &digit| (mask << 3 | u32::from(digit - b'0')) & 0o777)
    }

    /// Where each of the server's processes says whom it serves: `proc_path`.
    #[must_use]
    pub fn proc_directory(&self) -> PathBuf {
        self.path_option("proc_path").unwrap_or_else(|| self.config_directory.join("proc"))
    }

    /// `sync_log`: changes are logged for replication and for the search indexer.
    #[must_use]
    pub fn sync_log(&self) -> bool {
        self.switches.sync_log
    }

    /// The channels of the sync log (`imap/sync_log.c`, `sync_log_init`); an empty one is the
    /// log directly under `sync/`. Nothing is logged unless [`Self::sync_log`].
    #[must_use]
    pub fn sync_log_channels(&self) -> Vec<String> {
        let named = self.settings.get("sync_log_channels").map_or_else(String::new, text_of);
        let mut channels: Vec<String> = named
            .split_whitespace()
            .map(|channel| if channel == "\"\"" { String::new() } else { channel.to_owned() })
            .collect();
        if channels.is_empty() {
            channels.push(String::new());
        }
        channels
    }

    /// Whether anything says that this store has a replica: `sync_host`, also that of a channel
    /// (`<channel>_sync_host`), or a sync log with a channel other than the search indexer's.
    #[must_use]
    pub fn replication_configured(&self) -> bool {
        let has_host = self
            .settings
            .names()
            .any(|option| option == "sync_host" || option.ends_with("_sync_host"));
        let logged =
            self.sync_log() && self.sync_log_channels().iter().any(|channel| channel != "squatter");
        has_host || logged
    }

    fn path_option(&self, option: &str) -> Option<PathBuf> {
        let value = self.settings.get(option)?;
        Some(expand_config_directory(value, &self.config_directory))
    }
}

fn path_of(value: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(value))
}

fn text_of(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// The server expands this prefix in its known path options, not in partitions.
fn expand_config_directory(value: &[u8], config_directory: &Path) -> PathBuf {
    const PLACEHOLDER: &[u8] = b"{configdirectory}";
    match value.split_at_checked(PLACEHOLDER.len()) {
        Some((head, tail)) if head.eq_ignore_ascii_case(PLACEHOLDER) => {
            let mut path = config_directory.as_os_str().as_bytes().to_vec();
            path.extend_from_slice(tail);
            PathBuf::from(std::ffi::OsString::from_vec(path))
        }
        _ => path_of(value),
    }
}

fn virtual_domains(path: &Path, settings: &Settings) -> Result<VirtualDomains, ConfigError> {
    match settings.get("virtdomains") {
        None | Some(b"off" | b"0" | b"no" | b"f" | b"false") => Ok(VirtualDomains::Off),
        Some(b"on" | b"1" | b"yes" | b"t" | b"true") => Ok(VirtualDomains::On),
        Some(b"userid") => Ok(VirtualDomains::Userid),
        Some(other) => Err(ConfigError::Value {
            path: path.into(),
            option: "virtdomains",
            value: text_of(other),
            expected: "off, userid or on",
        }),
    }
}

#[cfg(test)]
mod tests;
